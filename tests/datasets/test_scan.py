"""Reading every image once: what masks show, every problem, and the cache of the results."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from ssul.data.index import IndexRow
from ssul.data.layout import ImagePaths, MaskEncoding
from ssul.datasets import scan
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
    classes: int = 3,
    values: MaskEncoding = USUAL,
    saliency: bool = False,
    cache: ScanCache | None = None,
) -> list[IndexRow | ImageProblem]:
    cache = ScanCache(None) if cache is None else cache
    return list(scan_images(book.folders, ids, classes=classes, values=values, saliency=saliency, cache=cache))


def row_of(book: "HandmadeDataset", image_id: str, *, saliency: bool = False, values: MaskEncoding = USUAL) -> IndexRow:
    (row,) = scanned(book, [image_id], saliency=saliency, values=values)
    assert isinstance(row, IndexRow), row
    return row


def problem_of(book: "HandmadeDataset", image_id: str, *, saliency: bool = False, values: MaskEncoding = USUAL) -> str:
    (problem,) = scanned(book, [image_id], saliency=saliency, values=values)
    assert isinstance(problem, ImageProblem), problem
    assert problem.id == image_id
    assert "\n" not in problem.what
    return problem.what


# --- what is counted --------------------------------------------------------------------------------------------------


def test_every_pixel_of_a_mask_is_counted(book: "HandmadeDataset") -> None:
    book.add("a", MASK)
    row = row_of(book, "a")
    assert (row.id, row.height, row.width) == ("a", 3, 4)
    assert row.pixels == {0: 3, 1: 2, 3: 4}
    assert row.void == 3
    assert row.present == (1, 3)


def test_a_mask_of_background_and_void_shows_no_class(book: "HandmadeDataset") -> None:
    book.add("a", [[0, 255]])
    book.add("b", [[255, 255]])
    a, b = row_of(book, "a"), row_of(book, "b")
    assert (a.pixels, a.void, a.present) == ({0: 1}, 1, ())
    assert (b.pixels, b.void, b.present) == ({}, 2, ())


def test_a_grey_mask_is_as_good_as_a_palette_mask(book: "HandmadeDataset") -> None:
    book.add("a", MASK)
    palette = row_of(book, "a")
    Image.fromarray(np.array(MASK, dtype=np.uint8)).save(book.folders.mask("a"))
    grey = row_of(book, "a")
    assert (grey.pixels, grey.void) == (palette.pixels, palette.void)
    assert grey.digest != palette.digest


def test_rows_stand_in_the_order_of_the_list(book: "HandmadeDataset") -> None:
    names = [f"{number:02d}" for number in range(12)]
    for number, name in enumerate(names):
        book.add(name, [[number % 4] * (number + 1)])
    rows = [row for row in scanned(book, names[::-1]) if isinstance(row, IndexRow)]
    assert [(row.id, row.width) for row in rows] == [(name, int(name) + 1) for name in names[::-1]]


def test_the_bytes_are_those_of_all_files_that_are_used(book: "HandmadeDataset") -> None:
    book.add("a", MASK, saliency=SALIENCY)
    image, mask, saliency = (path.stat().st_size for path in book.folders.files_of("a", saliency=True))
    assert row_of(book, "a").bytes == image + mask
    assert row_of(book, "a", saliency=True).bytes == image + mask + saliency


def test_the_digest_changes_with_any_of_the_files(book: "HandmadeDataset") -> None:
    def digest() -> str:
        return row_of(book, "a", saliency=True).digest

    book.add("a", MASK, saliency=SALIENCY)
    digests = [digest()]
    book.add("a", MASK, saliency=SALIENCY + 1)
    digests.append(digest())
    book.add("a", MASK, saliency=SALIENCY, image=np.full((3, 4, 3), 200))
    digests.append(digest())
    book.add("a", np.array(MASK)[::-1], saliency=SALIENCY, image=np.full((3, 4, 3), 200))
    digests.append(digest())
    assert len(set(digests)) == 4
    book.add("a", MASK, saliency=SALIENCY)
    assert digest() == digests[0]


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


def test_raw_values_are_counted_as_ids(book: "HandmadeDataset") -> None:
    book.add("a", [[0, 1, 1, 2, 2, 2]])
    own = row_of(book, "a", values=MaskEncoding(background=False, first=1, void=0))
    assert (own.pixels, own.void, own.present) == ({1: 2, 2: 3}, 1, (1, 2))
    first_is_zero = row_of(book, "a", values=MaskEncoding(background=False, first=0))
    assert (first_is_zero.pixels, first_is_zero.void) == ({1: 1, 2: 2, 3: 3}, 0)
    assert row_of(book, "a").pixels == {0: 1, 1: 2, 2: 3}


@given(st.data())
def test_counting_raw_values_is_counting_mapped_pixels(data: st.DataObject) -> None:
    background, void = data.draw(st.booleans()), data.draw(st.sampled_from([None, 200, 255]))
    values = MaskEncoding(background, data.draw(st.integers(int(background), 9)), void)
    meaning = values.ids(5)
    pixels = data.draw(st.lists(st.sampled_from(sorted(meaning)), min_size=1, max_size=20))
    ids = [meaning[value] for value in pixels]
    shown = scan._statistics(np.array([pixels], dtype=np.uint8), 5, values)
    expected = {class_id: ids.count(class_id) for class_id in sorted(set(ids)) if class_id != VOID}
    assert (list(shown.pixels.items()), shown.void) == (list(expected.items()), ids.count(VOID))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (MaskEncoding(), "its mask holds [4, 9], valid are 0..3 and 255 (void)"),
        (MaskEncoding(void=None), "its mask holds [4, 9], valid are 0..3"),
        (MaskEncoding(background=False), "its mask holds [0, 4, 9], valid are 1..3 and 255 (void)"),
        (MaskEncoding(background=False, first=0), "its mask holds [3, 4, 9], valid are 0..2 and 255 (void)"),
        (MaskEncoding(background=False, void=0), "its mask holds [4, 9], valid are 1..3 and 0 (void)"),
        (MaskEncoding(first=7, void=200), "its mask holds [1, 2, 3, 4], valid are 0, 7..9 and 200 (void)"),
    ],
)
def test_a_value_that_means_nothing_is_a_problem(book: "HandmadeDataset", values: MaskEncoding, words: str) -> None:
    book.add("a", [[0, 1, 2, 3, 4, 9]])
    assert problem_of(book, "a", values=values) == words


# --- problems of files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("image", "JPEGImages/a.jpg"),
        ("mask", "SegmentationClassAug/a.png"),
        ("saliency", "saliency_map/a.png"),
    ],
)
def test_missing_and_unreadable_files_are_problems_of_their_image(
    book: "HandmadeDataset", kind: str, path: str
) -> None:
    what = "saliency map" if kind == "saliency" else kind
    book.add("a", MASK, saliency=SALIENCY)
    (book.root / path).write_text("an error page")
    assert problem_of(book, "a", saliency=True) == f"unreadable {what} (not a JPEG or PNG image)"
    (book.root / path).unlink()
    assert problem_of(book, "a", saliency=True) == f"no {what} at {path}"
    (book.root / path).mkdir()
    assert problem_of(book, "a", saliency=True) == f"unreadable {what} (not a regular file)"


def test_a_saliency_map_is_not_needed_without_saliency(book: "HandmadeDataset") -> None:
    book.add("a", MASK)
    assert row_of(book, "a")


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_sizes_are_compared_as_they_are_stored_whatever_exif_says(book: "HandmadeDataset", orientation: int) -> None:
    book.add("a", MASK)
    book.add("b", np.array(MASK).T)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    for name in ("a", "b"):
        Image.new("RGB", (4, 3)).save(book.folders.image(name), exif=exif)
    assert row_of(book, "a").present == (1, 3)
    assert problem_of(book, "b") == (
        "the image is 4x3, its mask 3x4 pixels as they are stored (EXIF orientation is ignored)"
    )


def test_only_a_map_that_is_not_there_is_a_map_that_lacks(book: "HandmadeDataset") -> None:
    for name in ("a", "b", "c"):
        book.add(name, MASK)
    book.folders.mask("b").unlink()
    book.folders.saliency("c").mkdir(parents=True)
    found = scanned(book, ["a", "b", "c"], saliency=True)
    assert [isinstance(one, ImageProblem) and one.lacks_map for one in found] == [True, False, False]


def test_the_same_problems_elsewhere_are_named_in_the_same_words(book: "HandmadeDataset", tmp_path: Path) -> None:
    book.add("a", MASK)
    book.add("b", MASK)
    book.add("c", MASK)
    book.folders.image("a").unlink()
    book.folders.mask("b").unlink()
    book.folders.mask("b").mkdir()
    before = scanned(book, ["a", "b", "c"], saliency=True)
    moved = type(book)(ImagePaths(tmp_path / "moved", book.folders.files))
    book.root.rename(moved.root)
    assert scanned(moved, ["a", "b", "c"], saliency=True) == before


def test_a_saliency_map_of_another_size_is_a_problem(book: "HandmadeDataset") -> None:
    book.add("a", MASK, saliency=SALIENCY.T)
    assert problem_of(book, "a", saliency=True) == "its saliency map has another size than its mask"


def test_problems_stand_among_the_rows_in_the_order_of_the_list(book: "HandmadeDataset") -> None:
    ids = [f"{number:02d}" for number in range(40)]
    for number, name in enumerate(ids):
        book.add(name, [[9 if number % 3 == 0 else 1]])
    found = scanned(book, ids)
    assert [one.id for one in found] == ids
    assert [isinstance(one, ImageProblem) for one in found] == [number % 3 == 0 for number in range(40)]


# --- refusing ---------------------------------------------------------------------------------------------------------


def refusal(problems: Sequence[ImageProblem], listed: Path | None = None) -> str:
    with pytest.raises(UserError) as refused:
        raise_unusable(problems, of=100, where=Path("/data/voc"), way_out="Mend the files, or wait", listed=listed)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_all_problems_are_named_at_once_with_the_way_out() -> None:
    message = refusal(
        [ImageProblem("b", "no mask at b.png"), ImageProblem("a", "unreadable image (not a JPEG or PNG image)")]
    )
    assert message == (
        "2 of 100 images of /data/voc cannot be used: b: no mask at b.png; a: unreadable image (not a JPEG or PNG "
        "image). Mend the files, or wait"
    )


def test_a_hundred_problems_are_counted_and_eight_are_named() -> None:
    problems = [ImageProblem(f"image_{number:03d}", "no mask") for number in range(100)]
    message = refusal(problems)
    assert message.startswith("100 of 100 images")
    assert message.count("no mask") == 8
    assert "; and 92 more. Mend" in message
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


# --- the cache --------------------------------------------------------------------------------------------------------

IDS = ["a", "b", "c"]


@pytest.fixture
def images(book: "HandmadeDataset") -> "HandmadeDataset":
    for number, name in enumerate(IDS):
        book.add(name, [[number, 1, 255]], saliency=[[0, 0, 255]])
    return book


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "index.jsonl"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is decoded from now on."""
    kinds: list[str] = []
    decode = scan._decoded
    monkeypatch.setattr(scan, "_decoded", lambda content, what: kinds.append(what) or decode(content, what))
    return kinds


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(content: bytes, what: str) -> Image.Image:
        raise AssertionError(f"a {what} is decoded")

    monkeypatch.setattr(scan, "_decoded", fail)


