"""Any content of a file or a parameter gives a result or a one-line error: never a traceback, never a hang.

650 examples, the same ones each time: 200 params.yaml, 100 stored files, 100 descriptions of checkpoints, 50 foreign
networks, 200 images.
"""

import functools
import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.models import segmentation

from ssul.cli.import_file import import_softmax_network
from ssul.config.load import load_params, parse_params
from ssul.config.schema import Params
from ssul.data import image_files
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
UNHEALTHY = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]

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


def parents(content: Any) -> list[tuple[Any, Any]]:
    """Every container in nested JSON with each of its keys or positions."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [pair for key, value in items for pair in [(content, key), *parents(value)]]


@st.composite
def mutations(draw: st.DrawFn, content: Any) -> Any:
    """JSON in which one to three values are replaced, removed or added."""
    content = json.loads(json.dumps(content))
    for _ in range(draw(st.integers(1, 3))):
        places = parents(content)
        if not places:
            return draw(values)
        (parent, key), value = draw(st.sampled_from(places)), draw(values)
        kind = draw(st.sampled_from(["replace", "replace", "replace", "drop", "add"]))
        if kind == "replace":
            parent[key] = value
        elif kind == "drop":
            del parent[key]
        elif isinstance(parent, dict):
            parent[str(value)[:20]] = value
        else:
            parent.append(value)
    return content


@st.composite
def broken_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """A file in which bytes are changed, and a part is missing or doubled."""
    broken = bytearray(content)
    for place, value in draw(st.lists(st.tuples(st.integers(0, len(broken) - 1), st.integers(0, 255)), max_size=6)):
        broken[place] = value
    start, end = sorted(draw(st.tuples(st.integers(0, len(broken)), st.integers(0, len(broken)))))
    parts = (broken, broken[:end], broken[:start] + broken[end:], broken[:end] + broken[start:])
    return bytes(draw(st.sampled_from(parts)))


def broken_json(content: bytes) -> st.SearchStrategy[bytes]:
    mutated = mutations(json.loads(content)).map(lambda changed: json.dumps(changed).encode())
    return mutated | broken_bytes(content)


def result_or_refusal(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except UserError as error:
        message = str(error)
        assert "\n" not in message
        assert len(message) < 5000
        return message


# --- params.yaml ------------------------------------------------------------------------------------------------------

FILES = {"image": "i/{id}.jpg", "mask": "m/{id}.png", "saliency": None, "list": None}
CUSTOM = {"classes": ["a", "b"], "palette": [[0, 0, 0], [1, 2, 3], [4, 5, 6]], "background": True, "first_value": 1}
CUSTOM |= {"void": 255, "train": FILES, "val": None, "val_share": 0.2, "val_seed": 0}


def mutated_params() -> st.SearchStrategy[Any]:
    """Mutations of the default parameters, and of those of a custom dataset."""
    params = composed()
    data = params["data"] | {"name": "toys", "root": "toys", "shapes": None, "custom": CUSTOM}
    return mutations(params) | mutations(params | {"data": data})


@settings(max_examples=150)
@given(st.deferred(mutated_params))
def test_changed_parameters_are_valid_or_refused(params: Any) -> None:
    found = result_or_refusal(lambda: parse_params(params))
    assert isinstance(found, str) or parse_params(found.model_dump()) == found  # all values have the declared types


@settings(max_examples=50, suppress_health_check=UNHEALTHY)
@given(st.deferred(lambda: broken_bytes(composed_text().encode())))
@example(b"seed: 2001-99-99\n")
@example(b"[" * 100_000)
@example(b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [%b]\n" % (n, n, b"*a%d, " % (n - 1) * 9) for n in range(1, 12)))
@example(b"!!python/object/apply:os.system ['touch /tmp/never']")
@example(b"? {a: 1}\n: 2")
def test_a_broken_params_yaml_is_valid_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    assert isinstance(result_or_refusal(lambda: load_params(tmp_path / "params.yaml")), Params | str)


# --- stored files -----------------------------------------------------------------------------------------------------

PLACES = SplitFiles("photos/{id}.jpg", "masks/{id}.png", "salient/{id}.png", "lists/train.txt")
ROWS = (IndexRow("a", 3, 4, {0: 3, 1: 9}, 0, 900, "0a" * 32), IndexRow("town/b", 1, 2, {2: 1}, 1, 80, "0b" * 32))
EXEMPLARS = [Exemplar("a", (0,), (1, 2)), Exemplar("b", (0, 1), ())]
STORED: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any]]] = {
    "index": (ImageIndex("toy", ("ball", "star"), PLACES, MaskEncoding(), ROWS).write, ImageIndex.read),
    "split": (Split(1, ((2,), (1,)), ("star", "ball"), ("a", "town/b"), ("c",)).write, Split.read),
    "info": (DatasetInfo(((0, 0, 0), (1, 2, 3), (4, 5, 6)), {"d": "no mask"}, {}).write, DatasetInfo.read),
    "initial": (InitialCheckpoint("0a" * 32).write, InitialCheckpoint.read),
    "memory": (lambda path: write_exemplars(path, EXEMPLARS), read_exemplars),
}


def check_sound(found: Any) -> None:
    """What holds of everything that is read, whatever the file contains."""
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


@pytest.mark.parametrize("kind", STORED)
@settings(max_examples=20, suppress_health_check=UNHEALTHY)
@given(data=st.data())
def test_a_changed_stored_file_is_sound_or_refused(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    write, read = STORED[kind]
    write(tmp_path / "one.json")
    (tmp_path / "one.json").write_bytes(data.draw(broken_json((tmp_path / "one.json").read_bytes())))
    check_sound(result_or_refusal(lambda: read(tmp_path / "one.json")))


# --- checkpoints ------------------------------------------------------------------------------------------------------

LABELS = {"groups": [[3, 1], [2]], "unknown": True, "activation": "sigmoid"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A checkpoint, and its description."""
    folder = tmp_path_factory.mktemp("fuzz") / "step_1"
    model = IncrementalDeepLab(Architecture("small", "deeplabv3", 16, 8), (1, 1, 2, 1))
    save_checkpoint(folder, model, {"labels": LABELS, "class_names": ["hat", "ball", "star"]})
    return folder, (folder / "model.json").read_bytes()


