"""Downloads, from a real server on loopback: whatever cuts them, the second run brings the same bytes."""

import hashlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssul.datasets import catalog
from ssul.datasets import unpack as unpacking
from ssul.datasets.catalog import Archive, ArchiveFolder
from ssul.datasets.download import Progress, RetryPolicy, how_to_get, missing_archives, obtain
from ssul.errors import UserError

PROJECT = Path(__file__).parents[2]
IMPATIENT = RetryPolicy(connect=2.0, silence=0.3, pauses=())
NOISE = random.Random(0).randbytes(6000)
CONTENT = {"maps/a.png": NOISE[:4000], "maps/b.png": NOISE[4000:], "maps/c.png": b""}
UNPACKED = {"saliency_map/a.png": NOISE[:4000], "saliency_map/b.png": NOISE[4000:], "saliency_map/c.png": b""}
PARTS = (ArchiveFolder("maps", "saliency_map", 3),)


# --- the server -------------------------------------------------------------------------------------------------------


@dataclass
class Asked:
    """A request and what it was answered."""

    path: str
    range: str | None
    status: int = 0


@dataclass
class Site:
    """What a server has, and in which ways it is a bad one.

    Attributes:
        files: content by name.
        ranges: whether it can go on in the middle.
        conditions: whether it heeds If-Range.
        marks: whether it gives an ETag.
        lengths: whether it gives a Content-Length; otherwise it sends chunks.
        ends: whether chunks end with the last one, as they should.
        cuts: after how many bytes it hangs up, for each answer in turn; None for not at all.
        statuses: what it answers first, in turn, in place of the content.
        stall: after how many bytes it falls silent.
        pace: seconds between two pieces.
        piece: bytes.
        most: bytes that it gives of the rest at once.
        redirects: from one name to another.
        asked: the requests so far.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    conditions: bool = True
    marks: bool = True
    lengths: bool = True
    ends: bool = True
    cuts: list[int | None] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    stall: int | None = None
    pace: float = 0.0
    piece: int = 1 << 16
    most: int = 1 << 30
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        site, name = self.site, self.path.rpartition("/")[2]
        entry = Asked(self.path, self.headers.get("Range"))
        site.asked.append(entry)
        content = site.files.get(name, b"")
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        entry.status, start = self.decided(name, content, etag)
        body = content[start : start + site.most] if entry.status == 206 else content
        headers = {"Content-Length": "0"}
        if entry.status == 302:
            headers["Location"] = site.redirects[name]
        if entry.status == 416:
            headers["Content-Range"] = f"bytes */{len(content)}"
        if entry.status in (200, 206):
            headers = {"Content-Length": f"{len(body)}"} if site.lengths else {"Transfer-Encoding": "chunked"}
            headers |= {"ETag": etag} if site.marks else {}
        if entry.status == 206:
            headers["Content-Range"] = f"bytes {start}-{start + len(body) - 1}/{len(content)}"
        self.send_response(entry.status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if entry.status in (200, 206):
            self.send_body(body)

    def decided(self, name: str, content: bytes, etag: str) -> tuple[int, int]:
        """The status, and the byte to start at."""
        site, wanted = self.site, self.headers.get("Range")
        if site.statuses:
            return site.statuses.pop(0), 0
        if name not in site.files:
            return (302 if name in site.redirects else 404), 0
        unchanged = not site.conditions or self.headers.get("If-Range") in (None, etag)
        if wanted is None or not site.ranges or not unchanged:
            return 200, 0
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        return (206, start) if start < len(content) else (416, 0)

    def send_body(self, body: bytes) -> None:
        site = self.site
        cut = site.cuts.pop(0) if site.cuts else None
        self.close_connection = True
        sent = body if cut is None else body[:cut]
        try:
            for at in range(0, len(sent), site.piece):
                piece = sent[at : at + site.piece]
                if site.stall is not None and at >= site.stall:
                    site.over.wait(10)
                    return
                self.wfile.write(piece if site.lengths else b"%x\r\n%b\r\n" % (len(piece), piece))
                if site.pace:
                    time.sleep(site.pace)
            if not site.lengths and site.ends and cut is None:
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass  # the client hung up

    def log_message(self, *_: object) -> None:
        """Says nothing: `asked` is the log."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    ours = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Ours", (Handler,), {"site": ours}))
    server.daemon_threads = True
    ours.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield ours
    ours.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


