"""LwF-MC against the textbook: each channel's binary cross-entropy, pixel by pixel."""

import copy
from dataclasses import replace

import torch
from torch import Tensor

from ssul.labels.ids import VOID
from ssul.methods.lwf_mc.increment import prepare_increment
from ssul.model.deeplab import Architecture
from tests.methods.builders import EVERY_ARCHITECTURE, NEW, assert_only_the_whole_student_learns, drawn, trained
from tests.methods.builders import OLD as SOFTMAX
from tests.methods.textbook import assert_a_step_is

OLD = replace(SOFTMAX, activation="sigmoid")


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
