"""Several processes that share every batch: by lightning-fabric, on one host or, started by torchrun, on several.

The environment decides how many, never a parameter: the same experiment on more devices is the same experiment.
"""

import logging
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import nn

from ssul import environment
from ssul.errors import UserError

# where fabric says, in a log that nobody reads, that a process has died and that it therefore ends all, this one too
_LAUNCHER = "lightning_fabric.strategies.launchers.subprocess_script"
_LAST_WORDS = (
    "error: a process of this training has died (%(message)s): its reason is above, if it could tell one; if not, "
    "memory may have run out: lower recipe.*.batch or recipe.crop. Then run the same command again"
)


def fabric_settings() -> dict[str, Any]:
    """Fabric's settings for the processes of this training: SSUL_DEVICES on this host, or those that torchrun started.

    Raises:
        UserError: if SSUL_DEVICES is not a number of devices.
    """
    started = environment.torchrun_sizes()
    if started is not None:
        devices, hosts = started[0], started[1] // started[0]
    else:
        devices, hosts = environment.devices(), 1
    if devices * hosts == 1:
        return {"devices": 1}
    # what is not trained has no buffers that could differ, and norms that learn are shared: nothing to broadcast
    strategy = DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
    return {"devices": devices, "num_nodes": hosts, "strategy": strategy}


def is_rank_zero() -> bool:
    """Whether this is the training's first process, or the one that is going to start the others."""
    return environment.rank() == 0


def launch(fabric: Fabric, batch: int) -> tuple[int, int]:
    """Starts the other processes, or takes the place among them that this one was started for.

    The others run the same command from its beginning, so that nothing may have been written yet.

    Args:
        fabric: made with `fabric_settings`.
        batch: samples of a batch, of all processes together.

    Returns:
        which samples of every batch are this process's: (rank, processes).

    Raises:
        UserError: if a batch cannot be divided evenly.
    """
    if batch % fabric.world_size:
        raise UserError(
            f"a batch of {batch} cannot be shared by {fabric.world_size} processes: choose a number of devices "
            f"({environment.DEVICES}, or torchrun's) that divides it, or another recipe.*.batch"
        )
    if fabric.world_size > 1:
        logger = logging.getLogger(_LAUNCHER)
        logger.setLevel(logging.INFO)
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(_LAST_WORDS))
        logger.addHandler(handler)
        fabric.launch()
    return fabric.global_rank, fabric.world_size


def any_rank(fabric: Fabric, flag: bool) -> bool:
    """Whether a flag is set in any process; all call it together."""
    if fabric.world_size == 1:
        return flag
    count = fabric.all_reduce(torch.tensor(float(flag), device=fabric.device), reduce_op="sum")
    return bool(count)


def same_on_all_ranks(fabric: Fabric, value: int, what: str) -> int:
    """A number on which all processes agree; all call it together.

    Args:
        fabric: devices.
        value: this process's.
        what: it is, for the message.

    Raises:
        UserError: if they do not.
    """
    if any_rank(fabric, value != fabric.broadcast(value)):
        raise UserError(
            f"the hosts of this training do not see the same {what}: let them share the project's folder data/cache, "
            "or delete data/cache/trainings"
        )
    return value


def convert_to_sync_batchnorm(objective: nn.Module, fabric: Fabric) -> None:
    """Lets norms that learn see the samples of all processes, in place (SyncBatchNorm); frozen ones need not.

    Args:
        objective: in training mode; what is frozen in it is in evaluation mode.
        fabric: devices.

    Raises:
        UserError: on devices whose norms cannot see each other's samples.
    """
    if fabric.world_size == 1:
        return
    for parent in objective.modules():
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d) and child.training:
                if fabric.device.type != "cuda":
                    raise UserError(
                        f"norms that learn cannot be shared by processes on {fabric.device.type}: train this step with "
                        f"{environment.DEVICES}=1, or freeze the norms"
                    )
                setattr(parent, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))  # type: ignore[no-untyped-call]
