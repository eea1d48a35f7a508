"""LwF against the textbook: cross-entropy on what is annotated, and distillation of the old channels."""

import copy

import pytest
import torch

from ssul.methods.lwf.increment import prepare_increment
from ssul.model.deeplab import Architecture
from ssul.training.objective import Supervised
from tests.methods.builders import EVERY_ARCHITECTURE, NEW, OLD, assert_only_the_whole_student_learns, drawn, trained
from tests.methods.textbook import assert_a_step_is, cross_entropy_by_pixel, distillation_by_softmax


@EVERY_ARCHITECTURE
def test_a_step_is_cross_entropy_plus_weighed_distillation_of_the_network_before(architecture: Architecture) -> None:
    model, (images, target) = trained(OLD, architecture), drawn(0, 2, 4, 5)
    past = copy.deepcopy(model)
    objective = prepare_increment(model, OLD, NEW, distillation=7.0)
    assert objective.labels == OLD.with_step(NEW)
    assert_a_step_is(
        objective,
        past,
        (images, target),
        lambda student, teacher: (
            cross_entropy_by_pixel(student(images), target)
            + 7.0 * distillation_by_softmax(student(images), teacher(images).detach())
        ),
    )


def test_the_parts_are_its_terms() -> None:
    objective, (images, target) = prepare_increment(trained(OLD), OLD, NEW, distillation=7.0).eval(), drawn(0, 4, 5)
    loss = objective(images, target)
    assert set(loss.parts) == {"cross_entropy", "distillation"}
    torch.testing.assert_close(loss.total.detach(), loss.parts["cross_entropy"] + 7.0 * loss.parts["distillation"])


def test_at_the_start_it_distils_what_it_already_knows() -> None:
    model, (images, target) = trained(OLD), drawn(0, 4, 5)
    with torch.no_grad():
        scores = model(images).softmax(dim=1)
    loss = prepare_increment(model, OLD, NEW, distillation=7.0).eval()(images, target)
    entropy = torch.special.entr(scores).sum(dim=1).mean() / OLD.num_channels
    torch.testing.assert_close(loss.parts["distillation"], entropy)


def test_without_its_distillation_it_is_fine_tuning() -> None:
    model, (images, target) = trained(OLD), drawn(0, 4, 5)
    objective = prepare_increment(model, OLD, NEW, distillation=0.0).eval()
    plain = Supervised(copy.deepcopy(model), objective.labels, "ce").eval()
    assert objective(images, target).total.item() == pytest.approx(plain(images, target).total.item(), rel=1e-12)


def test_everything_learns_and_the_teacher_does_not() -> None:
    assert_only_the_whole_student_learns(prepare_increment(trained(OLD), OLD, NEW, distillation=100.0))