# --- a run ------------------------------------------------------------------------------------------------------------


def zipped(content: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


WHOLE = zipped(CONTENT)


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


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

    def __call__(self, patience: RetryPolicy = IMPATIENT, mirror: str | None = None) -> list[Progress]:
        steps = obtain([self.archive], self.root, downloads=self.downloads, mirror=mirror, patience=patience)
        return list(steps)

    def refusal(self, patience: RetryPolicy = IMPATIENT, mirror: str | None = None) -> str:
        with pytest.raises(UserError) as refused:
            self(patience, mirror)
        assert "\n" not in str(refused.value)
        assert self.unpacked == {}
        return str(refused.value)

    @property
    def unpacked(self) -> dict[str, bytes]:
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in files(self.root)}

    @property
    def kept(self) -> list[str]:
        """What lies in the downloads folder, locks aside."""
        return sorted(path.name for path in files(self.downloads) if path.suffix != ".lock")

    @property
    def ranges(self) -> list[str | None]:
        return [asked.range for asked in self.site.asked]

    def hashed(self) -> "Run":
        return replace(self, archive=replace(self.archive, hash=md5(WHOLE)))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def run(tmp_path: Path, site: Site) -> Run:
    site.files["maps.zip"] = WHOLE
    return Run(tmp_path, site, Archive("maps.zip", f"{site.url}/release/maps.zip", None, PARTS))


def fresh(run: Run) -> Run:
    """The same once more, for the next example of a property."""
    for folder in (run.root, run.downloads):
        shutil.rmtree(folder, ignore_errors=True)
    run.site.asked.clear()
    run.site.cuts.clear()
    return run


# --- what goes well ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("published_hash", [True, False])
def test_an_archive_is_fetched_unpacked_and_removed(run: Run, published_hash: bool) -> None:
    run = run.hashed() if published_hash else run
    run()
    assert run.unpacked == UNPACKED
    assert run.kept == []
    assert [asked.path for asked in run.site.asked] == ["/release/maps.zip"]


def test_progress_goes_from_nothing_to_all(run: Run) -> None:
    run.site.piece, run.site.pace = 1000, 0.002
    steps = run.hashed()()
    whats = list(dict.fromkeys(step.what for step in steps))
    assert whats == ["download maps.zip", "check maps.zip", "unpack maps.zip"]
    for what, unit, total in zip(whats, ("B", "B", "file"), (len(WHOLE), len(WHOLE), 3), strict=True):
        these = [step for step in steps if step.what == what]
        assert {(step.unit, step.total) for step in these} == {(unit, total)}
        assert all(before.done <= after.done for before, after in pairwise(these))
        assert these[-1].done == total
    assert len([step for step in steps if step.what == whats[0]]) > 3


def test_what_is_there_is_not_fetched_again(run: Run) -> None:
    run()
    before = {path: path.stat().st_mtime_ns for path in files(run.root)}
    assert run() == []
    assert len(run.site.asked) == 1
    assert {path: path.stat().st_mtime_ns for path in files(run.root)} == before


def test_only_what_is_missing_is_unpacked(run: Run) -> None:
    content = {"kit/a/1.txt": b"1", "kit/b/2.txt": b"2", "kit/c/3.txt": b"3"}
    run.site.files["maps.zip"] = zipped(content)
    parts = tuple(ArchiveFolder(f"kit/{letter}", letter, 1) for letter in "abc")
    run = replace(run, archive=replace(run.archive, parts=parts))
    (run.root / "b").mkdir(parents=True)
    (run.root / "b" / "mine.txt").write_bytes(b"mine")
    list(obtain([run.archive], run.root, downloads=run.downloads, mirror=None, without={"c"}, patience=IMPATIENT))
    assert run.unpacked == {"a/1.txt": b"1", "b/mine.txt": b"mine"}
    assert missing_archives(run.root, [run.archive]) == [run.archive]
    assert missing_archives(run.root, [run.archive], without={"c"}) == []


