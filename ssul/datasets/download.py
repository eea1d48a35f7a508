"""Downloading archives: resume, hash check, hand-placed files."""

import hashlib
import json
import tempfile
import time
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from ssul.datasets.catalog import Archive, ArchiveFolder
from ssul.datasets.unpack import BadArchiveError, format_bytes, missing_parts, require_disk_space, unpack
from ssul.errors import UserError
from ssul.io.atomic import write_text
from ssul.io.urls import is_url, redact_password

if TYPE_CHECKING:
    from requests import Response

_CHUNK = 1 << 20
_ENOUGH = 1 << 20
"""An attempt that brought so many bytes was none in vain, however it ended: gigabytes may be cut many times."""
_PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Answers that may be another in a moment."""


@dataclass(frozen=True)
class Progress:
    """One unit of visible progress.

    Attributes:
        what: what is going on, for example `download saliency_map.zip`.
        done: how far it is, what an earlier run did included.
        total: how far it goes; None if nobody knows.
        unit: `B` or `file`.
    """

    what: str
    done: int
    total: int | None
    unit: str


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for a server.

    Attributes:
        connect: seconds until it answers at all.
        silence: seconds without a byte until the connection counts as lost.
        pauses: seconds before each further attempt; after the last one it is given up.
    """

    connect: float = 15.0
    silence: float = 60.0
    pauses: tuple[float, ...] = (1.0, 5.0, 15.0)


PATIENCE = RetryPolicy()


def missing_archives(root: Path, archives: Sequence[Archive], *, without: Collection[str] = ()) -> list[Archive]:
    """The archives of which some part's folder is not below `root`, or is empty.

    Args:
        root: the data root.
        archives: the dataset's archives.
        without: folders below the root that are not wanted, such as the saliency maps of a run without them.
    """
    return [archive for archive in archives if missing_parts(root, archive, without=without)]


def how_to_get(
    root: Path,
    archives: Sequence[Archive],
    *,
    downloads: Path,
    mirror: str | None = None,
    without: Collection[str] = (),
) -> str:
    """One sentence for an error: where the missing archives are, and where to put them by hand.

    Args:
        root: the data root.
        archives: the dataset's archives.
        downloads: the folder for archives.
        mirror: as in `obtain`.
        without: folders below the root that are not wanted.
    """
    missing = missing_archives(root, archives, without=without)
    addresses = " and ".join(redact_password(str(_address(archive, mirror))) for archive in missing)
    published = f" (published at {' and '.join(archive.url for archive in missing)})" if mirror else ""
    folders = ", ".join(
        f"{part.folder} ({part.inside} of {archive.name})"
        for archive in missing
        for part in missing_parts(root, archive, without=without)
    )
    return (
        f"By hand: fetch {addresses}{published} into {downloads}, where a run with data.download looks first, or see "
        f"to it that {root} holds {folders}"
    )


def obtain(
    archives: Sequence[Archive],
    root: Path,
    *,
    downloads: Path,
    mirror: str | None,
    without: Collection[str] = (),
    patience: RetryPolicy = PATIENCE,
) -> Generator[Progress, None, None]:
    """Downloads and unpacks what is missing below `root`; what is there is not touched.

    An archive that somebody put into `downloads` is used without a network, and stays. One that is downloaded is
    removed once it is unpacked; one in a folder or at a `file:` address is read where it is. Whatever ends this, the
    next call goes on from what is whole. Close the iterator (`contextlib.closing`) where it may not be exhausted.

    Args:
        archives: the dataset's archives.
        root: the data root; made if it is not there.
        downloads: the folder for archives; made if it is not there.
        mirror: where files of the archives' names lie: an address (`https:`, `http:`, `file:`) or a folder; None for
            the published addresses.
        without: folders below the root that are not wanted.
        patience: how long to wait for a server.

    Yields:
        What happens, often enough for a progress bar.

    Raises:
        UserError: if an archive cannot be fetched, is not what it should be, or does not fit on the disk.
    """
    missing = missing_archives(root, archives, without=without)
    if not missing:
        return
    by_hand = partial(how_to_get, root, missing, downloads=downloads, mirror=mirror, without=without)
    _require_writable(root, "data.root", by_hand())
    _require_writable(downloads, "the folder for downloads", by_hand())
    for archive in missing:
        try:
            yield from _obtain_one(archive, root, DownloadPaths(downloads, archive.name), mirror, without, patience)
        except _UnreachableError as error:
            raise UserError(f"{error}. {by_hand()}") from error
        except OSError as error:  # the network's, the archive's and the data root's are told where they happen
            raise UserError(
                f"cannot use {error.filename or downloads}: {error.strerror or error}. What has come of {archive.name} "
                "is kept; mend the disk (room, quota, rights) and run again to go on from there"
            ) from error


