"""A head: conv3x3, norm, ReLU, conv1x1; and what it copies from another."""

import math

import pytest
import torch
from torch.nn import functional

from ssul.model.heads import Head, LogOdds, give_way
from tests.model.learning import randomise_norms


def head(classes: int, *, width: int | None = 6, separable: bool = False) -> Head:
    """A head as after some training: its norm has statistics and affine parameters of its own."""
    torch.manual_seed(3)
    made = Head(6, classes, width=width, separable=separable)
    randomise_norms(made)
    return made.eval()


def features() -> torch.Tensor:
    return torch.randn(2, 6, 5, 7, generator=torch.Generator().manual_seed(4))


def test_it_is_conv3x3_norm_relu_conv1x1() -> None:
    one = head(1)
    hidden = functional.conv2d(features(), one.conv.weight, padding=1)
    mean, variance = one.norm.running_mean, one.norm.running_var
    assert mean is not None
    assert variance is not None
    hidden = functional.batch_norm(hidden, mean, variance, one.norm.weight, one.norm.bias, eps=1e-5)
    expected = functional.conv2d(hidden.clamp(min=0), one.classifier.weight, one.classifier.bias)
    torch.testing.assert_close(one(features()), expected)


def test_without_a_width_it_is_conv1x1_alone() -> None:
    one = head(3, width=None)
    assert {name: tuple(tensor.shape) for name, tensor in one.state_dict().items()} == {
        "classifier.weight": (3, 6, 1, 1),
        "classifier.bias": (3,),
    }
    expected = functional.conv2d(features(), one.classifier.weight, one.classifier.bias)
    torch.testing.assert_close(one(features()), expected)


@pytest.mark.parametrize("width", [6, None])
def test_what_enters_its_1x1_convolution_is_at_least_0_if_its_input_is(width: int | None) -> None:
    one, seen = head(3, width=width), features().relu()
    hidden = one.hidden(seen)
    assert torch.equal(one.classifier(hidden), one(seen))
    assert hidden.min() == 0
    assert hidden.max() > 0


@pytest.mark.parametrize(("width", "separable"), [(6, False), (None, False), (4, True)])
def test_a_copy_scores_every_class_as_its_parent_scores_its_one(width: int | None, separable: bool) -> None:
    parent, copied = head(1, width=width, separable=separable), Head(6, 3, width=width, separable=separable).eval()
    copied.copy_from(parent)
    torch.testing.assert_close(copied(features()), parent(features()).expand(-1, 3, -1, -1))


def test_a_copy_has_its_parents_norm_with_its_statistics_and_shares_no_memory() -> None:
    parent, copied = head(1), Head(6, 3, width=6)
    copied.copy_from(parent)
    for name, tensor in parent.norm.state_dict().items():
        assert torch.equal(copied.norm.state_dict()[name], tensor), name
    before = {name: tensor.clone() for name, tensor in parent.state_dict().items()}
    for tensor in copied.state_dict().values():
        tensor.fill_(9)
    assert all(torch.equal(tensor, before[name]) for name, tensor in parent.state_dict().items())


def test_a_copys_weights_are_leaves_that_learn() -> None:
    parent, copied = head(1), Head(6, 3, width=6)
    copied.copy_from(parent)
    copied(features()).sum().backward()
    assert all(parameter.is_leaf and parameter.grad is not None for parameter in copied.parameters())
    assert all(parameter.grad is None for parameter in parent.parameters())


@pytest.mark.parametrize("width", [6, None])
@pytest.mark.parametrize("channel", [0, 2])
def test_classes_that_share_a_channels_probability_have_equal_logits_lower_by_the_log_of_their_number(
    width: int | None, channel: int
) -> None:
    parent, shared = head(4, width=width), head(2, width=width)
    before = parent(features())
    shared.split_probability_of(parent, channel)
    expected = before[:, channel : channel + 1] - math.log(3)
    torch.testing.assert_close(shared(features()), expected.expand(-1, 2, -1, -1))
    after = parent(features())
    torch.testing.assert_close(after[:, channel : channel + 1], expected)
    others = [other for other in range(4) if other != channel]
    assert torch.equal(after[:, others], before[:, others])


def test_log_odds_have_the_softmaxs_probabilities_as_sigmoids_also_where_one_class_is_certain() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [40.0, 0.0, -3.0], [-90.0, 90.0, 0.0]]).T[None, :, None, :]
    odds = LogOdds()(logits)
    torch.testing.assert_close(odds.sigmoid(), logits.softmax(1))
    assert odds[0, 0, 0, 1] == pytest.approx(40 - math.log(1 + math.exp(-3)))
    assert odds.isfinite().all()


def test_a_later_class_takes_its_probability_from_the_background_of_a_softmax() -> None:
    """Background 0.8, a class of the softmax 0.1, later classes 0.5 and 0.25: the background keeps 0.8 * 0.5 * 0.75."""
    logits = torch.tensor([0.8, 0.1, 0.5, 0.25], dtype=torch.float64).logit().reshape(1, 4, 1, 1)
    left = give_way(logits, (1, 2))
    assert left[0, 0].sigmoid().item() == pytest.approx(0.3)
    assert torch.equal(left[:, 1:], logits[:, 1:])


def test_unknown_and_background_give_way_each() -> None:
    logits = torch.tensor([0.6, 0.8, 0.1, 0.5], dtype=torch.float64).logit().reshape(1, 4, 1, 1)
    left = give_way(logits, (2, 3))
    assert left[0, :2, 0, 0].sigmoid().tolist() == pytest.approx([0.3, 0.4])
    assert torch.equal(left[:, 2:], logits[:, 2:])


def test_what_gives_way_to_nobody_stays_as_it_is_to_the_bit() -> None:
    logits = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(give_way(logits, (1, 4)), logits)
    assert torch.equal(give_way(logits, None), logits)
    far = torch.cat([logits, torch.full((2, 1, 3, 3), -1e4)], dim=1)  # a later class that is nowhere
    torch.testing.assert_close(give_way(far, (1, 4)), far)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("background", "later"), [(1e4, -1e4), (1e4, 1e4), (-1e4, 1e4), (-1e4, -1e4)])
def test_certainty_makes_no_logit_infinite(dtype: torch.dtype, background: float, later: float) -> None:
    logits = torch.tensor([background, 0.0, later], dtype=dtype).reshape(1, 3, 1, 1)
    left = give_way(logits, (1, 2))
    assert left.dtype == dtype
    assert left.isfinite().all()
    assert (left[0, 0] > 0).item() is (background > 0 > later)