def test_a_second_pass_decodes_nothing_and_finds_the_same(
    images: "HandmadeDataset", cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = scanned(images, IDS, saliency=True, cache=ScanCache(cache))
    content = cache.read_bytes()
    forbid_decoding(monkeypatch)
    assert scanned(images, IDS[::-1], saliency=True, cache=ScanCache(cache)) == first[::-1]
    assert cache.read_bytes() == content


def test_a_second_pass_over_masks_alone_decodes_nothing(
    images: "HandmadeDataset", cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> list[tuple[str, MaskStatistics] | ImageProblem]:
        masks = ((name, images.folders.mask(name).read_bytes()) for name in IDS)
        return list(scan_masks(masks, classes=3, values=USUAL, cache=ScanCache(cache)))

    first = look()
    forbid_decoding(monkeypatch)
    assert look() == first


@pytest.mark.parametrize("changed", range(2))
def test_results_of_other_code_are_not_used(
    images: "HandmadeDataset", cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: int
) -> None:
    copies = [tmp_path / source.name for source in scan._SOURCES]
    for copy, source in zip(copies, scan._SOURCES, strict=True):
        copy.write_bytes(source.read_bytes())
    assert [copy.name for copy in copies] == ["scan.py", "image_files.py"]
    first = scanned(images, IDS, cache=ScanCache(cache))
    with monkeypatch.context() as patched:
        patched.setattr(scan, "_SOURCES", tuple(copies))
        forbid_decoding(patched)
        assert scanned(images, IDS, cache=ScanCache(cache)) == first  # the same code elsewhere
    copies[changed].write_bytes(copies[changed].read_bytes() + b"\n")
    kinds: list[str] = []
    decode = scan._decoded
    monkeypatch.setattr(scan, "_decoded", lambda content, what: kinds.append(what) or decode(content, what))
    monkeypatch.setattr(scan, "_SOURCES", tuple(copies))
    scan._code_digest.cache_clear()
    assert scanned(images, IDS, cache=ScanCache(cache)) == first
    assert len(kinds) == 6


def test_the_content_is_remembered_and_not_the_name(
    images: "HandmadeDataset", cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = scanned(images, ["a"], cache=ScanCache(cache))
    for place in (images.folders.image, images.folders.mask):
        place("a").rename(place("renamed"))
    forbid_decoding(monkeypatch)
    (renamed,) = scanned(images, ["renamed"], cache=ScanCache(cache))
    assert isinstance(row, IndexRow)
    assert isinstance(renamed, IndexRow)
    assert (renamed.id, renamed.pixels, renamed.digest) == ("renamed", row.pixels, row.digest)


@pytest.mark.parametrize("kind", ["image", "mask", "saliency"])
def test_a_changed_file_is_looked_at_anew_and_no_other_is(
    images: "HandmadeDataset", cache: Path, kind: str, decoded: list[str]
) -> None:
    before = scanned(images, IDS, saliency=True, cache=ScanCache(cache))
    assert len(decoded) == 9
    changed = {"image": [[[200] * 3] * 3], "mask": [[3, 3, 255]], "saliency": [[9, 9, 9]]}
    defaults = {"image": None, "mask": [[1, 1, 255]], "saliency": [[0, 0, 255]]}
    images.add("b", **{**defaults, kind: changed[kind]})
    decoded.clear()
    after = scanned(images, IDS, saliency=True, cache=ScanCache(cache))
    assert sorted(decoded) == ["image", "mask", "saliency map"]
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1] != before[1]


@pytest.mark.parametrize(
    "otherwise",
    [
        {"classes": 4},
        {"values": MaskEncoding(void=None, background=False, first=0)},
        {"values": MaskEncoding(void=254)},
        {"saliency": False},
    ],
)
def test_another_question_about_the_same_files_is_asked_anew(
    images: "HandmadeDataset", cache: Path, decoded: list[str], otherwise: dict[str, object]
) -> None:
    asked: dict[str, object] = {"classes": 3, "values": USUAL, "saliency": True}
    scanned(images, IDS, **asked, cache=ScanCache(cache))  # type: ignore[arg-type]
    decoded.clear()
    found = scanned(images, IDS, **{**asked, **otherwise}, cache=ScanCache(cache))  # type: ignore[arg-type]
    assert decoded.count("mask") == 3
    assert found == scanned(images, IDS, **{**asked, **otherwise})  # type: ignore[arg-type]


def test_an_empty_saliency_map_is_a_problem_though_the_image_is_known_without_it(
    images: "HandmadeDataset", cache: Path
) -> None:
    scanned(images, IDS, cache=ScanCache(cache))
    images.folders.saliency("b").write_bytes(b"")
    found = scanned(images, IDS, saliency=True, cache=ScanCache(cache))
    assert found[1] == ImageProblem("b", "unreadable saliency map (not a JPEG or PNG image)")


def test_problems_are_never_remembered(images: "HandmadeDataset", cache: Path, decoded: list[str]) -> None:
    images.add("b", [[9, 9, 255]])
    for _ in range(2):
        decoded.clear()
        assert scanned(images, ["b"], cache=ScanCache(cache)) == [
            ImageProblem("b", "its mask holds [9], valid are 0..3 and 255 (void)")
        ]
        assert decoded
    assert not cache.exists()


def test_without_a_file_nothing_is_kept(images: "HandmadeDataset", tmp_path: Path, decoded: list[str]) -> None:
    before = set(tmp_path.rglob("*"))
    scanned(images, IDS, cache=ScanCache(None))
    scanned(images, IDS, cache=ScanCache(None))
    assert decoded.count("mask") == 6
    assert set(tmp_path.rglob("*")) == before


def test_a_line_that_a_kill_cut_off_is_overlooked_and_only_its_image_is_looked_at_again(
    images: "HandmadeDataset", cache: Path, decoded: list[str]
) -> None:
    first = scanned(images, IDS, cache=ScanCache(cache))
    whole = cache.read_bytes().rstrip(b"\n")
    last = len(whole) - whole.rindex(b"\n") - 1
    for cut in range(1, last):
        cache.write_bytes(whole[:-cut])
        decoded.clear()
        assert scanned(images, IDS, cache=ScanCache(cache)) == first
        assert decoded.count("mask") == 1
        decoded.clear()
        assert scanned(images, IDS, cache=ScanCache(cache)) == first  # what was appended behind the cut is read
        assert decoded == []


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\xff\xfe\n",
        b"[]\n",
        b"5\n",
        b"null\n",
        b'{"a": 1}\n',
        b'["key", 1, 2, 3, 4]\n',
        b"\n\n",
        b"[[], 1, 2, {}, 0]\n",
    ],
)
def test_lines_that_mean_nothing_are_overlooked(images: "HandmadeDataset", cache: Path, rubbish: bytes) -> None:
    first = scanned(images, IDS, cache=ScanCache(cache))
    cache.write_bytes(rubbish + cache.read_bytes() + rubbish)
    assert scanned(images, IDS, cache=ScanCache(cache)) == first
    assert len(ScanCache(cache).known) == 3


