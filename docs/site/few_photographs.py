"""Makes a dataset of one new class from a few images of Pascal VOC, for the table of docs/extend.md.

python docs/site/few_photographs.py --root VOC --images 50 --out data/person
"""

import argparse
import random
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

PERSON, VOID, LEAST = 15, 255, 200  # VOC's id; pixels that an image shows of it at least


def main() -> None:
    """Copies images, and writes masks of the class alone; the validation images are all of VOC's."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, required=True, help="Pascal VOC")
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    val = (asked.root / "ImageSets/Segmentation/val.txt").read_text().split()
    masks = {path.stem: path for path in sorted((asked.root / "SegmentationClassAug").glob("*.png"))}
    showing = [one for one in masks.keys() - set(val) if (values(masks[one]) == PERSON).sum() > LEAST]
    train = random.Random(0).sample(sorted(showing), asked.images)
    for name in ("images", "masks"):
        (asked.out / name).mkdir(parents=True)
    for name, ids in (("train", train), ("val", val)):
        (asked.out / f"{name}.txt").write_text("\n".join(ids) + "\n")
        for one in ids:
            found = values(masks[one])
            mask = np.where(found == VOID, VOID, (found == PERSON).astype(np.uint8)).astype(np.uint8)
            Image.fromarray(mask).save(asked.out / "masks" / f"{one}.png")
            shutil.copyfile(asked.root / "JPEGImages" / f"{one}.jpg", asked.out / "images" / f"{one}.jpg")


def values(mask: Path) -> np.ndarray:
    """The ids of a mask, (H, W)."""
    with Image.open(mask) as image:
        return np.asarray(image)


if __name__ == "__main__":
    main()
