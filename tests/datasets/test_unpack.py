"""Archives: every member is checked before anything is written, and a folder is there whole or not at all."""

import io
import os
import shutil
import socket
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from ssul.datasets.archive_members import BadArchiveError
from ssul.datasets.catalog import Archive, ArchiveFolder, find_dataset
from ssul.datasets.unpack import missing_parts, unpack
from ssul.errors import UserError

IMAGES = ArchiveFolder("kit/JPEGImages", "JPEGImages", 3, suffix=".jpg")
LISTS = ArchiveFolder("kit/ImageSets/Segmentation", "ImageSets/Segmentation", 2)
PARTS = (IMAGES, LISTS)
CONTENT = {
    "kit/JPEGImages/a.jpg": b"a" * 5000,
    "kit/JPEGImages/b.jpg": b"",
    "kit/JPEGImages/c.jpg": bytes(range(256)) * 40,
    "kit/JPEGImages/notes.txt": b"not wanted",
    "kit/JPEGImages/.DS_Store": b"hidden",
    "kit/JPEGImages2/a.jpg": b"another folder",
    "kit/ImageSets/Segmentation/train.txt": b"a\nb\n",
    "kit/ImageSets/Segmentation/val.txt": b"c\n",
    "__MACOSX/kit/JPEGImages/._a.jpg": b"not wanted either",
}
UNPACKED = {
    "JPEGImages/a.jpg": CONTENT["kit/JPEGImages/a.jpg"],
    "JPEGImages/b.jpg": b"",
    "JPEGImages/c.jpg": CONTENT["kit/JPEGImages/c.jpg"],
    "ImageSets/Segmentation/train.txt": b"a\nb\n",
    "ImageSets/Segmentation/val.txt": b"c\n",
}
BOTH = pytest.mark.parametrize("name", ["kit.zip", "kit.tar"])

Special = tuple[bytes, str]
"""A tar type or, for a zip, the same kind of thing in mode bits; and the target of a link."""
MODES = {tarfile.SYMTYPE: stat.S_IFLNK, tarfile.FIFOTYPE: stat.S_IFIFO, tarfile.CHRTYPE: stat.S_IFCHR}


