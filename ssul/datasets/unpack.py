"""Extract untrusted archives: all members are checked before anything is written."""

import errno
import lzma
import os
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import IO

from ssul.data.layout import read_image_list
from ssul.datasets.catalog import Archive, ArchiveFolder
from ssul.errors import UserError

_CHUNK = 1 << 20
_BLOCK = 4096
"""Bytes that a file system gives out at once, so that a small file takes more than its size."""
_LONGEST_LINK = 4096
_MAX_NAMED = 8
_DRIVE = re.compile(r"[A-Za-z]:")
_UNREADABLE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
    NotImplementedError,
)
"""What the readers raise for an archive that is cut off, damaged or packed in a way that they do not know."""


class BadArchiveError(UserError):
    """The archive itself is at fault, not the disk: the same file will be refused again."""


@dataclass(frozen=True)
class _Member:
    """A regular file of an archive.

    Attributes:
        name: its path in the archive, components joined by `/`.
        size: bytes, as the archive declares them.
        open: gives its content.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes] | None]


def missing_parts(root: Path, archive: Archive, *, without: Collection[str] = ()) -> list[ArchiveFolder]:
    """The parts of an archive whose folder is not below `root`, or is empty.

    Args:
        root: the data root.
        archive: what the parts come from.
        without: folders below the root that are not wanted.
    """
    return [part for part in archive.parts if part.folder not in without and not _holds_files(root / part.folder)]


def unpack(path: Path, root: Path, parts: Sequence[ArchiveFolder]) -> Iterator[tuple[int, int]]:
    """Unpacks parts of a zip or tar archive into folders below `root`; what else the archive holds is left out.

    Hidden files (`.DS_Store`) and links are neither unpacked nor counted. A link would not mean the same after its
    folder has moved, and datasets have none.

    Args:
        path: the archive; zip if its name ends so, otherwise tar, packed by gzip, bzip2, xz or not at all.
        root: the data root, an existing folder.
        parts: what to unpack. None of their folders is there, or they are empty.

    Yields:
        How many files are unpacked, and of how many.

    Raises:
        BadArchiveError: if the archive is damaged, a part has another number of files, or files without a partner in
            the archive, or any member, wanted or not, has an absolute path or one with `..`, is a link out of the
            archive, or a device.
        UserError: if files of a part do not fit what is below the root already, or the disk has too little room, or
            cannot be read or written.
    """
    with ExitStack() as stack:
        with _reading(path):
            wanted = _wanted(_members(path, stack), path, parts)
        _require_partners(wanted, path, root)
        _require_listed(wanted, path, root)
        sizes = [member.size for members in wanted.values() for member in members]
        require_disk_space(root, sum(-(-size // _BLOCK) * _BLOCK for size in sizes), what=f"unpacking {path.name}")
        yield 0, len(sizes)
        filled = {part: stack.enter_context(_incomplete(root / part.folder)) for part in parts}
        done = 0
        for part, members in wanted.items():
            for member in members:
                with _writing(root / part.folder):
                    _write(member, filled[part] / member.name.removeprefix(_prefix(part)), path)
                done += 1
                yield done, len(sizes)
        for part, folder in filled.items():
            _move(folder, root / part.folder)


# --- what is in the archive -------------------------------------------------------------------------------------------


def _wanted(
    members: Iterator[_Member], path: Path, parts: Sequence[ArchiveFolder]
) -> Mapping[ArchiveFolder, Sequence[_Member]]:
    """The files of each part, counted, after every member of the archive was judged."""
    found: dict[ArchiveFolder, dict[str, _Member]] = {part: {} for part in parts}
    for member in members:
        for part in parts:
            prefix = _prefix(part)
            if member.name.startswith(prefix) and _counts(member.name.removeprefix(prefix), part):
                found[part].pop(member.name, None)  # a later member of the same name takes the place of the earlier
                found[part][member.name] = member
    for part, files in found.items():
        if len(files) < part.files or (len(files) > part.files and not part.at_least):
            expected = f"at least {part.files}" if part.at_least else f"{part.files}"
            kind = f"{part.suffix} files" if part.suffix else "files"
            raise BadArchiveError(
                f"{path} holds {len(files)} {kind} in {part.inside}, expected {expected}: it is cut off, or not the "
                "published archive"
            )
    return {part: list(files.values()) for part, files in found.items()}


def _require_partners(wanted: Mapping[ArchiveFolder, Sequence[_Member]], path: Path, root: Path) -> None:
    """Compares the names of parts that belong together, such as images and masks."""
    unpacked = {part.folder: _stems(part, members) for part, members in wanted.items()}
    for part in wanted:
        if part.partners is None:
            continue
        ours = unpacked[part.folder]
        if part.partners in unpacked:
            if alone := sorted(ours - unpacked[part.partners]):
                raise BadArchiveError(
                    f"{path} is not the published archive: {len(alone)} files of {part.folder} have no partner in its "
                    f"{part.partners}: {', '.join(alone[:_MAX_NAMED])}"
                )
        elif len(there := _stems_below(root / part.partners)) >= len(ours) and (alone := sorted(ours - there)):
            # Fewer would be somebody's choice from the dataset, which archives need not fit.
            raise UserError(
                f"{path} does not fit what is there: {len(alone)} of its {len(ours)} files for {part.folder} have no "
                f"partner in {root / part.partners}: {', '.join(alone[:_MAX_NAMED])}. Put the published archive "
                "in its place, or bring that folder as it is published"
            )


def _require_listed(wanted: Mapping[ArchiveFolder, Sequence[_Member]], path: Path, root: Path) -> None:
    """Compares parts with the image list that they must cover, if it is there."""
    for part, members in wanted.items():
        if part.covers is None or not (root / part.covers).is_file():
            continue
        listed = read_image_list(root / part.covers)
        lacking = sorted(set(listed) - _stems(part, members))
        if lacking:
            raise UserError(
                f"{path} lacks {len(lacking)} of the {len(listed)} images of {root / part.covers}: "
                f"{', '.join(lacking[:_MAX_NAMED])}. Of the {part.files} files that are published "
                f"{len(listed)} are for these and {part.files - len(listed)} for training: put the published archive "
                "in its place, or the published list"
            )


def _stems(part: ArchiveFolder, members: Sequence[_Member]) -> set[str]:
    return {member.name.removeprefix(_prefix(part)).rpartition(".")[0] for member in members}


def _stems_below(folder: Path) -> set[str]:
    with _reading(folder):
        return {path.relative_to(folder).as_posix().rpartition(".")[0] for path in folder.rglob("*.*")}


def _prefix(part: ArchiveFolder) -> str:
    return f"{part.inside.strip('/')}/"


def _counts(name: str, part: ArchiveFolder) -> bool:
    """Whether a file, by its path in the part's folder, is one of the part's: no hidden one, and of the right kind."""
    hidden = any(component.startswith(".") for component in name.split("/"))
    return not hidden and (part.suffix is None or name.lower().endswith(part.suffix))


def _members(path: Path, stack: ExitStack) -> Iterator[_Member]:
    """The regular files in the archive's order; the archive stays open until the stack is left."""
    if path.suffix.lower() == ".zip":
        return _zip_members(stack.enter_context(zipfile.ZipFile(path)), path)
    return _tar_members(stack.enter_context(tarfile.open(path)), path)


