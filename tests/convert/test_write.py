"""Annotations as a dataset that `prepare` can read."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from ssul.config.load import parse_custom_dataset
from ssul.convert.annotations import AnnotatedImage, Annotations
from ssul.convert.description import check_classes, description
from ssul.convert.write import Converted, write_dataset
from ssul.data.image_files import UnreadableImageError
from ssul.data.index import IndexRow
from ssul.data.layout import ImagePaths
from ssul.datasets.custom import resolve_dataset
from ssul.datasets.scan import scan_images
from ssul.datasets.scan_cache import ScanCache
from ssul.errors import UserError
from ssul.labels.colours import voc_colours

VALUES = [[0, 1], [2, 255]]


def annotated(root: Path, name: str, values: list[list[int]] | str = VALUES) -> AnnotatedImage:
    """An image with its mask, or with what is wrong with it."""

    def paint(height: int, width: int) -> np.ndarray:
        assert (height, width) == (2, 2)
        if isinstance(values, str):
            raise UnreadableImageError(values)
        return np.array(values, dtype=np.uint8)

    path = root / "from" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2)).save(path)
    return AnnotatedImage(name, path, paint)


def written(root: Path, *images: AnnotatedImage, skip: bool = False, **splits: Annotations) -> Converted:
    both = {"train": Annotations(("hat", "ball"), images, {}), **splits}
    show = lambda items, **_: items  # noqa: E731
    return write_dataset(both, root / "from", root / "out", palette=voc_colours(3), skip=skip, show=show)


def test_what_is_written_is_what_prepare_reads(tmp_path: Path) -> None:
    done = written(tmp_path, annotated(tmp_path, "town/a ü.png"), annotated(tmp_path, "b.png", [[0, 1], [1, 1]]))
    custom = parse_custom_dataset(yaml.safe_load(description("toys", Path("x"), ["hat", "ball"], done))["custom"])
    spec = resolve_dataset("toys", custom)
    paths = ImagePaths(tmp_path / "out", spec.train)
    assert paths.list_masks() == ["b", "town/a ü"]
    rows = scan_images(paths, paths.list_masks(), classes=2, values=spec.values, saliency=False, cache=ScanCache(None))
    assert [(row.pixels, row.void) for row in rows if isinstance(row, IndexRow)] == [
        ({0: 1, 1: 3}, 0),
        ({0: 1, 1: 1, 2: 1}, 1),
    ]
    assert (done.images, done.pixels) == ({0: 2, 1: 2, 2: 1, 255: 1}, {0: 2, 1: 4, 2: 1, 255: 1})
    assert paths.image("b").samefile(tmp_path / "from" / "b.png")  # linked: no room is taken


def test_images_of_several_suffixes_keep_them_in_their_ids(tmp_path: Path) -> None:
    done = written(tmp_path, annotated(tmp_path, "a.png"), annotated(tmp_path, "a.jpg"))
    assert done.templates == {"train": ("images/{id}", "masks/{id}.png")}
    assert sorted(path.name for path in (tmp_path / "out" / "masks").iterdir()) == ["a.jpg.png", "a.png.png"]


def test_two_splits_have_folders_of_their_own(tmp_path: Path) -> None:
    val = Annotations(("hat", "ball"), (annotated(tmp_path, "a.jpg"),))
    done = written(tmp_path, annotated(tmp_path, "a.png"), val=val)
    assert done.templates["val"] == ("val/images/{id}.jpg", "val/masks/{id}.png")
    text = description("toys", Path("x"), ["hat", "ball"], done)
    assert 'val: {image: "val/images/{id}.jpg", mask: "val/masks/{id}.png"' in text
    assert "val_share: null" in text


@pytest.mark.parametrize(
    ("values", "background", "void"), [([[1, 2], [1, 1]], False, None), ([[0, 1], [1, 255]], True, 255)]
)
def test_the_description_says_what_the_masks_hold(
    tmp_path: Path, values: list[list[int]], background: bool, void: int | None
) -> None:
    done = written(tmp_path, annotated(tmp_path, "a.png", values))
    custom = yaml.safe_load(description("toys", Path("x"), ["hat", "no"], done))["custom"]
    assert (custom["background"], custom["void"], custom["classes"]) == (background, void, ["hat", "no"])


def test_images_that_cannot_be_used_are_all_named_and_nothing_is_written(tmp_path: Path) -> None:
    lost = AnnotatedImage("c.png", tmp_path / "c.png", lambda *_: np.zeros((2, 2), dtype=np.uint8))
    images = [annotated(tmp_path, "a.png"), annotated(tmp_path, "b.png", "it is torn"), lost]
    with pytest.raises(UserError) as refused:
        written(tmp_path, *images)
    assert f"2 of 3 images of {tmp_path / 'from'} cannot be used: b.png: it is torn; c.png: no image at" in str(
        refused.value
    )
    assert "leave them out with --on-error skip; nothing is written" in str(refused.value)
    assert not (tmp_path / "out").exists()
    done = written(tmp_path, *images, skip=True)
    assert [one.id for one in done.left_out] == ["b.png", "c.png"]
    with pytest.raises(UserError, match="out exists: choose another --out"):
        written(tmp_path, *images)


def test_many_unusable_images_are_listed_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"and 4 more, all listed in .*out_unusable\.txt"):
        written(tmp_path, *(annotated(tmp_path, f"{number}.png", "torn") for number in range(12)), skip=True)
    assert len((tmp_path / "out_unusable.txt").read_text().splitlines()) == 12


@pytest.mark.parametrize("classes", [["hat", "hat"], ["background"], [], ["a\nb"], [""], [f"c{n}" for n in range(254)]])
def test_classes_that_no_description_may_have_are_refused(classes: list[str]) -> None:
    with pytest.raises(UserError, match=r"named|no class|name must be one line|at most 253"):
        check_classes(classes)
