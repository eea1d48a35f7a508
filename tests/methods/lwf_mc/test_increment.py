"""LwF-MC against the textbook: each channel's binary cross-entropy, pixel by pixel."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ssul.labels.ids import VOID
from ssul.methods.lwf_mc.increment import prepare_increment, sigmoid_distillation
from ssul.model.deeplab import Architecture
from tests.methods.builders import EVERY_ARCHITECTURE, NEW, assert_only_the_whole_student_learns, drawn, trained
from tests.methods.builders import OLD as SOFTMAX
from tests.methods.textbook import assert_a_step_is

OLD = replace(SOFTMAX, activation="sigmoid")


def column(*scores: float) -> Tensor:
    """Logits (1, K, 1, 1) whose sigmoids are the scores."""
    return torch.tensor(scores, dtype=torch.float64).logit()[None, :, None, None]


def binary(score: Tensor, wanted: Tensor) -> Tensor:
    return -(wanted * score.log() + (1 - wanted) * (1 - score).log())


def textbook(logits: Tensor, old_logits: Tensor, target: Tensor) -> Tensor:
    """New channels by the annotation, where there is one; old ones by the old network's sigmoids, everywhere."""
    scores, wanted, old = logits.sigmoid(), old_logits.sigmoid(), old_logits.shape[1]
    kept = binary(scores[:, :old], wanted).sum(dim=1).mean()
    learned = []
    for b, y, x in (target != VOID).nonzero().tolist():
        annotated = torch.zeros(logits.shape[1], dtype=logits.dtype)
        annotated[int(target[b, y, x])] = 1
        learned.append(binary(scores[b, :, y, x], annotated)[old:].sum())
    return kept + torch.stack(learned).mean()


def test_sigmoids_are_distilled_by_hand() -> None:
    loss = sigmoid_distillation(column(0.1, 0.6), column(0.3, 0.5))
    background = -(0.3 * math.log(0.1) + 0.7 * math.log(0.9))
    old_class = -(0.5 * math.log(0.6) + 0.5 * math.log(0.4))
    assert loss.item() == pytest.approx(background + old_class)


def test_the_distillation_is_averaged_over_all_pixels() -> None:
    one, other = (column(0.1), column(0.3)), (column(0.9), column(0.2))
    both = sigmoid_distillation(*(torch.cat(pair, dim=3) for pair in zip(one, other, strict=True)))
    assert both.item() == pytest.approx((sigmoid_distillation(*one) + sigmoid_distillation(*other)).item() / 2)


@EVERY_ARCHITECTURE
def test_a_step_is_the_textbooks(architecture: Architecture) -> None:
    model, (images, target) = trained(OLD, architecture), drawn(0, 2, 4, 5)
    past = copy.deepcopy(model)
    objective = prepare_increment(model, OLD, NEW)
    assert objective.labels == OLD.with_step(NEW)
    assert_a_step_is(
        objective,
        past,
        (images, target),
        lambda student, teacher: textbook(student(images), teacher(images).detach(), target),
    )


def test_the_annotation_of_old_classes_and_of_the_background_teaches_no_old_channel() -> None:
    objective, (images, target) = prepare_increment(trained(OLD), OLD, NEW).eval(), drawn(0, 2, 4, 5)
    loss = objective(images, target)
    moved = torch.where(target < OLD.num_channels, 1, target)
    torch.testing.assert_close(objective(images, moved).total, loss.total)
    torch.testing.assert_close(loss.total.detach(), loss.parts["new_classes"] + loss.parts["distillation"])


def test_everything_learns_and_the_teacher_does_not() -> None:
    assert_only_the_whole_student_learns(prepare_increment(trained(OLD), OLD, NEW))