def test_several_archives_come_one_after_the_other(run: Run) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("lists/val.txt"))
    run.site.files["lists.tar.gz"] = file.getvalue()
    lists = Archive(
        "lists.tar.gz", f"{run.site.url}/lists.tar.gz", None, (ArchiveFolder("lists", "ImageSets/lists", 1),)
    )
    both = [run.archive, lists]
    list(obtain(both, run.root, downloads=run.downloads, mirror=None, patience=IMPATIENT))
    assert run.unpacked == {**UNPACKED, "ImageSets/lists/val.txt": b""}
    assert missing_archives(run.root, both) == []


def test_an_error_names_only_what_is_still_missing(run: Run) -> None:
    other = Archive("lists.zip", f"{run.site.url}/lists.zip", None, (ArchiveFolder("lists", "lists", 1),))
    with pytest.raises(UserError) as refused:
        list(obtain([run.archive, other], run.root, downloads=run.downloads, mirror=None, patience=IMPATIENT))
    assert f"By hand: fetch {other.url} into" in str(refused.value)
    assert run.unpacked == UNPACKED


def test_a_redirect_is_followed_and_resumed(run: Run) -> None:
    run.site.files["blob"] = run.site.files.pop("maps.zip")
    run.site.redirects["maps.zip"] = f"{run.site.url}/elsewhere/blob"
    run.site.cuts.append(1234)
    run.refusal()
    run()
    assert run.unpacked == UNPACKED
    assert run.ranges == [None, None, "bytes=1234-", "bytes=1234-"]


