"""Which images train and which validate: one rule for the pipeline and for masks alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssul.data.layout import ImagePaths, SplitFiles
from ssul.datasets.catalog import DatasetSpec, find_dataset
from ssul.datasets.mask_source import MaskSource, training_ids
from ssul.datasets.split_ids import random_validation_split, split_ids
from ssul.errors import UserError
from ssul.labels.colours import voc_colours

IDS = [f"image_{number:03d}" for number in range(100)]
MASKS, VAL_MASKS = "masks/{id}.png", "masks/val/{id}.png"
TRAIN, VAL = "train/{id}.png", "val/{id}.png"
VOC, ADE = find_dataset("voc"), find_dataset("ade")


def split(root: Path, mask: str = MASKS, ids: Sequence[str] | None = None, name: str = "all") -> ImagePaths:
    """A split with a mask template and, if ids are given, an image list."""
    if ids is not None:
        (root / f"{name}.txt").write_text("".join(f"{one}\n" for one in ids), encoding="utf-8")
    return ImagePaths(root, SplitFiles("photos/{id}.jpg", mask, list=None if ids is None else f"{name}.txt"))


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def spec_of(train: ImagePaths, val: ImagePaths, **draw: Any) -> DatasetSpec:
    return DatasetSpec("town", ("house",), voc_colours(2), train.files, val.files, **draw)


def split_both(train: ImagePaths, val: ImagePaths, **draw: Any) -> tuple[list[str], list[str]]:
    """The ids of both splits, which are the same for the masks alone."""
    ids = split_ids(train, val, **{"val_share": None, "val_seed": 0, **draw})
    source = MaskSource.open(train.root, train.files.mask)
    assert training_ids(source, train.root, spec_of(train, val, **draw)) == ids[0]
    return ids


@pytest.mark.parametrize(
    ("train", "val", "expected"),
    [
        ((MASKS, ["c", "a"]), (MASKS, ["b"]), (["c", "a"], ["b"])),
        ((MASKS, ["c", "b"]), (MASKS, None), (["c", "b"], ["a", "val/b", "val/c"])),
        ((MASKS, None), (MASKS, ["c", "b"]), (["a", "val/b", "val/c"], ["c", "b"])),
        ((MASKS, None), (VAL_MASKS, ["b"]), (["a", "b", "c", "val/c"], ["b"])),  # the same image by another id
        ((TRAIN, None), (VAL, None), (["0", "1"], ["0", "1"])),  # the same id in another folder is another image
        ((TRAIN, ["0", "1"]), (VAL, None), (["0", "1"], ["0", "1"])),
        ((TRAIN, None), (VAL, ["0", "1"]), (["0", "1"], ["0", "1"])),
    ],
)
def test_a_split_is_its_list_or_all_masks_that_the_other_list_does_not_name(
    tmp_path: Path,
    train: tuple[str, list[str] | None],
    val: tuple[str, list[str] | None],
    expected: tuple[list[str], list[str]],
) -> None:
    touch(tmp_path, *(f"masks/{name}.png" for name in ("b", "c", "a", "val/c", "val/b")))
    touch(tmp_path, "train/0.png", "train/1.png", "val/0.png")
    (tmp_path / "val" / "1.png").symlink_to(tmp_path / "train" / "1.png")  # a link to the same content, as in a cache
    assert split_both(split(tmp_path, *train, "train"), split(tmp_path, *val, "val")) == expected


@pytest.mark.parametrize("val", ["./masks/{id}.png", VAL_MASKS, "link/{id}.png"])
@pytest.mark.parametrize("swapped", [False, True])
def test_two_splits_without_lists_that_share_masks_need_a_list(tmp_path: Path, val: str, swapped: bool) -> None:
    touch(tmp_path, "masks/a.png", "masks/val/b.png")
    (tmp_path / "link").symlink_to("masks")
    pair = (split(tmp_path), split(tmp_path, val))
    message = (
        r"[12] images are in the training and in the validation split: .*b\. Give a split an image list .*val_share"
    )
    with pytest.raises(UserError, match=message):
        split_ids(*pair[:: -1 if swapped else 1], val_share=None, val_seed=0)
    if "link" not in val and not swapped:
        with pytest.raises(UserError, match=message):
            training_ids(MaskSource.open(tmp_path, MASKS), None, spec_of(*pair))


@pytest.mark.parametrize(
    ("val", "ids", "named"),
    [(MASKS, ["d", "c", "val/b"], "val/b, c"), (VAL_MASKS, ["b"], "val/b")],
)
def test_images_in_both_lists_are_refused_by_name(tmp_path: Path, val: str, ids: list[str], named: str) -> None:
    train = split(tmp_path, ids=["a", "val/b", "c"], name="train")
    message = rf"images are in the training and in the validation list: {named}\. Take them out of one .*val_share"
    with pytest.raises(UserError, match=message):
        split_both(train, split(tmp_path, val, ids, "val"))


def test_a_missing_data_root_and_a_split_without_images_are_refused(tmp_path: Path) -> None:
    nowhere = split(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"data\.root '.*nowhere' is not a folder: .*-S data\.root=FOLDER"):
        split_both(nowhere, nowhere)
    touch(tmp_path, "masks/a.png")
    with pytest.raises(UserError, match=r"no training image: no mask is found as .*masks/\{id\}\.png, or the other"):
        split_both(split(tmp_path), split(tmp_path, ids=["a"]))
    with pytest.raises(UserError, match=r"no validation image: no mask is found as .*val/\{id\}\.png"):
        split_both(split(tmp_path), split(tmp_path, VAL))


def source_of(*ids: str) -> MaskSource:
    return MaskSource(Path("masks.zip"), {image_id: f"{image_id}.png" for image_id in ids}, lambda name: b"")


def test_without_lists_every_mask_trains_if_validation_masks_are_elsewhere(tmp_path: Path) -> None:
    for lists in (None, tmp_path):
        assert training_ids(source_of("b", "c", "a"), lists, ADE) == ["a", "b", "c"]
    train, val = split(tmp_path), split(tmp_path, VAL, ["a"])
    assert training_ids(source_of("b", "a"), None, spec_of(train, val)) == ["a", "b"]


@pytest.mark.parametrize("listed", ["train", "val"])
def test_lists_are_required_if_validation_masks_would_train_without_them(tmp_path: Path, listed: str) -> None:
    train, val = split(tmp_path), split(tmp_path, ids=["a"], name=listed)
    own = spec_of(val, train) if listed == "train" else spec_of(train, val)
    for known in (own, VOC) if listed == "val" else (own,):
        with pytest.raises(UserError, match=rf"without {listed}\.txt, training .* with --lists FOLDER$"):
            training_ids(source_of("a", "b"), None, known)


def test_voc_trains_without_its_augmented_list_by_its_validation_list_alone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"image list .*val\.txt is missing"):
        training_ids(source_of("a"), tmp_path, VOC)
    split(tmp_path, ids=["b", "x"], name="val")
    assert training_ids(source_of("a", "b", "c"), tmp_path, VOC) == ["a", "c"]
    split(tmp_path, ids=IDS[:12], name="train_aug")
    named = r"^11 of the 12 images of .*train_aug\.txt have no mask in masks\.zip: image_000, .*, image_008$"
    with pytest.raises(UserError, match=named):
        training_ids(source_of(IDS[3]), tmp_path, VOC)


def drawn(root: Path, ids: Sequence[str], share: float, seed: int = 0) -> tuple[list[str], list[str]]:
    touch(root, *(f"masks/{image_id}.png" for image_id in ids))
    return split_both(split(root, ids=ids), split(root, ids=ids), val_share=share, val_seed=seed)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.99])
def test_exactly_the_share_is_drawn_and_the_rest_trains(tmp_path: Path, share: float) -> None:
    train, val = drawn(tmp_path, IDS, share)
    assert len(val) == round(100 * share)
    assert sorted([*train, *val]) == IDS
    assert (train, val) == (sorted(train), sorted(val))  # in the order of the list
    assert drawn(tmp_path, IDS[::-1], share) == (train[::-1], val[::-1])


def test_the_seed_decides_the_draw_which_never_changes(tmp_path: Path) -> None:
    assert drawn(tmp_path, IDS, 0.3, seed=1) == drawn(tmp_path, IDS, 0.3, seed=1)
    assert drawn(tmp_path, IDS, 0.3, seed=1) != drawn(tmp_path, IDS, 0.3, seed=2)
    assert drawn(tmp_path, IDS[:20], 0.2, seed=3)[1] == ["image_007", "image_010", "image_011", "image_017"]


@given(st.integers(2, 60), st.floats(0.1, 0.9), st.integers(0, 5))
def test_a_new_image_moves_at_most_one_other(count: int, share: float, seed: int) -> None:
    before, after = (set(random_validation_split(IDS[:size], share, seed)[1]) for size in (count, count + 1))
    assert len((before ^ after) - {IDS[count]}) <= 1


def test_a_share_is_drawn_of_all_masks_without_a_list(tmp_path: Path) -> None:
    touch(tmp_path, *(f"masks/town/{number}.png" for number in range(10)))
    train, val = split_both(split(tmp_path), split(tmp_path), val_share=0.3, val_seed=3)
    assert (len(train), len(val)) == (7, 3)
    assert set(train) | set(val) == {f"town/{number}" for number in range(10)}


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_a_share_that_leaves_a_split_empty_is_refused_with_the_parameter(tmp_path: Path, share: float) -> None:
    with pytest.raises(UserError, match=r"there is no training image: no mask is found as .*masks/\{id\}\.png"):
        split_ids(split(tmp_path), split(tmp_path), val_share=share, val_seed=0)
    with pytest.raises(UserError, match=rf"val_share is {share}, which leaves a split of the 3 images of .* empty"):
        drawn(tmp_path, ["a", "b", "c"], share)
