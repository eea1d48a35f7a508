"""Downloads from a real server on loopback: a second run resumes an interrupted one and gets the same bytes."""

import hashlib
import io
import random
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
from filelock import FileLock

from ssul.datasets.catalog import Archive, ArchiveFolder
from ssul.datasets.download import DownloadProgress, missing_archives, obtain
from ssul.datasets.transfer import RetryPolicy
from ssul.errors import UserError

PROJECT = Path(__file__).parents[2]
NO_RETRY = RetryPolicy(connect=2.0, silence=0.3, pauses=())
RETRY = replace(NO_RETRY, pauses=(0.0, 0.0))
NOISE = random.Random(0).randbytes(6000)
CONTENT = {"maps/a.png": NOISE[:4000], "maps/b.png": NOISE[4000:], "maps/c.png": b""}
UNPACKED = {name.replace("maps", "saliency_map"): content for name, content in CONTENT.items()}


def zipped(content: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


WHOLE = zipped(CONTENT)
OTHER = zipped({**CONTENT, "maps/a.png": NOISE[:4000][::-1]})
MD5 = hashlib.md5(WHOLE).hexdigest()


# --- the server -------------------------------------------------------------------------------------------------------


@dataclass
class Site:
    """The files of a server, and its faults."""

    files: dict[str, bytes]
    resumes: bool = True  # gives an ETag and serves ranges
    cuts: list[int | None] = field(default_factory=list)  # bytes after which each answer breaks off; None: complete
    stalls: bool = False  # falls silent there instead
    statuses: list[int] = field(default_factory=list)  # of the first answers, instead of the content
    pace: float = 0.0  # seconds between two pieces of 500 bytes
    requests: list[tuple[str, str | None]] = field(default_factory=list)  # path and range
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        site, name, wanted = self.site, self.path.rpartition("/")[2], self.headers.get("Range")
        site.requests.append((self.path, wanted))
        content = site.files.get(name, b"")
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        start = 0
        if wanted is not None and site.resumes and self.headers.get("If-Range") in (None, etag):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        status = 206 if start else 200 if name in site.files else 404
        status = site.statuses.pop(0) if site.statuses else status
        body = content[start:] if status in (200, 206) else b""
        self.send_response(status)
        self.send_header("Content-Length", f"{len(body)}")
        if site.resumes:
            self.send_header("ETag", etag)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.close_connection = True
        self.send_body(body, site.cuts.pop(0) if site.cuts and body else None)

    def send_body(self, body: bytes, cut: int | None) -> None:
        for at in range(0, len(body[:cut]), 500):
            try:
                self.wfile.write(body[:cut][at : at + 500])
            except OSError:
                return  # the client hung up
            self.site.over.wait(self.site.pace)
        if cut is not None and self.site.stalls:
            self.site.over.wait(10)

    def log_message(self, *_: object) -> None:
        """`requests` is the log."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    site = Site({"maps.zip": WHOLE})
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Ours", (Handler,), {"site": site}))
    server.daemon_threads = True
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    site.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


# --- a run ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """A data root, a folder for downloads and an archive on a server."""

    folder: Path
    site: Site
    archive: Archive

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def downloads(self) -> Path:
        return self.folder / "downloads"

    def __call__(self, retry: RetryPolicy = NO_RETRY, mirror: str | None = None) -> list[DownloadProgress]:
        return list(obtain([self.archive], self.root, downloads=self.downloads, mirror=mirror, retry=retry))

    def refusal(self, retry: RetryPolicy = NO_RETRY, mirror: str | None = None) -> str:
        with pytest.raises(UserError) as refused:
            self(retry, mirror)
        assert "\n" not in str(refused.value)
        assert self.unpacked == {}
        return str(refused.value)

    @property
    def unpacked(self) -> dict[str, bytes]:
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in files(self.root)}

    @property
    def kept(self) -> list[str]:
        """The content of the downloads folder, without locks."""
        found = (path.relative_to(self.downloads).as_posix() for path in files(self.downloads))
        return sorted(path for path in found if not path.endswith(".lock"))

    @property
    def ranges(self) -> list[str | None]:
        return [wanted for _, wanted in self.site.requests]

    def hashed(self) -> "Run":
        return replace(self, archive=replace(self.archive, hash=f"md5:{MD5}"))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


PARTIAL = ["partial/maps.zip", "partial/maps.zip.json"]


@pytest.fixture
def run(tmp_path: Path, site: Site) -> Run:
    parts = (ArchiveFolder("maps", "saliency_map", 3),)
    return Run(tmp_path, site, Archive("maps.zip", f"{site.url}/release/maps.zip", None, parts))


# --- from a server ----------------------------------------------------------------------------------------------------


def test_an_archive_is_fetched_checked_unpacked_and_removed(run: Run) -> None:
    run.site.pace = 0.002
    steps = run.hashed()()
    assert run.unpacked == UNPACKED
    assert run.kept == []
    assert run.site.requests == [("/release/maps.zip", None)]
    whats = list(dict.fromkeys(step.what for step in steps))
    assert whats == ["download maps.zip", "check maps.zip", "unpack maps.zip"]
    for what, unit, total in zip(whats, ("B", "B", "file"), (len(WHOLE), len(WHOLE), 3), strict=True):
        these = [step for step in steps if step.what == what]
        assert {(step.unit, step.total) for step in these} == {(unit, total)}
        assert all(before.done <= after.done for before, after in pairwise(these))
        assert these[-1].done == total
    assert run() == []  # nothing is missing
    assert len(run.site.requests) == 1


def test_only_missing_folders_of_used_parts_are_unpacked(run: Run) -> None:
    run.site.files["maps.zip"] = zipped({"kit/a/1.txt": b"1", "kit/b/2.txt": b"2", "kit/c/3.txt": b"3"})
    archive = replace(run.archive, parts=tuple(ArchiveFolder(f"kit/{letter}", letter, 1) for letter in "ab"))
    (run.root / "b").mkdir(parents=True)
    (run.root / "b" / "own.txt").write_bytes(b"own")
    assert missing_archives(run.root, [archive]) == [archive]
    replace(run, archive=archive)()
    assert run.unpacked == {"a/1.txt": b"1", "b/own.txt": b"own"}
    assert missing_archives(run.root, [archive, replace(archive, parts=())]) == []


def test_an_error_names_only_the_archives_that_are_still_missing(run: Run) -> None:
    other = Archive("lists.zip", f"{run.site.url}/lists.zip", None, (ArchiveFolder("lists", "lists", 1),))
    with pytest.raises(UserError, match=f"By hand: fetch {other.url} into"):
        list(obtain([run.archive, other], run.root, downloads=run.downloads, mirror=None, retry=NO_RETRY))
    assert run.unpacked == UNPACKED


def test_the_library_is_imported_without_what_only_downloads_need() -> None:
    code = "import sys\nfor name in ('requests', 'urllib3'): sys.modules[name] = None\nimport ssul.datasets.download\n"
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)


# --- resuming ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1, 3000, len(WHOLE) - 1])
def test_a_second_run_fetches_the_rest(run: Run, cut: int) -> None:
    run.site.cuts.append(cut)
    message = run.hashed().refusal()
    assert message.startswith(f"cannot fetch {run.archive.url}: ")
    assert ("3.0 kB are downloaded, and another run resumes there" in message) == (cut == 3000)
    assert run.kept == PARTIAL
    run.hashed()()
    assert run.unpacked == UNPACKED
    assert run.kept == []
    assert run.ranges == [None, f"bytes={cut}-" if cut else None]


@pytest.mark.parametrize("resumes", [True, False])
def test_a_run_makes_several_attempts(run: Run, resumes: bool) -> None:
    run.site.cuts.extend([1000, None])
    run.site.statuses.append(503)
    run.site.resumes = resumes
    run.hashed()(RETRY)
    assert run.unpacked == UNPACKED
    assert run.ranges == [None, None, "bytes=1000-" if resumes else None]


@pytest.mark.parametrize("content", [OTHER, zipped({**CONTENT, "maps/a.png": b""})], ids=["as long", "shorter"])
def test_parts_of_two_contents_are_never_joined(run: Run, content: bytes) -> None:
    run.site.cuts.append(3000)
    run.refusal()
    run.site.files["maps.zip"] = content
    run(RETRY)
    assert run.unpacked["saliency_map/b.png"] == NOISE[4000:]
    assert run.unpacked["saliency_map/a.png"] in (NOISE[:4000][::-1], b"")


def test_a_part_from_another_address_or_with_a_damaged_note_is_not_resumed(run: Run) -> None:
    run.site.cuts.extend([3000, 2000])
    run.refusal()
    run.refusal(mirror=f"{run.site.url}/mirror")
    (run.downloads / "partial" / "maps.zip.json").write_text("{")
    run(mirror=f"{run.site.url}/mirror/")
    assert run.ranges == [None, None, None]
    assert run.unpacked == UNPACKED


def test_a_complete_download_is_not_fetched_again(run: Run) -> None:
    steps = obtain([run.archive], run.root, downloads=run.downloads, mirror=None, retry=NO_RETRY)
    next(step for step in steps if step.what == "unpack maps.zip")
    steps.close()
    assert run.kept == PARTIAL
    run()
    assert len(run.site.requests) == 1
    assert run.unpacked == UNPACKED


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (503, 3)])
def test_only_transient_statuses_are_tried_again(run: Run, status: int, requests: int) -> None:
    run.site.statuses.extend([status] * 3)
    assert f"cannot fetch {run.archive.url}: the server answers {status} " in run.refusal(RETRY)
    assert len(run.site.requests) == requests


def test_a_silent_server_is_not_waited_for(run: Run) -> None:
    run.site.cuts, run.site.stalls = [2000], True
    assert "no byte arrived for 0.3 s; 2.0 kB are downloaded" in run.refusal()
    run()
    assert run.ranges == [None, "bytes=2000-"]


def test_a_wrong_hash_is_refused_and_the_download_removed(run: Run) -> None:
    run.site.files["maps.zip"] = OTHER
    message = run.hashed().refusal()
    assert message.startswith(f"{run.archive.url} has the md5 {hashlib.md5(OTHER).hexdigest()}, expected {MD5}")
    assert run.kept == []


@pytest.mark.parametrize("content", [WHOLE[:-30], b"<html>please log in</html>", zipped({**CONTENT, "../evil": b""})])
def test_without_a_hash_a_bad_archive_is_refused_and_removed(run: Run, content: bytes) -> None:
    run.site.files["maps.zip"] = content
    assert "The download was removed: run again to fetch it again" in run.refusal()
    assert run.kept == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/maps.zip", "http://nowhere.invalid/maps.zip"])
def test_without_a_network_one_line_names_addresses_and_folders(run: Run, url: str) -> None:
    message = replace(run, archive=replace(run.archive, url=url)).refusal()
    assert message.startswith(f"cannot fetch {url}: ")
    assert "HTTPConnectionPool" not in message
    assert f"fetch {url} into {run.downloads}, " in message
    assert f"{run.root} holds saliency_map (maps of maps.zip)" in message


def test_room_for_the_rest_is_checked_before_it_is_downloaded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.site.cuts.append(3000)
    run.refusal()
    left, usage = len(WHOLE) - 3000, shutil.disk_usage(run.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=left - 1))
    assert run.refusal().startswith(f"downloading maps.zip needs {left / 1000:.1f} kB in {run.downloads}")


def test_a_data_root_that_cannot_be_written_is_refused(run: Run) -> None:
    (run.folder / "file").write_text("not a folder")
    message = replace(run, folder=run.folder / "file").refusal()
    assert message.startswith("data.root must be a writable folder")
    assert "-S data.root=FOLDER" in message


# --- archives put there by hand, and mirrors --------------------------------------------------------------------------


@pytest.mark.parametrize("partial", [True, False])
def test_an_archive_put_there_by_hand_is_used_without_a_network_and_stays(run: Run, partial: bool) -> None:
    if partial:
        run.site.cuts.append(3000)
        run.refusal()
    run.downloads.mkdir(exist_ok=True)
    (run.downloads / "maps.zip").write_bytes(WHOLE)
    run.hashed()()
    assert len(run.site.requests) == partial
    assert run.unpacked == UNPACKED
    assert run.kept == ["maps.zip"]


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("mirror", [True, False])
def test_a_bad_archive_of_the_user_is_refused_and_left_there(run: Run, hashed: bool, mirror: bool) -> None:
    run.downloads.mkdir()
    path = (run.folder if mirror else run.downloads) / "maps.zip"
    path.write_bytes(WHOLE[:-40])
    message = (run.hashed() if hashed else run).refusal(mirror=str(run.folder) if mirror else None)
    assert message.startswith(str(path))
    assert "Put the published archive into its place" in message
    assert run.site.requests == []
    assert path.read_bytes() == WHOLE[:-40]


@pytest.mark.parametrize("written", ["{0}/", "file://{1}", "file://localhost{1}"])
def test_a_mirror_may_be_a_folder_which_is_read_in_place(run: Run, written: str) -> None:
    folder = run.folder / "my data"
    folder.mkdir()
    (folder / "maps.zip").write_bytes(WHOLE)
    run.hashed()(mirror=written.format(folder, str(folder).replace(" ", "%20")))
    assert run.unpacked == UNPACKED
    assert run.kept == run.site.requests == []
    assert (folder / "maps.zip").read_bytes() == WHOLE


def test_the_password_of_a_mirror_is_used_and_never_shown(run: Run) -> None:
    mirror = run.site.url.replace("//", "//me:secret@") + "/some%20where/"
    run.site.cuts.append(1234)
    message = run.refusal(mirror=mirror)
    assert f"cannot fetch {run.site.url}/some%20where/maps.zip: " in message
    assert "secret" not in message
    assert all(b"secret" not in path.read_bytes() for path in files(run.downloads))
    run(mirror=mirror)
    assert run.site.requests == [("/some%20where/maps.zip", None), ("/some%20where/maps.zip", "bytes=1234-")]


@pytest.mark.parametrize(
    ("mirror", "words"),
    [
        ("ftp://me:secret@host/folder", "'ftp://host/folder' is not an address that can be read"),
        ("file:voc/", "is not an address that can be read"),
        ("/nowhere", "the mirror has no maps.zip: /nowhere/maps.zip is not a file"),
    ],
)
def test_a_mirror_of_an_unknown_kind_or_without_the_archive_is_refused(run: Run, mirror: str, words: str) -> None:
    message = run.refusal(mirror=mirror)
    assert words in message
    assert "secret" not in message
    assert ("/nowhere" in mirror) == (f"(published at {run.archive.url}) into {run.downloads}" in message)


# --- other processes --------------------------------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
from ssul.datasets.catalog import Archive, ArchiveFolder
from ssul.datasets.download import obtain
folder = Path(sys.argv[2])
archive = Archive("maps.zip", sys.argv[1], None, (ArchiveFolder("maps", "saliency_map", 3),))
for step in obtain([archive], folder / "root", downloads=folder / "downloads", mirror=None):
    print(step.what, step.done, step.total, flush=True)
"""


def test_a_kill_in_the_middle_of_a_download_keeps_the_downloaded_bytes(run: Run) -> None:
    run.site.pace = 0.02
    command = [sys.executable, "-c", CHILD, run.archive.url, str(run.folder)]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    next(line for line in process.stdout if line.startswith("download maps.zip 3"))
    process.kill()
    process.communicate(timeout=20)
    assert run.kept == PARTIAL
    content = (run.downloads / "partial" / "maps.zip").read_bytes()
    assert 0 < len(content) < len(WHOLE)
    assert WHOLE.startswith(content)
    run()
    assert run.ranges == [None, f"bytes={len(content)}-"]
    assert run.unpacked == UNPACKED


def test_a_run_waits_for_another_that_fetches_the_same_archive(run: Run) -> None:
    run.downloads.mkdir()
    lock = FileLock(run.downloads / ".maps.zip.lock")
    lock.acquire()
    steps = obtain([run.archive], run.root, downloads=run.downloads, mirror=None, retry=NO_RETRY)
    assert next(steps).what == "wait for another run that fetches maps.zip"
    assert run.site.requests == []
    lock.release()
    list(steps)
    assert run.unpacked == UNPACKED