def test_the_library_can_be_imported_without_what_only_downloads_need() -> None:
    code = (
        "import sys\n"
        "for name in ('requests', 'urllib3', 'filelock', 'pooch'): sys.modules[name] = None\n"
        "import ssul.datasets.download\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)


# --- cut connections --------------------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(cut=st.integers(0, len(WHOLE) - 1), published_hash=st.booleans())
def test_whatever_byte_a_download_is_cut_at_a_second_run_brings_the_rest(
    run: Run, cut: int, published_hash: bool
) -> None:
    run = fresh(run.hashed() if published_hash else run)
    run.site.cuts.append(cut)
    assert run.archive.url in run.refusal()
    run()
    assert run.unpacked == UNPACKED
    assert run.kept == []
    assert run.ranges == [None, f"bytes={cut}-" if cut else None]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(cuts=st.lists(st.integers(0, 3000), max_size=5), ranges=st.booleans(), lengths=st.booleans())
def test_one_run_takes_as_many_cuts_as_it_has_patience(run: Run, cuts: list[int], ranges: bool, lengths: bool) -> None:
    run = fresh(run)
    run = run.hashed()  # a zip with other bytes before it would pass for one
    run.site.cuts.extend(cuts)
    run.site.ranges, run.site.lengths = ranges, lengths
    run(replace(IMPATIENT, pauses=(0.0,) * len(cuts)))
    assert run.unpacked == UNPACKED


def test_the_error_of_a_cut_says_that_it_goes_on(run: Run) -> None:
    run.site.cuts.extend([3000, 0])
    assert "3.0 kB have come, and another run goes on from there" in run.refusal()
    assert run.kept == ["maps.zip.part", "maps.zip.part.json"]
    assert "3.0 kB have come" in run.refusal()


def test_attempts_that_bring_much_are_not_counted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssul.datasets.download._ENOUGH", 500)
    run.site.cuts.extend([600] * 9)
    run(replace(IMPATIENT, pauses=(0.0,)))
    assert len(run.site.asked) == 10
    assert run.unpacked == UNPACKED


def test_a_server_that_always_begins_anew_and_hangs_up_is_not_asked_for_ever(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssul.datasets.download._ENOUGH", 500)
    run.site.ranges = False
    run.site.cuts.extend([3000] * 99)
    run.refusal(replace(IMPATIENT, pauses=(0.0, 0.0)))
    assert len(run.site.asked) == 3


def test_a_server_without_ranges_begins_anew(run: Run) -> None:
    run = run.hashed()
    run.site.ranges = False
    run.site.cuts.append(3000)
    run.refusal()
    run()
    assert run.ranges == [None, "bytes=3000-"]
    assert [asked.status for asked in run.site.asked] == [200, 200]
    assert run.unpacked == UNPACKED


NEW = {"maps/a.png": NOISE[3000:], "maps/b.png": NOISE[:3000], "maps/c.png": b""}


@pytest.mark.parametrize("conditions", [True, False])
@pytest.mark.parametrize("same_length", [True, False])
def test_content_that_changed_between_two_runs_is_not_mixed(run: Run, conditions: bool, same_length: bool) -> None:
    """Also where the server does not heed If-Range and gladly sends the end of another file."""
    new = zipped(NEW if same_length else {**NEW, "maps/c.png": b"longer"})
    run = replace(run, archive=replace(run.archive, hash=md5(new)))
    run.site.conditions = conditions
    run.site.cuts.append(3000)
    run.refusal()
    run.site.files["maps.zip"] = new
    run(replace(IMPATIENT, pauses=(0.0,)))
    assert run.unpacked["saliency_map/a.png"] == NEW["maps/a.png"]
    assert run.unpacked["saliency_map/b.png"] == NEW["maps/b.png"]


def test_without_a_mark_of_the_content_nothing_is_added_to_it(run: Run) -> None:
    run.site.marks = False
    run.site.cuts.append(3000)
    run.refusal()
    run.site.files["maps.zip"] = zipped(NEW)
    run()
    assert run.ranges == [None, None]
    assert run.unpacked["saliency_map/a.png"] == NEW["maps/a.png"]


def test_what_came_from_one_address_is_not_added_to_at_another(run: Run) -> None:
    run.site.cuts.append(3000)
    run.refusal()
    run(mirror=f"{run.site.url}/mirror")
    assert run.ranges == [None, None]
    assert run.unpacked == UNPACKED


def test_a_server_that_sends_chunks_and_forgets_the_last_is_asked_for_the_rest(run: Run) -> None:
    """All bytes came, but nobody can know: the server says that nothing is left after them."""
    run.site.lengths = run.site.ends = False
    run.refusal()
    run()
    assert [(asked.range, asked.status) for asked in run.site.asked] == [(None, 200), (f"bytes={len(WHOLE)}-", 416)]
    assert run.unpacked == UNPACKED


def test_a_server_that_gives_the_rest_in_portions_is_asked_for_each(run: Run) -> None:
    run.site.most = 2000
    run.site.cuts.append(1000)
    run.hashed()(replace(IMPATIENT, pauses=(0.0,) * 9))
    assert run.ranges == [None, "bytes=1000-", "bytes=3000-", "bytes=5000-"]
    assert run.unpacked == UNPACKED


def test_a_part_that_is_longer_than_the_content_is_fetched_anew(run: Run) -> None:
    run.site.cuts.append(3000)
    run.refusal()
    with (run.downloads / "maps.zip.part").open("ab") as file:
        file.write(b"0" * 9000)
    run(replace(IMPATIENT, pauses=(0.0,)))
    assert [asked.status for asked in run.site.asked] == [200, 416, 200]
    assert run.unpacked == UNPACKED


@pytest.mark.parametrize("note", ["", "{", "[]", '{"total": 1}', '{"address": 1, "validator": 2, "total": 3, "x": 4}'])
def test_a_part_with_a_broken_note_is_fetched_anew(run: Run, note: str) -> None:
    run.site.cuts.append(3000)
    run.refusal()
    (run.downloads / "maps.zip.part.json").write_text(note)
    run()
    assert run.ranges == [None, None]
    assert run.unpacked == UNPACKED


def test_a_run_that_ended_after_the_last_byte_asks_for_nothing_more(run: Run) -> None:
    run = run.hashed()
    steps = obtain([run.archive], run.root, downloads=run.downloads, mirror=None, patience=IMPATIENT)
    for step in steps:
        if step.done == step.total:
            steps.close()  # type: ignore[attr-defined]
    assert run.kept == ["maps.zip.part", "maps.zip.part.json"]
    run()
    assert len(run.site.asked) == 1
    assert run.unpacked == UNPACKED
    assert run.kept == []


def test_a_run_that_ended_while_unpacking_asks_for_nothing_more(run: Run) -> None:
    steps = obtain([run.archive], run.root, downloads=run.downloads, mirror=None, patience=IMPATIENT)
    for step in steps:
        if step.unit == "file" and step.done == 2:
            steps.close()  # type: ignore[attr-defined]
    assert run.kept == ["maps.zip", "maps.zip.part.json"]
    assert not files(run.root)
    run()
    assert len(run.site.asked) == 1
    assert run.kept == []


def test_a_silent_server_is_given_up(run: Run) -> None:
    run.site.stall, run.site.piece = 2000, 1000
    begun = time.monotonic()
    assert "not a byte came for 0.3 s; 2.0 kB have come" in run.refusal()
    assert time.monotonic() - begun < 5
    run.site.stall = None
    run()
    assert run.ranges == [None, "bytes=2000-"]
    assert run.unpacked == UNPACKED


# --- wrong answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 403, 410, 501, 204])
def test_an_answer_that_will_stay_is_told_at_once(run: Run, status: int) -> None:
    run.site.statuses.append(status)
    told = run.refusal(replace(IMPATIENT, pauses=(9.0, 9.0)))
    assert told.startswith(f"cannot fetch {run.archive.url}: it answers {status} ")
    assert "By hand: " in told
    assert run.kept == []


@pytest.mark.parametrize("status", [500, 503, 429])
def test_an_answer_that_may_pass_is_waited_for(run: Run, status: int) -> None:
    run.site.statuses.extend([status, status])
    assert f"it answers {status} " in run.refusal(replace(IMPATIENT, pauses=(0.0,)))
    run.site.statuses.append(status)
    run(replace(IMPATIENT, pauses=(0.0,)))
    assert run.unpacked == UNPACKED


def test_an_answer_that_may_pass_does_not_cost_what_has_come(run: Run) -> None:
    run.site.cuts.append(3000)
    run.refusal()
    run.site.statuses.append(503)
    run(replace(IMPATIENT, pauses=(0.0,)))
    assert run.ranges == [None, "bytes=3000-", "bytes=3000-"]


def test_a_wrong_hash_is_told_and_removed(run: Run) -> None:
    run = run.hashed()
    run.site.files["maps.zip"] = wrong = zipped(NEW)
    told = run.refusal()
    expected, found = md5(WHOLE)[4:], md5(wrong)[4:]
    assert told.startswith(f"{run.archive.url} has the md5 {found}, expected {expected}")
    assert run.kept == []
    run.site.files["maps.zip"] = WHOLE
    run()
    assert run.unpacked == UNPACKED


@pytest.mark.parametrize("damage", ["truncated", "a web page", "too few files", "a member outside"])
def test_a_bad_archive_is_told_and_removed(run: Run, damage: str) -> None:
    """The server is sure of it: the length is right, and no hash is published."""
    run.site.files["maps.zip"] = {
        "truncated": WHOLE[:-30],
        "a web page": b"<html>please log in</html>",
        "too few files": zipped({"maps/a.png": b"1"}),
        "a member outside": zipped({**CONTENT, "../evil": b""}),
    }[damage]
    told = run.refusal()
    assert "The download was removed: run again to fetch it anew" in told
    assert run.kept == []
    run.site.files["maps.zip"] = WHOLE
    run()
    assert run.unpacked == UNPACKED


def test_without_a_network_one_line_names_addresses_and_folders(run: Run) -> None:
    url = "http://127.0.0.1:9/maps.zip"  # the discard port: nobody listens
    run = replace(run, archive=replace(run.archive, url=url))
    told = run.refusal()
    assert told.startswith(f"cannot fetch {url}: Connection refused. By hand: fetch {url} into {run.downloads}, ")
    for thing in (url, str(run.downloads), str(run.root), "saliency_map (maps of maps.zip)"):
        assert thing in told


def test_a_host_that_is_unknown_is_told(run: Run) -> None:
    run = replace(run, archive=replace(run.archive, url="http://nowhere.invalid/maps.zip"))
    told = run.refusal(replace(IMPATIENT, pauses=(0.0,)))
    assert told.startswith("cannot fetch http://nowhere.invalid/maps.zip: ")
    assert "HTTPConnectionPool" not in told


def test_how_to_get_names_every_missing_archive(tmp_path: Path) -> None:
    told = how_to_get(tmp_path / "root", catalog.data_set("voc").archives, downloads=tmp_path, without={"saliency_map"})
    for archive in catalog.data_set("voc").archives:
        assert (archive.url in told) == (archive.name != "saliency_map.zip")
    assert "SegmentationClassAug (SegmentationClassAug of SegmentationClassAug.zip)" in told
    assert "\n" not in told


# --- archives put there by hand, and mirrors --------------------------------------------------------------------------


def test_an_archive_put_there_by_hand_is_used_without_a_network_and_stays(run: Run) -> None:
    run.downloads.mkdir()
    (run.downloads / "maps.zip").write_bytes(WHOLE)
    run.hashed()()
    assert run.site.asked == []
    assert run.unpacked == UNPACKED
    assert run.kept == ["maps.zip"]


def test_an_archive_put_beside_half_a_download_is_the_users(run: Run) -> None:
    run.site.cuts.append(3000)
    run.refusal()
    (run.downloads / "maps.zip").write_bytes(WHOLE)
    run()
    assert len(run.site.asked) == 1
    assert run.unpacked == UNPACKED
    assert run.kept == ["maps.zip"]


@pytest.mark.parametrize("published_hash", [True, False])
def test_a_corrupt_archive_put_there_by_hand_is_put_away(run: Run, published_hash: bool) -> None:
    run = run.hashed() if published_hash else run
    run.downloads.mkdir()
    (run.downloads / "maps.zip").write_bytes(WHOLE[:-40])
    assert f"It lies at {run.downloads / 'maps.zip.corrupt'} now" in run.refusal()
    assert run.site.asked == []
    run()
    assert run.unpacked == UNPACKED
    assert run.kept == ["maps.zip.corrupt"]
    assert (run.downloads / "maps.zip.corrupt").read_bytes() == WHOLE[:-40]


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_mirror_has_files_of_the_same_names(run: Run, slash: str) -> None:
    run(mirror=f"{run.site.url}/some%20where{slash}")
    assert [asked.path for asked in run.site.asked] == ["/some%20where/maps.zip"]
    assert run.unpacked == UNPACKED


@pytest.mark.parametrize("written", ["{0}", "{0}/", "file://{1}", "file://localhost{1}", "file:{1}"])
@pytest.mark.parametrize("published_hash", [True, False])
def test_a_mirror_may_be_a_folder_which_is_read_in_place(run: Run, written: str, published_hash: bool) -> None:
    run = run.hashed() if published_hash else run
    folder = run.folder / "my data"
    folder.mkdir()
    (folder / "maps.zip").write_bytes(WHOLE)
    steps = run(mirror=written.format(folder, str(folder).replace(" ", "%20")))
    assert not any("download" in step.what for step in steps)
    assert run.unpacked == UNPACKED
    assert run.kept == []
    assert (folder / "maps.zip").read_bytes() == WHOLE
    assert run.site.asked == []


def test_half_a_download_is_removed_once_a_mirror_has_the_whole(run: Run) -> None:
    run.site.cuts.append(3000)
    run.refusal()
    (run.folder / "maps.zip").write_bytes(WHOLE)
    run(mirror=str(run.folder))
    assert run.kept == []
    assert (run.folder / "maps.zip").read_bytes() == WHOLE


def test_a_corrupt_archive_in_a_folder_of_the_user_is_left_there(run: Run) -> None:
    (run.folder / "maps.zip").write_bytes(WHOLE[:-40])
    told = run.refusal(mirror=str(run.folder))
    assert "Put the published archive there, or choose another mirror" in told
    assert (run.folder / "maps.zip").read_bytes() == WHOLE[:-40]


def test_a_folder_without_the_archive_is_told(run: Run) -> None:
    told = run.refusal(mirror=str(run.folder / "nowhere"))
    assert told.startswith(f"the mirror has no maps.zip: {run.folder / 'nowhere' / 'maps.zip'} is no file. By hand: ")


def test_where_a_mirror_fails_the_published_address_is_told_too(run: Run) -> None:
    told = run.refusal(mirror=str(run.folder / "nowhere"))
    assert f"maps.zip (published at {run.archive.url}) into {run.downloads}" in told
    assert "published at" not in replace(run, archive=replace(run.archive, url=f"{run.site.url}/none.zip")).refusal()


def test_the_password_of_a_mirror_is_used_and_never_told(run: Run) -> None:
    with_password = run.site.url.replace("//", "//me:secret@")
    run.site.cuts.append(1234)
    told = run.refusal(mirror=f"{with_password}/mirror")
    assert f"cannot fetch {run.site.url}/mirror/maps.zip: " in told
    assert "secret" not in told
    assert all(b"secret" not in path.read_bytes() for path in files(run.downloads))
    run(mirror=f"{with_password}/mirror")
    assert run.ranges == [None, "bytes=1234-"]
    assert run.unpacked == UNPACKED


def test_the_password_of_an_address_that_cannot_be_read_is_not_told(run: Run) -> None:
    assert "'ftp://host/x' is no address" in run.refusal(mirror="ftp://me:secret@host/x")


@pytest.mark.parametrize("mirror", ["ftp://host/folder", "s3://bucket", "file://data/voc", "http:///x", "file:voc/"])
def test_a_mirror_that_cannot_be_read_is_told(run: Run, mirror: str) -> None:
    told = run.refusal(mirror=mirror)
    assert "is no address that can be read: give https://…, http://…, file:///FOLDER or a folder as mirror" in told


def test_the_catalog_has_addresses_and_hashes_of_the_right_form() -> None:
    for data_set in catalog.CATALOG.values():
        for archive in data_set.archives:
            assert archive.url.rpartition("/")[2] == archive.name
            assert archive.url.startswith(("http://", "https://"))
            if archive.hash is not None:
                algorithm, digits = archive.hash.split(":")
                assert len(digits) == 2 * hashlib.new(algorithm).digest_size


# --- the disk ---------------------------------------------------------------------------------------------------------


def test_a_data_root_that_cannot_be_written_is_told(run: Run) -> None:
    (run.folder / "file").write_text("no folder")
    run = replace(run, folder=run.folder / "file")
    with pytest.raises(UserError) as refused:
        run()
    told = str(refused.value)
    assert told.startswith(
        f"data.root must be a folder that can be written, to download into it, but {run.root} cannot"
    )
    assert "-S data.root=FOLDER" in told
    assert "By hand: " in told


def test_room_for_the_download_is_looked_for_first(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(run.folder)
    run.site.cuts.append(3000)
    run.refusal()
    left = len(WHOLE) - 3000
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda _: usage._replace(free=left - 1))
    told = run.refusal()
    assert told.startswith(f"downloading maps.zip needs {left / 1000:.1f} kB in {run.downloads}, ")
    monkeypatch.undo()
    run()
    assert run.unpacked == UNPACKED


CHILD = """
import resource, signal, sys, time
from pathlib import Path
from ssul.datasets.catalog import Archive, ArchiveFolder
from ssul.datasets.download import RetryPolicy, obtain
from ssul.errors import UserError
url, folder, limit, pause = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
signal.signal(signal.SIGINT, signal.default_int_handler)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
archive = Archive("maps.zip", url, None, (ArchiveFolder("maps", "saliency_map", 3),))
try:
    patience = RetryPolicy(pauses=())
    for step in obtain([archive], folder / "root", downloads=folder / "downloads", mirror=None, patience=patience):
        print(step.what, step.done, step.total, flush=True)
        time.sleep(pause)
except UserError as error:
    print("error:", error)
    sys.exit(1)
"""


def child(run: Run, *, limit: int = 0, pause: float = 0.0) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CHILD, run.archive.url, str(run.folder), str(limit), str(pause)]
    return subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )


