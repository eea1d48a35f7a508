"""A foreign checkpoint: nothing in it is trusted, no code runs, claimed sizes take no memory."""

import hashlib
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ssul.errors import UserError
from ssul.inference.trained_model import TrainedModel
from ssul.model.checkpoint import load_checkpoint, save_checkpoint
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from tests.model.hostile import Touch

LABELS = {"groups": [[4, 2, 3], [1]], "unknown": True, "activation": "sigmoid"}
MEANING = {"labels": LABELS, "class_names": ["moon", "ball", "hat", "kite"]}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = IncrementalDeepLab(Architecture("small", "deeplabv3", 8, 16), (1, 1, 3, 1))
    save_checkpoint(tmp_path / "step_1", model, MEANING)
    return tmp_path / "step_1"


def describe(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / "model.json").read_text())
    change(content)
    (folder / "model.json").write_text(json.dumps(content))


def vouch(folder: Path, name: str) -> None:
    """Notes the digest of a part as it is now, as an attacker would."""
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    describe(folder, lambda content: content["digests"].update({name: digest}))


def refused(folder: Path, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500


# --- parts ------------------------------------------------------------------------------------------------------------


def test_two_heads_of_one_shape_that_were_swapped_are_refused(saved: Path) -> None:
    """Unknown and background have one channel each: nothing but the digest can tell."""
    one, other = saved / "head_0.safetensors", saved / "head_1.safetensors"
    one.rename(saved / "aside")
    other.rename(one)
    (saved / "aside").rename(other)
    refused(saved, r"head_0\.safetensors is not the part that this checkpoint was saved with")


def test_a_single_changed_weight_is_noticed(saved: Path) -> None:
    path = saved / "head_2.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    refused(saved, "was damaged, swapped or changed")


def test_tensors_that_were_swapped_within_a_part_are_refused(saved: Path) -> None:
    path = saved / "head_2.safetensors"
    state = load_file(path)
    state["norm.running_var"], state["norm.running_mean"] = state["norm.running_mean"], state["norm.running_var"]
    save_file(state, path)
    refused(saved, "was damaged, swapped or changed")


def test_a_description_without_digests_is_refused(saved: Path) -> None:
    """Without them two heads of one shape could be swapped."""
    describe(saved, lambda content: content.pop("digests"))
    refused(saved, r"model\.json is damaged \(digests: Field required\)")


@pytest.mark.parametrize("digests", [{}, {"backbone.safetensors": "0" * 64}])
def test_digests_that_lack_a_part_or_are_wrong_are_refused(saved: Path, digests: dict[str, str]) -> None:
    describe(saved, lambda content: content.update(digests=digests))
    refused(saved, r"backbone\.safetensors is not the part")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(saved: Path, value: float) -> None:
    state = load_file(saved / "head_3.safetensors")
    state["classifier.weight"][0, 0] = value
    save_file(state, saved / "head_3.safetensors")
    vouch(saved, "head_3.safetensors")
    refused(saved, r"head_3\.safetensors holds weights that are NaN or infinite")


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.int32, torch.bool])
def test_weights_of_another_type_are_refused_and_not_rounded(saved: Path, kind: torch.dtype) -> None:
    state = load_file(saved / "head_3.safetensors")
    state["classifier.weight"] = state["classifier.weight"].to(kind)
    save_file(state, saved / "head_3.safetensors")
    vouch(saved, "head_3.safetensors")
    refused(saved, r"head_3\.safetensors .* 1 tensors are of another shape or type \(classifier\.weight")


def header(length: int, text: bytes = b"{}") -> bytes:
    return struct.pack("<Q", length) + text


@pytest.mark.parametrize(
    "content",
    [
        header(2**63, b"{}"),
        header(2**40, b"{}"),
        header(10**8 + 1, b"{}"),
        header(2, b"{}"),
        header(2, b"[]"),
        header(7, b'{"a":1}'),
        header(4, b"\xff\xff\xff\xff"),
        header(64, b'{"classifier.weight":{"dtype":"F32","shape":[9],"data_offsets":[0,9]}}'[:64]),
        b"",
        b"\x00" * 7,
        b"PK\x03\x04",
    ],
    ids=range(11),
)
def test_safetensors_headers_of_any_length_and_content_are_refused(saved: Path, content: bytes) -> None:
    (saved / "head_1.safetensors").write_bytes(content)
    refused(saved, r"head_1\.safetensors")


def test_a_header_that_claims_more_than_the_file_holds_is_refused(saved: Path) -> None:
    claims = json.dumps(
        {"classifier.bias": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}
    ).encode()
    (saved / "head_1.safetensors").write_bytes(header(len(claims), claims))
    refused(saved, r"head_1\.safetensors does not hold the weights")


@pytest.mark.parametrize("name", ["head_0.safetensors", "model.json"])
def test_a_pickle_that_poses_as_a_part_is_refused_and_its_code_does_not_run(saved: Path, name: str) -> None:
    torch.save(Touch(saved / "the code ran"), saved / name)
    refused(saved, name.replace(".", r"\."))
    assert not (saved / "the code ran").exists()