def _zip_members(file: zipfile.ZipFile, path: Path) -> Iterator[_Member]:
    for info in file.infolist():
        name = _judged_name(info.filename, path)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.flag_bits & 1:
            raise BadArchiveError(f"{path} is encrypted: there is no password to give")
        if kind == stat.S_IFLNK:
            with file.open(info) as content:
                target = content.read(_LONGEST_LINK).decode("utf-8", "surrogateescape").replace("\\", "/")
            if _DRIVE.match(target) or normpath(join(dirname(name), target)).split("/")[0] in ("", ".."):
                raise _danger(path, info.filename, f"is a link out of the archive, to {target!r}")
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _danger(path, info.filename, "is a device, a pipe or a socket")
        elif not info.is_dir() and kind != stat.S_IFDIR:
            yield _Member(name, info.file_size, partial(file.open, info))


def _tar_members(file: tarfile.TarFile, path: Path) -> Iterator[_Member]:
    nowhere = f"/{path.name}.unpacked"  # a folder that is not there: no link of this disk can sway the judgement
    for info in file:
        name = _judged_name(info.name, path)
        try:
            tarfile.data_filter(info, nowhere)
        except tarfile.FilterError:
            link = info.issym() or info.islnk()
            why = f"is a link out of the archive, to {info.linkname!r}" if link else "is a device, a pipe or a socket"
            raise _danger(path, info.name, why) from None
        if info.isreg():
            yield _Member(name, info.size, partial(file.extractfile, info))