def packed(path: Path, content: Mapping[str, bytes | Special]) -> Path:
    """Writes an archive of the kind of its name; a name with a slash at its end is a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in content.items():
                info = zipfile.ZipInfo(name)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = (MODES[data[0]] if isinstance(data, tuple) else stat.S_IFREG | 0o600) << 16
                if name.endswith("/"):
                    info.external_attr = (stat.S_IFDIR | 0o700) << 16
                file.writestr(info, data[1] if isinstance(data, tuple) else data)
        return path
    with tarfile.open(path, "w:" + path.suffix[1:].replace("tar", "")) as tar:  # type: ignore[call-overload]
        for name, data in content.items():
            member = tarfile.TarInfo(name.rstrip("/") or "/")
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
            elif isinstance(data, tuple):
                member.type, member.linkname = data
            member.size = len(data) if isinstance(data, bytes) and member.isreg() else 0
            tar.addfile(member, io.BytesIO(data) if member.size else None)
    return path


def unpack_all(path: Path, root: Path, *parts: ArchiveFolder) -> list[tuple[int, int]]:
    root.mkdir(parents=True, exist_ok=True)
    return list(unpack(path, root, parts or PARTS))


def refusal(path: Path, root: Path, *parts: ArchiveFolder, kind: type[UserError] = BadArchiveError) -> str:
    """The message of the refusal, which must leave nothing."""
    before = tree(root)
    with pytest.raises(kind) as refused:
        unpack_all(path, root, *parts)
    assert type(refused.value) is kind
    assert "\n" not in str(refused.value)
    assert tree(root) == before
    return str(refused.value)


def tree(root: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones too."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


# --- what is unpacked -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["kit.zip", "kit.tar", "kit.tar.gz", "kit.tar.xz"])
def test_the_wanted_parts_are_unpacked_and_nothing_else(tmp_path: Path, root: Path, name: str) -> None:
    path = packed(tmp_path / name, CONTENT)
    before = path.read_bytes()
    assert unpack_all(path, root) == [(done, 5) for done in range(6)]
    assert tree(root) == UNPACKED
    assert sorted(folder.name for folder in root.iterdir()) == ["ImageSets", "JPEGImages"]
    assert path.read_bytes() == before


@BOTH
def test_member_names_may_be_spelled_in_many_ways(tmp_path: Path, root: Path, name: str) -> None:
    content = {
        "./kit/": b"",
        "./kit/JPEGImages/a.jpg": b"1",
        "kit//JPEGImages/deep/b.jpg": b"2",
        "kit\\JPEGImages\\c.jpg": b"3",
    }
    unpack_all(packed(tmp_path / name, content), root, IMAGES)
    assert tree(root) == {"JPEGImages/a.jpg": b"1", "JPEGImages/deep/b.jpg": b"2", "JPEGImages/c.jpg": b"3"}


def test_the_later_of_two_members_of_one_name_counts(tmp_path: Path, root: Path) -> None:
    path = packed(tmp_path / "kit.tar", CONTENT)
    with tarfile.open(path, "a") as tar:
        member = tarfile.TarInfo("kit/JPEGImages/a.jpg")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"new"))
    unpack_all(path, root)
    assert tree(root) == {**UNPACKED, "JPEGImages/a.jpg": b"new"}


def test_only_missing_folders_are_unpacked_and_an_empty_one_is_missing(tmp_path: Path, root: Path) -> None:
    archive = Archive("kit.zip", "", None, PARTS)
    (root / "JPEGImages").mkdir(parents=True)
    assert missing_parts(root, archive) == list(PARTS)
    (root / "JPEGImages" / "own.jpg").write_bytes(b"own")
    assert missing_parts(root, archive) == [LISTS]
    unpack_all(packed(tmp_path / "kit.zip", CONTENT), root, LISTS)
    assert tree(root / "JPEGImages") == {"own.jpg": b"own"}
    assert missing_parts(root, archive) == []


# --- dangerous members ------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    "member",
    ["../evil\nname", "kit/JPEGImages/../../../evil.txt", "/tmp/evil", "kit\\..\\..\\evil", "\\evil", "c:evil"],
)
def test_a_member_outside_the_target_refuses_the_whole_archive(
    tmp_path: Path, root: Path, name: str, member: str
) -> None:
    path = packed(tmp_path / "deep" / name, {**CONTENT, member: b"evil"})
    before = set(tmp_path.rglob("*"))
    message = refusal(path, root)
    assert f"{member!r} would be written outside the data root" in message
    assert set(tmp_path.rglob("*")) - before == {root}


LINKS_OUT = [(tarfile.SYMTYPE, "/etc"), (tarfile.SYMTYPE, "sub/../../../x")]
DEVICES = [(tarfile.FIFOTYPE, ""), (tarfile.CHRTYPE, "")]
SPECIAL = [(name, one) for name in ("kit.zip", "kit.tar") for one in (*LINKS_OUT, *DEVICES)]
SPECIAL += [("kit.zip", (tarfile.SYMTYPE, target)) for target in ("C:\\Windows", "..\\..\\x")]
SPECIAL += [("kit.tar", (tarfile.LNKTYPE, "../../etc/passwd"))]


@pytest.mark.parametrize(("name", "special"), SPECIAL)
def test_a_link_out_of_the_archive_or_a_device_refuses_it(
    tmp_path: Path, root: Path, name: str, special: Special
) -> None:
    path = packed(tmp_path / name, {**CONTENT, "kit/thing": special})
    words = "is a device, a pipe or a socket" if special in DEVICES else "is a link out of the archive"
    assert f"'kit/thing' {words}" in refusal(path, root)


@BOTH
def test_links_in_the_archive_are_not_unpacked_and_nothing_is_written_through_them(
    tmp_path: Path, root: Path, name: str
) -> None:
    content: dict[str, bytes | Special] = {
        "kit/up": (tarfile.SYMTYPE, ".."),
        "kit/JPEGImages/d.jpg": (tarfile.SYMTYPE, "../../x"),
        "kit/JPEGImages/d": (tarfile.SYMTYPE, "../Annotations"),
        "kit/JPEGImages/d/a.jpg": b"1",
        "kit/JPEGImages/b.jpg": b"2",
        "kit/JPEGImages/c.jpg": b"3",
    }
    unpack_all(packed(tmp_path / name, content), root, IMAGES)
    assert not any(path.is_symlink() for path in root.rglob("*"))
    assert sorted(tree(root)) == ["JPEGImages/b.jpg", "JPEGImages/c.jpg", "JPEGImages/d/a.jpg"]


# --- damaged archives -------------------------------------------------------------------------------------------------


@BOTH
def test_a_wrong_number_of_files_refuses_the_archive_unless_more_are_allowed(
    tmp_path: Path, root: Path, name: str
) -> None:
    path = packed(tmp_path / name, {member: data for member, data in CONTENT.items() if not member.endswith("b.jpg")})
    assert f"{path} holds 2 .jpg files in kit/JPEGImages, expected 3" in refusal(path, root)
    path = packed(tmp_path / name, {**CONTENT, "kit/JPEGImages/d.jpg": b"more"})
    assert "holds 4 .jpg files in kit/JPEGImages, expected 3" in refusal(path, root)
    assert "expected at least 5" in refusal(path, root, replace(IMAGES, files=5, at_least=True))
    unpack_all(path, root, replace(IMAGES, at_least=True))
    assert len(tree(root)) == 4


@BOTH
@pytest.mark.parametrize("content", [b"", b"<html>404 with the status 200</html>", b"\0" * 10240])
def test_a_file_that_is_not_an_archive_is_refused(tmp_path: Path, root: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert str(path) in refusal(path, root)


@pytest.mark.parametrize("name", ["kit.zip", "kit.tar", "kit.tar.gz"])
@pytest.mark.parametrize("share", [0.1, 0.7])
def test_an_archive_that_is_cut_off_leaves_nothing(tmp_path: Path, root: Path, name: str, share: float) -> None:
    path = packed(tmp_path / name, CONTENT)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole.rstrip(b"\0")))])
    refusal(path, root)


def test_an_encrypted_archive_and_a_damaged_last_file_leave_nothing(tmp_path: Path, root: Path) -> None:
    path = packed(tmp_path / "kit.zip", CONTENT)
    whole, last = path.read_bytes(), b"kit/ImageSets/Segmentation/val.txt"
    damages = ((whole.index(last) + len(last), 0xFF, "is damaged"), (whole.index(b"PK\x01\x02") + 8, 1, "is encrypted"))
    for place, bit, why in damages:
        content = bytearray(whole)
        content[place] ^= bit
        path.write_bytes(content)
        assert f"{path} {why}" in refusal(path, root)


# --- the disk ---------------------------------------------------------------------------------------------------------


def test_room_is_checked_before_anything_is_written(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(tmp_path / "kit.zip", CONTENT)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=28_671))
    # a, c, train and val take 2, 3, 1 and 1 blocks of 4096 bytes
    assert refusal(path, root, kind=UserError).startswith(f"unpacking kit.zip needs 28.7 kB in {root}, 28.7 kB are")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=28_672))
    unpack_all(path, root)


@pytest.mark.parametrize("steps", [1, 5])
def test_an_interrupt_leaves_nothing(tmp_path: Path, root: Path, steps: int) -> None:
    """The folder's name contains the host, because on a shared disk another host may have a process of that number."""
    root.mkdir()
    progress = unpack(packed(tmp_path / "kit.zip", CONTENT), root, PARTS)
    for _ in range(steps):
        next(progress)
    assert (root / f".JPEGImages.{socket.gethostname()}.{os.getpid()}.tmp").is_dir() == (steps > 1)
    progress.close()  # type: ignore[attr-defined]
    assert tree(root) == {}


