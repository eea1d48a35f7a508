"""Masks alone, in a folder or an archive."""

import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ssul.data.image_files import MAX_BYTES
from ssul.datasets.catalog import find_dataset
from ssul.datasets.mask_source import MaskSource
from ssul.errors import UserError

VOC, ADE = find_dataset("voc"), find_dataset("ade")
ADE_FILES = {
    "annotations/training/ADE_train_1.png": b"one",
    "annotations/training/ADE_train_2.png": b"two",
    "annotations/validation/ADE_val_1.png": b"val",
    "images/training/ADE_train_1.jpg": b"photograph",
}
Pack = Callable[[Path, Mapping[str, bytes]], Path]


def folder(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def zipped(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
        for name in sorted({f"{parent.as_posix()}/" for file in files for parent in list(Path(file).parents)[:-1]}):
            archive.writestr(name, b"")  # as the usual tools do
        for name, content in files.items():
            archive.writestr(name, content)
    return path.with_suffix(".zip")


def tarred(path: Path, files: Mapping[str, bytes]) -> Path:
    source = folder(path.with_name("to be packed"), files)
    with tarfile.open(path.with_suffix(".tar.gz"), "w:gz") as archive:
        for name in sorted({Path(file).parts[0] for file in files}):
            archive.add(source / name, arcname=name)
    return path.with_suffix(".tar.gz")


PACKED = pytest.mark.parametrize("pack", [folder, zipped, tarred])


def read_masks(path: Path, template: str) -> dict[str, bytes]:
    source = MaskSource.open(path, template)
    assert source.path == path
    return dict(source.contents(sorted(source.names)))


# --- finding masks ----------------------------------------------------------------------------------------------------


@PACKED
@pytest.mark.parametrize("level", ["own/masks/", "masks/", ""])
def test_the_dataset_the_masks_folder_or_its_content_may_be_given(tmp_path: Path, pack: Pack, level: str) -> None:
    path = pack(tmp_path / "given", {f"{level}a.png": b"a", f"{level}town/a.png": b"b"})
    assert read_masks(path, "masks/{id}.png") == {"a": b"a", "town/a": b"b"}


@PACKED
def test_of_a_whole_dataset_only_the_training_masks_are_read(
    tmp_path: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack(tmp_path / "given", {**ADE_FILES, "__MACOSX/annotations/training/._ADE_train_1.png": b""})
    opened: list[str] = []
    extract = tarfile.TarFile.extractfile

    def extracting(tar: tarfile.TarFile, member: tarfile.TarInfo) -> object:
        opened.append(member.name)
        return extract(tar, member)

    monkeypatch.setattr(tarfile.TarFile, "extractfile", extracting)
    assert read_masks(path, ADE.train.mask) == {"ADE_train_1": b"one", "ADE_train_2": b"two"}
    assert len(opened) == (2 if pack is tarred else 0)


@pytest.mark.parametrize(
    ("template", "files", "ids"),
    [
        ("masks/mask_{id}.png", ["own/masks/mask_a.png", "own/masks/b.png"], ["a"]),
        ("masks/mask_{id}.png", ["mask_a.png", "b.png"], ["a"]),
        ("{id}/mask.png", ["own/a/mask.png", "own/b/mask.png", "own/b/image.png"], ["a", "b"]),
        ("SegmentationClassAug/{id}.png", ["my masks/a.png", "my masks/b.png"], ["a", "b"]),
        ("masks/{id}.png", ["masks/masks/a.png", "masks/b.png"], ["b", "masks/a"]),
        ("masks/{id}.png", ["./own/masks/a.png", "./own/masks/town/b.png"], ["a", "town/b"]),
        ("masks/{id}.png", ["./a.png", "./town/b.png"], ["a", "town/b"]),
    ],
)
def test_the_ids_are_those_of_the_template(tmp_path: Path, template: str, files: list[str], ids: list[str]) -> None:
    path = zipped(tmp_path / "given", {name: name.encode() for name in files})
    assert sorted(read_masks(path, template)) == ids


# --- refusals ---------------------------------------------------------------------------------------------------------


@PACKED
def test_a_place_without_masks_is_refused(tmp_path: Path, pack: Pack) -> None:
    path = pack(tmp_path / "given", {"images/a.jpg": b"a"})
    with pytest.raises(UserError, match=r"given.* holds no masks like annotations/training/\{id\}\.png"):
        MaskSource.open(path, ADE.train.mask)


@pytest.mark.parametrize("content", [b"PK\x03\x04 cut off", None])
def test_a_file_that_is_not_an_archive_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "masks.zip"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"masks\.zip holds no masks: give the masks' folder, or a zip or tar archive"):
        MaskSource.open(path, VOC.train.mask)


@pytest.mark.parametrize("damage", ["content", "directory", "password", "bomb", "cut off"])
def test_an_archive_that_cannot_be_read_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "given.zip"
    if damage == "cut off":
        path = tarred(tmp_path / "given", {f"masks/{number}.png": bytes([number]) * 5000 for number in range(99)})
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if damage == "bomb" else 0) as archive:
            archive.writestr("masks/a.png", bytes(MAX_BYTES + 1) if damage == "bomb" else b"the first mask")
    content = bytearray(path.read_bytes())
    if damage == "password":
        content[content.index(b"PK\x01\x02") + 8] |= 1
    changes = {"content": (b"first", b"other"), "directory": (b"PK\x01\x02", b"PK\x01\x09")}
    content = content.replace(*changes.get(damage, (b"", b"")))
    path.write_bytes(content[:-40] if damage == "cut off" else content)
    named = "the archive" if damage in ("directory", "cut off") else "the mask of a in"
    with pytest.raises(UserError, match=rf"^{named} .*given\..* cannot be read \(.*") as refused:
        read_masks(path, "masks/{id}.png")
    assert "\n" not in str(refused.value)


def test_a_mask_that_has_disappeared_is_refused_by_name(tmp_path: Path) -> None:
    source = MaskSource.open(folder(tmp_path, {"masks/a.png": b"a"}), "masks/{id}.png")
    (tmp_path / "masks" / "a.png").unlink()
    with pytest.raises(UserError, match=r"the mask of a in .* cannot be read"):
        list(source.contents(["a"]))
