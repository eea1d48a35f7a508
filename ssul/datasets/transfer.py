"""Resumable HTTP downloads."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ssul.datasets.partial_file import PartialDownload, PartialFile
from ssul.errors import UserError
from ssul.io.disk import format_bytes, require_disk_space
from ssul.io.urls import redact_password

if TYPE_CHECKING:
    from requests import Response

_CHUNK = 1 << 20
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
"""HTTP statuses after which another attempt may succeed."""


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for a server.

    Attributes:
        connect: seconds to wait for a connection.
        silence: seconds without a byte after which the connection counts as lost.
        pauses: seconds before each further attempt; after the last one the download fails.
    """

    connect: float = 15.0
    silence: float = 60.0
    pauses: tuple[float, ...] = (1.0, 5.0, 15.0)


class UnreachableError(UserError):
    """A file cannot be downloaded; the user can fetch it by hand."""


class _InterruptedError(Exception):
    """An attempt ended early; another may succeed."""


def download_file(address: str, file: PartialFile, retry: RetryPolicy) -> Iterator[tuple[int, int | None]]:
    """Completes a file in several attempts. What an interrupted run has downloaded is not downloaded again.

    Args:
        address: an http or https URL.
        file: to complete.
        retry: how long to wait for the server.

    Yields:
        The number of bytes so far, and of the whole file if it is known.

    Raises:
        UnreachableError: if the server does not deliver it.
        UserError: if the disk has too little room.
        OSError: if the disk cannot be written.
    """
    for pause in (*retry.pauses, None):
        try:
            yield from _attempt(address, file, retry)
            return
        except _InterruptedError as error:
            if pause is None:
                kept = file.resume_offset(address)[1]
                advice = f"; {format_bytes(kept)} are downloaded, and another run resumes there" if kept else ""
                raise UnreachableError(f"cannot fetch {redact_password(address)}: {error}{advice}") from error
            time.sleep(pause)


def _attempt(address: str, file: PartialFile, retry: RetryPolicy) -> Iterator[tuple[int, int | None]]:
    """Appends the rest to the partial file, or starts again; yields as `download_file`."""
    note, offset = file.resume_offset(address)
    if note is not None and note.total == offset:
        yield offset, offset
        return
    with _request(address, note, offset, retry) as response:
        if response.status_code == 200:
            total = _number(response.headers.get("Content-Length"))
            note, offset = PartialDownload(redact_password(address), _validator(response), total), 0
            file.start(note)
        elif note is None or response.status_code not in (206, 416):
            message = f"the server answers {response.status_code} {response.reason}"
            if response.status_code in _TRANSIENT:
                raise _InterruptedError(message)
            raise UnreachableError(f"cannot fetch {redact_password(address)}: {message}")
        elif response.status_code == 416 or not _continues(response, note, offset):
            file.clear()
            raise _InterruptedError("the content has changed since the download began")
        else:
            note = replace(note, total=_total(response) if note.total is None else note.total)
        yield offset, note.total
        require_disk_space(file.path.parent, (note.total or offset) - offset, what=f"downloading {file.path.name}")
        with file.path.open("ab") as target:
            for chunk in _body(response, retry):
                target.write(chunk)
                target.flush()  # so that a killed run loses nothing
                offset += len(chunk)
                yield offset, note.total
    if note.total not in (None, offset):
        raise _InterruptedError(f"the connection ended after {format_bytes(offset)} of {format_bytes(note.total or 0)}")
    file.describe(replace(note, total=offset))


def _request(address: str, note: PartialDownload | None, offset: int, retry: RetryPolicy) -> "Response":
    """The server's answer, before its body is read. Only the rest of the same content is requested (`If-Range`)."""
    import requests

    headers = {"Accept-Encoding": "identity"}  # lengths and hashes are those of the file itself
    if note is not None and note.validator is not None:
        headers |= {"Range": f"bytes={offset}-", "If-Range": note.validator}
    try:
        return requests.get(address, headers=headers, stream=True, timeout=(retry.connect, retry.silence))
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _InterruptedError(_cause(error)) from error
    except requests.RequestException as error:
        raise UnreachableError(f"cannot fetch {redact_password(address)}: {_cause(error)}") from error


def _body(response: "Response", retry: RetryPolicy) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError, ReadTimeoutError

    while True:
        try:
            chunk: bytes = response.raw.read1(_CHUNK, decode_content=False)  # unbuffered, so that no byte is lost
        except ReadTimeoutError as error:
            raise _InterruptedError(f"no byte arrived for {retry.silence:g} s") from error
        except (HTTPError, OSError) as error:
            raise _InterruptedError(f"the connection broke: {_cause(error)}") from error
        if not chunk:
            return
        yield chunk


def _validator(response: "Response") -> str | None:
    """The ETag; if it is weak (not byte for byte), the date of the content."""
    etag = response.headers.get("ETag", "W/")
    return response.headers.get("Last-Modified") if etag.startswith("W/") else etag


def _continues(response: "Response", note: PartialDownload, offset: int) -> bool:
    """Whether a partial answer (206) continues the content that the note describes."""
    return (
        response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
        and _validator(response) in (None, note.validator)
        and (note.total is None or _total(response) in (None, note.total))
    )


def _total(response: "Response") -> int | None:
    """The length of the whole file, from `Content-Range: bytes 5-9/10`."""
    return _number(response.headers.get("Content-Range", "").rpartition("/")[2])


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _cause(error: BaseException) -> str:
    """The root cause of a network error, in one line."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return redact_password(" ".join(str(getattr(error, "strerror", None) or error).split())) or type(error).__name__
