"""Masks alone, in a folder or an archive, are enough to know which training images there are."""

import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssul.data.layout import ImagePaths, SplitFiles
from ssul.datasets.catalog import DatasetSpec, data_set
from ssul.datasets.mask_source import MaskSource, training_ids
from ssul.datasets.split_ids import split_ids
from ssul.errors import UserError
from ssul.labels.colours import voc_colours

VOC, ADE = data_set("voc"), data_set("ade")
ADE_FILES = {
    "annotations/training/ADE_train_1.png": b"one",
    "annotations/training/ADE_train_2.png": b"two",
    "annotations/validation/ADE_val_1.png": b"val",
    "images/training/ADE_train_1.jpg": b"photograph",
}
Pack = Callable[[Path, Mapping[str, bytes]], Path]


def folder(place: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


def zipped(place: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(place.with_suffix(".zip"), "w") as archive:
        for name in sorted({f"{parent.as_posix()}/" for file in files for parent in list(Path(file).parents)[:-1]}):
            archive.writestr(name, b"")  # as the usual tools do
        for name, content in files.items():
            archive.writestr(name, content)
    return place.with_suffix(".zip")


def tarred(place: Path, files: Mapping[str, bytes]) -> Path:
    source = folder(place.with_name("to be packed"), files)
    with tarfile.open(place.with_suffix(".tar.gz"), "w:gz") as archive:
        for name in sorted({Path(file).parts[0] for file in files}):
            archive.add(source / name, arcname=name)
    return place.with_suffix(".tar.gz")


PACKED = pytest.mark.parametrize("pack", [folder, zipped, tarred])


def found(path: Path, template: str) -> dict[str, bytes]:
    store = MaskSource.open(path, template)
    assert store.path == path
    return dict(store.contents(sorted(store.names)))


# --- where they are ---------------------------------------------------------------------------------------------------


@PACKED
@pytest.mark.parametrize(
    "level", ["annotations/training/", "training/", "", "ADEChallengeData2016/annotations/training/"]
)
def test_the_data_set_its_masks_or_the_splits_masks_may_be_given(tmp_path: Path, pack: Pack, level: str) -> None:
    files = {f"{level}{name}.png": name.encode() for name in ("ADE_train_1", "ADE_train_2")}
    path = pack(tmp_path / "given", files)
    assert found(path, ADE.train.mask) == {"ADE_train_1": b"ADE_train_1", "ADE_train_2": b"ADE_train_2"}


@PACKED
def test_of_a_whole_data_set_only_the_training_masks_are_taken(tmp_path: Path, pack: Pack) -> None:
    path = pack(tmp_path / "given", ADE_FILES)
    assert found(path, ADE.train.mask) == {"ADE_train_1": b"one", "ADE_train_2": b"two"}


@PACKED
@pytest.mark.parametrize("level", ["own/masks/", "masks/", ""])
def test_ids_keep_their_folders(tmp_path: Path, pack: Pack, level: str) -> None:
    """Two towns may each have a seventh street."""
    files = {f"{level}{town}/street_7.png": town.encode() for town in ("aix", "ulm")}
    path = pack(tmp_path / "given", files)
    assert found(path, "masks/{id}.png") == {"aix/street_7": b"aix", "ulm/street_7": b"ulm"}


@PACKED
@pytest.mark.parametrize("level", ["own/masks/", "masks/", ""])
def test_a_template_may_have_more_than_the_id_in_its_name(tmp_path: Path, pack: Pack, level: str) -> None:
    path = pack(tmp_path / "given", {f"{level}mask_a.png": b"a", f"{level}b.png": b"b"})
    assert found(path, "masks/mask_{id}.png") == {"a": b"a"}


@PACKED
def test_the_id_may_be_a_folder(tmp_path: Path, pack: Pack) -> None:
    path = pack(tmp_path / "given", {"own/a/mask.png": b"a", "own/b/mask.png": b"b", "own/b/image.png": b"c"})
    assert found(path, "{id}/mask.png") == {"a": b"a", "b": b"b"}


@PACKED
def test_the_folder_of_the_masks_may_have_another_name(tmp_path: Path, pack: Pack) -> None:
    path = pack(tmp_path / "given", {"my masks/a.png": b"a", "my masks/b.png": b"b"})
    assert found(path, VOC.train.mask) == {"a": b"a", "b": b"b"}


@pytest.mark.parametrize("level", ["./own/masks/", "./masks/", "./"])
def test_an_archive_of_the_current_folder_is_as_good(tmp_path: Path, level: str) -> None:
    path = zipped(tmp_path / "given", {f"{level}a.png": b"a", f"{level}town/b.png": b"b"})
    assert found(path, "masks/{id}.png") == {"a": b"a", "town/b": b"b"}


@PACKED
def test_an_id_may_repeat_the_name_of_the_masks_folder(tmp_path: Path, pack: Pack) -> None:
    path = pack(tmp_path / "given", {"masks/masks/a.png": b"a", "masks/b.png": b"b"})
    assert found(path, "masks/{id}.png") == {"masks/a": b"a", "b": b"b"}


@PACKED
def test_what_a_mac_puts_beside_the_masks_is_none(tmp_path: Path, pack: Pack) -> None:
    name = "SegmentationClassAug/a.png"
    path = pack(tmp_path / "given", {name: b"a", "__MACOSX/SegmentationClassAug/._a.png": b"", "readme.txt": b""})
    assert found(path, VOC.train.mask) == {"a": b"a"}


@given(st.sets(st.lists(st.text("abc_1", min_size=1, max_size=3), min_size=1, max_size=2).map("/".join), min_size=1))
def test_a_store_knows_the_ids_that_the_data_root_has(tmp_path_factory: pytest.TempPathFactory, ids: set[str]) -> None:
    place = ImagePaths(tmp_path_factory.mktemp("root"), SplitFiles("photos/{id}.jpg", "own masks/{id}.png"))
    folder(place.root, {f"own masks/{image_id}.png": image_id.encode() for image_id in ids})
    store = MaskSource.open(place.root, place.files.mask)
    assert sorted(store.names) == place.list_masks() == sorted(ids)
    assert all(image_id.encode() == content for image_id, content in store.contents(sorted(ids)))


def test_of_a_tar_archive_only_the_masks_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tarred(tmp_path / "given", ADE_FILES)
    opened: list[str] = []
    extract = tarfile.TarFile.extractfile

    def extracting(self: tarfile.TarFile, member: tarfile.TarInfo) -> object:
        opened.append(member.name)
        return extract(self, member)

    monkeypatch.setattr(tarfile.TarFile, "extractfile", extracting)
    assert found(path, ADE.train.mask) == {"ADE_train_1": b"one", "ADE_train_2": b"two"}
    assert sorted(opened) == ["annotations/training/ADE_train_1.png", "annotations/training/ADE_train_2.png"]


# --- refusals ---------------------------------------------------------------------------------------------------------


@PACKED
def test_a_place_without_masks_is_refused(tmp_path: Path, pack: Pack) -> None:
    path = pack(tmp_path / "given", {"images/a.jpg": b"a"})
    with pytest.raises(UserError, match=r"given.* holds no masks like annotations/training/\{id\}\.png"):
        MaskSource.open(path, ADE.train.mask)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no masks like"):
        MaskSource.open(tmp_path, VOC.train.mask)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"a web page that says 404", None])
