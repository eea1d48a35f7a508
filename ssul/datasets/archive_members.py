"""The members of an untrusted zip or tar archive. A dangerous member refuses the whole archive."""

import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import IO

from ssul.errors import UserError

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


@dataclass(frozen=True)
class Member:
    """A regular file of an archive.

    Attributes:
        name: its path in the archive, components joined by `/`.
        size: bytes, as the archive declares them.
        open: opens its content; None if there is no content.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes] | None]


def archive_members(path: Path, stack: ExitStack) -> Iterator[Member]:
    """The regular files of an archive, in its order, after a check of each member.

    Args:
        path: the archive: a zip if its suffix is `.zip`; otherwise a tar, packed by gzip, bzip2, xz or not at all.
        stack: closes the archive.

    Raises:
        BadArchiveError: if a member has an absolute path or one with `..`, is a link out of the archive or a device,
            or the archive is encrypted.
        Exception: one of `ARCHIVE_ERRORS` or OSError, which `explained_reading` explains.
    """
    if path.suffix.lower() == ".zip":
        return _zip_members(stack.enter_context(zipfile.ZipFile(path)), path)
    return _tar_members(stack.enter_context(tarfile.open(path)), path)


def _zip_members(file: zipfile.ZipFile, path: Path) -> Iterator[Member]:
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
            yield Member(name, info.file_size, partial(file.open, info))


def _tar_members(file: tarfile.TarFile, path: Path) -> Iterator[Member]:
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
            yield Member(name, info.size, partial(file.extractfile, info))


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
def explained_reading(path: Path) -> Iterator[None]:
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