@given(
    st.dictionaries(
        st.text(),
        st.builds(
            MaskStatistics,
            st.integers(1, 999),
            st.integers(1, 999),
            st.dictionaries(st.integers(0, 253), st.integers(1, 999)),
            st.integers(0, 9),
        ),
        max_size=5,
    )
)
def test_what_is_remembered_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, known: dict[str, MaskStatistics]
) -> None:
    path = tmp_path_factory.mktemp("cache") / "cache.jsonl"
    cache = ScanCache(path)
    for key, shown in known.items():
        assert cache.get_or_scan(key, lambda shown=shown: shown) == shown
    assert ScanCache(path).known == known


# --- interrupts -------------------------------------------------------------------------------------------------------


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Each look takes a while; when each began."""
    began: list[float] = []
    counted = scan._statistics

    def slowly(*arguments: object) -> MaskStatistics:
        began.append(time.monotonic())
        time.sleep(0.02)
        return counted(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(scan, "_statistics", slowly)
    return began


def test_an_interrupt_ends_at_once_and_what_was_found_out_stays(
    book: "HandmadeDataset", cache: Path, slow: list[float]
) -> None:
    ids = [f"{number:03d}" for number in range(200)]
    for number, name in enumerate(ids):
        book.add(name, [[number % 4, number // 4]], image=np.zeros((1, 2, 3)))

    def interrupted() -> Iterator[IndexRow | ImageProblem]:
        found = scan_images(book.folders, ids, classes=200, values=USUAL, saliency=False, cache=ScanCache(cache))
        for number, row in enumerate(found):
            if number == 5:
                raise KeyboardInterrupt
            yield row

    with pytest.raises(KeyboardInterrupt):
        list(interrupted())
    done = len(slow)
    time.sleep(0.1)
    assert len(slow) == done < 100  # nothing goes on behind the caller's back
    slow.clear()
    found = scanned(book, ids, classes=200, cache=ScanCache(cache))
    assert [row.id for row in found] == ids
    assert len(slow) == 200 - done


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