def test_what_is_no_archive_is_refused_with_what_to_give(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "masks.zip"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"masks\.zip holds no masks: give the masks' folder, or a zip or tar archive"):
        MaskSource.open(path, VOC.train.mask)


def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tarred(tmp_path / "given", {f"masks/{number}.png": bytes([number]) * 5000 for number in range(99)})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"the archive .*given\.tar\.gz cannot be read \(") as refused:
        MaskSource.open(path, "masks/{id}.png")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_mask_of_an_archive_is_refused_by_name(tmp_path: Path, compression: int) -> None:
    path = tmp_path / "given.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("masks/a.png", b"the first mask" * 9)
    path.write_bytes(path.read_bytes().replace(b"first", b"other").replace(b"\xc9", b"\xff"))
    with pytest.raises(UserError, match=r"the mask of a in .*given\.zip cannot be read \("):
        found(path, "masks/{id}.png")


def test_a_mask_that_is_gone_meanwhile_is_refused_by_name(tmp_path: Path) -> None:
    store = MaskSource.open(folder(tmp_path, {"masks/a.png": b"a"}), "masks/{id}.png")
    (tmp_path / "masks" / "a.png").unlink()
    with pytest.raises(UserError, match=r"the mask of a in .* cannot be read"):
        list(store.contents(["a"]))


# --- which train ------------------------------------------------------------------------------------------------------


def store_of(*ids: str) -> MaskSource:
    return MaskSource(Path("masks.zip"), {image_id: f"{image_id}.png" for image_id in ids}, lambda name: b"")


def lists(place: Path, **named: Sequence[str]) -> Path:
    for name, ids in named.items():
        (place / f"{name}.txt").write_text("".join(f"{image_id}\n" for image_id in ids), encoding="utf-8")
    return place


def test_without_lists_every_mask_trains_where_validation_lies_elsewhere() -> None:
    assert training_ids(store_of("b", "c", "a"), None, ADE) == ["a", "b", "c"]


@pytest.mark.parametrize("listed", ["train", "val"])
def test_lists_that_are_needed_are_asked_for(listed: str) -> None:
    """Or validation masks would be counted as training."""
    own = replace(OWN, val=OWN.train)
    own = replace(own, **{listed: replace(OWN.train, list=f"lists/{listed}.txt")})
    with pytest.raises(UserError, match=rf"without {listed}\.txt nobody can tell .* --lists FOLDER$"):
        training_ids(store_of("a", "b"), None, own)


