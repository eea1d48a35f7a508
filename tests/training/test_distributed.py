"""Several processes that share every batch train as one does."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch.testing import assert_close

from ssul.errors import UserError
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.training.distributed import convert_to_sync_batchnorm, require_even
from tests.training.sharing import CASES, train, train_with_views

PROJECT = Path(__file__).parents[2]


def run_sharing(file: Path, *launcher: str, **variables: str) -> dict[str, Any]:
    """Runs the script `sharing` and returns what rank 0 wrote."""
    environment = {**os.environ, "SSUL_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", **variables}
    command = [sys.executable, *launcher, "-m", "tests.training.sharing", str(file)]
    subprocess.run(command, cwd=PROJECT, env=environment, check=True, timeout=300)
    return dict(torch.load(file, weights_only=True))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All cases, trained by two processes."""
    return run_sharing(tmp_path_factory.mktemp("shared") / "found.pt", SSUL_DEVICES="2")


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_as_one(shared: dict[str, Any], cpu: Fabric, case: str) -> None:
    alone = train(case, cpu)
    for one, two in zip(alone["numbers"], shared[case]["numbers"], strict=True):
        assert two == pytest.approx(one, rel=1e-4, abs=1e-6)
    assert_close(shared[case]["weights"], alone["weights"], rtol=5e-4, atol=5e-6)
    if case.startswith("increment") or case == "star":
        assert any(state["pseudo_share"] > 0.01 for state in alone["numbers"])


def test_two_processes_that_compute_their_share_in_parts_train_as_one(shared: dict[str, Any], cpu: Fabric) -> None:
    alone = train("increment", cpu)
    for one, parts in zip(alone["numbers"], shared["in two parts each"]["numbers"], strict=True):
        assert parts == pytest.approx(one, rel=1e-4, abs=1e-6)


def test_two_processes_share_the_views_that_each_has_computed(
    shared: dict[str, Any], cpu: Fabric, tmp_path: Path
) -> None:
    alone, together = train_with_views(tmp_path, cpu), shared["views"]
    assert together["losses"] == pytest.approx(alone["losses"], rel=1e-4)
    assert_close(together["weights"], alone["weights"], rtol=5e-4, atol=5e-6)
    assert together["files"] == [f"{batch}.{rank}of2.safetensors" for batch in range(3) for rank in range(2)]


@pytest.mark.slow
def test_torchrun_starts_the_processes_too(tmp_path: Path, cpu: Fabric) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    found = run_sharing(tmp_path / "found.pt", *launcher)["base"]["numbers"]
    alone = train("base", cpu)["numbers"]
    assert [state["loss"] for state in found] == pytest.approx([state["loss"] for state in alone], rel=1e-4)


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    with pytest.raises(UserError, match=r"a batch of 5 cannot be shared by 2 processes: .*SSUL_DEVICES"):
        require_even(5, 2)


def test_so_is_one_whose_shares_have_no_even_parts() -> None:
    with pytest.raises(UserError, match=r"a batch of 6 cannot be shared by 2 processes in 2 parts each: .*divides it"):
        require_even(6, 2, 2)


def norms(processes: int, device: str, *, frozen: bool = False) -> set[str]:
    """The kinds of norms that a network has after the conversion."""
    model = IncrementalDeepLab(Architecture("small", "deeplabv3", 8, 16), (1, 1, 2)).train()
    if frozen:
        model.freeze_norms()
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    fabric: Any = SimpleNamespace(world_size=processes, device=torch.device(device))
    convert_to_sync_batchnorm(model, fabric)
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == shapes
    return {type(module).__name__ for module in model.modules() if "Norm" in type(module).__name__}


def test_on_gpus_trainable_norms_are_synchronised() -> None:
    assert norms(2, "cuda") == {"SyncBatchNorm"}
    assert norms(1, "cuda") == {"BatchNorm2d"}
    assert norms(2, "cuda", frozen=True) == norms(2, "cpu", frozen=True) == {"BatchNorm2d"}


def test_on_cpus_trainable_norms_are_refused() -> None:
    with pytest.raises(UserError, match=r"cannot be shared by processes on cpu: .*SSUL_DEVICES=1"):
        norms(2, "cpu")
