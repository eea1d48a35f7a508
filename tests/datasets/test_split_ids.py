"""Which images train and which validate."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssul.data.layout import ImagePaths, SplitFiles
from ssul.datasets.split_ids import random_validation_split, split_ids
from ssul.errors import UserError

IDS = [f"image_{number:03d}" for number in range(100)]


def split(root: Path, mask: str = "masks/{id}.png", *, ids: Sequence[str] | None = None, name: str = "") -> ImagePaths:
    """A split with a mask template and, if ids are given, an image list."""
    if ids is not None:
        (root / f"{name}.txt").write_text("".join(f"{one}\n" for one in ids), encoding="utf-8")
    return ImagePaths(root, SplitFiles("photos/{id}.jpg", mask, list=None if ids is None else f"{name}.txt"))


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def split_both(train: ImagePaths, val: ImagePaths) -> tuple[list[str], list[str]]:
    return split_ids(train, val, val_share=None, val_seed=0)


# --- lists and folders-------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listed", ["train", "val"])
def test_a_split_is_its_list_and_without_one_it_has_the_masks_that_the_other_list_does_not_name(
    tmp_path: Path, listed: str
) -> None:
    touch(tmp_path, *(f"masks/{name}.png" for name in "dbca"))
    train, val = split(tmp_path, ids=["c", "a"], name="train"), split(tmp_path, ids=["b"], name="val")
    assert split_both(train, val) == (["c", "a"], ["b"])
    with_list, without = split(tmp_path, ids=["c", "b"], name=listed), split(tmp_path)
    pair = (with_list, without) if listed == "train" else (without, with_list)
    expected = (["c", "b"], ["a", "d"])
    assert split_both(*pair) == (expected if listed == "train" else expected[::-1])


def test_a_split_without_a_list_drops_images_of_the_other_list_under_another_id(tmp_path: Path) -> None:
    touch(tmp_path, "masks/a.png", "masks/val/b.png", "masks/val/c.png")
    val = split(tmp_path, "masks/val/{id}.png", ids=["b"], name="val")
    assert split_both(split(tmp_path), val) == (["a", "val/c"], ["b"])


def test_the_same_id_in_another_folder_is_another_image(tmp_path: Path) -> None:
    touch(tmp_path, "train/0.png", "train/1.png", "val/0.png", "val/1.png")
    train, val = split(tmp_path, "train/{id}.png"), split(tmp_path, "val/{id}.png")
    listed = {name: split(tmp_path, f"{name}/{{id}}.png", ids=["0", "1"], name=name) for name in ("train", "val")}
    for pair in ((train, val), (listed["train"], val), (train, listed["val"])):
        assert split_both(*pair) == (["0", "1"], ["0", "1"])


@pytest.mark.parametrize("val", ["./masks/{id}.png", "masks/val/{id}.png", "link/{id}.png"])
@pytest.mark.parametrize("swapped", [False, True])
def test_two_splits_without_lists_that_share_masks_need_a_list(tmp_path: Path, val: str, swapped: bool) -> None:
    touch(tmp_path, "masks/a.png", "masks/val/b.png")
    (tmp_path / "link").symlink_to("masks")
    pair = (split(tmp_path), split(tmp_path, val))
    with pytest.raises(
        UserError, match=r"[12] images are in the training and in the validation split: .*b\. Give a"
    ) as e:
        split_both(*pair[:: -1 if swapped else 1])
    assert "image list (data.custom.train.list or val.list)" in str(e.value)
    assert "data.custom.val_share" in str(e.value)


def test_two_masks_that_are_links_to_one_content_are_two_images(tmp_path: Path) -> None:
    touch(tmp_path, "cache/0")
    for name in ("train", "val"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").symlink_to(tmp_path / "cache" / "0")
    assert split_both(split(tmp_path, "train/{id}.png"), split(tmp_path, "val/{id}.png")) == (["a"], ["a"])


@pytest.mark.parametrize(
    ("val", "ids", "named"),
    [("masks/{id}.png", ["d", "c", "val/b"], "val/b, c"), ("masks/val/{id}.png", ["b"], "val/b")],
)
def test_images_in_both_lists_are_refused_by_name(tmp_path: Path, val: str, ids: list[str], named: str) -> None:
    train = split(tmp_path, ids=["a", "val/b", "c"], name="train")
    message = rf"images are in the training and in the validation list: {named}\. Take them out of one of the lists"
    with pytest.raises(UserError, match=rf"{message}, or .*data\.custom\.val_share"):
        split_both(train, split(tmp_path, val, ids=ids, name="val"))


def test_a_missing_data_root_and_a_split_without_images_are_refused(tmp_path: Path) -> None:
    nowhere = split(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"data\.root '.*nowhere' is not a folder: .*-S data\.root=FOLDER"):
        split_both(nowhere, nowhere)
    touch(tmp_path, "masks/a.png")
    with pytest.raises(UserError, match=r"no training image: no mask is found as .*masks/\{id\}\.png, or the other"):
        split_both(split(tmp_path), split(tmp_path, ids=["a"], name="val"))
    with pytest.raises(UserError, match=r"no validation image: no mask is found as .*val/\{id\}\.png"):
        split_both(split(tmp_path), split(tmp_path, "val/{id}.png"))


# --- a share of the training images -----------------------------------------------------------------------------------


def drawn(root: Path, ids: Sequence[str], share: float, seed: int = 0) -> tuple[list[str], list[str]]:
    place = split(root, ids=ids, name="all")
    return split_ids(place, place, val_share=share, val_seed=seed)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.99])
def test_exactly_the_share_is_drawn_and_the_rest_trains(tmp_path: Path, share: float) -> None:
    train, val = drawn(tmp_path, IDS, share)
    assert len(val) == round(100 * share)
    assert sorted([*train, *val]) == IDS
    assert (train, val) == (sorted(train), sorted(val))  # in the order of the list
    back_train, back_val = drawn(tmp_path, IDS[::-1], share)
    assert (back_train, back_val) == (train[::-1], val[::-1])


def test_the_seed_decides_the_draw_which_never_changes(tmp_path: Path) -> None:
    assert drawn(tmp_path, IDS, 0.3, seed=1) == drawn(tmp_path, IDS, 0.3, seed=1)
    assert drawn(tmp_path, IDS, 0.3, seed=1) != drawn(tmp_path, IDS, 0.3, seed=2)
    assert drawn(tmp_path, IDS[:20], 0.2, seed=3)[1] == ["image_007", "image_010", "image_011", "image_017"]


@given(st.integers(2, 60), st.floats(0.1, 0.9), st.integers(0, 5))
def test_a_new_image_moves_at_most_one_other(count: int, share: float, seed: int) -> None:
    before, after = (set(random_validation_split(IDS[:size], share, seed)[1]) for size in (count, count + 1))
    assert len((before ^ after) - {IDS[count]}) <= 1


def test_a_share_is_drawn_of_all_masks_where_there_is_no_list(tmp_path: Path) -> None:
    touch(tmp_path, *(f"masks/town/{number}.png" for number in range(10)))
    train, val = split_ids(split(tmp_path), split(tmp_path), val_share=0.3, val_seed=0)
    assert (len(train), len(val)) == (7, 3)
    assert set(train) | set(val) == {f"town/{number}" for number in range(10)}


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_a_share_that_leaves_a_split_empty_is_refused_with_the_parameter(tmp_path: Path, share: float) -> None:
    with pytest.raises(UserError, match=rf"val_share is {share}, which leaves a split of the 3 images of .* empty"):
        drawn(tmp_path, ["a", "b", "c"], share)
    with pytest.raises(UserError, match=r"there is no training image: no mask is found as .*masks/\{id\}\.png"):
        split_ids(split(tmp_path), split(tmp_path), val_share=share, val_seed=0)
