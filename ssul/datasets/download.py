"""Gets the archives of a dataset: from a server, a mirror, or the user's folder."""

import hashlib
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from ssul.datasets.archive_members import BadArchiveError
from ssul.datasets.catalog import Archive
from ssul.datasets.partial_file import PartialFile
from ssul.datasets.transfer import RetryPolicy, UnreachableError, download_file
from ssul.datasets.unpack import missing_parts, unpack
from ssul.errors import UserError
from ssul.io.urls import is_url, redact_password

_CHUNK = 1 << 20


@dataclass(frozen=True)
class DownloadProgress:
    """The progress to show.

    Attributes:
        what: the current work, such as `download saliency_map.zip`.
        done: the finished amount, including an earlier run's.
        total: the whole amount; None if unknown.
        unit: `B` or `file`.
    """

    what: str
    done: int
    total: int | None
    unit: str


def missing_archives(root: Path, archives: Sequence[Archive]) -> list[Archive]:
    """The archives of which a folder below the data root is missing or empty."""
    return [archive for archive in archives if missing_parts(root, archive)]


def how_to_get(root: Path, missing: Sequence[Archive], *, downloads: Path, mirror: str | None = None) -> str:
    """The part of an error message that explains how to get missing archives by hand; arguments as of `obtain`."""
    addresses = " and ".join(redact_password(str(_address(archive, mirror))) for archive in missing)
    published = f" (published at {' and '.join(archive.url for archive in missing)})" if mirror else ""
    folders = ", ".join(
        f"{part.folder} ({part.path_in_archive} of {archive.name})"
        for archive in missing
        for part in missing_parts(root, archive)
    )
    return (
        f"By hand: fetch {addresses}{published} into {downloads}, where a run with data.download looks first, or "
        f"make sure that {root} holds {folders}"
    )


def obtain(
    archives: Sequence[Archive],
    root: Path,
    *,
    downloads: Path,
    mirror: str | None,
    retry: RetryPolicy = RetryPolicy(),  # noqa: B008 (frozen)
) -> Generator[DownloadProgress, None, None]:
    """Downloads and unpacks the missing folders below `root`; existing ones are not touched.

    An archive that the user has put into `downloads` is used without a network, and stays. A downloaded archive is
    removed after unpacking. An archive in a mirror's folder or at a `file:` URL is read in place. The next call resumes
    an interrupted download. Close the iterator (`contextlib.closing`) if it may not be exhausted.

    Args:
        archives: the dataset's archives.
        root: the data root; made if it does not exist.
        downloads: the folder for archives; made if it does not exist.
        mirror: a URL (`https:`, `http:`, `file:`) or a folder with files of the archives' names; None for the
            published URLs.
        retry: how long to wait for a server.

    Yields:
        The progress, often enough for a progress bar.

    Raises:
        UserError: if an archive cannot be fetched, is not the published one, or is too large for the disk.
    """
    missing = missing_archives(root, archives)
    if not missing:
        return

    def by_hand() -> str:
        return how_to_get(root, missing_archives(root, missing), downloads=downloads, mirror=mirror)

    _require_writable(root, "data.root", f"choose another with -S data.root=FOLDER. {by_hand()}")
    _require_writable(downloads, "the folder for downloads", f"make it writable. {by_hand()}")
    for archive in missing:
        try:
            yield from _obtain_one(archive, root, downloads, _address(archive, mirror), retry)
        except UnreachableError as error:
            raise UserError(f"{error}. {by_hand()}") from error
        except OSError as error:  # of the downloads folder; other errors are explained where they occur
            raise UserError(
                f"cannot use {error.filename or downloads}: {error.strerror or error}. The downloaded part of "
                f"{archive.name} is kept; mend the disk (room, quota, rights) and run again to resume"
            ) from error


def _obtain_one(
    archive: Archive, root: Path, downloads: Path, address: str | Path, retry: RetryPolicy
) -> Iterator[DownloadProgress]:
    from filelock import FileLock, Timeout

    lock = FileLock(downloads / f".{archive.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield DownloadProgress(f"wait for another run that fetches {archive.name}", 0, None, "B")
        lock.acquire()
    try:
        if missing_parts(root, archive):  # the other run may have unpacked them
            yield from _fetch_and_unpack(archive, root, downloads, address, retry)
    finally:
        lock.release()


def _fetch_and_unpack(
    archive: Archive, root: Path, downloads: Path, address: str | Path, retry: RetryPolicy
) -> Iterator[DownloadProgress]:
    by_hand, partial = downloads / archive.name, PartialFile(downloads / "partial" / archive.name)
    path = by_hand if by_hand.is_file() else address if isinstance(address, Path) else partial.path
    if path == partial.path:
        for arrived, whole in download_file(str(address), partial, retry):
            yield DownloadProgress(f"download {archive.name}", arrived, whole, "B")
    elif not path.is_file():
        raise UnreachableError(f"the mirror has no {archive.name}: {path} is not a file")
    try:
        yield from _checked(path, archive, redact_password(str(address)) if path == partial.path else str(path))
        for done, total in unpack(path, root, missing_parts(root, archive)):
            yield DownloadProgress(f"unpack {archive.name}", done, total, "file")
    except BadArchiveError as error:
        if path == partial.path:
            partial.clear()
            advice = "The download was removed: run again to fetch it again, or choose a mirror with the published one"
        else:
            advice = "Put the published archive into its place, or remove it and run again to download it"
        raise UserError(f"{error}. {advice}") from error
    partial.clear()  # also if the user's own archive was used instead


def _require_writable(folder: Path, what: str, way_out: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{what} must be a writable folder to download into it, but {folder} is not ({error.strerror or error}): "
            f"{way_out}"
        ) from error


def _checked(path: Path, archive: Archive, source: str) -> Iterator[DownloadProgress]:
    """Checks the hash if one is published; otherwise unpacking still checks names and numbers of files."""
    if archive.hash is None:
        return
    algorithm, expected = archive.hash.split(":", 1)
    digest = hashlib.new(algorithm, usedforsecurity=False)
    total, done = path.stat().st_size, 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            yield DownloadProgress(f"check {archive.name}", done, total, "B")
    if digest.hexdigest() != expected.lower():
        raise BadArchiveError(f"{source} has the {algorithm} {digest.hexdigest()}, expected {expected}")


# --- addresses --------------------------------------------------------------------------------------------------------


def _address(archive: Archive, mirror: str | None) -> str | Path:
    """The URL of an archive on a server, or its path.

    Raises:
        UserError: if the mirror's URL has an unknown scheme.
    """
    if mirror is None:
        return _local_path(archive.url)
    base = _local_path(mirror) if is_url(mirror) else Path(mirror).expanduser()
    if isinstance(base, Path):
        return base / archive.name
    parts = urlsplit(base)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{quote(archive.name)}"))


def _local_path(address: str) -> str | Path:
    """The path of a `file:` URL; http and https URLs are returned unchanged."""
    parts = urlsplit(address)
    if parts.scheme in ("http", "https") and parts.netloc:
        return address
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return Path(unquote(parts.path))
    raise UserError(
        f"'{redact_password(address)}' is not an address that can be read: give https://…, http://…, file:///FOLDER "
        "or a folder as mirror"
    )
