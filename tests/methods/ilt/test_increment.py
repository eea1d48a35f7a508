"""ILT against the textbook: LwF, and squared differences of the ASPP's output."""

import copy

import pytest
import torch
from torch import Tensor

from ssul.methods.ilt.increment import prepare_increment
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.training.objective import Supervised
from tests.methods.builders import EVERY_ARCHITECTURE, NEW, OLD, assert_only_the_whole_student_learns, drawn, trained
from tests.methods.textbook import assert_a_step_is, cross_entropy_by_pixel, distillation_by_softmax

WEIGHTS = {"distillation": 7.0, "features": 3.0}


def squared_difference(student: IncrementalDeepLab, teacher: IncrementalDeepLab, images: Tensor) -> Tensor:
    """Averaged over images, channels and places."""
    ours, theirs = student.aspp(student.backbone(images)), teacher.aspp(teacher.backbone(images)).detach()
    return ((ours - theirs) ** 2).sum() / ours.numel()


@EVERY_ARCHITECTURE
def test_a_step_is_cross_entropy_plus_two_weighed_distillations_of_the_network_before(
    architecture: Architecture,
) -> None:
    model, (images, target) = trained(OLD, architecture), drawn(0, 2, 4, 5)
    past = copy.deepcopy(model)
    objective = prepare_increment(model, OLD, NEW, **WEIGHTS)
    assert objective.labels == OLD.with_step(NEW)
    assert_a_step_is(
        objective,
        past,
        (images, target),
        lambda student, teacher: (
            cross_entropy_by_pixel(student(images), target)
            + 7.0 * distillation_by_softmax(student(images), teacher(images).detach())
            + 3.0 * squared_difference(student, teacher, images)
        ),
    )


def test_the_features_differ_by_hand() -> None:
    """The student's are the teacher's plus a half everywhere."""
    objective, (images, target) = prepare_increment(trained(OLD), OLD, NEW, **WEIGHTS).eval(), drawn(0, 4, 5)
    assert objective(images, target).parts["features"].item() == 0.0
    objective.model.aspp.register_forward_hook(lambda module, inputs, output: output + 0.5)
    loss = objective(images, target)
    assert loss.parts["features"].item() == pytest.approx(0.25, rel=1e-12)
    torch.testing.assert_close(
        loss.total.detach(), loss.parts["cross_entropy"] + 7.0 * loss.parts["distillation"] + 3.0 * 0.25
    )


def test_without_its_distillations_it_is_fine_tuning() -> None:
    model, (images, target) = trained(OLD), drawn(0, 4, 5)
    objective = prepare_increment(model, OLD, NEW, distillation=0.0, features=0.0).eval()
    plain = Supervised(copy.deepcopy(model), objective.labels, "ce").eval()
    assert objective(images, target).total.item() == pytest.approx(plain(images, target).total.item(), rel=1e-12)


def test_everything_learns_and_the_teacher_does_not() -> None:
    assert_only_the_whole_student_learns(prepare_increment(trained(OLD), OLD, NEW, **WEIGHTS))
