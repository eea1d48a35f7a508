"""Checkpoints: what is saved is what is opened, equal weights are equal bytes, and what is broken is refused."""

import errno
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ssul.errors import UserError
from ssul.model.checkpoint import load_checkpoint, read_training, save_checkpoint, save_tensors
from ssul.model.deeplab import Architecture, IncrementalDeepLab

Build = Callable[..., IncrementalDeepLab]
MEANING = {"labels": {"groups": [[1, 2, 3]], "unknown": True}, "class_names": ["cat", "Ähre"]}
SAVE = """
import json, sys
from pathlib import Path
import torch
from ssul.model.checkpoint import save_checkpoint
from ssul.model.deeplab import Architecture, IncrementalDeepLab
torch.manual_seed(0)
model = IncrementalDeepLab(Architecture("small", "deeplabv3", 8, 16), (1, 1, 3))
save_checkpoint(Path(sys.argv[1]), model, json.loads(sys.argv[2]))
"""


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture
def saved(build: Build, tmp_path: Path) -> Path:
    folder = tmp_path / "step_0"
    save_checkpoint(folder, build(1, 1, 3), MEANING)
    return folder


def test_the_opened_network_gives_the_saved_ones_logits(build: Build, images: Tensor, tmp_path: Path) -> None:
    model = build(1, 1, 3, 2)
    model.train()(images)  # so that the statistics are no fresh ones
    save_checkpoint(tmp_path / "step_1", model, MEANING)
    opened, meaning = load_checkpoint(tmp_path / "step_1")
    assert torch.equal(opened(images), model.eval()(images))
    assert opened.architecture == model.architecture
    assert opened.head_sizes == (1, 1, 3, 2)
    assert meaning == MEANING


