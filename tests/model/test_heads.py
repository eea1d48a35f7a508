"""A head: conv3x3, norm, ReLU, conv1x1; and what it takes from another."""

import math

import pytest
import torch
from torch.nn import functional

from ssul.model.heads import Head


@pytest.fixture
def parent() -> Head:
    """A one-channel head after some training: its norm has statistics and affine parameters of its own."""
    torch.manual_seed(3)
    head = Head(6, 1, width=6)
    for tensor in (*head.norm.parameters(), *head.norm.buffers()):
        if tensor.is_floating_point():
            tensor.data.uniform_(0.5, 1.5)
    return head.eval()


def test_it_is_conv3x3_norm_relu_conv1x1(parent: Head) -> None:
    x = torch.randn(2, 6, 5, 7)
    inner = functional.conv2d(x, parent.conv.weight, padding=1)
    mean, variance = parent.norm.running_mean, parent.norm.running_var
    assert mean is not None
    assert variance is not None
    inner = functional.batch_norm(inner, mean, variance, parent.norm.weight, parent.norm.bias, eps=1e-5)
    expected = functional.conv2d(inner.clamp(min=0), parent.classifier.weight, parent.classifier.bias)
    torch.testing.assert_close(parent(x), expected)


def test_an_heir_scores_every_class_as_its_parent_scores_its_one(parent: Head) -> None:
    heir = Head(6, 3, width=6).eval()
    heir.copy_from(parent)
    x = torch.randn(2, 6, 5, 7)
    torch.testing.assert_close(heir(x), parent(x).expand(-1, 3, -1, -1))


def test_an_heir_has_its_parents_norm_with_its_statistics(parent: Head) -> None:
    heir = Head(6, 3, width=6)
    heir.copy_from(parent)
    for name, tensor in parent.norm.state_dict().items():
        assert torch.equal(heir.norm.state_dict()[name], tensor), name


def test_heir_and_parent_share_no_memory(parent: Head) -> None:
    heir = Head(6, 3, width=6)
    heir.copy_from(parent)
    before = {name: tensor.clone() for name, tensor in parent.state_dict().items()}
    for tensor in heir.state_dict().values():
        tensor.fill_(9)
    assert all(torch.equal(tensor, before[name]) for name, tensor in parent.state_dict().items())


def test_an_heirs_weights_are_leaves_that_learn(parent: Head) -> None:
    heir = Head(6, 3, width=6)
    heir.copy_from(parent)
    heir(torch.randn(1, 6, 5, 5)).sum().backward()
    assert all(parameter.is_leaf and parameter.grad is not None for parameter in heir.parameters())
    assert all(parameter.grad is None for parameter in parent.parameters())


def test_without_a_width_it_is_conv1x1_alone() -> None:
    head = Head(6, 3, width=None)
    assert {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()} == {
        "classifier.weight": (3, 6, 1, 1),
        "classifier.bias": (3,),
    }
    x = torch.randn(2, 6, 5, 7)
    torch.testing.assert_close(head(x), functional.conv2d(x, head.classifier.weight, head.classifier.bias))


def test_an_heir_without_a_width_scores_as_its_parent() -> None:
    parent, heir = Head(6, 1, width=None), Head(6, 3, width=None)
    heir.copy_from(parent)
    x = torch.randn(2, 6, 5, 7)
    torch.testing.assert_close(heir(x), parent(x).expand(-1, 3, -1, -1))


def test_a_separable_heir_scores_as_its_parent() -> None:
    parent, heir = (Head(6, classes, width=4, separable=True).eval() for classes in (1, 3))
    heir.copy_from(parent)
    x = torch.randn(2, 6, 5, 7)
    torch.testing.assert_close(heir(x), parent(x).expand(-1, 3, -1, -1))


@pytest.mark.parametrize("width", [6, None])
@pytest.mark.parametrize("channel", [0, 2])
def test_those_who_share_a_channel_have_equal_logits_lower_by_the_log_of_their_number(
    width: int | None, channel: int
) -> None:
    parent, heir = (Head(6, classes, width=width).eval() for classes in (4, 2))
    x = torch.randn(2, 6, 5, 7)
    before = parent(x)
    heir.split_probability_of(parent, channel)
    expected = before[:, channel : channel + 1] - math.log(3)
    torch.testing.assert_close(heir(x), expected.expand(-1, 2, -1, -1))
    after = parent(x)
    torch.testing.assert_close(after[:, channel : channel + 1], expected)
    others = [other for other in range(4) if other != channel]
    assert torch.equal(after[:, others], before[:, others])
