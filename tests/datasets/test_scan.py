"""Reading every image once: what masks show, every problem, and the cache of the results."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from ssul.data.index import IndexRow
from ssul.data.layout import ImagePaths, MaskEncoding
from ssul.datasets import image_check, scan
from ssul.datasets.scan import ImageProblem, raise_unusable, scan_images, scan_masks
from ssul.datasets.scan_cache import MaskStatistics, ScanCache
from ssul.errors import UserError
from ssul.labels.ids import VOID

if TYPE_CHECKING:
    from tests.conftest import HandmadeDataset

MASK = [[0, 0, 1, 3], [255, 3, 3, 255], [0, 1, 3, 255]]  # 3 background, 2 of class 1, 4 of class 3, 3 void
SALIENCY = np.zeros((3, 4))
USUAL = MaskEncoding()


def scanned(
    book: "HandmadeDataset",
    ids: Sequence[str],
    *,
    cache: Path | None = None,
    classes: int = 3,
    values: MaskEncoding = USUAL,
    saliency: bool = False,
) -> list[IndexRow | ImageProblem]:
    found = scan_images(book.folders, ids, classes=classes, values=values, saliency=saliency, cache=ScanCache(cache))
    return list(found)


def row_of(book: "HandmadeDataset", image_id: str, **options: Any) -> IndexRow:
    (row,) = scanned(book, [image_id], **options)
    assert isinstance(row, IndexRow), row
    return row


def problem_of(book: "HandmadeDataset", image_id: str, **options: Any) -> str:
    (problem,) = scanned(book, [image_id], **options)
    assert isinstance(problem, ImageProblem), problem
    assert problem.id == image_id
    assert "\n" not in problem.what
    return problem.what


# --- what is counted --------------------------------------------------------------------------------------------------


def test_every_pixel_of_a_mask_is_counted(book: "HandmadeDataset") -> None:
    for name, mask in (("a", MASK), ("b", [[0, 255]]), ("c", [[255, 255]])):
        book.add(name, mask)
    row, background, void = (row_of(book, name) for name in "abc")
    assert (row.id, row.height, row.width) == ("a", 3, 4)
    assert (row.pixels, row.void, row.present) == ({0: 3, 1: 2, 3: 4}, 3, (1, 3))
    assert (background.pixels, background.void, background.present) == ({0: 1}, 1, ())
    assert (void.pixels, void.void, void.present) == ({}, 2, ())


def test_a_grey_mask_counts_like_a_palette_mask(book: "HandmadeDataset") -> None:
    book.add("a", MASK)
    palette = row_of(book, "a")
    Image.fromarray(np.array(MASK, dtype=np.uint8)).save(book.folders.mask("a"))
    grey = row_of(book, "a")
    assert (grey.pixels, grey.void) == (palette.pixels, palette.void)
    assert grey.digest != palette.digest


def test_rows_and_problems_are_in_the_order_of_the_list(book: "HandmadeDataset") -> None:
    ids = [f"{number:02d}" for number in range(40)][::-1]
    for name in ids:
        book.add(name, [[9 if int(name) % 3 == 0 else 1] * (int(name) + 1)])
    found = scanned(book, ids)
    assert [one.id for one in found] == ids
    assert [isinstance(one, ImageProblem) for one in found] == [int(name) % 3 == 0 for name in ids]
    assert all(one.width == int(one.id) + 1 for one in found if isinstance(one, IndexRow))


def test_bytes_and_digest_are_those_of_all_files_that_are_used(book: "HandmadeDataset") -> None:
    photograph = np.full((3, 4, 3), 200)
    book.add("a", MASK, saliency=SALIENCY)
    first = row_of(book, "a", saliency=True)
    image, mask, saliency = (path.stat().st_size for path in book.folders.files_of("a", saliency=True))
    assert (row_of(book, "a").bytes, first.bytes) == (image + mask, image + mask + saliency)
    digests = {first.digest}
    for changed in ((MASK, SALIENCY + 1, None), (MASK, SALIENCY, photograph), (MASK[::-1], SALIENCY, photograph)):
        book.add("a", changed[0], saliency=changed[1], image=changed[2])
        digests.add(row_of(book, "a", saliency=True).digest)
    assert len(digests) == 4
    book.add("a", MASK, saliency=SALIENCY)
    assert row_of(book, "a", saliency=True) == first


# --- what values mean -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        (MaskEncoding(), {0: 0, 1: 1, 2: 2, 255: VOID}),
        (MaskEncoding(void=None), {0: 0, 1: 1, 2: 2}),
        (MaskEncoding(first=5, void=1), {0: 0, 5: 1, 6: 2, 1: VOID}),
        (MaskEncoding(background=False, first=0), {0: 1, 1: 2, 255: VOID}),
        (MaskEncoding(background=False, first=0, void=None), {0: 1, 1: 2}),
        (MaskEncoding(background=False, first=1, void=0), {1: 1, 2: 2, 0: VOID}),
    ],
)
def test_what_values_mean_by_hand(values: MaskEncoding, ids: dict[int, int]) -> None:
    assert values.ids(2) == ids


@given(st.data())
def test_counting_raw_values_is_counting_mapped_pixels(data: st.DataObject) -> None:
    background, void = data.draw(st.booleans()), data.draw(st.sampled_from([None, 200, 255]))
    values = MaskEncoding(background, data.draw(st.integers(int(background), 9)), void)
    meaning = values.ids(5)
    pixels = data.draw(st.lists(st.sampled_from(sorted(meaning)), min_size=1, max_size=20))
    ids = [meaning[value] for value in pixels]
    statistics = image_check._statistics(np.array([pixels], dtype=np.uint8), 5, values)
    expected = {class_id: ids.count(class_id) for class_id in sorted(set(ids)) if class_id != VOID}
    assert (list(statistics.pixels.items()), statistics.void) == (list(expected.items()), ids.count(VOID))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (MaskEncoding(), "its mask holds [4, 9], valid are 0..3 and 255 (void)"),
        (MaskEncoding(void=None), "its mask holds [4, 9], valid are 0..3"),
        (MaskEncoding(background=False), "its mask holds [0, 4, 9], valid are 1..3 and 255 (void)"),
        (MaskEncoding(background=False, first=0), "its mask holds [3, 4, 9], valid are 0..2 and 255 (void)"),
        (MaskEncoding(first=7, void=200), "its mask holds [1, 2, 3, 4], valid are 0, 7..9 and 200 (void)"),
    ],
)
def test_a_value_without_a_meaning_is_a_problem(book: "HandmadeDataset", values: MaskEncoding, words: str) -> None:
    book.add("a", [[0, 1, 2, 3, 4, 9]])
    assert problem_of(book, "a", values=values) == words


# --- problems of files ------------------------------------------------------------------------------------------------


FILES = {"image": "JPEGImages/a.jpg", "mask": "SegmentationClassAug/a.png", "saliency map": "saliency_map/a.png"}


@pytest.mark.parametrize(("what", "path"), FILES.items())
def test_a_missing_or_unreadable_file_is_a_problem_of_its_image(
    book: "HandmadeDataset", tmp_path: Path, what: str, path: str
) -> None:
    """The problem does not depend on the data root, so that moved data has the same problems."""
    book.add("a", MASK, saliency=SALIENCY)
    (book.root / path).write_text("an error page")
    assert problem_of(book, "a", saliency=True) == f"unreadable {what} (not a JPEG or PNG image)"
    (book.root / path).unlink()
    moved = type(book)(ImagePaths(book.root.rename(tmp_path / "moved"), book.folders.files))
    assert scanned(moved, ["a"], saliency=True) == [ImageProblem("a", f"no {what} at {path}", what == "saliency map")]
    (moved.root / path).mkdir()
    assert scanned(moved, ["a"], saliency=True) == [ImageProblem("a", f"unreadable {what} (not a regular file)")]
    assert isinstance(scanned(moved, ["a"])[0], IndexRow) == (what == "saliency map")


@pytest.mark.parametrize("orientation", [1, 6])
def test_sizes_are_compared_as_stored_whatever_the_exif_orientation(book: "HandmadeDataset", orientation: int) -> None:
    book.add("a", MASK, saliency=SALIENCY.T)
    book.add("b", np.array(MASK).T)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    for name in ("a", "b"):
        Image.new("RGB", (4, 3)).save(book.folders.image(name), exif=exif)
    assert row_of(book, "a").present == (1, 3)
    assert problem_of(book, "b").startswith("the image is 4x3, its mask 3x4 pixels")
    assert problem_of(book, "a", saliency=True) == "its saliency map has another size than its mask"


def refusal(problems: Sequence[ImageProblem], listed: Path | None = None) -> str:
    with pytest.raises(UserError) as refused:
        raise_unusable(problems, of=100, where=Path("/data/voc"), way_out="Mend the files, or wait", listed=listed)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_all_problems_are_counted_and_eight_are_named_with_the_way_out() -> None:
    two = [ImageProblem("b", "no mask at b.png"), ImageProblem("a", "unreadable image")]
    message = "2 of 100 images of /data/voc cannot be used: b: no mask at b.png; a: unreadable image. Mend the files,"
    assert refusal(two).startswith(message)
    problems = [ImageProblem(f"image_{number:03d}", "no mask") for number in range(100)]
    assert refusal(problems).startswith("100 of 100 images")
    assert refusal(problems).count("no mask") == 8
    assert "; and 92 more, all listed in cache/unusable.txt. Mend" in refusal(problems, Path("cache/unusable.txt"))


# --- masks alone ------------------------------------------------------------------------------------------------------


def test_masks_alone_show_what_they_show_with_their_images(book: "HandmadeDataset") -> None:
    book.add("a", MASK)
    book.add("b", [[9]])
    masks = [(name, book.folders.mask(name).read_bytes()) for name in ("b", "a")]
    problem, found = scan_masks(masks, classes=3, values=USUAL, cache=ScanCache(None))
    assert problem == ImageProblem("b", "its mask holds [9], valid are 0..3 and 255 (void)")
    assert found == ("a", MaskStatistics(3, 4, {0: 3, 1: 2, 3: 4}, 3))
    assert isinstance(found, tuple)
    assert found[1].present == (1, 3)


def test_only_a_few_masks_are_read_ahead() -> None:
    read: list[int] = []

    def masks() -> Iterator[tuple[str, bytes]]:
        for number in range(1000):
            read.append(number)
            yield str(number), b""

    for number, problem in enumerate(scan_masks(masks(), classes=3, values=USUAL, cache=ScanCache(None))):
        assert problem == ImageProblem(str(number), "unreadable mask (not a JPEG or PNG image)")
        assert len(read) <= number + scan.MAX_AHEAD
    assert read == list(range(1000))


# --- the cache --------------------------------------------------------------------------------------------------------

IDS = ["a", "b", "c"]


@dataclass
class Scans:
    """Scans of three images with one cache file. `decoded` are the kinds of files that the last scan decoded."""

    book: "HandmadeDataset"
    path: Path
    decoded: list[str] = field(default_factory=list)

    def __call__(self, ids: Sequence[str] = IDS, **options: Any) -> list[IndexRow | ImageProblem]:
        self.decoded.clear()
        return scanned(self.book, ids, cache=self.path, **options)


@pytest.fixture
def scans(book: "HandmadeDataset", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scans:
    for number, name in enumerate(IDS):
        book.add(name, [[number, 1, 255]], saliency=[[0, 0, 255]])
    ours, decode = Scans(book, tmp_path / "cache" / "index.jsonl"), image_check._decoded
    monkeypatch.setattr(
        image_check, "_decoded", lambda content, what: ours.decoded.append(what) or decode(content, what)
    )
    return ours


def test_a_second_scan_decodes_nothing_and_finds_the_same(scans: Scans) -> None:
    first, content = scans(saliency=True), scans.path.read_bytes()
    assert len(scans.decoded) == 9
    assert scans(IDS[::-1], saliency=True) == first[::-1]
    assert scans.decoded == []
    assert scans.path.read_bytes() == content
    for path in scans.book.folders.files_of("a", saliency=True):
        path.rename(path.with_stem("renamed"))
    assert scans(["renamed"], saliency=True) == [replace(first[0], id="renamed")]
    assert scans.decoded == []


def test_a_second_scan_of_masks_alone_decodes_nothing(scans: Scans) -> None:
    masks = [(name, scans.book.folders.mask(name).read_bytes()) for name in IDS]
    first, second = (list(scan_masks(masks, classes=3, values=USUAL, cache=ScanCache(scans.path))) for _ in range(2))
    assert first == second
    assert len(scans.decoded) == 3


@pytest.mark.parametrize("changed", range(3))
def test_results_of_other_code_are_not_used(
    scans: Scans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: int
) -> None:
    assert [source.name for source in image_check._SOURCES] == [
        "image_check.py",
        "image_files.py",
        "colour_masks.py",
    ]
    first = scans()
    copies = tuple(tmp_path / source.name for source in image_check._SOURCES)
    for copy, source in zip(copies, image_check._SOURCES, strict=True):
        copy.write_bytes(source.read_bytes())
    monkeypatch.setattr(image_check, "_SOURCES", copies)
    assert scans() == first
    assert scans.decoded == []  # the same code elsewhere
    copies[changed].write_bytes(copies[changed].read_bytes() + b"\n")
    image_check._code_digest.cache_clear()
    assert scans() == first
    assert len(scans.decoded) == 6


@pytest.mark.parametrize("kind", ["image", "mask", "saliency"])
def test_a_changed_file_is_scanned_again_and_no_other_is(scans: Scans, kind: str) -> None:
    before = scans(saliency=True)
    changed = {"image": [[[200] * 3] * 3], "mask": [[3, 3, 255]], "saliency": [[9, 9, 9]]}
    defaults = {"image": None, "mask": [[1, 1, 255]], "saliency": [[0, 0, 255]]}
    scans.book.add("b", **{**defaults, kind: changed[kind]})
    after = scans(saliency=True)
    assert sorted(scans.decoded) == ["image", "mask", "saliency map"]
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1] != before[1]


FIRST_IS_0 = MaskEncoding(void=None, background=False, first=0)
OTHERS = [{"classes": 4}, {"values": FIRST_IS_0}, {"values": MaskEncoding(void=254)}, {"saliency": False}]


@pytest.mark.parametrize("other", OTHERS)
def test_other_parameters_scan_the_same_files_again(scans: Scans, other: dict[str, Any]) -> None:
    scans(saliency=True)
    found = scans(**{"saliency": True, **other})
    assert scans.decoded.count("mask") == 3
    assert found == scanned(scans.book, IDS, **{"saliency": True, **other})


def test_problems_are_never_cached(scans: Scans) -> None:
    scans.book.add("b", [[9, 9, 255]])
    for _ in range(2):
        assert scans(["b"]) == [ImageProblem("b", "its mask holds [9], valid are 0..3 and 255 (void)", foreign=(9,))]
        assert "mask" in scans.decoded
    assert not scans.path.exists()
    scans()
    scans.book.folders.saliency("a").write_bytes(b"")  # the image is known without its map
    problem = "unreadable saliency map (not a JPEG or PNG image)"
    assert scans(["a"], saliency=True) == [ImageProblem("a", problem)]


def test_without_a_file_nothing_is_kept(scans: Scans, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    assert scanned(scans.book, IDS) == scanned(scans.book, IDS)
    assert scans.decoded.count("mask") == 6
    assert set(tmp_path.rglob("*")) == before


def test_a_line_that_a_kill_cut_off_is_skipped_and_only_its_image_is_scanned_again(scans: Scans) -> None:
    first = scans()
    whole = scans.path.read_bytes().rstrip(b"\n")
    last = len(whole) - whole.rindex(b"\n") - 1
    for cut in range(1, last):
        scans.path.write_bytes(whole[:-cut])
        for masks in (1, 0):  # the line that is appended behind the cut is read
            assert scans() == first
            assert scans.decoded.count("mask") == masks


RUBBISH = [b"\xff\xfe\n", b"[]\n", b"null\n", b'{"a": 1}\n', b'["key", 1, 2, 3, 4]\n', b"\n\n", b"[[], 1, 2, {}, 0]\n"]


@pytest.mark.parametrize("rubbish", RUBBISH)
def test_meaningless_lines_are_skipped(scans: Scans, rubbish: bytes) -> None:
    first = scans()
    scans.path.write_bytes(rubbish + scans.path.read_bytes() + rubbish)
    assert scans() == first
    assert len(ScanCache(scans.path).known) == 3


COUNTS = st.integers(1, 999)
STATISTICS = st.builds(MaskStatistics, COUNTS, COUNTS, st.dictionaries(st.integers(0, 253), COUNTS), COUNTS)


@given(st.dictionaries(st.text(), STATISTICS, max_size=5))
def test_cached_results_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, known: dict[str, MaskStatistics]
) -> None:
    path = tmp_path_factory.mktemp("cache") / "cache.jsonl"
    cache = ScanCache(path)
    for key, statistics in known.items():
        assert cache.get_or_scan(key, lambda found=statistics: found) == statistics
    assert ScanCache(path).known == known


def test_an_interrupt_ends_the_scan_at_once_and_its_results_stay(
    book: "HandmadeDataset", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    count = image_check._statistics

    def slowly(*arguments: Any) -> MaskStatistics:
        started.append(arguments)
        time.sleep(0.02)
        return count(*arguments)

    monkeypatch.setattr(image_check, "_statistics", slowly)
    ids = [f"{number:03d}" for number in range(200)]
    for number, name in enumerate(ids):
        book.add(name, [[number % 4, number // 4]], image=np.zeros((1, 2, 3)))

    def interrupted() -> None:
        cache = ScanCache(tmp_path / "cache")
        found = scan_images(book.folders, ids, classes=200, values=USUAL, saliency=False, cache=cache)
        for number, _ in enumerate(found):
            if number == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    done = len(started)
    time.sleep(0.1)
    assert len(started) == done < 100  # nothing continues in the background
    assert [row.id for row in scanned(book, ids, classes=200, cache=tmp_path / "cache")] == ids
    assert len(started) == 200
