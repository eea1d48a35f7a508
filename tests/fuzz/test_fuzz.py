"""Any content of a file or a parameter gives a result or a one-line error: never a traceback, never a hang.

600 examples, the same ones each time: 200 params.yaml, 100 stored files, 100 descriptions of checkpoints, 200 masks and
photographs.
"""

import functools
import io
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from ssul.config.load import load_params, parse_params
from ssul.config.schema import Params
from ssul.data import image_files as pixels
from ssul.data.dataset_info import DatasetInfo
from ssul.data.decoding import decode_rgb, decode_values
from ssul.data.image_files import UnreadableImageError
from ssul.data.index import ImageIndex, IndexRow
from ssul.data.initial_checkpoint import InitialCheckpoint
from ssul.data.layout import MaskEncoding, SplitFiles
from ssul.datasets.scan import ImageProblem, scan_masks
from ssul.datasets.scan_cache import MaskStatistics, ScanCache
from ssul.errors import UserError
from ssul.inference.trained_model import TrainedModel
from ssul.memory.exemplars import Exemplar, read_exemplars, write_exemplars
from ssul.model.checkpoint import save_checkpoint
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.scenario.splits import Split
from tests.project import composed, composed_text

pytestmark = pytest.mark.slow

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 1, 2, 255, 256, 10**9, 2**63, 10**30]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "1e-5", " 3 ", "../..", "/etc/passwd", "a\nb", "\x00", "<script>", "{id}", "nan", "0x10"]),
)
values = st.recursive(
    odd,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=6,
)


def places(content: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested JSON, the whole last."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [place for key, value in inner for place in places(value, (*above, key))] + [above]


def changed(content: Any, place: tuple[Any, ...], how: Callable[[Any, Any], None]) -> Any:
    """A copy in which something is done to the parent of a place."""
    copy = json.loads(json.dumps(content))
    parent = functools.reduce(lambda inner, key: inner[key], place[:-1], copy)
    how(parent, place[-1])
    return copy


@st.composite
def mutations(draw: st.DrawFn, content: Any) -> Any:
    """JSON in which one to three things are put in place of others, left out, or added."""
    for _ in range(draw(st.integers(1, 3))):
        everywhere = [place for place in places(content) if place]
        if not everywhere:
            return draw(values)
        place, value = draw(st.sampled_from(everywhere)), draw(values)
        kind = draw(st.sampled_from(["replace", "replace", "replace", "drop", "add"]))
        if kind == "drop":
            content = changed(content, place, lambda parent, key: parent.pop(key))
        elif kind == "add":
            content = changed(content, place, lambda parent, _, new=value: add(parent, new))
        else:
            content = changed(content, place, lambda parent, key, new=value: parent.__setitem__(key, new))
    return content


def add(parent: Any, value: Any) -> None:
    if isinstance(parent, dict):
        parent[str(value)[:20]] = value
    else:
        parent.append(value)


@st.composite
def broken_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """A file of which bytes are changed, or an end or a middle is missing or doubled."""
    broken = bytearray(content)
    for place, value in draw(st.lists(st.tuples(st.integers(0, len(broken) - 1), st.integers(0, 255)), max_size=6)):
        broken[place] = value
    start, end = sorted(draw(st.tuples(st.integers(0, len(broken)), st.integers(0, len(broken)))))
    part = draw(st.sampled_from(["whole", "cut", "without", "twice"]))
    return bytes(
        {
            "whole": broken,
            "cut": broken[:end],
            "without": broken[:start] + broken[end:],
            "twice": broken[:end] + broken[start:],
        }[part]
    )


def answered(what: Callable[[], Any]) -> Any:
    """The result of a call, or the one line that refuses it."""
    try:
        return what()
    except UserError as error:
        message = str(error)
        assert "\n" not in message
        assert len(message) < 5000
        message.encode("utf-8", "backslashreplace")
        return message


# --- params.yaml ------------------------------------------------------------------------------------------------------

CUSTOM = {
    "name": "toys",
    "root": "toys",
    "shapes": None,
    "custom": {
        "classes": ["a", "b", "c"],
        "palette": [[0, 0, 0], [1, 2, 3], [4, 5, 6], [7, 8, 9]],
        "background": True,
        "first_value": 1,
        "void": 255,
        "train": {"image": "i/{id}.jpg", "mask": "m/{id}.png", "saliency": None, "list": None},
        "val": None,
        "val_share": 0.2,
        "val_seed": 0,
    },
}


def mutated_params() -> st.SearchStrategy[Any]:
    """Mutations of the default parameters, and of those of a described dataset."""
    params = composed()
    return st.one_of(mutations(params), mutations(params | {"data": params["data"] | CUSTOM}))


def aliases(depth: int) -> bytes:
    """Some lines of YAML that are 9 ** depth words if anybody writes them out."""
    lines = [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, depth)]
    return "\n".join(["a0: &a0 [x]", *lines, f"data: {{drawn: *a{depth - 1}}}"]).encode()