@settings(max_examples=100)
@given(data=st.data())
def test_a_checkpoint_with_a_changed_description_opens_or_is_refused(
    checkpoint: tuple[Path, bytes], data: st.DataObject
) -> None:
    folder, description = checkpoint
    (folder / "model.json").write_bytes(data.draw(broken_json(description)))
    found = result_or_refusal(lambda: TrainedModel.load(folder))
    if isinstance(found, TrainedModel):
        assert found.model.head_sizes == found.labels.head_sizes == (1, 1, 2, 1)
        assert len(found.class_names) == len(found.labels.classes) == 3


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A file of torchvision's DeepLabV3 in which every tensor is cut down to its first value."""
    net = segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None, aux_loss=True)
    path = tmp_path_factory.mktemp("fuzz") / "model.pth"
    torch.save({name: tensor.flatten()[:1].clone() for name, tensor in net.state_dict().items()}, path)
    return path, path.read_bytes()


@settings(max_examples=25, suppress_health_check=UNHEALTHY)
@given(data=st.data())
def test_a_changed_foreign_network_is_refused(foreign: tuple[Path, bytes], tmp_path: Path, data: st.DataObject) -> None:
    path, content = foreign
    path.write_bytes(data.draw(broken_bytes(content)))
    source = data.draw(st.sampled_from(["torchvision", "smp"]))
    found = result_or_refusal(
        lambda: import_softmax_network(path, source, None, output_stride=8, out=tmp_path / "ours")
    )
    assert isinstance(found, str)  # the shapes are others
    assert not (tmp_path / "ours").exists()


