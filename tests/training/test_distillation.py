"""The distillation of logits by hand, and of a softmax against naive sums of its scores."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ssul.training.distillation import sigmoid_distillation, softmax_distillation
from tests.methods.textbook import distillation_by_softmax


def column(*scores: float) -> Tensor:
    """Logits (1, K, 1, 1) whose softmax is proportional to the scores."""
    return torch.tensor(scores, dtype=torch.float64).log()[None, :, None, None]


def test_it_compares_the_old_channels_among_themselves_by_hand() -> None:
    # the new class has 6 of 10, and of the rest the background has a quarter
    loss = softmax_distillation(column(1, 3, 6), column(3, 1))
    assert loss.item() == pytest.approx(-(0.75 * math.log(0.25) + 0.25 * math.log(0.75)) / 2)


def test_it_is_averaged_over_all_pixels() -> None:
    student, teacher = torch.cat([column(1, 3, 6), column(1, 1, 1)], dim=3), torch.cat([column(3, 1)] * 2, dim=3)
    one = -(0.75 * math.log(0.25) + 0.25 * math.log(0.75)) / 2
    other = -math.log(0.5) / 2
    assert softmax_distillation(student, teacher).item() == pytest.approx((one + other) / 2)


def test_it_and_its_gradient_are_those_of_the_textbook_and_new_channels_get_none() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.float64)).requires_grad_()
    old_logits = 3 * torch.randn(2, 3, 3, 4, generator=generator, dtype=torch.float64)
    ours, naive = softmax_distillation(logits, old_logits), distillation_by_softmax(logits, old_logits)
    torch.testing.assert_close(ours, naive)
    (gradient,) = torch.autograd.grad(ours, logits)
    torch.testing.assert_close(gradient, *torch.autograd.grad(naive, logits))
    assert not gradient[:, 3:].any()


def test_it_is_smallest_where_the_student_agrees() -> None:
    teacher = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    student = torch.cat([teacher + 5, teacher.new_ones(1, 2, 4, 4)], dim=1).requires_grad_()
    loss = softmax_distillation(student, teacher)
    torch.testing.assert_close(loss.detach(), torch.special.entr(teacher.softmax(dim=1)).sum(dim=1).mean() / 3)
    assert torch.autograd.grad(loss, student)[0].abs().max() < 1e-12


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_it_is_finite_for_huge_logits(scale: float) -> None:
    logits = scale * torch.randn(1, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    assert softmax_distillation(logits, logits[:, :3].flip(1)).isfinite()


# ---- sigmoids -------------------------------------------------------------------------------------------------------


def test_that_of_sigmoids_by_hand_sums_over_classes_and_averages_over_pixels() -> None:
    ours = torch.tensor([[[[0.0, 2.0]], [[1.0, -1.0]]]], dtype=torch.float64)  # two classes, two pixels
    theirs = torch.tensor([[[[0.0, 1.0]], [[-3.0, -1.0]]]], dtype=torch.float64)

    def score(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    def cost(z: float, t: float) -> float:
        return -score(t) * math.log(score(z)) - (1 - score(t)) * math.log(1 - score(z))

    expected = (cost(0, 0) + cost(2, 1) + cost(1, -3) + cost(-1, -1)) / 2
    assert sigmoid_distillation(ours, theirs).item() == pytest.approx(expected, rel=1e-12)


@given(st.integers(0, 1000))
def test_that_of_sigmoids_is_least_where_student_and_teacher_agree(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    theirs, ours = 3 * torch.randn(2, 2, 3, 2, 2, generator=generator, dtype=torch.float64)
    same = theirs.clone().requires_grad_()
    least = sigmoid_distillation(same, theirs)
    (gradient,) = torch.autograd.grad(least, same)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient))
    assert sigmoid_distillation(ours, theirs) > least


def test_that_of_sigmoids_of_huge_or_short_logits_is_finite_and_precise() -> None:
    logits = torch.full((1, 1, 64, 64), 1e4, dtype=torch.bfloat16)
    loss = sigmoid_distillation(logits, -logits)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(1e4, rel=1e-2)
