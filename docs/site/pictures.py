"""Pictures of docs/method.md that no command of ssul draws: `python docs/site/pictures.py targets|unknown FILE`.

They show the project in the working folder after an experiment of SSUL.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import ssul
from ssul.cli.upcoming import upcoming_training
from ssul.config.paths import LAYOUT
from ssul.data.dataset_info import DatasetInfo
from ssul.data.index import ImageIndex
from ssul.evaluation.examples import choose_examples
from ssul.labels.space import LabelSpace
from ssul.report.images import SeenImage, draw_masks, names_by_id
from ssul.report.samples import TrainingSample, first_samples
from ssul.report.samples_page import UNKNOWN_ID, page_ids

ROWS = 3
STEP = 1
GREY = (150, 150, 165)
LOOKED_THROUGH = 64
"""Samples, of which those with most different labels are shown."""


def draw_targets(path: Path) -> None:
    """Samples of step 1: the image, annotation and saliency map, and the same with pseudo-labels."""
    coming = upcoming_training(STEP)
    labels, index = coming.job.objective.labels, ImageIndex.read(LAYOUT.index("train"))
    known = DatasetInfo.read(LAYOUT.dataset_info).palette
    palette = [*known, *[GREY] * (UNKNOWN_ID + 1 - len(known))]
    names = {**names_by_id(index), UNKNOWN_ID: "unknown"}
    samples = list(first_samples(coming.job, LOOKED_THROUGH, coming.fabric))
    if any(one.completed is None for one in samples):
        raise SystemExit("the pseudo-labels need the network after step 0: run `dvc exp run` first")
    rows = [_seen(one, labels) for one in sorted(samples, key=_labels)[-ROWS:]]
    learned = [[index.class_name(key) for key in group] for group in labels.groups]
    heads = ["annotation, saliency", "with pseudo-labels"]
    draw_masks(path, f"What step {STEP} learns from", heads, rows, learned, names, palette)


def _labels(sample: TrainingSample) -> int:
    """How many different labels a sample is trained on."""
    return len(np.unique(np.asarray(sample.completed)))


def _seen(sample: TrainingSample, labels: LabelSpace) -> SeenImage:
    assert sample.completed is not None
    masks = [page_ids(labels, target) for target in (sample.target, sample.completed)]
    return SeenImage(sample.image.permute(1, 2, 0).numpy(), masks)


def draw_unknown(path: Path) -> None:
    """Validation images after step 0, with the unknown hatched."""
    index, model = ImageIndex.read(LAYOUT.index("val")), ssul.load(LAYOUT.checkpoint(0))
    files = [LAYOUT.drawn / "JPEGImages" / f"{one}.jpg" for one in choose_examples(index, ROWS)]
    sheets = [model.predict(file, unknown=True).overlay() for file in files]
    gap = 12
    size = (sum(one.width for one in sheets) + gap * (len(sheets) - 1), max(one.height for one in sheets))
    whole, left = Image.new("RGB", size, (255, 255, 255)), 0
    for one in sheets:
        whole.paste(one, (left, 0))
        left += one.width + gap
    whole.quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    {"targets": draw_targets, "unknown": draw_unknown}[sys.argv[1]](Path(sys.argv[2]))