def test_a_folder_that_another_process_has_filled_meanwhile_is_kept(tmp_path: Path, root: Path) -> None:
    root.mkdir()
    for done, _ in unpack(packed(tmp_path / "kit.zip", CONTENT), root, PARTS):
        if done == 2:
            (root / "JPEGImages").mkdir()
            (root / "JPEGImages" / "theirs.jpg").write_bytes(b"theirs")
    assert tree(root / "JPEGImages") == {"theirs.jpg": b"theirs"}
    assert len(tree(root / "ImageSets")) == 2


def test_a_link_to_an_empty_folder_of_another_disk_is_filled_and_a_file_is_kept(tmp_path: Path, root: Path) -> None:
    path = packed(tmp_path / "kit.zip", CONTENT)
    (tmp_path / "elsewhere").mkdir()
    root.mkdir()
    (root / "JPEGImages").symlink_to(tmp_path / "elsewhere")
    unpack_all(path, root)
    assert (root / "JPEGImages").is_symlink()
    assert sorted(tree(tmp_path / "elsewhere")) == ["a.jpg", "b.jpg", "c.jpg"]
    (root / "JPEGImages").unlink()
    (root / "JPEGImages").write_text("a note")
    assert refusal(path, root, kind=UserError).startswith(f"cannot write {root / 'JPEGImages'}")


SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.slow
@pytest.mark.skipif(
    not (SHARED / "SegmentationClassAug.zip").is_file(), reason="VOC's masks are not beside the project"
)
def test_the_published_masks_of_voc_are_as_many_as_in_the_catalog(root: Path) -> None:
    (part,) = next(one for one in find_dataset("voc").archives if one.name == "SegmentationClassAug.zip").parts
    root.mkdir()
    next(unpack(SHARED / "SegmentationClassAug.zip", root, [part]))  # type: ignore[call-overload]
