"""The device. The environment chooses it, because an experiment is the same on every device."""

import resource
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from ssul import environment
from ssul.errors import UserError
from ssul.inference.allocator import keep_freed_memory

_PRECISION = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def choose_device(
    precision: str, processes: Mapping[str, Any] | None = None, *, named: str = "recipe.precision"
) -> Fabric:
    """The best device, or the one that SSUL_ACCELERATOR names (cpu, cuda, mps, auto).

    Args:
        precision: 32, bf16 or 16 (half, with scaled gradients); it changes results, so it is a parameter.
        processes: see `ssul.inference.processes.fabric_settings`; None for one device.
        named: how the precision was chosen, for the message.

    Raises:
        UserError: if the device does not exist, or does not compute in this precision.
    """
    accelerator = environment.accelerator()
    # named, because fabric would take every process of a SLURM job for a rank, and advise srun wherever there is one
    settings: dict[str, Any] = {"devices": 1, "plugins": [LightningEnvironment()], **(processes or {})}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*fp16 is not supported on CPU")  # it is refused below
            fabric = Fabric(accelerator=accelerator, precision=_PRECISION[precision], **settings)  # type: ignore[arg-type]
    except (ImportError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{environment.ACCELERATOR}={accelerator} cannot be used ({error}): choose cpu, cuda, mps or auto"
        ) from None
    on_gpu = fabric.device.type == "cuda"
    if precision != "32" and not (on_gpu and (precision == "16" or torch.cuda.is_bf16_supported())):
        other = "16, or a newer GPU" if on_gpu else "or an NVIDIA GPU"
        raise UserError(f"{named} is {precision}, which {fabric.device} does not compute: choose 32, {other}")
    if fabric.device.type == "cpu":
        keep_freed_memory()
    return fabric


def beside(processes: Fabric, precision: str) -> Fabric:
    """The device that a process of several has, for work of its own: nothing there is shared or synchronised.

    Args:
        processes: see `choose_device`; they are launched.
        precision: of the arithmetic.
    """
    if processes.world_size == 1:
        return processes
    index = processes.device.index
    return choose_device(precision, None if index is None else {"devices": [index]})


def device_name(fabric: Fabric) -> str:
    """The name of the GPU, or the CPU and its number of threads (on which rounding depends)."""
    several = f"{fabric.world_size} x " if fabric.world_size > 1 else ""
    if fabric.device.type == "cuda":
        return several + torch.cuda.get_device_name(fabric.device)
    threads = torch.get_num_threads()
    return f"{several}{fabric.device.type.upper()}, {threads} thread{'s' if threads > 1 else ''}"


def peak_memory_gib(fabric: Fabric) -> float:
    """The peak memory so far in GiB, of the GPU or of this process."""
    if fabric.device.type == "cuda":
        return torch.cuda.max_memory_allocated(fabric.device) / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in KiB, on macOS in bytes
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
