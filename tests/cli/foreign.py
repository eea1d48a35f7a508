"""Networks of other libraries, as after some training."""

from pathlib import Path

import torch
from torch import Tensor, nn

import ssul


def trained(net: nn.Module, last: nn.Module) -> nn.Module:
    """The network in evaluation mode, with norms that do something and logits of order 1."""
    torch.manual_seed(0)
    settle_norms(net)
    last.weight.data *= 100  # type: ignore[operator, union-attr]
    return net.eval()


def settle_norms(net: nn.Module) -> None:
    """Gives every BatchNorm an effect that leaves the activations of a deep network in range."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.4, 0.8)
            module.bias.data.normal_(0, 0.1)


def some_image() -> Tensor:
    return torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def assert_that_it_learns_a_class_more(checkpoint: Path) -> None:
    """SSUL's increment from an imported softmax network: one logit more, the old probabilities as log-odds."""
    batch = torch.full((2, 3, 64, 64), 90).byte(), torch.ones(2, 64, 64).byte()
    model = ssul.load(checkpoint)
    with torch.enable_grad():
        grown = ssul.extend(model, [batch], ["plate"], epochs=1, lr=0.1, progress=False).trained
    before = model.trained.model.forward_low_res(some_image()).softmax(dim=1)
    after = grown.model.forward_low_res(some_image()).sigmoid()
    assert after.shape[1] == before.shape[1] + 1
    before[:, :1] *= 1 - after[:, -1:]  # the background of a softmax gives way
    torch.testing.assert_close(after[:, :-1], before, rtol=1e-4, atol=1e-5)
