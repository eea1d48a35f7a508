"""Checkpoints: what is saved is what is loaded, and equal weights are equal bytes."""

import errno
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ssul.errors import UserError
from ssul.model.checkpoint import load_checkpoint, read_outputs, read_training, save_checkpoint, save_tensors
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from tests.model.checkpoints import HEAD_SIZES, MEANING, describe, digests, update_digests

Build = Callable[..., IncrementalDeepLab]
SAVE = """
import json, sys
from pathlib import Path
import torch
from ssul.model.checkpoint import save_checkpoint
from ssul.model.deeplab import Architecture, IncrementalDeepLab
torch.manual_seed(0)
model = IncrementalDeepLab(Architecture("small", "deeplabv3", 8, 16), (1, 1, 3, 1))
save_checkpoint(Path(sys.argv[1]), model, json.loads(sys.argv[2]))
"""


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture("small", "deeplabv3", 8, 16),
        Architecture("small", "deeplabv3plus", 16, 16),
        Architecture("small", "deeplabv3plus", 8, 16, "conv1x1"),
        Architecture("small", "deeplabv3", 8, 16, "conv3x3", separable=True),
        Architecture("small", "deeplabv3", 8, 16, "shared_conv1x1", constant_head=1),
        Architecture("small", "deeplabv3plus", 8, 16, "shared_conv1x1", separable=True, constant_head=0),
        Architecture("mobilenet_v2", "deeplabv3plus", 8, 8, "conv3x3", separable=True),
    ],
    ids=str,
)
def test_the_loaded_network_has_the_saved_ones_logits_and_meaning(
    architecture: Architecture, images: Tensor, tmp_path: Path
) -> None:
    model = IncrementalDeepLab(architecture, (1, 1, 3, 2))
    model.train()(images)  # so that the statistics are no fresh ones
    save_checkpoint(tmp_path / "step_1", model, MEANING)
    loaded, meaning = load_checkpoint(tmp_path / "step_1")
    assert torch.equal(loaded(images), model.eval()(images))
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert loaded.architecture == architecture
    assert loaded.head_sizes == (1, 1, 3, 2)
    assert meaning == MEANING