def test_the_opened_network_is_in_evaluation_mode_and_can_learn(saved: Path) -> None:
    model, _ = load_checkpoint(saved)
    assert not any(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_part_is_a_file(saved: Path) -> None:
    assert sorted(hashes(saved)) == [
        "backbone.safetensors",
        "head_0.safetensors",
        "head_1.safetensors",
        "head_2.safetensors",
        "model.json",
    ]


def test_two_processes_save_equal_weights_as_equal_bytes(saved: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    subprocess.run(
        [sys.executable, "-c", SAVE, str(elsewhere), json.dumps(MEANING)],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    )
    assert hashes(elsewhere) == hashes(saved)


def test_the_memory_layout_of_training_does_not_reach_the_bytes(build: Build, saved: Path, tmp_path: Path) -> None:
    model = build(1, 1, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    save_checkpoint(tmp_path / "again", model, MEANING)
    assert hashes(tmp_path / "again") == hashes(saved)


def test_what_did_not_learn_keeps_its_bytes_when_the_network_grows(images: Tensor, saved: Path, tmp_path: Path) -> None:
    model, _ = load_checkpoint(saved)
    model.grow(2)
    model.init_head_from_unknown(parent=0)
    model.freeze_past((0, 1, 3))
    optimizer = torch.optim.SGD(model.parameter_groups(0.1, backbone_ratio=1, low_lr_head=None, low_lr_ratio=1))
    model.train()(images).square().mean().backward()
    optimizer.step()
    save_checkpoint(tmp_path / "step_1", model, MEANING)
    before, after = hashes(saved), hashes(tmp_path / "step_1")
    assert {name for name in before if after[name] == before[name]} == {"backbone.safetensors", "head_2.safetensors"}
    assert set(after) - set(before) == {"head_3.safetensors"}


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture("small", "deeplabv3plus", 16, 16),
        Architecture("small", "deeplabv3plus", 8, 16, "conv1x1"),
        Architecture("small", "deeplabv3", 8, 16, "conv3x3", separable=True),
        Architecture("mobilenet_v2", "deeplabv3plus", 8, 8, "conv3x3", separable=True),
    ],
    ids=str,
)
def test_every_architecture_survives_saving(architecture: Architecture, images: Tensor, tmp_path: Path) -> None:
    model = IncrementalDeepLab(architecture, (1, 1, 3))
    model.train()(images)
    save_checkpoint(tmp_path / "step_0", model, MEANING)
    opened, _ = load_checkpoint(tmp_path / "step_0")
    assert opened.architecture == architecture
    assert opened.state_dict().keys() == model.state_dict().keys()
    assert torch.equal(opened(images), model.eval()(images))


def test_a_checkpoint_from_before_there_was_a_choice_of_classifiers_opens(
    build: Build, saved: Path, images: Tensor
) -> None:
    described = json.loads((saved / "model.json").read_text())["architecture"]
    assert {key: described.pop(key) for key in ("classifier", "separable")} == {
        "classifier": "conv3x3",
        "separable": False,
    }
    describe(saved, architecture=described)
    opened, _ = load_checkpoint(saved)
    assert torch.equal(opened(images), build(1, 1, 3).eval()(images))


def test_v3_plus_is_refused_where_v3_is_promised(saved: Path, tmp_path: Path) -> None:
    model = IncrementalDeepLab(Architecture("small", "deeplabv3plus", 8, 16), (1, 1, 3))
    save_checkpoint(tmp_path / "plus", model, MEANING)
    (saved / "backbone.safetensors").write_bytes((tmp_path / "plus" / "backbone.safetensors").read_bytes())
    with pytest.raises(UserError, match=r"backbone\.safetensors.*6 tensors are left over"):
        load_checkpoint(saved)


# ---- how it was learned ---------------------------------------------------------------------------------------------


TRAINING = {"step": 1, "learned": ["Ähre"], "points": [{"iteration": 10, "loss": 0.1 + 0.2}]}


def test_how_a_network_was_learned_is_read_back(build: Build, saved: Path) -> None:
    save_checkpoint(saved, build(1, 1, 3), MEANING, TRAINING)
    assert read_training(saved) == TRAINING


def test_a_checkpoint_without_a_training_has_no_file_of_it(saved: Path) -> None:
    assert read_training(saved) is None
    assert not (saved / "training.json").exists()


def test_saving_again_without_a_training_leaves_no_stale_curve(build: Build, saved: Path) -> None:
    save_checkpoint(saved, build(1, 1, 3), MEANING, TRAINING)
    save_checkpoint(saved, build(1, 1, 3), MEANING)
    assert read_training(saved) is None


def test_how_a_network_was_learned_changes_no_other_file(build: Build, saved: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "with_training", build(1, 1, 3), MEANING, TRAINING)
    found = hashes(tmp_path / "with_training")
    del found["training.json"]
    assert found == hashes(saved)


def test_a_checkpoint_opens_though_its_training_is_broken(saved: Path) -> None:
    (saved / "training.json").write_bytes(b"{")
    load_checkpoint(saved)


@pytest.mark.parametrize("content", [b"", b"{", b"3", b"null", b'"text"', b"[1]", b"\xff\xfe\x00"])
def test_a_training_that_cannot_be_read_is_refused_by_name(saved: Path, content: bytes) -> None:
    (saved / "training.json").write_bytes(content)
    with pytest.raises(UserError, match=r"step_0/training\.json is damaged.*delete it") as caught:
        read_training(saved)
    assert "\n" not in str(caught.value)


def test_a_training_that_is_a_folder_is_refused_by_name(saved: Path) -> None:
    (saved / "training.json").mkdir()
    with pytest.raises(UserError, match=r"training\.json is no file"):
        read_training(saved)


# ---- refused --------------------------------------------------------------------------------------------------------


def describe(folder: Path, **changes: Any) -> None:
    path = folder / "model.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in {**content, **changes}.items() if value is not ...}))


def test_a_missing_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="step_3 is missing"):
        load_checkpoint(tmp_path / "step_3")


@pytest.mark.parametrize("name", ["backbone.safetensors", "head_1.safetensors"])
def test_a_missing_part_is_refused_by_name(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        load_checkpoint(saved)


@pytest.mark.parametrize("length", [0, 100, -1])
def test_a_truncated_part_is_refused_by_name(saved: Path, length: int) -> None:
    path = saved / "head_1.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match=path.name):
        load_checkpoint(saved)


def test_a_part_of_another_shape_is_refused_by_name(saved: Path) -> None:
    (saved / "head_1.safetensors").write_bytes((saved / "head_2.safetensors").read_bytes())
    with pytest.raises(UserError, match=r"head_1\.safetensors.*2 tensors are of another shape"):
        load_checkpoint(saved)


def test_a_part_with_other_tensors_is_refused_by_name(saved: Path) -> None:
    (saved / "head_1.safetensors").write_bytes((saved / "backbone.safetensors").read_bytes())
    with pytest.raises(UserError, match=r"head_1\.safetensors.*8 tensors are missing"):
        load_checkpoint(saved)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"3", b"\xff\xfe\x00", b'{"format": 1}'])
def test_a_description_that_is_none_is_refused_by_name(saved: Path, content: bytes) -> None:
    (saved / "model.json").write_bytes(content)
    with pytest.raises(UserError, match=r"model\.json"):
        load_checkpoint(saved)