def test_vocs_validation_list_is_asked_for() -> None:
    with pytest.raises(UserError, match=r"without val\.txt .* --lists FOLDER$"):
        training_ids(store_of("a", "b"), None, VOC)


def test_a_validation_list_of_another_place_is_not_needed() -> None:
    own = replace(OWN, val=replace(OWN.val, mask="val/{id}.png"))
    assert training_ids(store_of("a", "b"), None, own) == ["a", "b"]


@pytest.mark.parametrize(
    ("train", "val", "ids"),
    [
        ("masks/{id}.png", "masks/val/{id}.png", ["a", "train/b"]),
        ("masks/train/{id}.png", "masks/{id}.png", ["b"]),
    ],
)
def test_a_place_inside_the_other_splits_place_is_told_apart_as_in_the_pipeline(
    tmp_path: Path, train: str, val: str, ids: list[str]
) -> None:
    own = replace(OWN, train=replace(OWN.train, mask=train), val=replace(OWN.train, mask=val))
    root = folder(tmp_path, {f"masks/{name}.png": b"" for name in ("a", "train/b", "val/c")})
    assert training_ids(MaskSource.open(root, train), None, own) == as_the_pipeline_has_it(root, own) == ids


def test_two_splits_without_lists_in_one_place_are_refused() -> None:
    with pytest.raises(UserError, match="2 images are in the training and in the validation split: a, b"):
        training_ids(store_of("a", "b"), None, replace(OWN, val=OWN.train))


def test_the_training_list_says_which_train_and_in_which_order(tmp_path: Path) -> None:
    named = lists(tmp_path, train_aug=["c", "a"], val=["b"])
    assert training_ids(store_of("a", "b", "c", "d"), named, VOC) == ["c", "a"]


def test_without_a_training_list_those_train_that_val_does_not_name(tmp_path: Path) -> None:
    assert training_ids(store_of("a", "b", "c"), lists(tmp_path, val=["b", "x"]), VOC) == ["a", "c"]


def test_a_data_set_without_lists_overlooks_a_folder_of_them(tmp_path: Path) -> None:
    assert training_ids(store_of("a", "b"), lists(tmp_path, val=["a"]), ADE) == ["a", "b"]


def test_missing_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"image list .*val\.txt is missing"):
        training_ids(store_of("a"), tmp_path, VOC)


def test_listed_images_without_a_mask_are_counted_and_named(tmp_path: Path) -> None:
    ids = [f"image_{number:02d}" for number in range(12)]
    with pytest.raises(UserError) as refused:
        training_ids(store_of("image_03"), lists(tmp_path, train_aug=ids), VOC)
    told = str(refused.value)
    assert told.startswith("11 of the 12 images of ")
    assert "train_aug.txt have no mask in masks.zip: image_00, image_01, image_02, image_04" in told
    assert told.endswith("image_08")  # eight are named


OWN = DatasetSpec(
    name="town",
    classes=("house",),
    palette=voc_colours(2),
    train=SplitFiles("photos/{id}.jpg", "masks/{id}.png"),
    val=SplitFiles("photos/{id}.jpg", "masks/{id}.png", list="lists/val.txt"),
)


def as_the_pipeline_has_it(root: Path, own: DatasetSpec) -> list[str]:
    train, val = ImagePaths(root, own.train), ImagePaths(root, own.val)
    return split_ids(train, val, val_share=own.val_share, val_seed=own.val_seed)[0]


@pytest.mark.parametrize("listed", [None, "lists/all.txt"])
def test_images_that_are_drawn_for_validation_do_not_train(tmp_path: Path, listed: str | None) -> None:
    ids = [f"image_{number:02d}" for number in range(20)]
    (tmp_path / "lists").mkdir()
    lists(tmp_path / "lists", all=ids[:15])
    files = replace(OWN.train, list=listed)
    own = replace(OWN, train=files, val=files, val_share=0.2, val_seed=3)
    root = folder(tmp_path, {f"masks/{image_id}.png": b"" for image_id in ids})
    trained = training_ids(MaskSource.open(root, files.mask), tmp_path / "lists", own)
    assert len(trained) == (16 if listed is None else 12)
    assert trained == as_the_pipeline_has_it(root, own)


def test_an_id_of_another_folders_val_list_is_another_image(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    lists(tmp_path / "lists", val=["0", "1"])
    own = replace(OWN, val=replace(OWN.val, mask="val/{id}.png"))
    root = folder(tmp_path, {f"{place}/{image_id}.png": b"" for place in ("masks", "val") for image_id in "012"})
    trained = training_ids(MaskSource.open(root, own.train.mask), tmp_path / "lists", own)
    assert trained == as_the_pipeline_has_it(root, own) == ["0", "1", "2"]