def test_the_loaded_network_is_in_evaluation_mode_and_can_learn(saved: Path) -> None:
    model, _ = load_checkpoint(saved)
    assert not any(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_each_part_is_a_file_and_saving_again_replaces_all(build: Build, saved: Path) -> None:
    parts = ["backbone.safetensors", *(f"head_{index}.safetensors" for index in range(4)), "model.json"]
    assert sorted(digests(saved)) == parts
    save_checkpoint(saved, build(1, 4), MEANING)
    assert sorted(digests(saved)) == [*parts[:3], "model.json"]
    assert load_checkpoint(saved)[0].head_sizes == (1, 4)


def test_two_processes_save_equal_weights_as_equal_bytes(saved: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    subprocess.run([sys.executable, "-c", SAVE, str(elsewhere), json.dumps(MEANING)], check=True, env=environment)
    assert digests(elsewhere) == digests(saved)


def test_the_memory_layout_of_training_does_not_reach_the_bytes(build: Build, saved: Path, tmp_path: Path) -> None:
    model = build(*HEAD_SIZES).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    save_checkpoint(tmp_path / "again", model, MEANING)
    assert digests(tmp_path / "again") == digests(saved)


def test_what_did_not_learn_keeps_its_bytes_when_the_network_grows(images: Tensor, saved: Path, tmp_path: Path) -> None:
    model, _ = load_checkpoint(saved)
    model.grow(2)
    model.init_head_from_unknown(parent=0)
    model.freeze_past((0, 1, 4))
    optimizer = torch.optim.SGD(model.parameter_groups(0.1, backbone_ratio=1, low_lr_head=None, low_lr_ratio=1))
    model.train()(images).square().mean().backward()
    optimizer.step()
    save_checkpoint(tmp_path / "step_2", model, MEANING)
    before, after = digests(saved), digests(tmp_path / "step_2")
    same = {name for name in before if after[name] == before[name]}
    assert same == {"backbone.safetensors", "head_2.safetensors", "head_3.safetensors"}
    assert set(after) - set(before) == {"head_4.safetensors"}


def test_a_failing_save_leaves_the_old_checkpoint_and_nothing_beside_it(build: Build, saved: Path) -> None:
    before = digests(saved)
    for folder in (saved, saved.with_name("step_2")):
        with pytest.raises(TypeError):
            save_checkpoint(folder, build(*HEAD_SIZES, seed=1), {"not JSON": object()})
    assert digests(saved) == before
    assert [path.name for path in saved.parent.iterdir()] == ["step_1"]


# ---- older checkpoints ----------------------------------------------------------------------------------------------


FORMAT_1 = {"backbone": "trunk", "low_level": "low", "classifier": "score"}


def as_format_1(folder: Path) -> None:
    """Gives a checkpoint the names of format 1, whose first version had no choice of classifiers."""
    (folder / "backbone.safetensors").rename(folder / "trunk.safetensors")
    for path in folder.glob("*.safetensors"):
        tensors = load_file(path)
        renamed = {key: re.sub(r"^\w+", lambda word: FORMAT_1.get(word[0], word[0]), key) for key in tensors}
        save_file({renamed[key]: tensor for key, tensor in tensors.items()}, path)
    describe(folder, lambda content: content.update(format=1))
    describe(folder, lambda content: content["architecture"].update(trunk=content["architecture"].pop("backbone")))
    describe(folder, lambda content: [content["architecture"].pop(key) for key in ("classifier", "separable")])
    update_digests(folder)


@pytest.mark.parametrize(("head", "renamed"), [("deeplabv3", {"trunk"}), ("deeplabv3plus", {"trunk", "low"})])
def test_format_1_with_its_other_names_is_read_to_the_bit(tmp_path: Path, head: str, renamed: set[str]) -> None:
    folder = tmp_path / "step_0"
    save_checkpoint(folder, IncrementalDeepLab(Architecture("small", head, 8, 16), (1, 1, 3)), MEANING)
    expected, meaning = load_checkpoint(folder)
    as_format_1(folder)
    assert {key.partition(".")[0] for key in load_file(folder / "trunk.safetensors")} == {"aspp", *renamed}
    found, same = load_checkpoint(folder)
    assert same == meaning
    assert found.architecture == expected.architecture
    for tensor, other in zip(found.state_dict().values(), expected.state_dict().values(), strict=True):
        assert torch.equal(tensor, other)


# ---- how it was trained ---------------------------------------------------------------------------------------------


TRAINING = {"step": 1, "learned": ["Ähre"], "points": [{"iteration": 10, "loss": 0.1 + 0.2}]}


def test_how_a_network_was_trained_is_read_back_and_changes_no_other_file(build: Build, saved: Path) -> None:
    before = digests(saved)
    assert read_training(saved) is None
    save_checkpoint(saved, build(*HEAD_SIZES), MEANING, TRAINING)
    assert read_training(saved) == TRAINING
    after = digests(saved)
    del after["training.json"]
    assert after == before
    save_checkpoint(saved, build(*HEAD_SIZES), MEANING)  # leaves no stale curve
    assert read_training(saved) is None


@pytest.mark.parametrize("content", [b"{", b"[1]"])
def test_a_damaged_training_is_refused_by_name_though_the_network_is_loaded(saved: Path, content: bytes) -> None:
    (saved / "training.json").write_bytes(content)
    load_checkpoint(saved)
    with pytest.raises(UserError, match=r"step_1/training\.json is damaged.*delete it"):
        read_training(saved)


# ---- tensors on a disk ----------------------------------------------------------------------------------------------


def test_tensors_are_written_however_they_are_laid_out(tmp_path: Path) -> None:
    weight = torch.randn(2, 3, 4, 4)
    tensors = {"turned": weight[0, 0].T, "part": weight[:, 1], "learns": torch.nn.Parameter(torch.ones(2))}
    tensors["channels last"] = weight.contiguous(memory_format=torch.channels_last)
    save_tensors(tmp_path / "a", tensors)
    found = load_file(tmp_path / "a")
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_the_bytes_depend_on_the_tensors_alone_unless_there_are_notes(tmp_path: Path) -> None:
    one, two = torch.ones(3), torch.zeros(2)
    save_tensors(tmp_path / "a", {"one": one, "two": two})
    save_tensors(tmp_path / "b", {"two": two, "one": one})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    save_tensors(tmp_path / "c", {"one": one}, notes="größer")
    with safe_open(tmp_path / "c", framework="pt") as content:
        assert content.metadata() == {"notes": "größer"}


def test_what_the_disk_refuses_is_the_disks_error_with_its_number_and_file(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match="too large") as refusal:
            save_tensors(tmp_path / "a", {"one": torch.ones(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert refusal.value.errno == errno.EFBIG
    assert refusal.value.filename == str(tmp_path / "a")


def test_what_a_method_leaves_beside_the_weights_comes_back_and_is_optional(tmp_path: Path) -> None:
    model = IncrementalDeepLab(Architecture("small", "deeplabv3", 8, 16), (1, 2))
    save_checkpoint(tmp_path / "without", model, MEANING)
    assert read_outputs(tmp_path / "without") == {}
    left = {"counts": torch.tensor([3.0, 0.0])}
    save_checkpoint(tmp_path / "with", model, MEANING, outputs=left)
    assert torch.equal(read_outputs(tmp_path / "with")["counts"], left["counts"])
    load_checkpoint(tmp_path / "with")
    (tmp_path / "with" / "outputs.safetensors").write_bytes(b"cut")
    with pytest.raises(UserError, match=r"outputs\.safetensors cannot be read .*run `dvc repro`"):
        read_outputs(tmp_path / "with")
