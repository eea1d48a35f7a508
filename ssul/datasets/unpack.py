"""Extract untrusted archives: all members are checked before anything is written."""

import errno
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ssul.datasets.archive_members import BadArchiveError, Member, archive_members, explained_reading
from ssul.datasets.catalog import Archive, ArchiveFolder
from ssul.errors import UserError
from ssul.io.atomic import replace_dir
from ssul.io.disk import require_disk_space

_CHUNK = 1 << 20
_BLOCK = 4096
"""The allocation unit of a file system in bytes: a small file takes more than its size."""


class _AlreadyFilledError(Exception):
    """Another process has filled the target folder in the meantime."""


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
        with explained_reading(path):
            wanted = _wanted(archive_members(path, archive), path, parts)
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


def _wanted(
    members: Iterator[Member], path: Path, parts: Sequence[ArchiveFolder]
) -> Mapping[ArchiveFolder, Sequence[Member]]:
    """The files of each part, counted, after every member of the archive was checked."""
    found: dict[ArchiveFolder, dict[str, Member]] = {part: {} for part in parts}
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


def _write(member: Member, target: Path, path: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        for chunk in _content(member, path):
            file.write(chunk)


def _content(member: Member, path: Path) -> Iterator[bytes]:
    """The bytes of a file: never more than declared, because free space was checked for the declared size."""
    left = member.size
    with explained_reading(path), member.open() or io.BytesIO() as content:
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
