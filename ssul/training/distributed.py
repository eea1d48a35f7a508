"""Several processes that share every batch, by lightning-fabric on one host or, with srun or torchrun, on several.

Their number is an environment variable, not a parameter: an experiment on more devices is the same experiment.
"""

import logging
from collections.abc import Iterator
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import nn

from ssul import environment
from ssul.errors import UserError

# the logger in which fabric says that a process has died, before it ends all other processes, this one too
_LAUNCHER = "lightning_fabric.strategies.launchers.subprocess_script"
_LAST_WORDS = (
    "error: a process of this training has died (%(message)s): its reason is above, if it could print one; if not, "
    "memory may have run out: lower recipe.*.batch or recipe.crop. Then run the same command again"
)


def fabric_settings() -> dict[str, Any]:
    """Fabric's settings for the processes of this training: SSUL_DEVICES on this host, or those of srun or torchrun.

    Raises:
        UserError: if SSUL_DEVICES or SSUL_NODES is not a number of devices or nodes.
    """
    cluster: ClusterEnvironment
    started = environment.torchrun_sizes()
    if started is not None:
        devices, hosts, cluster = started[0], started[1] // started[0], TorchElasticEnvironment()
    elif environment.srun_since() is not None:
        devices, hosts, cluster = environment.devices(), environment.nodes() or 1, SLURMEnvironment()
    else:
        devices, hosts, cluster = environment.devices(), 1, LightningEnvironment()
    if devices * hosts == 1:
        return {"devices": 1}
    # frozen buffers are equal and trainable BatchNorm is synchronised, so there is nothing to broadcast
    strategy = DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
    return {"devices": devices, "num_nodes": hosts, "strategy": strategy, "plugins": [cluster]}


def is_rank_zero() -> bool:
    """Whether this is rank 0, or the process that will start the other ranks."""
    return environment.rank() == 0


def launch(fabric: Fabric, batch: int, accumulate: int = 1) -> tuple[int, int]:
    """Starts the other ranks, or joins them if this process was started by rank 0, srun or torchrun.

    The other ranks run the same command from its beginning, so nothing may have been written yet.

    Args:
        fabric: made with `fabric_settings`.
        batch: samples of a batch, over all ranks.
        accumulate: parts in which each rank computes its share.

    Returns:
        (rank, world_size)

    Raises:
        UserError: if a batch cannot be divided evenly.
    """
    require_even(batch, fabric.world_size, accumulate)
    if fabric.world_size > 1:
        logger = logging.getLogger(_LAUNCHER)
        logger.setLevel(logging.INFO)
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(_LAST_WORDS))
        logger.addHandler(handler)
        fabric.launch()
    return fabric.global_rank, fabric.world_size


def require_even(batch: int, processes: int, accumulate: int = 1) -> None:
    """Refuses a batch that cannot be divided evenly.

    Args:
        batch: images of an iteration.
        processes: that share it.
        accumulate: parts in which each of them computes its share.

    Raises:
        UserError: naming the ways out.
    """
    if batch % (processes * accumulate):
        parts = f" in {accumulate} parts each" if accumulate > 1 else ""
        raise UserError(
            f"a batch of {batch} cannot be shared by {processes} processes{parts}: choose a number of devices "
            f"({environment.DEVICES}, or those of SLURM's job or torchrun) that divides it, or another recipe.*.batch"
        )


def any_rank(fabric: Fabric, flag: bool) -> bool:
    """Whether a flag is set on any rank. Collective: every rank must call it."""
    if fabric.world_size == 1:
        return flag
    count = fabric.all_reduce(torch.tensor(float(flag), device=fabric.device), reduce_op="sum")
    return bool(count)


def same_on_all_ranks(fabric: Fabric, value: int, what: str) -> int:
    """The value, if all ranks have the same one. Collective: every rank must call it.

    Args:
        fabric: devices.
        value: of this rank.
        what: the value's name, for the message.

    Raises:
        UserError: if the ranks have different values.
    """
    if any_rank(fabric, value != fabric.broadcast(value)):
        raise UserError(
            f"the hosts of this training do not see the same {what}: let them share the project's folder data/cache, "
            "or delete data/cache/trainings"
        )
    return value


def convert_to_sync_batchnorm(objective: nn.Module, fabric: Fabric) -> None:
    """Replaces trainable BatchNorm by SyncBatchNorm, in place; frozen BatchNorm stays.

    Args:
        objective: in training mode; its frozen parts are in evaluation mode.
        fabric: devices.

    Raises:
        UserError: on devices without SyncBatchNorm.
    """
    if fabric.world_size == 1:
        return
    if not can_share(objective, fabric.device):
        raise UserError(
            f"norms that learn cannot be shared by processes on {fabric.device.type}: train this step with "
            f"{environment.DEVICES}=1, or freeze the norms"
        )
    for parent, name, norm in list(_learning_norms(objective)):
        setattr(parent, name, _synchronised(norm))


def can_share(objective: nn.Module, device: torch.device) -> bool:
    """Whether several processes on such devices can train a module, which is in training mode."""
    return device.type == "cuda" or next(_learning_norms(objective), None) is None


def _learning_norms(objective: nn.Module) -> Iterator[tuple[nn.Module, str, nn.BatchNorm2d]]:
    """Each trainable BatchNorm, with its parent and its name there."""
    for parent in objective.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d) and child.training:
                yield parent, name, child


def _synchronised(norm: nn.BatchNorm2d) -> nn.Module:
    if type(norm) is nn.BatchNorm2d:
        return nn.SyncBatchNorm.convert_sync_batchnorm(norm)  # type: ignore[no-any-return, no-untyped-call]
    from timm.layers import convert_sync_batchnorm  # a norm of timm, which may hold an activation

    return convert_sync_batchnorm(norm)  # type: ignore[no-any-return]
