"""The environment chooses the device and the workers; what cannot be is refused in words."""

from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from ssul.data.loader import loader_workers
from ssul.errors import UserError
from ssul.inference.device import choose_device, device_name, peak_memory_gib

STATUS = Path("/proc/self/status")


@pytest.fixture(autouse=True)
def _no_choice_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSUL_ACCELERATOR", raising=False)
    monkeypatch.delenv("SSUL_WORKERS", raising=False)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_the_variable_names_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSUL_ACCELERATOR", "cpu")
    fabric = choose_device("32")
    assert fabric.device.type == "cpu"
    assert fabric.world_size == 1


def test_without_the_variable_the_best_device_is_taken() -> None:
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert choose_device("32").device.type == best


@pytest.mark.parametrize("accelerator", ["toaster", "tpu", "0"])
def test_a_device_that_there_is_not_is_refused_with_the_choices(
    monkeypatch: pytest.MonkeyPatch, accelerator: str
) -> None:
    monkeypatch.setenv("SSUL_ACCELERATOR", accelerator)
    with pytest.raises(UserError, match=f"SSUL_ACCELERATOR={accelerator} .*choose cpu, cuda, mps or auto"):
        choose_device("32")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSUL_ACCELERATOR", "cuda")
    with pytest.raises(UserError, match="SSUL_ACCELERATOR=cuda"):
        choose_device("32")


def test_bf16_on_a_cpu_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSUL_ACCELERATOR", "cpu")
    with pytest.raises(UserError, match=r"recipe\.precision is bf16, which cpu does not compute: choose 32"):
        choose_device("bf16")


@pytest.mark.gpu
def test_bf16_on_a_gpu_computes_in_bf16_and_keeps_weights_in_32() -> None:
    fabric = choose_device("bf16")
    layer = fabric.setup_module(torch.nn.Linear(2, 2))
    assert layer.weight.dtype == torch.float32
    with fabric.autocast():
        assert (layer.weight @ layer.weight).dtype == torch.bfloat16


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Fabric:
    monkeypatch.setenv("SSUL_ACCELERATOR", "cpu")
    return choose_device("32")


@pytest.mark.parametrize(("threads", "name"), [(1, "CPU, 1 thread"), (3, "CPU, 3 threads")])
def test_a_cpu_is_named_with_its_threads(cpu: Fabric, monkeypatch: pytest.MonkeyPatch, threads: int, name: str) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert device_name(cpu) == name


@pytest.mark.gpu
def test_a_gpu_is_named() -> None:
    assert device_name(choose_device("32")) == torch.cuda.get_device_name(0)


@pytest.mark.skipif(not STATUS.is_file(), reason="only Linux tells")
def test_on_a_cpu_the_memory_is_the_most_that_this_process_ever_used(cpu: Fabric) -> None:
    status = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    kib = int(status["VmHWM"].removesuffix("kB"))
    assert peak_memory_gib(cpu) == pytest.approx(kib / 2**20, rel=0.05)


@pytest.mark.gpu
def test_on_a_gpu_the_memory_is_the_gpus() -> None:
    fabric = choose_device("32")
    before = peak_memory_gib(fabric)
    held = fabric.to_device(torch.zeros(2**30, dtype=torch.uint8))
    del held
    assert peak_memory_gib(fabric) == pytest.approx(before + 1, abs=1)
    assert peak_memory_gib(fabric) >= 1


@pytest.mark.parametrize(("given", "workers"), [("0", 0), ("3", 3), (" 2 ", 2), ("-1", 0)])
def test_the_variable_says_how_many_processes_load(monkeypatch: pytest.MonkeyPatch, given: str, workers: int) -> None:
    monkeypatch.setenv("SSUL_WORKERS", given)
    assert loader_workers() == workers


@pytest.mark.parametrize("given", ["many", "1.5"])
def test_a_number_of_processes_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("SSUL_WORKERS", given)
    with pytest.raises(UserError, match=f"SSUL_WORKERS={given} is not a number of processes: choose 0 or more"):
        loader_workers()


@pytest.mark.usefixtures("no_gpu")
def test_beside_a_training_cpu_no_process_loads() -> None:
    assert loader_workers() == 0


@pytest.mark.parametrize(("cores", "workers"), [(1, 0), (2, 1), (6, 5), (64, 8)])
def test_beside_a_gpu_the_cores_but_one_load_up_to_eight(
    monkeypatch: pytest.MonkeyPatch, cores: int, workers: int
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert loader_workers() == workers
