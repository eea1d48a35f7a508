"""A foreign checkpoint: nothing in it is trusted, and claimed sizes take no memory."""

import json
import os
import shutil
import struct
import subprocess
import sys
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
from tests.model.checkpoints import HEAD_SIZES, LABELS, MEANING, Change, describe, update_digests


def refused(folder: Path, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500


def set_network(**changes: Any) -> Change:
    return lambda content: content["architecture"].update(changes)


def set_meaning(**changes: Any) -> Change:
    return lambda content: content["meaning"].update(changes)


# ---- parts ----------------------------------------------------------------------------------------------------------


def test_a_missing_checkpoint_or_part_is_refused_by_name(saved: Path) -> None:
    refused(saved.with_name("step_3"), "step_3 is missing")
    for name in ("head_1.safetensors", "backbone.safetensors"):
        (saved / name).unlink()
        refused(saved, rf"{name} is missing")


@pytest.mark.parametrize(
    ("source", "words"), [("head_2", "2 tensors are of another"), ("backbone", "8 tensors are missing")]
)
def test_a_part_with_other_tensors_is_refused_with_their_number(saved: Path, source: str, words: str) -> None:
    (saved / "head_1.safetensors").write_bytes((saved / f"{source}.safetensors").read_bytes())
    refused(saved, rf"head_1\.safetensors.*{words}")


def test_v3_plus_is_refused_where_v3_is_promised(saved: Path) -> None:
    plus = saved.with_name("plus")
    save_checkpoint(plus, IncrementalDeepLab(Architecture("small", "deeplabv3plus", 8, 16), HEAD_SIZES), MEANING)
    shutil.copyfile(plus / "backbone.safetensors", saved / "backbone.safetensors")
    refused(saved, r"backbone\.safetensors.*6 tensors are left over")


def swap_heads(folder: Path) -> None:
    """Unknown and background have one channel each: only the digest distinguishes them."""
    (folder / "head_0.safetensors").rename(folder / "aside")
    (folder / "head_1.safetensors").rename(folder / "head_0.safetensors")
    (folder / "aside").rename(folder / "head_1.safetensors")


def swap_statistics(folder: Path) -> None:
    state = load_file(folder / "head_2.safetensors")
    state["norm.running_var"], state["norm.running_mean"] = state["norm.running_mean"], state["norm.running_var"]
    save_file(state, folder / "head_2.safetensors")


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / "head_2.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "head_2.safetensors").write_bytes(content)


@pytest.mark.parametrize(
    ("change", "part"), [(swap_heads, "head_0"), (swap_statistics, "head_2"), (flip_a_bit, "head_2")]
)
def test_a_part_that_was_changed_or_swapped_for_one_of_the_same_shapes_is_refused(
    saved: Path, change: Callable[[Path], None], part: str
) -> None:
    change(saved)
    refused(saved, rf"{part}\.safetensors is not the part that this checkpoint was saved with")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda weight: weight.fill_(torch.nan), "holds weights that are NaN or infinite"),
        (lambda weight: weight.fill_(torch.inf), "holds weights that are NaN or infinite"),
        (torch.Tensor.double, r".* 1 tensors are of another shape or type \(classifier\.weight"),
        (torch.Tensor.int, r".* 1 tensors are of another shape or type \(classifier\.weight"),
    ],
)
def test_weights_that_are_not_finite_or_of_another_type_are_refused(
    saved: Path, change: Callable[[torch.Tensor], torch.Tensor], words: str
) -> None:
    path = saved / "head_3.safetensors"
    state = load_file(path)
    state["classifier.weight"] = change(state["classifier.weight"])
    save_file(state, path)
    update_digests(saved)
    refused(saved, rf"head_3\.safetensors {words}")


CLAIMS = json.dumps({"classifier.bias": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}).encode()


@pytest.mark.parametrize(
    "replace",
    [
        lambda _: b"",
        lambda content: content[:100],
        lambda content: content[:-1],
        lambda _: b"PK\x03\x04",
        lambda _: struct.pack("<Q", 2**63) + b"{}",
        lambda _: struct.pack("<Q", len(CLAIMS)) + CLAIMS,
    ],
    ids=["empty", "cut off", "without the last byte", "a pickle", "a header of any length", "more than the file holds"],
)
def test_a_part_that_is_not_a_whole_safetensors_file_is_refused(saved: Path, replace: Callable[[bytes], bytes]) -> None:
    path = saved / "head_1.safetensors"
    path.write_bytes(replace(path.read_bytes()))
    refused(saved, r"head_1\.safetensors does not hold the weights")


