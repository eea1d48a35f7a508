"""Archives: every member is judged before anything is written, and a folder is there whole or not at all."""

import errno
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssul.datasets import unpack as archives
from ssul.datasets.catalog import Archive, ArchiveFolder, data_set
from ssul.datasets.unpack import BadArchiveError, format_bytes, missing_parts, unpack
from ssul.errors import UserError

PICTURES = ArchiveFolder("kit/JPEGImages", "JPEGImages", 3)
LISTS = ArchiveFolder("kit/ImageSets/Segmentation", "ImageSets/Segmentation", 2)
PARTS = (PICTURES, LISTS)
CONTENT = {
    "kit/JPEGImages/a.jpg": b"a" * 5000,
    "kit/JPEGImages/b.jpg": b"",
    "kit/JPEGImages/c.jpg": bytes(range(256)) * 40,
    "kit/Annotations/a.xml": b"<not wanted/>",
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
KINDS = ("kit.zip", "kit.tar", "kit.tar.gz", "kit.tar.bz2", "kit.tar.xz")

Special = tuple[bytes, str]
"""A tar type or, for a zip, the same kind of thing in mode bits; and where a link leads."""
MODES = {
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
}


def packed(path: Path, content: Mapping[str, bytes | Special]) -> Path:
    """Writes an archive of the kind that its name says; a name with a slash at its end is a folder."""
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


def everything(path: Path, root: Path, *parts: ArchiveFolder) -> list[tuple[int, int]]:
    root.mkdir(parents=True, exist_ok=True)
    return list(unpack(path, root, parts or PARTS))


def refusal(path: Path, root: Path, *parts: ArchiveFolder, kind: type[UserError] = BadArchiveError) -> str:
    with pytest.raises(kind) as refused:
        everything(path, root, *parts)
    told = str(refused.value)
    assert "\n" not in told
    assert type(refused.value) is kind
    return told


def tree(root: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones too."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


# --- what is unpacked -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_the_wanted_parts_are_unpacked_and_nothing_else(tmp_path: Path, root: Path, name: str) -> None:
    everything(packed(tmp_path / name, CONTENT), root)
    assert tree(root) == UNPACKED
    assert sorted(path.name for path in root.iterdir()) == ["ImageSets", "JPEGImages"]


@pytest.mark.parametrize("name", KINDS[:2])
def test_progress_counts_the_files(tmp_path: Path, root: Path, name: str) -> None:
    assert everything(packed(tmp_path / name, CONTENT), root) == [(done, 5) for done in range(6)]


@pytest.mark.parametrize("name", KINDS[:2])
def test_only_the_parts_that_are_asked_for_are_touched(tmp_path: Path, root: Path, name: str) -> None:
    (root / "JPEGImages").mkdir(parents=True)
    (root / "JPEGImages" / "mine.jpg").write_bytes(b"mine")
    everything(packed(tmp_path / name, CONTENT), root, LISTS)
    assert tree(root / "JPEGImages") == {"mine.jpg": b"mine"}
    assert len(tree(root)) == 3


@pytest.mark.parametrize("name", KINDS[:2])
def test_members_may_be_written_in_many_ways(tmp_path: Path, root: Path, name: str) -> None:
    content = {
        "./kit/": b"",
        "./kit/JPEGImages/": b"",
        "./kit/JPEGImages/a.jpg": b"1",
        "kit//JPEGImages/deep/b.jpg": b"2",
        "kit\\JPEGImages\\c.jpg": b"3",
        "kit/JPEGImages/.DS_Store": b"hidden",
        "kit/JPEGImages2/a.jpg": b"another folder",
    }
    everything(packed(tmp_path / name, content), root, PICTURES)
    assert tree(root) == {"JPEGImages/a.jpg": b"1", "JPEGImages/deep/b.jpg": b"2", "JPEGImages/c.jpg": b"3"}


def test_the_later_of_two_members_of_one_name_counts(tmp_path: Path, root: Path) -> None:
    path = packed(tmp_path / "kit.tar", CONTENT)
    with tarfile.open(path, "a") as tar:
        member = tarfile.TarInfo("kit/JPEGImages/a.jpg")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"new"))
    everything(path, root)
    assert tree(root) == {**UNPACKED, "JPEGImages/a.jpg": b"new"}


def test_an_empty_folder_is_as_good_as_none(tmp_path: Path, root: Path) -> None:
    (root / "JPEGImages").mkdir(parents=True)
    archive = Archive("kit.zip", "", None, PARTS)
    assert missing_parts(root, archive) == list(PARTS)
    everything(packed(tmp_path / "kit.zip", CONTENT), root)
    assert missing_parts(root, archive) == []


