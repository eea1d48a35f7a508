"""How many processes share a stage: the environment decides."""

import pytest

from ssul.inference.device import beside, choose_device, device_name
from ssul.inference.processes import fabric_settings, is_rank_zero


def test_the_default_is_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSUL_DEVICES", raising=False)
    assert fabric_settings() == {"devices": 1}


def test_torchrun_decides_hosts_and_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}.items():
        monkeypatch.setenv(name, value)
    settings = fabric_settings()
    assert (settings["devices"], settings["num_nodes"]) == (4, 2)


def test_srun_decides_hosts_and_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    job = {"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "SLURM_PROCID": "5"}
    for name, value in {**job, "SSUL_NODES": "2", "SSUL_DEVICES": "4", "SSUL_SRUN": "1", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    settings = fabric_settings()
    assert (settings["devices"], settings["num_nodes"]) == (4, 2)
    assert settings["plugins"][0].global_rank() == 5
    assert not is_rank_zero()
    monkeypatch.delenv("SSUL_SRUN")  # dvc's own process in such a job
    assert fabric_settings()["num_nodes"] == 1
    assert is_rank_zero()


def test_a_process_of_two_has_a_device_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSUL_DEVICES", "2")
    monkeypatch.setenv("SSUL_ACCELERATOR", "cpu")
    two = choose_device("32", fabric_settings())
    assert device_name(two).startswith("2 x CPU")
    alone = beside(two, "32")
    assert (alone.world_size, alone.device) == (1, two.device)
    assert beside(alone, "32") is alone
