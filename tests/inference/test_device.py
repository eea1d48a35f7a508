"""The environment chooses the device and the loader workers; an impossible choice is refused."""

from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from ssul.data.loader import loader_workers
from ssul.errors import UserError
from ssul.inference.device import choose_device, device_name, peak_memory_gib

STATUS = Path("/proc/self/status")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSUL_ACCELERATOR", raising=False)
    monkeypatch.delenv("SSUL_WORKERS", raising=False)


def test_the_default_is_the_best_device() -> None:
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert choose_device("32").device.type == best


def test_the_variable_chooses_the_device_but_not_the_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSUL_ACCELERATOR", "cpu")
    fabric = choose_device("32")
    assert (fabric.device.type, fabric.world_size) == ("cpu", 1)
    for half in ("bf16", "16"):
        with pytest.raises(
            UserError, match=rf"recipe\.precision is {half}, which cpu does not compute: choose 32, or an"
        ):
            choose_device(half)


def test_a_single_process_of_a_job_of_several_is_no_rank_and_gets_no_advice(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    """SLURM sets its variables in every process of a job, and lightning-fabric would go by them."""
    for name, value in {
        "SLURM_NTASKS": "4",
        "SLURM_NNODES": "2",
        "SLURM_PROCID": "0",
        "SSUL_ACCELERATOR": "cpu",
    }.items():
        monkeypatch.setenv(name, value)
    assert choose_device("32").world_size == 1
    assert not [str(one.message) for one in recwarn if "srun" in str(one.message)]


@pytest.mark.parametrize(
    "accelerator",
    ["toaster", "tpu", "0", pytest.param("cuda", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU"))],
)
def test_a_missing_device_is_refused_with_the_choices(monkeypatch: pytest.MonkeyPatch, accelerator: str) -> None:
    monkeypatch.setenv("SSUL_ACCELERATOR", accelerator)
    with pytest.raises(UserError, match=f"SSUL_ACCELERATOR={accelerator} .*choose cpu, cuda, mps or auto"):
        choose_device("32")


@pytest.mark.gpu
def test_bf16_on_a_gpu_keeps_weights_in_32_bits() -> None:
    fabric = choose_device("bf16")
    layer = fabric.setup_module(torch.nn.Linear(2, 2))
    assert layer.weight.dtype == torch.float32
    with fabric.autocast():
        assert (layer.weight @ layer.weight).dtype == torch.bfloat16


@pytest.mark.parametrize(("threads", "name"), [(1, "CPU, 1 thread"), (3, "CPU, 3 threads")])
def test_a_cpu_is_named_with_its_threads(cpu: Fabric, monkeypatch: pytest.MonkeyPatch, threads: int, name: str) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert device_name(cpu) == name


@pytest.mark.skipif(not STATUS.is_file(), reason="Linux only")
def test_on_a_cpu_the_memory_is_the_peak_of_the_process(cpu: Fabric) -> None:
    status = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    kib = int(status["VmHWM"].removesuffix("kB"))
    assert peak_memory_gib(cpu) == pytest.approx(kib / 2**20, rel=0.05)


@pytest.mark.gpu
def test_a_gpu_is_named_and_its_own_memory_counts() -> None:
    fabric = choose_device("32")
    assert device_name(fabric) == torch.cuda.get_device_name(0)
    before = peak_memory_gib(fabric)
    fabric.to_device(torch.zeros(2**30, dtype=torch.uint8))
    assert 1 <= peak_memory_gib(fabric) == pytest.approx(before + 1, abs=1)


@pytest.mark.parametrize(
    ("gpu", "cores", "workers"), [(True, 1, 0), (True, 2, 1), (True, 6, 5), (True, 64, 8), (False, 64, 0)]
)
def test_the_default_is_a_worker_for_each_free_core_beside_a_gpu(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, cores: int, workers: int
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert loader_workers() == workers
