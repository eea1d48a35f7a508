"""Networks as after some training, and the names of the tensors that a training changes."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ssul.model.deeplab import IncrementalDeepLab


def randomise_norms(net: nn.Module) -> None:
    """Gives every BatchNorm statistics and affine parameters that do something."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                assert tensor is not None
                tensor.uniform_(0.5, 1.5)


def train(model: IncrementalDeepLab, loss_of: Callable[[], Tensor], *, iterations: int = 3, lr: float = 0.05) -> None:
    groups = model.parameter_groups(lr, backbone_ratio=1.0, low_lr_head=None, low_lr_ratio=1.0)
    optimizer = torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True, weight_decay=1e-4)
    for _ in range(iterations):
        optimizer.zero_grad()
        loss_of().backward()
        optimizer.step()


def tensors_changed_by_training(model: IncrementalDeepLab, loss_of: Callable[[], Tensor]) -> set[str]:
    """Every tensor of the state, statistics included, that a few iterations change."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train(model, loss_of)
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


def convolutions_of_heads(heads: Iterable[int]) -> set[str]:
    names = ("conv.weight", "classifier.weight", "classifier.bias")
    return {f"heads.{head}.{name}" for head in heads for name in names}


def norms_of_heads(heads: Iterable[int]) -> set[str]:
    names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    return {f"heads.{head}.norm.{name}" for head in heads for name in names}


def tensors_of_norms(model: nn.Module) -> set[str]:
    norms = {name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    return {f"{name}.{key}" for name, norm in norms.items() for key in norm.state_dict()}
