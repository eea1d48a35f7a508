"""Several processes that share a stage, by lightning-fabric on one host or, with srun or torchrun, on several.

Their number is an environment variable, not a parameter: an experiment on more devices is the same experiment.
"""

import logging
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from ssul import environment
from ssul.errors import UserError

# the logger in which fabric says that a process has died, before it ends all other processes, this one too
_LAUNCHER = "lightning_fabric.strategies.launchers.subprocess_script"
_LAST_WORDS = (
    "error: a process of this stage has died (%(message)s): its reason is above, if it could print one; if not, "
    "memory may have run out: lower recipe.*.batch or recipe.crop. Then run the same command again"
)


def fabric_settings() -> dict[str, Any]:
    """Fabric's settings for the processes of this stage: SSUL_DEVICES on this host, or those of srun or torchrun.

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


def launch(fabric: Fabric) -> tuple[int, int]:
    """Starts the other ranks, or joins them if this process was started by rank 0, srun or torchrun.

    The other ranks run the same command from its beginning, so nothing may have been written yet.

    Args:
        fabric: made with `fabric_settings`.

    Returns:
        (rank, world_size)
    """
    if fabric.world_size > 1:
        logger = logging.getLogger(_LAUNCHER)
        logger.setLevel(logging.INFO)
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(_LAST_WORDS))
        logger.addHandler(handler)
        fabric.launch()
    return fabric.global_rank, fabric.world_size


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