def test_a_pipe_in_place_of_a_part_is_not_waited_for(saved: Path) -> None:
    (saved / "head_1.safetensors").unlink()
    os.mkfifo(saved / "head_1.safetensors")
    refused(saved, r"head_1\.safetensors")


def test_parts_may_be_links_to_dvcs_cache(saved: Path) -> None:
    cache = saved.rename(saved.with_name("cache"))
    saved.mkdir()
    for part in cache.iterdir():
        (saved / part.name).symlink_to(part)
    assert load_checkpoint(saved)[0].head_sizes == HEAD_SIZES


# ---- the description ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.clear(), r"model\.json is damaged"),
        (lambda content: content.pop("digests"), r"model\.json is damaged \(digests: Field required\)"),
        (lambda content: content.update(digests={}), r"backbone\.safetensors is not the part"),
        (lambda content: content.update(format=7), "step_1 has format 7, this version reads 1 and 2"),
        (lambda content: content.update(format=True), "format"),
        (lambda content: content.update(colour=1), "unknown: colour"),
        (lambda content: content.update(meaning=[]), r"model\.json.*meaning"),
        (lambda content: content.pop("architecture"), r"model\.json.*architecture"),
        (lambda content: content.update(architecture={"backbone": "small"}), r"model\.json.*architecture.head"),
        (set_network(colour="red"), "unknown: colour"),
        (set_network(output_stride=32), "architecture.output_stride"),
        (set_network(backbone="__init__"), "architecture.backbone"),
        (set_network(backbone="resnet101"), r"backbone\.safetensors"),
        (set_network(separable="no"), "architecture.separable"),
        (set_network(width=32), r"backbone\.safetensors.*another shape"),
        (set_network(width=2**20), "another shape"),
        *[(set_network(width=width), "architecture.width") for width in (10**9, True, 16.0, "16", 0)],
        (lambda content: content.update(head_sizes=[]), "head_sizes"),
        (lambda content: content.update(head_sizes=[1, 1, -3]), "head_sizes.2"),
        (lambda content: content.update(head_sizes=[1, 1, 10**9, 1]), "head_sizes.2"),
        (lambda content: content.update(head_sizes=[1] * 10**6), "head_sizes"),
        (lambda content: content.update(head_sizes=[1, 1, 3, True]), "head_sizes.3"),
        (lambda content: content.update(head_sizes=[1, 1, 255, 1]), "head_2.*another shape"),
    ],
)
def test_a_description_of_another_or_of_no_network_is_refused(saved: Path, change: Change, words: str) -> None:
    describe(saved, change)
    refused(saved, words)


LOAD = """
import resource, sys
from pathlib import Path
from ssul.errors import UserError
from ssul.model.checkpoint import load_checkpoint
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_checkpoint(Path(sys.argv[1]))
except UserError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_no_memory_is_taken_for_a_network_that_the_files_do_not_hold(saved: Path) -> None:
    """255 heads of width 65536 would be petabytes."""
    describe(saved, set_network(width=2**16))
    describe(saved, lambda content: content.update(head_sizes=[1] * 255))
    done = subprocess.run([sys.executable, "-c", LOAD, str(saved)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300_000, "kilobytes"


# ---- the meaning of the channels ------------------------------------------------------------------------------------


def test_a_trained_model_is_read_with_its_meaning(saved: Path) -> None:
    trained = TrainedModel.load(saved)
    assert trained.labels.to_dict() == LABELS
    assert trained.class_names == ("moon", "ball", "hat", "Ähre")
    assert trained.model.head_sizes == trained.labels.head_sizes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_meaning(labels={**LABELS, "groups": [[4, 2, 3]]}), "heads of .* but its label space has"),
        (set_meaning(labels={**LABELS, "groups": [[4, 2], [3, 1]]}), "heads of"),
        (set_meaning(labels={**LABELS, "unknown": False}), "heads of"),
        (set_meaning(labels={**LABELS, "unknown": 1}), "label space is not valid"),
        (lambda content: content["meaning"].pop("labels"), "label space is not readable"),
        (lambda content: content["meaning"].pop("class_names"), "does not name its classes"),
        (set_meaning(class_names=["moon", "ball", "hat", 7]), "does not name its classes"),
        (set_meaning(class_names=["moon", "ball", "hat", "hat"]), "4 classes, but 3 names"),
    ],
)
def test_a_meaning_that_does_not_fit_the_channels_is_refused(saved: Path, change: Change, words: str) -> None:
    describe(saved, change)
    with pytest.raises(UserError, match=words):
        TrainedModel.load(saved)
