"""The distillation of logits by hand and against naive sums of softmax scores."""

import math

import pytest
import torch
from torch import Tensor

from ssul.training.distillation import softmax_distillation
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
