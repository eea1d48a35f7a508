"""Several processes that share every batch train as one does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from ssul.errors import UserError
from ssul.inference.device import choose_device, device_name
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.training.distributed import convert_to_sync_batchnorm, fabric_settings, launch
from tests.training.sharing import CASES, told_by

PROJECT = Path(__file__).parents[2]


def environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "SSUL_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", **variables}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two processes make of every case."""
    file = tmp_path_factory.mktemp("shared") / "told.json"
    subprocess.run(
        [sys.executable, "-m", "tests.training.sharing", str(file)],
        cwd=PROJECT,
        env=environment(SSUL_DEVICES="2"),
        check=True,
        timeout=300,
    )
    return dict(json.loads(file.read_text()))


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_as_one(shared: dict[str, Any], case: str) -> None:
    alone = told_by(case, Fabric(accelerator="cpu", devices=1), (0, 1))
    for one, two in zip(alone["told"], shared[case]["told"], strict=True):
        assert two == pytest.approx(one, rel=1e-4, abs=1e-6)
    for name, values in alone["weights"].items():
        assert shared[case]["weights"][name] == pytest.approx(values, rel=1e-3, abs=1e-5), name
    if "share" in case or case.startswith("increment"):
        assert any(state["pseudo_share"] > 0.01 for state in alone["told"])


@pytest.mark.slow
def test_torchrun_starts_the_processes_too(tmp_path: Path) -> None:
    file = tmp_path / "told.json"
    words = ["--standalone", "--nproc-per-node=2", "-m", "tests.training.sharing", str(file)]
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *words],
        cwd=PROJECT,
        env=environment(),
        check=True,
        timeout=300,
        capture_output=True,
    )
    alone = told_by("base", Fabric(accelerator="cpu", devices=1), (0, 1))
    losses = [state["loss"] for state in json.loads(file.read_text())["base"]["told"]]
    assert losses == pytest.approx([state["loss"] for state in alone["told"]], rel=1e-4)


# ---- how many -------------------------------------------------------------------------------------------------------


def test_without_a_word_it_is_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSUL_DEVICES", raising=False)
    assert fabric_settings() == {"devices": 1}


@pytest.mark.parametrize("given", ["0", "-1", "two"])
def test_a_number_of_devices_must_be_one(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("SSUL_DEVICES", given)
    with pytest.raises(UserError, match=f"SSUL_DEVICES={given} is not a number of devices: choose 1 or more"):
        fabric_settings()


def test_torchruns_hosts_and_processes_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}.items():
        monkeypatch.setenv(name, value)
    settings = fabric_settings()
    assert (settings["devices"], settings["num_nodes"]) == (4, 2)


def test_a_batch_that_cannot_be_shared_evenly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSUL_DEVICES", "2")
    monkeypatch.setenv("SSUL_ACCELERATOR", "cpu")
    with pytest.raises(UserError, match=r"a batch of 5 cannot be shared by 2 processes: .*SSUL_DEVICES"):
        launch(choose_device("32", fabric_settings()), 5)


def test_several_processes_are_told_as_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSUL_DEVICES", "2")
    monkeypatch.setenv("SSUL_ACCELERATOR", "cpu")
    assert device_name(choose_device("32", fabric_settings())).startswith("2 x CPU")


# ---- norms ----------------------------------------------------------------------------------------------------------


def network() -> IncrementalDeepLab:
    return IncrementalDeepLab(Architecture("small", "deeplabv3", 8, 16), (1, 1, 2)).train()


def among(processes: int, device: str) -> Any:
    return SimpleNamespace(world_size=processes, device=torch.device(device))


def kinds(model: nn.Module) -> set[str]:
    return {type(module).__name__ for module in model.modules() if "Norm" in type(module).__name__}


def test_on_gpus_norms_that_learn_see_all_samples() -> None:
    model = network()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    convert_to_sync_batchnorm(model, among(2, "cuda"))
    assert kinds(model) == {"SyncBatchNorm"}
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == {
        name: tensor.shape for name, tensor in state.items()
    }


def test_frozen_norms_and_a_single_process_need_not() -> None:
    for model, fabric in ((network(), among(1, "cuda")), (network(), among(2, "cuda"))):
        if fabric.world_size > 1:
            model.freeze_norms()
        convert_to_sync_batchnorm(model, fabric)
        assert kinds(model) == {"BatchNorm2d"}


def test_on_cpus_norms_that_learn_are_refused() -> None:
    with pytest.raises(UserError, match=r"norms that learn cannot be shared by processes on cpu: .*SSUL_DEVICES=1"):
        convert_to_sync_batchnorm(network(), among(2, "cpu"))
