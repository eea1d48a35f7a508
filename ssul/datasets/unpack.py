"""Extract untrusted archives: all members are checked before anything is written."""

import errno
import io
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import IO

from ssul.datasets.catalog import Archive, ArchiveFolder
from ssul.errors import UserError
from ssul.io.atomic import replace_dir
from ssul.io.disk import require_disk_space

_CHUNK = 1 << 20
_BLOCK = 4096
"""The allocation unit of a file system in bytes: a small file takes more than its size."""
_MAX_LINK_BYTES = 4096
_DRIVE = re.compile(r"[A-Za-z]:")
ARCHIVE_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
    RuntimeError,  # encrypted, or packed by an unknown method
)
"""What `zipfile` and `tarfile` raise if an archive is cut off, damaged or packed by an unknown method."""


class BadArchiveError(UserError):
    """The archive itself is at fault, not the disk; the same file will be refused again."""


class _AlreadyFilledError(Exception):
    """Another process has filled the target folder in the meantime."""


@dataclass(frozen=True)
class _Member:
    """A regular file of an archive.

    Attributes:
        name: its path in the archive, components joined by `/`.
        size: bytes, as the archive declares them.
        open: opens its content; None if there is no content.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes] | None]


def missing_parts(root: Path, archive: Archive) -> list[ArchiveFolder]:
    """The parts of an archive whose folder below the data root is missing or empty."""
    return [part for part in archive.parts if not _holds_files(root / part.folder)]


def unpack(path: Path, root: Path, parts: Sequence[ArchiveFolder]) -> Iterator[tuple[int, int]]:
    """Unpacks parts of a zip or tar archive into folders below `root`; the rest of the archive is left out.

    Hidden files (`.DS_Store`) are neither unpacked nor counted. Neither are links, because they would point elsewhere
    after their folder has moved. All folders appear at the end, whole. A folder that another process has filled in the
    meantime is not changed.

    Args:
        path: the archive: a zip if its suffix is `.zip`; otherwise a tar, packed by gzip, bzip2, xz or not at all.
        root: the data root, an existing folder.
        parts: what to unpack. Their folders do not exist, or are empty.

    Yields:
        The number of files that are unpacked, and the number of files to unpack.

    Raises:
        BadArchiveError: if the archive is damaged, a part has another number of files, or any member, wanted or not,
            has an absolute path or one with `..`, is a link out of the archive, or a device.
        UserError: if the disk has too little room, or cannot be read or written.
    """
    with ExitStack() as archive:
        with _reading(path):
            wanted = _wanted(_members(path, archive), path, parts)
        sizes = [member.size for members in wanted.values() for member in members]
        require_disk_space(root, sum(-(-size // _BLOCK) * _BLOCK for size in sizes), what=f"unpacking {path.name}")
        done = 0
        yield done, len(sizes)
        with _writing(root), ExitStack() as folders:
            filled = {part: folders.enter_context(_new_folder(root / part.folder)) for part in parts}
            for part, members in wanted.items():
                for member in members:
                    _write(member, filled[part] / member.name.removeprefix(_prefix(part)), path)
                    done += 1
                    yield done, len(sizes)


# --- the members of an archive ----------------------------------------------------------------------------------------


def _wanted(
    members: Iterator[_Member], path: Path, parts: Sequence[ArchiveFolder]
) -> Mapping[ArchiveFolder, Sequence[_Member]]:
    """The files of each part, counted, after every member of the archive was checked."""
    found: dict[ArchiveFolder, dict[str, _Member]] = {part: {} for part in parts}
    for member in members:
        for part in parts:
            prefix = _prefix(part)
            if member.name.startswith(prefix) and _counts(member.name.removeprefix(prefix), part):
                found[part].pop(member.name, None)  # a later member replaces an earlier one of the same name
                found[part][member.name] = member
    for part, files in found.items():
        if len(files) < part.files or (len(files) > part.files and not part.at_least):
            expected = f"at least {part.files}" if part.at_least else f"{part.files}"
            kind = f"{part.suffix} files" if part.suffix else "files"
            raise BadArchiveError(
                f"{path} holds {len(files)} {kind} in {part.path_in_archive}, expected {expected}: it is cut off, or "
                "not the published archive"
            )
    return {part: list(files.values()) for part, files in found.items()}


def _prefix(part: ArchiveFolder) -> str:
    return f"{part.path_in_archive.strip('/')}/"


def _counts(name: str, part: ArchiveFolder) -> bool:
    """Whether a file, by its path in the part's folder, belongs to the part: not hidden, and with the right suffix."""
    hidden = any(component.startswith(".") for component in name.split("/"))
    return not hidden and (part.suffix is None or name.lower().endswith(part.suffix))


