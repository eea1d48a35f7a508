"""What several processes need that share every batch of a training, see `ssul.inference.processes`."""

from collections.abc import Iterator

import torch
from lightning_fabric import Fabric
from torch import nn

from ssul import environment
from ssul.errors import UserError


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