def test_a_folder_that_is_not_wanted_is_not_missed(root: Path) -> None:
    assert missing_parts(root, Archive("kit.zip", "", None, PARTS), without=("JPEGImages",)) == [LISTS]


def test_the_archive_itself_is_left_alone(tmp_path: Path, root: Path) -> None:
    path = packed(tmp_path / "kit.zip", CONTENT)
    before = path.read_bytes()
    everything(path, root)
    assert path.read_bytes() == before


# --- dangerous members ------------------------------------------------------------------------------------------------

OUTSIDE = [
    "../evil.txt",
    "kit/../../evil.txt",
    "kit/JPEGImages/../../../evil.txt",
    "/tmp/evil.txt",
    "//server/evil.txt",
    "..\\evil.txt",
    "kit\\..\\..\\evil.txt",
    "\\evil.txt",
    "C:\\evil.txt",
    "c:evil.txt",
    "kit/JPEGImages/..",
]


@pytest.mark.parametrize("name", KINDS[:3])
@pytest.mark.parametrize("member", OUTSIDE)
def test_a_member_outside_the_target_refuses_the_whole_archive(
    tmp_path: Path, root: Path, name: str, member: str
) -> None:
    path = packed(tmp_path / "deep" / "er" / name, {**CONTENT, member: b"evil"})
    before = set(tmp_path.rglob("*"))
    told = refusal(path, root)
    assert repr(member) in told
    assert "outside the data root" in told
    assert set(tmp_path.rglob("*")) - before == {root}
    assert not Path("/tmp/evil.txt").exists()


@pytest.mark.parametrize("name", KINDS[:2])
@pytest.mark.parametrize(
    ("member", "target"),
    [
        ("kit/link", "/etc"),
        ("kit/link", "../../etc"),
        ("link", ".."),
        ("kit/JPEGImages/link", "../../../x"),
        ("kit/link", "sub/../../../x"),
    ],
)
def test_a_link_out_of_the_archive_refuses_it(tmp_path: Path, root: Path, name: str, member: str, target: str) -> None:
    path = packed(tmp_path / name, {member: (tarfile.SYMTYPE, target), **CONTENT})
    told = refusal(path, root)
    assert repr(member) in told
    assert "is a link out of the archive" in told
    assert not list(root.iterdir())


@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "kit/../../x"])
def test_a_hard_link_out_of_the_archive_refuses_it(tmp_path: Path, root: Path, target: str) -> None:
    path = packed(tmp_path / "kit.tar", {**CONTENT, "kit/link": (tarfile.LNKTYPE, target)})
    assert "is a link out of the archive" in refusal(path, root)
    assert not list(root.iterdir())


@pytest.mark.parametrize("target", ["C:\\Windows", "..\\..\\x"])
def test_a_link_in_the_manner_of_windows_is_a_link_too(tmp_path: Path, root: Path, target: str) -> None:
    path = packed(tmp_path / "kit.zip", {**CONTENT, "kit/link": (tarfile.SYMTYPE, target)})
    assert "is a link out of the archive" in refusal(path, root)


@pytest.mark.parametrize("name", KINDS[:2])
@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_a_device_or_pipe_refuses_the_archive(tmp_path: Path, root: Path, name: str, kind: bytes) -> None:
    path = packed(tmp_path / name, {**CONTENT, "kit/thing": (kind, "")})
    assert "'kit/thing' is a device, a pipe or a socket" in refusal(path, root)
    assert not list(root.iterdir())


@pytest.mark.parametrize("name", KINDS[:2])
def test_a_link_within_the_archive_is_neither_unpacked_nor_counted(tmp_path: Path, root: Path, name: str) -> None:
    """After its folder has moved it could lead anywhere: from kit/JPEGImages, `../../x` stays in; from there, out."""
    content = {**CONTENT, "kit/JPEGImages/d.jpg": (tarfile.SYMTYPE, "../../x"), "kit/up": (tarfile.SYMTYPE, "..")}
    everything(packed(tmp_path / name, content), root)
    assert tree(root) == UNPACKED