def _members(path: Path, stack: ExitStack) -> Iterator[_Member]:
    """The regular files, in the archive's order; the stack closes the archive."""
    if path.suffix.lower() == ".zip":
        return _zip_members(stack.enter_context(zipfile.ZipFile(path)), path)
    return _tar_members(stack.enter_context(tarfile.open(path)), path)


def _zip_members(file: zipfile.ZipFile, path: Path) -> Iterator[_Member]:
    for info in file.infolist():
        name = _checked_name(info.filename, path)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.flag_bits & 1:
            raise BadArchiveError(f"{path} is encrypted, and passwords are not supported")
        if kind == stat.S_IFLNK:
            with file.open(info) as content:
                target = content.read(_MAX_LINK_BYTES).decode("utf-8", "surrogateescape").replace("\\", "/")
            if _DRIVE.match(target) or normpath(join(dirname(name), target)).split("/")[0] in ("", ".."):
                raise _dangerous(path, info.filename, f"is a link out of the archive, to {target!r}")
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _dangerous(path, info.filename, "is a device, a pipe or a socket")
        elif not info.is_dir() and kind != stat.S_IFDIR:
            yield _Member(name, info.file_size, partial(file.open, info))


def _tar_members(file: tarfile.TarFile, path: Path) -> Iterator[_Member]:
    nowhere = f"/{path.name}.unpacked"  # does not exist, so that no link on this disk affects the check
    for info in file:
        name = _checked_name(info.name, path)
        try:
            tarfile.data_filter(info, nowhere)
        except tarfile.FilterError:
            link = info.issym() or info.islnk()
            why = f"is a link out of the archive, to {info.linkname!r}" if link else "is a device, a pipe or a socket"
            raise _dangerous(path, info.name, why) from None
        if info.isreg():
            yield _Member(name, info.size, partial(file.extractfile, info))


def _checked_name(name: str, path: Path) -> str:
    """The path of a member, joined by single slashes; a backslash is a slash, as on Windows."""
    slashed = name.replace("\\", "/")
    components = [component for component in slashed.split("/") if component not in ("", ".")]
    if slashed.startswith("/") or _DRIVE.match(slashed) or ".." in components:
        raise _dangerous(path, name, "would be written outside the data root")
    return "/".join(components)


def _dangerous(path: Path, name: str, why: str) -> BadArchiveError:
    return BadArchiveError(f"{path} is refused, nothing of it was unpacked: its member {name!r} {why}")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Explains errors while an archive is read."""
    try:
        yield
    except UserError:
        raise
    except (*ARCHIVE_ERRORS, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # gzip and bz2 set no number for damaged content
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        why = " ".join(str(error).split()) or type(error).__name__
        raise BadArchiveError(f"{path} is damaged, cut off or not an archive ({why})") from error


# --- the disk ---------------------------------------------------------------------------------------------------------


def _holds_files(folder: Path) -> bool:
    try:
        return folder.is_dir() and any(folder.iterdir())
    except OSError as error:
        raise UserError(f"cannot read {folder}: {error.strerror}") from error


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """As `replace_dir`, but a folder with files is not replaced: another process may have been faster."""
    target = target.resolve()  # a link to another disk stays, and its target is filled
    if target.exists() and not target.is_dir():
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target))
    with suppress(_AlreadyFilledError), replace_dir(target) as temporary:
        yield temporary
        if target.is_file() or _holds_files(target):
            raise _AlreadyFilledError


def _write(member: _Member, target: Path, path: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        for chunk in _content(member, path):
            file.write(chunk)


def _content(member: _Member, path: Path) -> Iterator[bytes]:
    """The bytes of a file: never more than declared, because free space was checked for the declared size."""
    left = member.size
    with _reading(path), member.open() or io.BytesIO() as content:
        while left >= 0 and (chunk := content.read(_CHUNK)):
            left -= len(chunk)
            if left >= 0:
                yield chunk
    if left != 0:
        raise BadArchiveError(f"{path} is damaged: the size of {member.name!r} is not the declared one")


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    """Explains errors while the disk is written."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {error.filename or root}: {error.strerror or error}. No half-filled folder is left; mend "
            "the disk (room, quota, rights) and run again"
        ) from error