@settings(max_examples=25, suppress_health_check=UNHEALTHY)
@given(data=st.data())
def test_changed_names_of_a_foreign_network_are_refused(
    foreign: tuple[Path, bytes], tmp_path: Path, data: st.DataObject
) -> None:
    path, content = foreign
    path.write_bytes(content)
    state = torch.load(path, weights_only=True)
    for name in data.draw(st.lists(st.sampled_from(sorted(state)), min_size=1, max_size=3, unique=True)):
        tensor = state.pop(name)
        cut = data.draw(st.integers(0, len(name)))
        state[data.draw(st.sampled_from([name[:cut], name[cut:], f"{name[:cut]}.{name[cut:]}", f"module.{name}"]))] = (
            tensor
        )
    torch.save({"model": state}, path)
    assert isinstance(
        result_or_refusal(
            lambda: import_softmax_network(path, "torchvision", None, output_stride=8, out=tmp_path / "x")
        ),
        str,
    )


# --- images -----------------------------------------------------------------------------------------------------------

MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "YCbCr", "PA", "F", "I"]
KINDS = ["PNG", "PNG", "PNG", "PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"]
STARTS = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"%!PS-Adobe-3.0 EPSF-3.0\n", b""]


@st.composite
def valid_images(draw: st.DrawFn) -> bytes:
    """A file of some format, mode, size and content; perhaps with fewer bits or transparency."""
    size, mode = (draw(st.integers(1, 40)), draw(st.integers(1, 40))), draw(st.sampled_from(MODES))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    image = Image.fromarray(rng.integers(0, draw(st.sampled_from([1, 2, 4, 16, 256])), size, dtype=np.uint8))
    if mode == "P":
        image.putpalette(list(range(256)) * 3)
    elif mode != "L":
        image = image.convert("RGB" if mode in ("CMYK", "YCbCr", "PA") else "L").convert(mode)
    options = draw(st.sampled_from([{}, {"bits": 1}, {"bits": 2}, {"bits": 4}, {"transparency": 0}]))
    kind, file = draw(st.sampled_from(KINDS)), io.BytesIO()
    try:
        image.save(file, kind, **(options if kind == "PNG" and mode in ("P", "L") else {}))
    except (OSError, ValueError, KeyError):  # Pillow cannot write every mode in every format
        assume(False)
    return file.getvalue()


def array_or_none(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return np.asarray(read(path))
    except UnreadableImageError:
        return None


@settings(max_examples=200, suppress_health_check=UNHEALTHY)
@given(
    valid_images()
    | valid_images().flatmap(broken_bytes)
    | st.tuples(st.sampled_from(STARTS), st.binary(max_size=300)).map(b"".join)
)
def test_any_bytes_are_an_image_or_refused_and_both_decoders_agree(tmp_path: Path, content: bytes) -> None:
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    (found,) = scan_masks([("a", content)], classes=3, values=MaskEncoding(), cache=ScanCache(None))
    if isinstance(found, ImageProblem):
        assert "\n" not in found.what
        assert " at 0x" not in found.what
    else:
        statistics = found[1]
        assert isinstance(statistics, MaskStatistics)
        truth = np.array(Image.open(io.BytesIO(content)))
        assert truth.shape == (statistics.height, statistics.width)
        assert sum(statistics.pixels.values()) + statistics.void == truth.size
    path = tmp_path / "image"
    path.write_bytes(content)
    slow_mask = array_or_none(functools.partial(image_files.values, what="mask"), path)
    fast_mask = array_or_none(functools.partial(decode_values, what="mask"), path)
    assert (slow_mask is None) == (fast_mask is None)
    assert slow_mask is None or np.array_equal(slow_mask, fast_mask)
    slow_rgb, fast_rgb = array_or_none(image_files.rgb, path), array_or_none(decode_rgb, path)
    assert (slow_rgb is None) == (fast_rgb is None)
    assert slow_rgb is None or slow_rgb.dtype == np.uint8
    assert slow_rgb is None or np.array_equal(slow_rgb.transpose(2, 0, 1), fast_rgb)