def _obtain_one(
    archive: Archive,
    root: Path,
    shelf: "DownloadPaths",
    mirror: str | None,
    without: Collection[str],
    patience: RetryPolicy,
) -> Iterator[Progress]:
    from filelock import FileLock, Timeout

    lock = FileLock(shelf.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield Progress(f"wait for another run that fetches {archive.name}", 0, None, "B")
        lock.acquire()
    try:
        parts = missing_parts(root, archive, without=without)
        if parts:  # otherwise the other run was it
            yield from _fetch_and_unpack(archive, root, parts, shelf, _address(archive, mirror), patience)
    finally:
        lock.release()


def _fetch_and_unpack(
    archive: Archive,
    root: Path,
    parts: Sequence[ArchiveFolder],
    shelf: "DownloadPaths",
    address: str | Path,
    patience: RetryPolicy,
) -> Iterator[Progress]:
    path, origin = shelf.source(address)
    try:
        if isinstance(address, str) and not path.exists():
            yield from _download(address, shelf, patience)
            yield from _checked(shelf.part, archive, told_as=redact_password(address))
            shelf.part.replace(path)
        else:
            yield from _checked(path, archive, told_as=str(path))
        for done, total in unpack(path, root, parts):
            yield Progress(f"unpack {archive.name}", done, total, "file")
    except BadArchiveError as error:
        raise UserError(f"{error}. {shelf.put_away(origin)}") from error
    if (
        origin is not _Origin.BY_HAND
    ):  # with a mirror in a folder, what an earlier download had resume_offset is of no use now
        shelf.clear()


def _require_writable(folder: Path, what: str, by_hand: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{what} must be a folder that can be written, to download into it, but {folder} cannot "
            f"({error.strerror or error}): name another with -S data.root=FOLDER. {by_hand}"
        ) from error


def _checked(path: Path, archive: Archive, *, told_as: str) -> Iterator[Progress]:
    """Compares the hash, where one is published; without one, unpacking checks names and counts."""
    if archive.hash is None:
        return
    algorithm, expected = archive.hash.split(":", 1)
    digest = hashlib.new(algorithm, usedforsecurity=False)
    total, done = path.stat().st_size, 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            yield Progress(f"check {archive.name}", done, total, "B")
    if digest.hexdigest() != expected.lower():
        raise BadArchiveError(f"{told_as} has the {algorithm} {digest.hexdigest()}, expected {expected}")


# --- addresses --------------------------------------------------------------------------------------------------------


def _address(archive: Archive, mirror: str | None) -> str | Path:
    """Where an archive is: the address of a server, or a file.

    Raises:
        UserError: if the mirror is of a kind that cannot be read.
    """
    if mirror is None:
        return _as_file(archive.url)
    base = _as_file(mirror) if is_url(mirror) else Path(mirror).expanduser()
    if isinstance(base, Path):
        return base / archive.name
    parts = urlsplit(base)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{quote(archive.name)}"))


def _as_file(address: str) -> str | Path:
    """The path that a `file:` address means; others stay what they are."""
    parts = urlsplit(address)
    if parts.scheme in ("http", "https") and parts.netloc:
        return address
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return Path(unquote(parts.path))
    raise UserError(
        f"'{redact_password(address)}' is no address that can be read: give https://…, http://…, file:///FOLDER or a "
        "folder as mirror"
    )


# --- the downloads folder ---------------------------------------------------------------------------------------------


class _Origin(Enum):
    DOWNLOAD = auto()
    BY_HAND = auto()
    MIRROR = auto()


@dataclass(frozen=True)
class PartialDownload:
    """What a part file is the beginning of.

    Attributes:
        address: where it came from, without a password.
        validator: the server's mark for this very content; None if it gives none, so that nothing can be added.
        total: bytes of the whole; None if the server did not say.
    """

    address: str
    validator: str | None
    total: int | None


@dataclass(frozen=True)
class DownloadPaths:
    """What lies in the downloads folder of one archive."""

    folder: Path
    name: str

    @property
    def file(self) -> Path:
        """The whole archive."""
        return self.folder / self.name

    @property
    def part(self) -> Path:
        """What a broken transfer has left."""
        return self.folder / f"{self.name}.part"

    @property
    def note(self) -> Path:
        """Where the part came from."""
        return self.folder / f"{self.name}.part.json"

    @property
    def lock(self) -> Path:
        """Held by the process that downloads."""
        return self.folder / f".{self.name}.lock"

    def source(self, address: str | Path) -> tuple[Path, _Origin]:
        """The file to unpack, which may not be there yet, and whose it is.

        Raises:
            UserError: if it should be on a mirror that is a folder, and is not.
        """
        if self.file.is_file():
            if (
                self.part.exists()
            ):  # a download was resume_offset, then somebody had enough of it and put the file there
                self.part.unlink()
                self.note.unlink(missing_ok=True)
            return self.file, _Origin.DOWNLOAD if self.note.exists() else _Origin.BY_HAND
        if isinstance(address, str):
            return self.file, _Origin.DOWNLOAD
        if not address.is_file():
            raise _UnreachableError(f"the mirror has no {self.name}: {address} is no file")
        return address, _Origin.MIRROR

    def put_away(self, origin: _Origin) -> str:
        """Takes care that nobody uses this bad archive again, and says what to do."""
        if origin is _Origin.MIRROR:
            return "Put the published archive there, or choose another mirror"
        if origin is _Origin.DOWNLOAD:
            self.clear()
            return "The download was removed: run again to fetch it anew, or name a mirror that has the published one"
        corrupt = self.file.replace(self.folder / f"{self.name}.corrupt")
        return f"It lies at {corrupt} now: put the published archive into its place, or run again to download it"

    def clear(self) -> None:
        """Removes the download. The note goes last: without it, the file would pass for somebody's own."""
        for path in (self.part, self.file, self.note):
            path.unlink(missing_ok=True)

    def begin(self, note: PartialDownload) -> None:
        """Forgets what has come so far. The part file is emptied first: a note never stands for another's bytes."""
        self.part.write_bytes(b"")
        write_text(self.note, json.dumps(asdict(note)))

    def resume_offset(self, address: str) -> tuple[PartialDownload | None, int]:
        """The note and the number of bytes that have come, if more of the same can be added to them."""
        try:
            note = PartialDownload(**json.loads(self.note.read_text(encoding="utf-8")))
            size = self.part.stat().st_size
        except (FileNotFoundError, ValueError, TypeError):
            return None, 0
        resumable = note.address == redact_password(address) and note.validator is not None and size > 0
        return (note, size) if resumable else (None, 0)


# --- the transfer -----------------------------------------------------------------------------------------------------


class _UnreachableError(UserError):
    """The archive could not be had from there: the way out is by hand."""


class _CutError(Exception):
    """An attempt ended early; another may bring the rest."""


def _download(address: str, shelf: DownloadPaths, patience: RetryPolicy) -> Iterator[Progress]:
    """Completes the part file, in as many attempts as it takes."""
    farthest, vain = shelf.resume_offset(address)[1], 0
    while True:
        arrived = 0
        try:
            for arrived, total in _attempt(address, shelf, patience):
                yield Progress(f"download {shelf.name}", arrived, total, "B")
            return
        except _CutError as cut:
            # Only what no attempt had reached counts, or a server that always starts over would be asked for ever.
            vain = 1 if arrived >= farthest + _ENOUGH else vain + 1
            farthest = max(farthest, arrived)
            if vain > len(patience.pauses):
                kept = shelf.resume_offset(address)[1]
                what_next = f"; {format_bytes(kept)} have come, and another run goes on from there" if kept else ""
                raise _UnreachableError(f"cannot fetch {redact_password(address)}: {cut}{what_next}") from cut
            time.sleep(patience.pauses[vain - 1])


def _attempt(address: str, shelf: DownloadPaths, patience: RetryPolicy) -> Iterator[tuple[int, int | None]]:
    """Adds to the part file what is still to come, or begins it anew; yields the bytes that have come, and in all."""
    note, offset = shelf.resume_offset(address)
    if note and note.total == offset:
        yield offset, offset
        return
    with _asked(address, note, offset, patience) as response:
        if response.status_code == 200:
            total = _number(response.headers.get("Content-Length"))
            note, offset = PartialDownload(redact_password(address), _validator(response), total), 0
            shelf.begin(note)
        elif note is None or response.status_code not in (206, 416):
            raise _refusal(address, response)
        elif response.status_code == 416 and note.total is None and _whole(response) == offset:
            yield offset, offset
            return
        elif response.status_code == 416 or not _goes_on(response, note, offset):
            shelf.clear()
            raise _CutError("it has other content than before")
        total = _whole(response) if note.total is None else note.total
        yield offset, total
        require_disk_space(shelf.folder, (total or offset) - offset, what=f"downloading {shelf.name}")
        with shelf.part.open("ab") as file:
            for chunk in _body(response, patience):
                file.write(chunk)
                file.flush()  # whatever ends this run, the next one has these bytes
                offset += len(chunk)
                yield offset, total
    if total is not None and offset != total:
        raise _CutError(f"the connection ended after {format_bytes(offset)} of {format_bytes(total)}")


def _asked(address: str, note: PartialDownload | None, offset: int, patience: RetryPolicy) -> "Response":
    """The server's answer, its body still to be read; asks for the rest only if the content is still the same."""
    import requests

    headers = {"Accept-Encoding": "identity"}  # the file's own bytes, which are what lengths and hashes speak of
    if note is not None and note.validator is not None:
        headers |= {"Range": f"bytes={offset}-", "If-Range": note.validator}
    try:
        return requests.get(address, headers=headers, stream=True, timeout=(patience.connect, patience.silence))
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _CutError(_cause(error)) from error
    except requests.RequestException as error:
        raise _UnreachableError(f"cannot fetch {redact_password(address)}: {_cause(error)}") from error


def _body(response: "Response", patience: RetryPolicy) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError, ReadTimeoutError

    while True:
        try:
            chunk: bytes = response.raw.read1(_CHUNK, decode_content=False)  # as it comes: a cut loses nothing
        except ReadTimeoutError as error:
            raise _CutError(f"not a byte came for {patience.silence:g} s") from error
        except (HTTPError, OSError) as error:
            raise _CutError(f"the connection broke: {_cause(error)}") from error
        if not chunk:
            return
        yield chunk


def _validator(response: "Response") -> str | None:
    """The mark of this content, byte for byte; a weak ETag only promises that it means the same."""
    etag = response.headers.get("ETag", "W/")
    return response.headers.get("Last-Modified") if etag.startswith("W/") else etag


def _goes_on(response: "Response", note: PartialDownload, offset: int) -> bool:
    """Whether a partial answer is the rest of the very content that the note speaks of."""
    return (
        response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
        and _validator(response) in (None, note.validator)
        and (note.total is None or _whole(response) in (None, note.total))
    )


def _whole(response: "Response") -> int | None:
    """The length of the whole content, as `Content-Range: bytes 5-9/10` or `bytes */10` tells it."""
    return _number(response.headers.get("Content-Range", "").rpartition("/")[2])


def _refusal(address: str, response: "Response") -> Exception:
    told = f"it answers {response.status_code} {response.reason}"
    if response.status_code in _PASSING:
        return _CutError(told)
    return _UnreachableError(f"cannot fetch {redact_password(address)}: {told}")


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _cause(error: BaseException) -> str:
    """What lies at the bottom of an error of the network, in one line."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return redact_password(" ".join(str(getattr(error, "strerror", None) or error).split())) or type(error).__name__