FORMAT_1 = {"backbone": "trunk", "low_level": "low", "classifier": "score"}


def as_format_1(folder: Path) -> None:
    """Gives a checkpoint the names of format 1."""
    (folder / "backbone.safetensors").rename(folder / "trunk.safetensors")
    for path in folder.glob("*.safetensors"):
        state = load_file(path)
        save_file(
            {re.sub(r"^\w+", lambda word: FORMAT_1.get(word[0], word[0]), key): state[key] for key in state}, path
        )
    content = json.loads((folder / "model.json").read_text())
    content["format"] = 1
    content["architecture"]["trunk"] = content["architecture"].pop("backbone")
    content["digests"] = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.safetensors")}
    (folder / "model.json").write_text(json.dumps(content))


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
    assert all(
        torch.equal(one, other)
        for one, other in zip(found.state_dict().values(), expected.state_dict().values(), strict=True)
    )


def test_a_foreign_format_is_refused_with_the_one_that_is_read(saved: Path) -> None:
    describe(saved, format=7)
    with pytest.raises(UserError, match="step_0 has format 7, this version reads 1 and 2"):
        load_checkpoint(saved)


ARCHITECTURE = {"backbone": "small", "head": "deeplabv3", "output_stride": 8, "width": 16}


@pytest.mark.parametrize(
    "changes",
    [
        {"meaning": ...},
        {"architecture": ...},
        {"architecture": "small"},
        {"architecture": {"backbone": "small"}},
        {"architecture": {**ARCHITECTURE, "colour": "red"}},
        {"architecture": {**ARCHITECTURE, "output_stride": 32}},
        {"architecture": {**ARCHITECTURE, "backbone": "vgg"}},
        {"architecture": {**ARCHITECTURE, "backbone": "unheard_of"}},
        {"architecture": {**ARCHITECTURE, "width": "wide"}},
        {"architecture": {**ARCHITECTURE, "width": -16}},
        {"head_sizes": None},
        {"head_sizes": "113"},
        {"head_sizes": [1, 1, -3]},
    ],
    ids=str,
)
def test_a_description_of_no_network_is_refused_by_name(saved: Path, changes: dict[str, Any]) -> None:
    describe(saved, **changes)
    with pytest.raises(UserError, match=r"model\.json"):
        load_checkpoint(saved)


def test_a_description_of_a_wider_network_than_was_saved_is_refused(saved: Path) -> None:
    describe(saved, architecture={**ARCHITECTURE, "width": 32})
    with pytest.raises(UserError, match=r"backbone\.safetensors"):
        load_checkpoint(saved)


# ---- whole or not at all --------------------------------------------------------------------------------------------


def test_a_failing_save_leaves_the_old_checkpoint_and_nothing_beside_it(build: Build, saved: Path) -> None:
    before = hashes(saved)
    with pytest.raises(TypeError):
        save_checkpoint(saved, build(1, 1, 3, seed=1), {"not JSON": object()})
    assert hashes(saved) == before
    assert [path.name for path in saved.parent.iterdir()] == ["step_0"]


def test_a_failing_first_save_leaves_nothing(build: Build, tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        save_checkpoint(tmp_path / "step_0", build(1, 1, 3), {"not JSON": object()})
    assert list(tmp_path.iterdir()) == []


def test_saving_again_replaces_everything(build: Build, saved: Path) -> None:
    save_checkpoint(saved, build(1, 4), MEANING)
    assert "head_2.safetensors" not in hashes(saved)
    assert load_checkpoint(saved)[0].head_sizes == (1, 4)


# ---- tensors on a disk ----------------------------------------------------------------------------------------------


def test_tensors_are_written_however_they_are_laid_out(tmp_path: Path) -> None:
    weight = torch.randn(2, 3, 4, 4)
    tensors = {"turned": weight[0, 0].T, "part": weight[:, 1], "learns": torch.nn.Parameter(torch.ones(2))}
    tensors["channels last"] = weight.contiguous(memory_format=torch.channels_last)
    save_tensors(tmp_path / "a", tensors)
    found = load_file(tmp_path / "a")
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_the_bytes_depend_on_the_tensors_alone(tmp_path: Path) -> None:
    one, two = torch.ones(3), torch.zeros(2)
    save_tensors(tmp_path / "a", {"one": one, "two": two})
    save_tensors(tmp_path / "b", {"two": two, "one": one})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_notes_are_found_again(tmp_path: Path) -> None:
    save_tensors(tmp_path / "a", {"one": torch.ones(3)}, notes="größer")
    with safe_open(tmp_path / "a", framework="pt") as content:
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