def _judged_name(name: str, path: Path) -> str:
    """The path of a member, joined by single `/`; a backslash counts as one, as it would on Windows."""
    slashed = name.replace("\\", "/")
    components = [component for component in slashed.split("/") if component not in ("", ".")]
    if slashed.startswith("/") or _DRIVE.match(slashed) or ".." in components:
        raise _danger(path, name, "would be written outside the data root")
    return "/".join(components)


def _danger(path: Path, name: str, why: str) -> BadArchiveError:
    return BadArchiveError(f"{path} is refused, nothing of it was unpacked: its member {name!r} {why}")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Tells in words what goes wrong while an archive is read."""
    try:
        yield
    except UserError:
        raise
    except (*_UNREADABLE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # gzip and bz2 give no number for damaged content
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        why = " ".join(str(error).split()) or type(error).__name__
        raise BadArchiveError(f"{path} is damaged, cut off or no archive ({why})") from error


# --- what is on the disk ----------------------------------------------------------------------------------------------


def require_disk_space(folder: Path, needed: int, *, what: str) -> None:
    """Refuses to start what the disk has no room for.

    Args:
        folder: a folder on the disk.
        needed: bytes.
        what: what needs them, for the message.

    Raises:
        UserError: if fewer bytes are free.
    """
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise UserError(f"cannot tell how much room is in {folder}: {error.strerror}") from error
    if needed > free:
        raise UserError(
            f"{what} needs {format_bytes(needed)} in {folder}, {format_bytes(free)} are free: make room there, or "
            "let it lie on another disk"
        )


def format_bytes(count: float) -> str:
    """A number of bytes for people: `512 B`, `1.9 GB`."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} GB"


def _holds_files(folder: Path) -> bool:
    try:
        return folder.is_dir() and any(folder.iterdir())
    except OSError as error:
        raise UserError(f"cannot read {folder}: {error.strerror}") from error


@contextmanager
def _incomplete(folder: Path) -> Iterator[Path]:
    """An empty hidden folder beside `folder`, removed at the end unless it was moved."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.incomplete")
    try:
        with _writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            _remove_stale(folder)
            temporary.mkdir()
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_stale(folder: Path) -> None:
    """Removes what runs that were killed left of a folder."""
    for left in folder.parent.glob(f".{folder.name}.*.incomplete"):
        pid = left.name.split(".")[-2]
        if pid.isdecimal() and (int(pid) == os.getpid() or not _is_running(int(pid))):
            shutil.rmtree(left, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is somebody else's
        return True
    return True


def _write(member: _Member, target: Path, path: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        for chunk in _content(member, path):
            file.write(chunk)


def _content(member: _Member, path: Path) -> Iterator[bytes]:
    """The bytes of a file, as many as the archive declares: room was found for no more."""
    left = member.size
    with ExitStack() as stack:
        with _reading(path):
            content = member.open()
        if content is not None:
            stack.enter_context(content)
        while content is not None:
            with _reading(path):
                chunk = content.read(_CHUNK)
            left -= len(chunk)
            if left < 0 or not chunk:
                break
            yield chunk
    if left != 0:
        raise BadArchiveError(f"{path} is damaged: {member.name!r} has another size than it declares")


def _move(folder: Path, place: Path) -> None:
    with _writing(place):
        try:
            folder.replace(place)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not place.is_dir():
                raise
            # Another process was quicker, and folders appear whole: its one is as good.


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Tells in words what goes wrong while the disk is written."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}. Nothing is left of it by half; mend the disk (room, "
            "quota, rights) and run again"
        ) from error
