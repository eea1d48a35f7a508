"""Networks of other libraries, as after some training."""

import torch
from torch import Tensor, nn


def trained(net: nn.Module, last: nn.Module) -> nn.Module:
    """The network in evaluation mode, with norms that do something and logits of order 1."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.4, 0.8)
            module.bias.data.normal_(0, 0.1)
    last.weight.data *= 100  # type: ignore[operator, union-attr]
    return net.eval()


def some_image() -> Tensor:
    return torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(3))