def test_a_download_beyond_the_quota_is_told_and_goes_on_later(run: Run) -> None:
    process = child(run, limit=3000)
    told = process.communicate(timeout=20)[0].splitlines()[-1]
    assert told.startswith(f"error: cannot use {run.downloads}: File too large")
    assert process.returncode == 1
    assert run.kept == ["maps.zip.part", "maps.zip.part.json"]
    run()
    assert run.ranges == [None, "bytes=3000-"]
    assert run.unpacked == UNPACKED


@pytest.fixture
def small_disk(run: Run) -> Iterator[Run]:
    """A run whose downloads go to a disk of one megabyte."""
    run.downloads.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(run.downloads)]
    if shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("this user may not mount a tmpfs")
    yield run
    subprocess.run(["umount", "-l", str(run.downloads)], check=True)


def test_a_full_disk_is_told_and_the_download_goes_on_once_there_is_room(small_disk: Run) -> None:
    """The server does not say how long the file is, so that nobody can look for room first."""
    run = small_disk
    noise = random.Random(1).randbytes(1_500_000)
    run.site.files["maps.zip"] = zipped({**CONTENT, "maps/a.png": noise})
    run.site.lengths = False
    told = run.refusal()
    assert "No space left on device" in told
    assert str(run.downloads) in told
    assert run.kept == ["maps.zip.part", "maps.zip.part.json"]
    subprocess.run(["mount", "-o", "remount,size=4m", str(run.downloads)], check=True)
    run()
    assert run.site.asked[1].status == 206
    assert run.unpacked["saliency_map/a.png"] == noise


