"""Losses as the papers write them, pixel by pixel, and the comparison of a whole step with them."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from ssul.labels.ids import VOID
from ssul.model.deeplab import IncrementalDeepLab
from ssul.training.objective import TeacherStudentObjective


def cross_entropy_by_pixel(logits: Tensor, target: Tensor) -> Tensor:
    """-log of the softmax of each annotated pixel's channel, averaged over those pixels."""
    scores = logits.softmax(dim=1)
    losses = [-scores[b, int(target[b, y, x]), y, x].log() for b, y, x in (target != VOID).nonzero().tolist()]
    return torch.stack(losses).mean()


def distillation_by_softmax(logits: Tensor, old_logits: Tensor) -> Tensor:
    """-sum of q log p over the old channels, p and q each a softmax over them, averaged over pixels and channels."""
    old = old_logits.shape[1]
    exponents, wanted = logits[:, :old].exp(), old_logits.exp()
    p, q = exponents / exponents.sum(dim=1, keepdim=True), wanted / wanted.sum(dim=1, keepdim=True)
    return -(q * p.log()).mean()


def assert_a_step_is(
    objective: TeacherStudentObjective,
    past: IncrementalDeepLab,
    batch: tuple[Tensor, Tensor],
    loss_of: Callable[[IncrementalDeepLab, IncrementalDeepLab], Tensor],
) -> None:
    """The loss of a batch and its gradient at every weight are those of another implementation.

    Args:
        objective: as a method makes it.
        past: a copy of the network before the step.
        batch: images and target.
        loss_of: (student, teacher) -> the loss of the batch, computed with two networks.
    """
    objective.train().model.dropout.p = 0.0
    student = copy.deepcopy(objective.model).train()
    loss, expected = objective(*batch).total, loss_of(student, past.eval())
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    theirs = dict(student.named_parameters())
    for name, parameter in objective.model.named_parameters():
        assert parameter.grad is not None, name
        torch.testing.assert_close(parameter.grad, theirs[name].grad, rtol=1e-7, atol=1e-9, msg=name)