ENDLESS = aliases(12)


@settings(max_examples=150)
@given(st.deferred(mutated_params))
def test_parameters_are_settings_or_refused(params: Any) -> None:
    found = answered(lambda: parse_params(params))
    assert isinstance(found, Params | str)
    if isinstance(found, Params):
        again = parse_params(found.model_dump())
        assert again == found  # nothing in it is of a type that it may not have


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.deferred(lambda: broken_bytes(composed_text().encode())))
@example(b"seed: 2001-99-99\n")
@example(b"seed: " + b"9" * 10_000)
@example(b"[" * 100_000)
@example(ENDLESS)
@example(b"!!python/object/apply:os.system ['touch /tmp/never']")
@example(b"? {a: 1}\n: 2")
@example(b"\xff\xfe")
def test_a_broken_params_yaml_is_settings_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    assert isinstance(answered(lambda: load_params(tmp_path / "params.yaml")), Params | str)


# --- stored files -----------------------------------------------------------------------------------------------------

INDEX = ImageIndex(
    "toy",
    ("ball", "star"),
    SplitFiles("photos/{id}.jpg", "masks/{id}.png", "salient/{id}.png", "lists/train.txt"),
    MaskEncoding(),
    (IndexRow("a", 3, 4, {0: 3, 1: 9}, 0, 900, "0a" * 32), IndexRow("town/b", 1, 2, {2: 1}, 1, 80, "0b" * 32)),
)
SPLIT = Split(1, ((2,), (1,)), ("star", "ball"), ("a", "town/b"), ("c",))
ABOUT = DatasetInfo(((0, 0, 0), (1, 2, 3), (4, 5, 6)), {"d": "no mask"}, {})
WRITERS: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any]]] = {
    "index": (INDEX.write, ImageIndex.read),
    "split": (SPLIT.write, Split.read),
    "about": (ABOUT.write, DatasetInfo.read),
    "start": (InitialCheckpoint("0a" * 32).write, InitialCheckpoint.read),
    "memory": (
        lambda path: write_exemplars(path, [Exemplar("a", (0,), (1, 2)), Exemplar("b", (0, 1), ())]),
        read_exemplars,
    ),
}


@functools.cache
def written(kind: str, folder: Path) -> bytes:
    WRITERS[kind][0](folder / f"{kind}.json")
    return (folder / f"{kind}.json").read_bytes()


def sound(found: Any) -> None:
    """What no file may make believe, whatever stands in it."""
    if isinstance(found, ImageIndex):
        for row in found.rows:
            numbers = [row.height, row.width, row.void, *row.pixels.values()]
            assert all(type(number) is int and number >= 0 for number in numbers)
            assert sum(row.pixels.values()) + row.void == row.height * row.width
            assert all(found.class_name(class_id) for class_id in row.present) or "" in found.class_names
            assert ".." not in Path(row.id).parts
    if isinstance(found, Split):
        assert len(found.new_names) == len(found.new) > 0
        assert found.images
    if isinstance(found, list):
        assert all(type(step) is int and step >= 0 for one in found for step in one.annotated_steps)


@pytest.mark.parametrize("kind", WRITERS)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_stored_file_with_other_content_is_sound_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    content = data.draw(mutations(json.loads(written(kind, folder))))
    (folder / "one.json").write_text(json.dumps(content), encoding="utf-8")
    sound(answered(lambda: WRITERS[kind][1](folder / "one.json")))


@pytest.mark.parametrize("kind", WRITERS)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_stored_file_with_broken_bytes_is_sound_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "one.json").write_bytes(data.draw(broken_bytes(written(kind, folder))))
    sound(answered(lambda: WRITERS[kind][1](folder / "one.json")))


# --- checkpoints ------------------------------------------------------------------------------------------------------

