"""Where the files of an image lie below a data root, and which images a split has."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssul.data.layout import ImagePaths, SplitFiles, read_image_list
from ssul.datasets.catalog import data_set
from ssul.datasets.split_ids import random_validation_split, split_ids
from ssul.errors import UserError

if TYPE_CHECKING:
    from tests.conftest import HandmadeDataset

VOC = data_set("voc")
FLAT = SplitFiles("photos/{id}.jpg", "masks/{id}.png")


def folders(root: Path, mask: str = FLAT.mask, listed: str | None = None) -> ImagePaths:
    return ImagePaths(root, SplitFiles(FLAT.image, mask, list=listed))


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def write_list(path: Path, ids: Sequence[str]) -> Path:
    path.write_text("".join(f"{one}\n" for one in ids), encoding="utf-8")
    return path


def splits(train: ImagePaths, val: ImagePaths) -> tuple[list[str], list[str]]:
    return split_ids(train, val, val_share=None, val_seed=0)


# --- places -----------------------------------------------------------------------------------------------------------


def test_files_lie_where_voc_and_its_augmented_masks_have_them() -> None:
    voc = ImagePaths(Path("/voc"), VOC.train)
    assert voc.image("2007_000032") == Path("/voc/JPEGImages/2007_000032.jpg")
    assert voc.mask("2007_000032") == Path("/voc/SegmentationClassAug/2007_000032.png")
    assert voc.saliency("2007_000032") == Path("/voc/saliency_map/2007_000032.png")


def test_files_lie_where_ade20k_has_them() -> None:
    ade = data_set("ade")
    assert ImagePaths(Path("/ade"), ade.train).image("ADE_train_1") == Path("/ade/images/training/ADE_train_1.jpg")
    assert ImagePaths(Path("/ade"), ade.val).mask("ADE_val_1") == Path("/ade/annotations/validation/ADE_val_1.png")


def test_an_id_may_hold_folders_and_stand_anywhere_in_a_name() -> None:
    place = ImagePaths(Path("/own"), SplitFiles("photos/{id}_cam.png", "masks/mask_{id}.png", "salient/{id}/map.png"))
    assert place.files_of("town/street_7", saliency=True) == (
        Path("/own/photos/town/street_7_cam.png"),
        Path("/own/masks/mask_town/street_7.png"),
        Path("/own/salient/town/street_7/map.png"),
    )
    assert len(place.files_of("a", saliency=False)) == 2


def test_a_split_without_saliency_maps_has_no_place_for_them() -> None:
    with pytest.raises(ValueError, match="no saliency maps"):
        ImagePaths(Path("/voc"), VOC.val).saliency("a")


@pytest.mark.parametrize(
    ("template", "files", "ids"),
    [
        ("masks/{id}.png", ["masks/b.png", "masks/a.png", "masks/notes.txt", "other/c.png", "c.png"], ["a", "b"]),
        ("masks/{id}.png", ["masks/town/street_7.png", "masks/town/street_8.png"], ["town/street_7", "town/street_8"]),
        ("masks/mask_{id}.png", ["masks/mask_a.png", "masks/b.png", "masks/mask_.png"], ["a"]),
        ("masks/{id}_gt.png", ["masks/a_gt.png", "masks/a.png", "masks/town/b_gt.png"], ["a", "town/b"]),
        ("{id}.png", ["a.png", "town/b.png", "c.jpg"], ["a", "town/b"]),
        ("{id}/mask.png", ["a/mask.png", "b/image.png", "town/c/mask.png"], ["a", "town/c"]),
        ("masks/{id}.jpg", ["masks/a.jpg", "masks/b.png"], ["a"]),
        ("masks/{id}", ["masks/a", "masks/b.raw"], ["a", "b.raw"]),
        ("masks/{id}.png", ["masks/a.png", "masks/._a.png", "masks/town/._b.png", "masks/.a.png"], [".a", "a"]),
        ("masks/{id}", ["masks/a", "masks/.DS_Store", "masks/town/.DS_Store"], ["a", "town"]),
        ("m.a+s[k]/{id}.png", ["m.a+s[k]/a.png", "mxa+s[k]/b.png"], ["a"]),
    ],
)
def test_the_ids_are_read_off_the_masks_that_are_there(
    tmp_path: Path, template: str, files: list[str], ids: list[str]
) -> None:
    touch(tmp_path, *files)
    assert folders(tmp_path, template).list_masks() == ids


def test_no_folder_holds_no_masks(tmp_path: Path) -> None:
    assert folders(tmp_path, "nowhere/{id}.png").list_masks() == []


id_parts = st.text("abcXYZ019_-. é", min_size=1, max_size=6).filter(
    lambda part: part.strip(". ") and part == part.strip() and not part.startswith("._")
)
ids_with_folders = st.sets(st.lists(id_parts, min_size=1, max_size=3).map("/".join), min_size=1, max_size=6)


@given(ids_with_folders, st.sampled_from(["masks/{id}.png", "masks/deep/er/{id}_gt.png", "masks/{id}.jpg"]))
def test_every_mask_is_found_under_the_id_that_it_was_written_for(
    tmp_path_factory: pytest.TempPathFactory, ids: set[str], template: str
) -> None:
    place = folders(tmp_path_factory.mktemp("masks"), template)
    touch(place.root, *(place.mask(image_id).relative_to(place.root).as_posix() for image_id in ids))
    assert place.list_masks() == sorted(ids)


# --- lists ------------------------------------------------------------------------------------------------------------


def test_a_list_is_read_in_its_order(book: "HandmadeDataset") -> None:
    book.list_images("train_aug", ["b", "a", "c"])
    assert book.folders.read_list() == ["b", "a", "c"]


def test_blank_lines_spaces_and_windows_line_ends_are_overlooked(tmp_path: Path) -> None:
    assert read_image_list(write_list(tmp_path / "val.txt", ["b \r", "", "  a\r", "  "])) == ["b", "a"]


def test_a_split_that_has_no_list_reads_none(tmp_path: Path) -> None:
    assert folders(tmp_path).read_list() is None


def test_a_missing_list_is_refused_unless_it_may_lack(book: "HandmadeDataset") -> None:
    assert book.folders.read_list() is None  # VOC itself has no train_aug.txt
    with pytest.raises(UserError, match=r"image list .*val\.txt is missing: it must hold one image id a line"):
        ImagePaths(book.root, VOC.val).read_list()


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"image list .*val\.txt is empty: it must name at least one image"):
        read_image_list(write_list(tmp_path / "val.txt", ["", " "]))


def test_images_that_are_listed_twice_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"val\.txt names images twice: a, b$"):
        read_image_list(write_list(tmp_path / "val.txt", ["a", "b", "c", "b", "a", "a"]))


@pytest.mark.parametrize("outside", ["../a", "town/../../a", "/etc/a"])
def test_images_outside_the_data_root_are_refused_by_name(tmp_path: Path, outside: str) -> None:
    with pytest.raises(UserError, match=rf"val\.txt names files outside data\.root: {outside}$"):
        read_image_list(write_list(tmp_path / "val.txt", ["a", outside]))


def test_a_list_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_bytes(b"a\n\xff\xfe\n")
    with pytest.raises(UserError, match=r"image list .*val\.txt cannot be read \(.*utf-8"):
        read_image_list(tmp_path / "val.txt")


def test_a_folder_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"image list .* cannot be read"):
        read_image_list(tmp_path)


# --- splits -----------------------------------------------------------------------------------------------------------


def test_both_splits_are_their_lists(tmp_path: Path) -> None:
    write_list(tmp_path / "train.txt", ["c", "a"])
    write_list(tmp_path / "val.txt", ["b"])
    assert splits(folders(tmp_path, listed="train.txt"), folders(tmp_path, listed="val.txt")) == (["c", "a"], ["b"])


def test_without_vocs_train_list_its_training_images_are_the_masks_that_val_does_not_name(
    book: "HandmadeDataset",
) -> None:
    touch(book.root, *(f"SegmentationClassAug/{name}.png" for name in "dbca"))
    book.list_images("val", ["b", "c"])
    train, val = book.folders, ImagePaths(book.root, VOC.val)
    assert splits(train, val) == (["a", "d"], ["b", "c"])
    book.list_images("train_aug", ["d"])
    assert splits(train, val) == (["d"], ["b", "c"])


def test_without_a_val_list_its_images_are_the_masks_that_train_does_not_name(tmp_path: Path) -> None:
    touch(tmp_path, "masks/a.png", "masks/b.png", "masks/c.png")
    write_list(tmp_path / "train.txt", ["c"])
    assert splits(folders(tmp_path, listed="train.txt"), folders(tmp_path)) == (["c"], ["a", "b"])


def test_splits_in_folders_of_their_own_need_no_lists(tmp_path: Path) -> None:
    touch(tmp_path, "train/b.png", "train/a.png", "val/a.png")
    assert splits(folders(tmp_path, "train/{id}.png"), folders(tmp_path, "val/{id}.png")) == (["a", "b"], ["a"])


def test_the_same_id_in_another_folder_is_another_image(tmp_path: Path) -> None:
    touch(tmp_path, "train/0.png", "train/1.png", "val/0.png", "val/1.png")
    train, val = "train/{id}.png", "val/{id}.png"
    write_list(tmp_path / "list.txt", ["0", "1"])
    assert splits(folders(tmp_path, train, "list.txt"), folders(tmp_path, val)) == (["0", "1"], ["0", "1"])
    assert splits(folders(tmp_path, train), folders(tmp_path, val, "list.txt")) == (["0", "1"], ["0", "1"])


def test_a_data_root_that_is_no_folder_is_refused_with_the_parameter(tmp_path: Path) -> None:
    nowhere = folders(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"data\.root '.*nowhere' is no folder: .*-S data\.root=FOLDER"):
        splits(nowhere, nowhere)


def test_images_in_both_lists_are_refused_by_name(tmp_path: Path) -> None:
    write_list(tmp_path / "train.txt", ["a", "b", "c"])
    write_list(tmp_path / "val.txt", ["d", "c", "b"])
    told = r"2 images are in the training and in the validation list: b, c\. Take them out of one of the lists"
    with pytest.raises(UserError, match=rf"{told}, or .*data\.custom\.val_share"):
        splits(folders(tmp_path, listed="train.txt"), folders(tmp_path, listed="val.txt"))


def test_a_split_without_images_is_refused_with_the_place_where_they_were_looked_for(tmp_path: Path) -> None:
    touch(tmp_path, "masks/a.png")
    write_list(tmp_path / "val.txt", ["a"])
    with pytest.raises(UserError, match=r"no training image: no mask is found as .*masks/\{id\}\.png, or the other"):
        splits(folders(tmp_path), folders(tmp_path, listed="val.txt"))
    with pytest.raises(UserError, match=r"no validation image: no mask is found as .*val/\{id\}\.png"):
        splits(folders(tmp_path), folders(tmp_path, "val/{id}.png"))


@pytest.mark.parametrize("inner", ["train", "val"])
def test_a_place_inside_the_other_splits_place_keeps_its_masks(tmp_path: Path, inner: str) -> None:
    touch(tmp_path, "masks/a.png", "masks/town/b.png", f"masks/{inner}/c.png")
    outer, inside = folders(tmp_path), folders(tmp_path, f"masks/{inner}/{{id}}.png")
    found = splits(inside, outer) if inner == "train" else splits(outer, inside)[::-1]
    assert found == (["c"], ["a", "town/b"])


def test_two_places_without_lists_that_are_one_are_refused_without_a_word_of_having_lists(tmp_path: Path) -> None:
    touch(tmp_path, "masks/a.png", "masks/b.png")
    with pytest.raises(UserError) as refused:
        splits(folders(tmp_path), folders(tmp_path, "./masks/{id}.png"))
    told = str(refused.value)
    assert told.startswith("2 images are in the training and in the validation split: a, b. Give a split an image list")
    assert "data.custom.val_share" in told


def test_lists_that_name_the_same_mask_by_different_ids_are_refused(tmp_path: Path) -> None:
    write_list(tmp_path / "train.txt", ["a", "val/b"])
    write_list(tmp_path / "val.txt", ["b", "c"])
    with pytest.raises(UserError, match=r"1 images are in the training and in the validation list: val/b\. "):
        splits(folders(tmp_path, listed="train.txt"), folders(tmp_path, "masks/val/{id}.png", "val.txt"))


def test_a_split_without_a_list_leaves_out_what_the_other_list_names_by_other_ids(tmp_path: Path) -> None:
    touch(tmp_path, "masks/a.png", "masks/val/b.png", "masks/val/c.png")
    write_list(tmp_path / "val.txt", ["b"])
    val = folders(tmp_path, "masks/val/{id}.png", "val.txt")
    assert splits(folders(tmp_path), val) == (["a", "val/c"], ["b"])


def test_a_link_to_the_other_splits_folder_is_that_folder(tmp_path: Path) -> None:
    touch(tmp_path, "masks/a.png", "masks/b.png")
    (tmp_path / "again").symlink_to("masks")
    with pytest.raises(UserError, match="2 images are in the training and in the validation split"):
        splits(folders(tmp_path), folders(tmp_path, "again/{id}.png"))


def test_two_masks_that_are_links_to_one_content_are_two_images(tmp_path: Path) -> None:
    touch(tmp_path, "cache/0")
    for name in ("train", "val"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").symlink_to(tmp_path / "cache" / "0")
    assert splits(folders(tmp_path, "train/{id}.png"), folders(tmp_path, "val/{id}.png")) == (["a"], ["a"])


# --- a share of the training images -----------------------------------------------------------------------------------


def drawn(root: Path, ids: Sequence[str], share: float, seed: int = 0) -> tuple[list[str], list[str]]:
    write_list(root / "all.txt", ids)
    place = folders(root, listed="all.txt")
    return split_ids(place, place, val_share=share, val_seed=seed)


IDS = [f"image_{number:03d}" for number in range(100)]


@pytest.mark.parametrize("share", [0.01, 0.2, 0.25, 0.5, 0.99])
def test_exactly_the_share_is_drawn_and_the_rest_trains(tmp_path: Path, share: float) -> None:
    train, val = drawn(tmp_path, IDS, share)
    assert len(val) == round(100 * share)
    assert sorted([*train, *val]) == IDS
    assert (train, val) == (sorted(train), sorted(val))  # in the order of the list


def test_the_draw_is_decided_by_its_seed(tmp_path: Path) -> None:
    assert drawn(tmp_path, IDS, 0.3, seed=1) == drawn(tmp_path, IDS, 0.3, seed=1)
    assert drawn(tmp_path, IDS, 0.3, seed=1) != drawn(tmp_path, IDS, 0.3, seed=2)


def test_the_draw_does_not_depend_on_the_order_of_the_images(tmp_path: Path) -> None:
    (train, val), (back_train, back_val) = drawn(tmp_path, IDS, 0.3), drawn(tmp_path, IDS[::-1], 0.3)
    assert (back_train, back_val) == (train[::-1], val[::-1])


@given(st.integers(2, 60), st.floats(0.1, 0.9), st.integers(0, 5))
def test_a_new_image_moves_one_other_at_most(count: int, share: float, seed: int) -> None:
    before, after = (set(random_validation_split(IDS[:size], share, seed)[1]) for size in (count, count + 1))
    assert len((before ^ after) - {IDS[count]}) <= 1


def test_a_share_is_drawn_of_all_masks_where_there_is_no_list(tmp_path: Path) -> None:
    touch(tmp_path, *(f"masks/town/{number}.png" for number in range(10)))
    train, val = split_ids(folders(tmp_path), folders(tmp_path), val_share=0.3, val_seed=0)
    assert (len(train), len(val)) == (7, 3)
    assert set(train) | set(val) == {f"town/{number}" for number in range(10)}


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_a_share_that_leaves_a_split_empty_is_refused_with_the_parameter(tmp_path: Path, share: float) -> None:
    with pytest.raises(UserError, match=rf"val_share is {share}, which leaves a split of the 3 images of .* empty"):
        drawn(tmp_path, ["a", "b", "c"], share)


def test_a_share_of_no_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no training image: no mask is found as .*masks/\{id\}\.png"):
        split_ids(folders(tmp_path), folders(tmp_path), val_share=0.5, val_seed=0)
