"""The pyramid: five views of the features, seen at the rates of the papers."""

import pytest
import torch
from torch import nn
from torchvision.models.segmentation import deeplabv3

from ssul.model.aspp import RATES, Aspp

Rates = tuple[int, int, int]


def randomised(aspp: Aspp) -> Aspp:
    """With norms that do something, as after training."""
    for module in aspp.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                assert tensor is not None
                tensor.uniform_(0.5, 1.5)
    return aspp


@pytest.mark.parametrize("rates", RATES.values())
def test_it_computes_what_torchvisions_pyramid_computes_with_the_same_weights(rates: Rates) -> None:
    torch.manual_seed(0)
    aspp, theirs = randomised(Aspp(12, 8, rates)).eval(), deeplabv3.ASPP(12, list(rates), 8).eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), aspp.state_dict().values(), strict=True)))
    features = torch.randn(2, 12, 40, 27)
    torch.testing.assert_close(aspp(features), theirs(features))


@pytest.mark.parametrize(("output_stride", "rates"), [(16, (6, 12, 18)), (8, (12, 24, 36))])
def test_its_dilated_branches_look_as_far_as_the_output_stride_asks(output_stride: int, rates: Rates) -> None:
    aspp = Aspp(1, 1, RATES[output_stride]).eval()
    impulse = torch.zeros(1, 1, 81, 81)
    impulse[..., 40, 40] = 1.0
    for branch, rate in zip(list(aspp.branches)[1:], rates, strict=True):
        assert isinstance(branch, nn.Sequential)
        seen = branch[0](impulse)[0, 0].nonzero() - 40
        assert sorted(map(tuple, seen.tolist())) == [(y, x) for y in (-rate, 0, rate) for x in (-rate, 0, rate)]


def test_it_does_not_drop_out_itself() -> None:
    aspp, features = Aspp(12, 8, RATES[8]).train(), torch.randn(2, 12, 5, 5)
    assert torch.equal(aspp(features), aspp(features))