MEANING = {
    "labels": {"groups": [[3, 1], [2]], "unknown": True, "activation": "sigmoid"},
    "class_names": ["hat", "ball", "star"],
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz") / "step_1"
    save_checkpoint(folder, IncrementalDeepLab(Architecture("small", "deeplabv3", 16, 8), (1, 1, 2, 1)), MEANING)
    shutil.copyfile(folder / "model.json", folder.parent / "model.json")
    return folder


def opened(checkpoint: Path, content: bytes) -> None:
    (checkpoint / "model.json").write_bytes(content)
    found = answered(lambda: TrainedModel.load(checkpoint))
    if isinstance(found, TrainedModel):
        assert found.model.head_sizes == found.labels.head_sizes == (1, 1, 2, 1)
        assert len(found.class_names) == len(found.labels.classes) == 3


@settings(max_examples=70)
@given(data=st.data())
def test_a_checkpoint_that_describes_itself_otherwise_opens_or_is_refused(
    checkpoint: Path, data: st.DataObject
) -> None:
    content = json.loads((checkpoint.parent / "model.json").read_text())
    opened(checkpoint, json.dumps(data.draw(mutations(content))).encode())


@settings(max_examples=30)
@given(data=st.data())
def test_a_checkpoint_whose_description_is_broken_opens_or_is_refused(checkpoint: Path, data: st.DataObject) -> None:
    opened(checkpoint, data.draw(broken_bytes((checkpoint.parent / "model.json").read_bytes())))


# --- masks and photographs --------------------------------------------------------------------------------------------

MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "YCbCr", "PA", "F", "I"]
KINDS = ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"]


@st.composite
def pictures(draw: st.DrawFn) -> bytes:
    """A valid file of some format, mode, size and content; perhaps with fewer bits, transparency or notes."""
    width, height, mode = draw(st.integers(1, 40)), draw(st.integers(1, 40)), draw(st.sampled_from(MODES))
    chance = np.random.default_rng(draw(st.integers(0, 999)))
    content = chance.integers(0, draw(st.sampled_from([1, 2, 4, 16, 256])), (height, width), dtype=np.uint8)
    picture = Image.fromarray(content)
    if mode == "P":
        picture.putpalette(list(range(256)) * 3)
    elif mode != "L":
        picture = picture.convert("L").convert("RGB" if mode in ("CMYK", "YCbCr", "PA") else "L").convert(mode)
    how = draw(st.sampled_from([{}, {"bits": 1}, {"bits": 2}, {"bits": 4}, {"transparency": 0}]))
    file = io.BytesIO()
    kind = draw(st.sampled_from(["PNG", "PNG", "PNG", *KINDS]))
    try:
        picture.save(file, kind, **(how if kind == "PNG" and mode in ("P", "L") else {}))
    except (OSError, ValueError, KeyError):  # Pillow writes not every mode in every format
        assume(False)
    return file.getvalue()


def looked_at(content: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        ((found),) = scan_masks([("a", content)], classes=3, values=MaskEncoding(), memo=ScanCache(None))
        if isinstance(found, ImageProblem):
            assert "\n" not in found.what
            assert " at 0x" not in found.what
        else:
            shown = found[1]
            assert isinstance(shown, MaskStatistics)
            truth = np.array(Image.open(io.BytesIO(content)))
            assert truth.shape == (shown.height, shown.width)
            assert sum(shown.pixels.values()) + shown.void == truth.size
        slowly, quickly = read_with(pixels.rgb, content), read_with(decode_rgb, content)
        assert (slowly is None) == (quickly is None)
        if slowly is not None and quickly is not None:
            assert slowly.dtype == np.uint8
            assert slowly.shape[2] == 3
            assert np.array_equal(slowly, quickly.permute(1, 2, 0))
        slowly, quickly = read_with(functools.partial(pixels.values, what="mask"), content), read_with(mask_of, content)
        assert (slowly is None) == (quickly is None)
        assert slowly is None or np.array_equal(slowly, quickly)


def mask_of(path: Path) -> Tensor:
    return decode_values(path, "mask")


def read_with(reader: Callable[[Path], Any], content: bytes) -> Any:
    """What a reader makes of a file; None if it refuses it."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            return reader(Path(file.name))
        except UnreadableImageError:
            return None


@settings(max_examples=80, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(pictures())
def test_any_valid_picture_is_a_mask_or_a_photograph_or_refused(content: bytes) -> None:
    looked_at(content)


@settings(max_examples=80, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(pictures().flatmap(broken_bytes))
def test_any_broken_picture_is_a_mask_or_a_photograph_or_refused(content: bytes) -> None:
    looked_at(content)


@settings(max_examples=40)
@given(
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"%!PS-Adobe-3.0 EPSF-3.0\n", b""]), st.binary(max_size=300)
)
def test_any_bytes_are_a_mask_or_a_photograph_or_refused(start: bytes, rest: bytes) -> None:
    looked_at(start + rest)
