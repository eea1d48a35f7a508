"""The ASPP: five views of the features, seen at the rates of the papers."""

import pytest
import torch
from torch import nn
from torchvision.models.segmentation import deeplabv3

from ssul.model.aspp import ASPP, convolution, rates_for
from tests.model.learning import randomise_norms

Rates = tuple[int, int, int]


@pytest.mark.parametrize("rates", [(6, 12, 18), (12, 24, 36)])
def test_it_computes_what_torchvisions_computes_with_the_same_weights(rates: Rates) -> None:
    torch.manual_seed(0)
    aspp, theirs = ASPP(12, 8, rates).eval(), deeplabv3.ASPP(12, list(rates), 8).eval()
    randomise_norms(aspp)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), aspp.state_dict().values(), strict=True)))
    features = torch.randn(2, 12, 40, 27)
    torch.testing.assert_close(aspp(features), theirs(features))


@pytest.mark.parametrize(("output_stride", "rates"), [(16, (6, 12, 18)), (8, (12, 24, 36))])
def test_its_dilated_branches_look_as_far_as_the_output_stride_asks(output_stride: int, rates: Rates) -> None:
    aspp = ASPP(1, 1, rates_for(output_stride)).eval()
    impulse = torch.zeros(1, 1, 81, 81)
    impulse[..., 40, 40] = 1.0
    for branch, rate in zip(list(aspp.branches)[1:], rates, strict=True):
        assert isinstance(branch, nn.Sequential)
        seen = branch[0](impulse)[0, 0].nonzero() - 40
        assert sorted(map(tuple, seen.tolist())) == [(y, x) for y in (-rate, 0, rate) for x in (-rate, 0, rate)]


def test_it_does_not_drop_out_itself() -> None:
    aspp, features = ASPP(12, 8, rates_for(8)).train(), torch.randn(2, 12, 5, 5)
    assert torch.equal(aspp(features), aspp(features))


def test_a_separable_convolution_is_each_channel_by_itself_and_then_1x1() -> None:
    separable = convolution(4, 6, kernel=3, dilation=2, separable=True)
    assert isinstance(separable, nn.Sequential)
    depthwise, pointwise = separable
    whole = nn.Conv2d(4, 6, 3, padding=2, dilation=2, bias=False)
    with torch.no_grad():
        whole.weight.copy_(pointwise.weight * depthwise.weight.squeeze(1))
        x = torch.randn(2, 4, 9, 7)
        torch.testing.assert_close(separable(x), whole(x))


def test_a_separable_aspp_has_the_weights_of_its_halves() -> None:
    plain, separable = (ASPP(12, 8, rates_for(16), separable=halves).eval() for halves in (False, True))
    lost = sum(p.numel() for p in plain.parameters()) - sum(p.numel() for p in separable.parameters())
    assert lost == 3 * (12 * 8 * 9 - (12 * 9 + 12 * 8))  # the 1x1 convolutions stay what they are
    assert separable(torch.randn(1, 12, 5, 7)).shape == (1, 8, 5, 7)
