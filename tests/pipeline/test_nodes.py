"""A stage under SLURM becomes the srun that starts it on all nodes."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from ssul import environment
from ssul.errors import UserError
from ssul.pipeline.nodes import spread_over_nodes
from ssul.pipeline.train import shared_by


def job(norm: nn.Module, batch: int = 8) -> Any:
    """What is asked of a training."""
    objective = nn.Sequential(nn.Conv2d(3, 4, 1), norm)
    order, optimisation = SimpleNamespace(batch=batch), SimpleNamespace(accumulate=1)
    return SimpleNamespace(step=1, order=order, optimisation=optimisation, precision="32", objective=objective)


class Frozen(nn.BatchNorm2d):
    """A norm that does not learn."""

    def train(self, mode: bool = True) -> "Frozen":
        return super().train(False)


class BecameError(Exception):
    """In place of this process's end."""


@pytest.fixture
def became(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A node of two with two devices each; what the process became there."""
    srun, found = tmp_path / "srun", {}
    srun.touch(0o700)

    def become(command: Sequence[str], variables: Mapping[str, object]) -> None:
        found.update(words=list(command), **variables)
        raise BecameError

    for name, value in {
        "SSUL_NODES": "2",
        "SSUL_DEVICES": "2",
        "SSUL_ACCELERATOR": "cpu",
        "PATH": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(environment, "become", become)
    return found


def test_the_same_command_starts_once_for_each_device_of_each_node(became: dict[str, Any]) -> None:
    with pytest.raises(BecameError):
        spread_over_nodes(partial(shared_by, job(Frozen(4))))
    words = " ".join(became["words"])
    assert "/srun --nodes 2 --ntasks 4 --ntasks-per-node 2 " in words
    assert words.endswith(" ".join(sys.orig_argv[1:]))
    assert (became["SSUL_NODES"], became["SSUL_DEVICES"]) == (2, 2)


def test_an_evaluation_spreads_whatever_its_norms_are(became: dict[str, Any]) -> None:
    with pytest.raises(BecameError):
        spread_over_nodes()
    assert " --nodes 2 --ntasks 4 " in " ".join(became["words"])


def test_norms_that_learn_on_cpus_leave_it_to_one_process(
    became: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BecameError):
        spread_over_nodes(partial(shared_by, job(nn.BatchNorm2d(4))))
    assert " --nodes 1 --ntasks 1 " in " ".join(became["words"])
    assert capsys.readouterr().out == ("step 1: one process trains, because norms that learn cannot be shared on cpu\n")


def test_what_srun_has_started_goes_on(became: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSUL_SRUN", "1")
    spread_over_nodes(partial(shared_by, job(Frozen(4))))
    assert not became


def test_what_cannot_be_spread_is_refused_before_anything_starts(
    became: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="a batch of 6 cannot be shared by 4 processes"):
        spread_over_nodes(partial(shared_by, job(Frozen(4), batch=6)))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="SSUL_NODES is set, but there is no srun: unset it outside SLURM"):
        spread_over_nodes(partial(shared_by, job(Frozen(4))))