@pytest.mark.parametrize("name", KINDS[:2])
def test_a_member_below_a_link_goes_into_a_folder_of_its_own(tmp_path: Path, root: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    content = {
        "kit/JPEGImages/d": (tarfile.SYMTYPE, "../Annotations"),
        "kit/JPEGImages/d/a.jpg": b"1",
        "kit/JPEGImages/b.jpg": b"2",
        "kit/JPEGImages/c.jpg": b"3",
    }
    everything(packed(tmp_path / name, content), root, PICTURES)
    assert not any(path.is_symlink() for path in root.rglob("*"))
    assert len(tree(root)) == 3


def test_a_name_with_line_breaks_still_makes_one_line(tmp_path: Path, root: Path) -> None:
    assert "evil\\n" in refusal(packed(tmp_path / "kit.tar", {"../evil\nname": b""}), root)


def test_an_encrypted_archive_is_refused(tmp_path: Path, root: Path) -> None:
    path = packed(tmp_path / "kit.zip", CONTENT)
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(signature)
        content[at + flags] |= 1
    path.write_bytes(content)
    assert "is encrypted" in refusal(path, root)


# --- damaged archives -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS[:2])
@pytest.mark.parametrize("less", ["kit/JPEGImages/b.jpg", "kit/ImageSets/Segmentation/val.txt"])
def test_a_missing_file_refuses_the_archive(tmp_path: Path, root: Path, name: str, less: str) -> None:
    path = packed(tmp_path / name, {member: data for member, data in CONTENT.items() if member != less})
    told = refusal(path, root)
    found, folder, expected = (2, PICTURES.inside, 3) if "jpg" in less else (1, LISTS.inside, 2)
    assert f"{path} holds {found} files in {folder}, expected {expected}" in told
    assert not list(root.iterdir())


def test_a_file_too_many_refuses_the_archive_unless_there_may_be_more(tmp_path: Path, root: Path) -> None:
    path = packed(tmp_path / "kit.zip", {**CONTENT, "kit/JPEGImages/d.jpg": b"more"})
    assert "holds 4 files in kit/JPEGImages, expected 3" in refusal(path, root)
    more = ArchiveFolder(PICTURES.inside, PICTURES.folder, 5, at_least=True)
    assert "holds 4 files in kit/JPEGImages, expected at least 5" in refusal(path, root, more)
    everything(path, root, ArchiveFolder(PICTURES.inside, PICTURES.folder, 3, at_least=True))
    assert len(tree(root)) == 4


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("content", [b"", b"<html>404 - but told as 200</html>", b"\0" * 10240, b"PK"])
def test_what_is_no_archive_is_refused(tmp_path: Path, root: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    told = refusal(path, root)
    assert str(path) in told
    assert not list(root.iterdir())


@pytest.mark.parametrize("name", KINDS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_an_archive_that_is_cut_off_anywhere_leaves_nothing_or_everything(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    """A tar that lacks nothing but its end is whole enough."""
    root = tmp_path / "root"
    shutil.rmtree(root, ignore_errors=True)
    path = packed(tmp_path / name, CONTENT)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    root.mkdir()
    try:
        everything(path, root)
    except BadArchiveError:
        assert tree(root) == {}
    else:
        assert name != "kit.zip"
        assert tree(root) == UNPACKED


@pytest.mark.parametrize("name", KINDS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_bit_is_wrong_nothing_is_left_by_half(tmp_path: Path, name: str, data: st.DataObject) -> None:
    """A tar has no check sum of its content: only the published hash tells those bits."""
    root = tmp_path / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    path = packed(tmp_path / name, CONTENT)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with suppress(UserError):
        everything(path, root)
    for part in PARTS:
        assert not (root / part.folder).exists() or len(tree(root / part.folder)) == part.files
    assert not list(root.rglob("*.incomplete"))


def test_damage_in_the_middle_of_the_last_file_leaves_nothing(tmp_path: Path, root: Path) -> None:
    path = packed(tmp_path / "kit.zip", {"kit/JPEGImages/a.jpg": b"", "kit/JPEGImages/b.jpg": b"", **CONTENT})
    content = bytearray(path.read_bytes())
    at = content.index(b"kit/ImageSets/Segmentation/val.txt") + len("kit/ImageSets/Segmentation/val.txt")
    content[at] ^= 0xFF
    path.write_bytes(content)
    assert f"{path} is damaged" in refusal(path, root)
    assert tree(root) == {}


@pytest.mark.parametrize("declared", [10, 100_000])
def test_a_member_of_another_size_than_it_declares_is_refused(tmp_path: Path, root: Path, declared: int) -> None:
    path = packed(tmp_path / "kit.zip", {**CONTENT, "kit/JPEGImages/a.jpg": b"\0" * 50_000})
    content = path.read_bytes()
    path.write_bytes(content.replace((50_000).to_bytes(4, "little"), declared.to_bytes(4, "little")))
    assert f"{path} is damaged" in refusal(path, root)
    assert tree(root) == {}


# --- the disk ---------------------------------------------------------------------------------------------------------


def test_room_is_looked_for_first(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(tmp_path / "kit.zip", CONTENT)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage._replace(free=20_000))
    told = refusal(path, root, kind=UserError)
    # a, c, train and val take 2, 3, 1 and 1 blocks of 4096 bytes
    assert told.startswith(f"unpacking kit.zip needs 28.7 kB in {root}, 20.0 kB are free")
    assert not list(root.iterdir())
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage._replace(free=28_672))
    everything(path, root)


def test_sizes_are_told_for_people() -> None:
    told = [format_bytes(count) for count in (0, 999, 1000, 1_999_639_040, 2 * 10**13)]
    assert told == ["0 B", "999 B", "1.0 kB", "2.0 GB", "20000.0 GB"]


LIMITED = """
import resource, sys
from pathlib import Path
from ssul.datasets.catalog import ArchiveFolder
from ssul.datasets.unpack import unpack
from ssul.errors import UserError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    list(unpack(Path(sys.argv[1]), Path(sys.argv[2]), [ArchiveFolder("kit/JPEGImages", "JPEGImages", 3)]))
except UserError as error:
    print(type(error).__name__, error)
"""


def test_a_file_beyond_the_quota_is_told_and_the_folder_removed(tmp_path: Path, root: Path) -> None:
    root.mkdir()
    path = packed(tmp_path / "kit.zip", CONTENT)
    command = [sys.executable, "-c", LIMITED, path, root, "8000"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert told.startswith(f"UserError cannot write {root / 'JPEGImages'}")
    assert os.strerror(errno.EFBIG) in told
    assert not list(root.iterdir())
    everything(path, root)
    assert tree(root) == UNPACKED


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """One megabyte and twenty inodes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=20", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("this user may not mount a tmpfs")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(tmp_path: Path, small_disk: Path) -> None:
    path = packed(tmp_path / "kit.zip", {**CONTENT, "kit/JPEGImages/a.jpg": b"\0" * 2_000_000})
    told = refusal(path, small_disk, kind=UserError)
    assert "unpacking kit.zip needs 2.0 MB" in told
    assert not list(small_disk.iterdir())


def test_a_disk_that_fills_up_on_the_way_is_left_clean(tmp_path: Path, small_disk: Path) -> None:
    path = packed(tmp_path / "kit.tar", {f"kit/JPEGImages/{number}.jpg": b"1" for number in range(40)})
    part = ArchiveFolder(PICTURES.inside, PICTURES.folder, 40)
    told = refusal(path, small_disk, part, kind=UserError)
    assert "No space left on device" in told
    assert str(small_disk) in told
    assert not list(small_disk.iterdir())


def test_what_a_dead_run_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path, root: Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], check=True, capture_output=True)
    names = {
        f".JPEGImages.{int(dead.stdout)}.incomplete": False,
        f".JPEGImages.{os.getpid()}.incomplete": False,
        f".JPEGImages.{os.getppid()}.incomplete": True,
        ".JPEGImages.notes.incomplete": True,
    }
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "half.jpg").write_bytes(b"half")
    everything(packed(tmp_path / "kit.zip", CONTENT), root)
    assert {name: (root / name).exists() for name in names} == names
    assert tree(root / "JPEGImages").keys() == {"a.jpg", "b.jpg", "c.jpg"}


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_who_stops_in_between_leaves_nothing(tmp_path: Path, root: Path, steps: int) -> None:
    root.mkdir()
    progress = unpack(packed(tmp_path / "kit.zip", CONTENT), root, PARTS)
    for _ in range(steps):
        next(progress)
    progress.close()  # type: ignore[attr-defined]
    assert tree(root) == {}


def test_an_interruption_while_a_file_is_written_leaves_nothing(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(tmp_path / "kit.zip", CONTENT)
    opened = archives._content

    def interrupted(member: archives._Member, source: Path) -> Iterator[bytes]:
        yield from opened(member, source)
        if member.name.endswith("c.jpg"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(archives, "_content", interrupted)
        with pytest.raises(KeyboardInterrupt):
            everything(path, root)
    assert tree(root) == {}
    everything(path, root)
    assert tree(root) == UNPACKED


def test_a_folder_that_another_run_brought_meanwhile_is_kept(tmp_path: Path, root: Path) -> None:
    root.mkdir()
    for step, _ in enumerate(unpack(packed(tmp_path / "kit.zip", CONTENT), root, PARTS)):
        if step == 2:
            (root / "JPEGImages").mkdir()
            (root / "JPEGImages" / "theirs.jpg").write_bytes(b"theirs")
    assert tree(root / "JPEGImages") == {"theirs.jpg": b"theirs"}
    assert len(tree(root / "ImageSets")) == 2


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path, root: Path) -> None:
    root.mkdir()
    (root / "JPEGImages").write_text("a note")
    told = refusal(packed(tmp_path / "kit.zip", CONTENT), root, kind=UserError)
    assert f"cannot write {root / 'JPEGImages'}" in told
    assert tree(root) == {"JPEGImages": b"a note"}


# --- what the parts promise -------------------------------------------------------------------------------------------

IMAGES = ArchiveFolder("kit/images", "images", 2, suffix=".jpg", partners="masks")
MASKS = ArchiveFolder("kit/masks", "masks", 2, suffix=".png", partners="images", covers="lists/val.txt")
PAIRS = dict.fromkeys(("kit/images/a.jpg", "kit/images/town/b.jpg", "kit/masks/a.png", "kit/masks/town/b.png"), b"")


@pytest.mark.parametrize("name", KINDS[:2])
def test_files_of_another_kind_are_neither_counted_nor_unpacked(tmp_path: Path, root: Path, name: str) -> None:
    everything(packed(tmp_path / name, {**PAIRS, "kit/masks/notes.txt": b""}), root, IMAGES, MASKS)
    assert sorted(tree(root)) == ["images/a.jpg", "images/town/b.jpg", "masks/a.png", "masks/town/b.png"]


def test_as_many_files_of_another_kind_are_refused(tmp_path: Path, root: Path) -> None:
    wrong = {"kit/masks/a.txt": b"", "kit/masks/b.txt": b""}
    told = refusal(packed(tmp_path / "kit.zip", wrong), root, MASKS)
    assert "holds 0 .png files in kit/masks, expected 2" in told
    assert tree(root) == {}


def test_images_and_masks_of_one_archive_must_have_the_same_names(tmp_path: Path, root: Path) -> None:
    wrong = {name.replace("masks/town/b", "masks/c"): data for name, data in PAIRS.items()}
    told = refusal(packed(tmp_path / "kit.zip", wrong), root, IMAGES, MASKS)
    assert "1 files of images have no partner in its masks: town/b" in told
    assert tree(root) == {}


def test_masks_must_fit_the_images_that_are_there_if_these_are_whole(tmp_path: Path, root: Path) -> None:
    path = packed(tmp_path / "kit.zip", PAIRS)
    (root / "images").mkdir(parents=True)
    (root / "images" / "a.jpg").touch()
    (root / "images" / "c.jpg").touch()
    told = refusal(path, root, MASKS, kind=UserError)  # which of the two is wrong nobody can tell
    assert f"1 of its 2 files for masks have no partner in {root / 'images'}: town/b" in told
    (root / "images" / "c.jpg").unlink()  # now it is somebody's choice from the dataset
    everything(path, root, MASKS)
    assert len(tree(root)) == 3


def test_masks_must_cover_the_image_list_that_is_there(tmp_path: Path, root: Path) -> None:
    path = packed(tmp_path / "kit.zip", PAIRS)
    (root / "lists").mkdir(parents=True)
    (root / "lists" / "val.txt").write_text("x\n")
    told = refusal(path, root, MASKS, kind=UserError)
    assert f"lacks 1 of the 1 images of {root / 'lists' / 'val.txt'}: x" in told
    assert "Of the 2 files that are published 1 are for these and 1 for training" in told
    (root / "lists" / "val.txt").write_text("town/b\n")
    everything(path, root, MASKS)
    assert len(tree(root)) == 3


SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "SegmentationClassAug.zip").is_file(), reason="VOC's masks are not here")
def test_the_published_masks_of_voc_are_what_the_catalog_says(tmp_path: Path, root: Path) -> None:
    (part,) = next(one for one in data_set("voc").archives if one.name == "SegmentationClassAug.zip").parts
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    shutil.copyfile(SHARED / "voc_lists" / "val.txt", root / "ImageSets" / "Segmentation" / "val.txt")
    next(unpack(SHARED / "SegmentationClassAug.zip", root, [part]))  # type: ignore[call-overload]