# --- interruptions ----------------------------------------------------------------------------------------------------


def stop(process: "subprocess.Popen[str]", *, at: str, by: signal.Signals) -> None:
    """Sends a signal when the child says that it is at a step."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(at):
            process.send_signal(by)
            break
    _, error = process.communicate(timeout=20)
    assert process.returncode == -by
    if by == signal.SIGINT:
        assert error.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_in_the_middle_of_a_download_keeps_what_has_come(run: Run, by: signal.Signals) -> None:
    run.site.piece, run.site.pace = 500, 0.02
    stop(child(run), at="download maps.zip 3", by=by)
    assert run.kept == ["maps.zip.part", "maps.zip.part.json"]
    assert run.unpacked == {}
    come = (run.downloads / "maps.zip.part").stat().st_size
    assert 0 < come < len(WHOLE)
    assert WHOLE.startswith((run.downloads / "maps.zip.part").read_bytes())
    run()
    assert run.ranges == [None, f"bytes={come}-"]
    assert run.unpacked == UNPACKED


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_in_the_middle_of_unpacking_leaves_no_folder(run: Run, by: signal.Signals) -> None:
    stop(child(run, pause=0.1), at="unpack maps.zip 2 3", by=by)
    assert not (run.root / "saliency_map").exists()
    assert [path.name for path in run.root.iterdir() if by == signal.SIGINT] == []
    run()
    assert len(run.site.asked) == 1
    assert run.unpacked == UNPACKED
    assert run.kept == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_an_interruption_at_any_moment_leaves_nothing_that_passes_for_whole(run: Run, seed: int) -> None:
    draw = random.Random(seed)
    run.site.piece, run.site.pace = 500, 0.005
    for by in draw.choices([signal.SIGINT, signal.SIGKILL], k=4):
        process = child(run, pause=0.005)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(draw.uniform(0, 0.15))
        process.send_signal(by)
        process.communicate(timeout=20)
        shown = {name: data for name, data in run.unpacked.items() if not name.startswith(".")}
        assert shown in ({}, UNPACKED)
    run()
    assert run.unpacked == UNPACKED
    assert run.kept in ([], ["maps.zip.part.json"], ["maps.zip", "maps.zip.part.json"])


# --- two at once ------------------------------------------------------------------------------------------------------


def test_two_runs_at_once_fetch_once(run: Run) -> None:
    run.site.piece, run.site.pace = 1000, 0.02
    processes: Sequence[subprocess.Popen[Any]] = [child(run), child(run)]
    told = [process.communicate(timeout=20)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert len(run.site.asked) == 1
    assert run.unpacked == UNPACKED
    assert sum("wait for another run that fetches maps.zip" in text for text in told) <= 1


def test_who_waits_for_another_run_says_so(run: Run) -> None:
    filelock = pytest.importorskip("filelock")
    run.downloads.mkdir()
    lock = filelock.FileLock(run.downloads / ".maps.zip.lock")
    lock.acquire()
    steps = obtain([run.archive], run.root, downloads=run.downloads, mirror=None, patience=IMPATIENT)
    assert next(steps).what == "wait for another run that fetches maps.zip"
    assert run.site.asked == []
    lock.release()
    list(steps)
    assert run.unpacked == UNPACKED