@pytest.mark.parametrize("name", ["model.json", "backbone.safetensors", "head_1.safetensors"])
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_folder_or_a_pipe_in_place_of_a_part_is_refused_at_once(
    saved: Path, name: str, make: Callable[[Path], object]
) -> None:
    (saved / name).unlink()
    make(saved / name)
    refused(saved, name.replace(".", r"\."))


def test_parts_may_be_links(saved: Path, tmp_path: Path) -> None:
    """DVC may link them to its cache."""
    shutil.move(saved, tmp_path / "real")
    saved.mkdir()
    for part in (tmp_path / "real").iterdir():
        (saved / part.name).symlink_to(part)
    assert load_checkpoint(saved)[0].head_sizes == (1, 1, 3, 1)


# --- sizes ------------------------------------------------------------------------------------------------------------


def set_width(width: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["architecture"].update(width=width)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_width(10**9), "architecture.width"),
        (set_width(2**20), "another shape"),
        (set_width(4096), "another shape"),
        (set_width(True), "architecture.width"),
        (set_width(16.0), "architecture.width"),
        (set_width("16"), "architecture.width"),
        (set_width(0), "architecture.width"),
        (lambda content: content.update(head_sizes=[1, 1, 10**9, 1]), "head_sizes.2"),
        (lambda content: content.update(head_sizes=[1] * 10**6), "head_sizes"),
        (lambda content: content.update(head_sizes=[1, 1, 3, True]), "head_sizes.3"),
        (lambda content: content.update(head_sizes=[]), "head_sizes"),
        (lambda content: content.update(head_sizes=[1, 1, 255, 1]), "head_2.*another shape"),
        (lambda content: content.update(format=True), "format"),
        (lambda content: content.update(meaning=[]), "meaning"),
        (lambda content: content.update(colour=1), "unknown: colour"),
        (lambda content: content["architecture"].update(separable="no"), "architecture.separable"),
        (lambda content: content["architecture"].update(backbone="resnet101"), r"backbone\.safetensors"),
        (lambda content: content["architecture"].update(backbone="__init__"), "architecture.backbone"),
    ],
    ids=range(18),
)
def test_a_description_of_absurd_sizes_or_wrong_types_is_refused(
    saved: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    describe(saved, change)
    began = time.monotonic()
    refused(saved, words)
    assert time.monotonic() - began < 5


def test_no_memory_is_taken_for_a_network_that_the_files_do_not_hold(saved: Path) -> None:
    """255 heads of width 65536 would be petabytes; a process that may have some hundred megabytes more refuses them."""

    def change(content: dict[str, Any]) -> None:
        content["architecture"]["width"] = 2**16
        content["head_sizes"] = [1] * 255

    describe(saved, change)
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from ssul.errors import UserError\n"
        "from ssul.model.checkpoint import load_checkpoint\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    load_checkpoint(Path(sys.argv[1]))\n"
        "except UserError:\n    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(saved)], capture_output=True, text=True, check=True)
    assert resource.getpagesize() >= 1024
    assert int(done.stdout) < 300_000, "kilobytes"


# --- meaning ----------------------------------------------------------------------------------------------------------


def set_meaning(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["meaning"].update(changes)


def test_what_was_learned_is_read_with_its_meaning(saved: Path) -> None:
    learned = TrainedModel.load(saved)
    assert learned.labels.to_dict() == LABELS
    assert learned.class_names == ("moon", "ball", "hat", "kite")
    assert learned.model.head_sizes == learned.labels.head_sizes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_meaning(labels={**LABELS, "groups": [[4, 2, 3]]}), "heads of .* but its label space has"),
        (set_meaning(labels={**LABELS, "groups": [[4, 2], [3, 1]]}), "heads of"),
        (set_meaning(labels={**LABELS, "unknown": False}), "heads of"),
        (set_meaning(labels={**LABELS, "unknown": 1}), "label space is not valid"),
        (set_meaning(labels={**LABELS, "groups": [[4, 2, 4], [1]]}), "label space is not valid"),
        (set_meaning(labels={**LABELS, "groups": [[4, 2, 3], [True]]}), "label space is not valid"),
        (set_meaning(labels=None), "label space is not readable"),
        (lambda content: content["meaning"].pop("labels"), "label space is not readable"),
        (lambda content: content["meaning"].pop("class_names"), "does not name its classes"),
        (set_meaning(class_names="moon"), "does not name its classes"),
        (set_meaning(class_names=["moon", "ball", "hat", 7]), "does not name its classes"),
        (set_meaning(class_names=["moon", "ball", "hat"]), "4 classes, but 3 names"),
        (set_meaning(class_names=["moon", "ball", "hat", "hat"]), "4 classes, but 3 names"),
    ],
    ids=range(13),
)
def test_a_meaning_that_is_not_that_of_the_channels_is_refused(
    saved: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    describe(saved, change)
    with pytest.raises(UserError, match=words):
        TrainedModel.load(saved)
