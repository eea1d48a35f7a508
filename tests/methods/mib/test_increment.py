"""MiB: its two losses by hand and against naive sums of softmax scores, and its even shares of the background."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ssul.labels.ids import VOID
from ssul.methods.mib.increment import prepare_increment, unbiased_cross_entropy, unbiased_distillation
from ssul.model.deeplab import Architecture
from tests.methods.builders import EVERY_ARCHITECTURE, NEW, OLD, assert_only_the_whole_student_learns, drawn, trained


def column(*scores: float) -> Tensor:
    """Logits (1, K, 1, 1) whose softmax is proportional to the scores."""
    return torch.tensor(scores, dtype=torch.float64).log()[None, :, None, None]


def naive_cross_entropy(logits: Tensor, target: Tensor, old_channels: int) -> Tensor:
    """Scores added up pixel by pixel, as the paper says it."""
    scores = logits.softmax(dim=1)
    total = logits.new_zeros(())
    for b, y, x in (target != VOID).nonzero().tolist():
        label = int(target[b, y, x])
        pixel = scores[b, :, y, x]
        meant = pixel[:old_channels].sum() if label < old_channels else pixel[label]
        total = total - meant.log()
    return total / target.numel()


def naive_distillation(logits: Tensor, old_logits: Tensor) -> Tensor:
    scores, wanted = logits.softmax(dim=1), old_logits.softmax(dim=1)
    old = wanted.shape[1]
    folded = torch.stack([scores[:, 0] + scores[:, old:].sum(dim=1), *scores[:, 1:old].unbind(dim=1)], dim=1)
    return -(wanted * folded.log()).sum(dim=1).mean() / old


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of student and teacher, and a target of the grown label space."""
    old, new = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    logits = 3 * torch.randn(2, old + new, 2, 3, generator=generator, dtype=torch.float64)
    old_logits = 3 * torch.randn(2, old, 2, 3, generator=generator, dtype=torch.float64)
    target = torch.randint(old + new, (2, 2, 3), generator=generator, dtype=torch.uint8)
    target[torch.rand(2, 2, 3, generator=generator) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = VOID
    return logits.requires_grad_(), old_logits, target


def gradient(loss: Tensor, logits: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(loss, logits)
    return found


# ---- unbiased cross-entropy -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "probability"),
    [
        pytest.param(0, 0.1 + 0.2 + 0.3, id="the background may be any old class"),
        pytest.param(1, 0.1 + 0.2 + 0.3, id="an old class counts as background"),
        pytest.param(2, 0.1 + 0.2 + 0.3, id="another old class counts as background"),
        pytest.param(3, 0.4, id="a new class is itself"),
    ],
)
def test_unbiased_cross_entropy_by_hand(label: int, probability: float) -> None:
    logits = column(1, 2, 3, 4)  # background, two old classes, a new one
    loss = unbiased_cross_entropy(logits, torch.tensor([[[label]]], dtype=torch.uint8), old_channels=3)
    assert loss.item() == pytest.approx(-math.log(probability))


def test_void_adds_nothing_but_counts_in_the_divisor() -> None:
    logits = column(1, 2, 3, 4).expand(1, 4, 1, 4)
    target = torch.tensor([[[3, VOID, VOID, 0]]], dtype=torch.uint8)
    loss = unbiased_cross_entropy(logits, target, old_channels=3)
    assert loss.item() == pytest.approx(-(math.log(0.4) + math.log(0.6)) / 4)


def test_void_alone_costs_nothing() -> None:
    logits = column(1, 2, 3).requires_grad_()
    loss = unbiased_cross_entropy(logits, torch.full((1, 1, 1), VOID, dtype=torch.uint8), old_channels=2)
    assert loss.item() == 0.0
    assert not gradient(loss, logits).any()


@given(cases())
def test_unbiased_cross_entropy_and_its_gradient_are_those_of_added_scores(case: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, old_logits, target = case
    old = old_logits.shape[1]
    ours, naive = unbiased_cross_entropy(logits, target, old_channels=old), naive_cross_entropy(logits, target, old)
    torch.testing.assert_close(ours, naive)
    if (target != VOID).any():
        torch.testing.assert_close(gradient(ours, logits), gradient(naive, logits))


def test_the_background_teaches_the_old_classes_as_well() -> None:
    logits = column(1, 2, 3, 4).requires_grad_()
    loss = unbiased_cross_entropy(logits, torch.zeros(1, 1, 1, dtype=torch.uint8), old_channels=3)
    # d/dz_k of lse(all) - lse(old): p_k - p_k / p(old) for old channels, p_k for new ones
    assert gradient(loss, logits).flatten().tolist() == pytest.approx([0.1 - 1 / 6, 0.2 - 2 / 6, 0.3 - 3 / 6, 0.4])


# ---- unbiased distillation ------------------------------------------------------------------------------------------


def test_unbiased_distillation_by_hand() -> None:
    # the student gives the background .1 and the two new classes .3 and .4, so .8 together; the old class .2
    loss = unbiased_distillation(column(1, 2, 3, 4), column(3, 1))
    assert loss.item() == pytest.approx(-(0.75 * math.log(0.8) + 0.25 * math.log(0.2)) / 2)


def test_unbiased_distillation_is_averaged_over_all_pixels() -> None:
    student = torch.cat([column(1, 2, 3, 4), column(1, 1, 1, 1)], dim=3)
    teacher = torch.cat([column(3, 1), column(1, 1)], dim=3)
    one = -(0.75 * math.log(0.8) + 0.25 * math.log(0.2)) / 2
    other = -(0.5 * math.log(0.75) + 0.5 * math.log(0.25)) / 2
    assert unbiased_distillation(student, teacher).item() == pytest.approx((one + other) / 2)


@given(cases())
def test_unbiased_distillation_and_its_gradient_are_those_of_added_scores(case: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, old_logits, _ = case
    ours, naive = unbiased_distillation(logits, old_logits), naive_distillation(logits, old_logits)
    torch.testing.assert_close(ours, naive)
    torch.testing.assert_close(gradient(ours, logits), gradient(naive, logits))


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_both_losses_are_finite_for_huge_logits(scale: float) -> None:
    logits = (scale * torch.randn(1, 5, 4, 4, generator=torch.Generator().manual_seed(0))).requires_grad_()
    target = torch.randint(5, (1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    for loss in (
        unbiased_cross_entropy(logits, target, old_channels=3),
        unbiased_distillation(logits, logits.detach()[:, :3].flip(1)),
    ):
        assert loss.isfinite()
        assert gradient(loss, logits).isfinite().all()


def test_the_gradients_are_right() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(1, 5, 2, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    old_logits = torch.randn(1, 3, 2, 2, generator=generator, dtype=torch.float64)
    target = torch.tensor([[[0, 2], [4, VOID]]], dtype=torch.uint8)
    assert torch.autograd.gradcheck(lambda z: unbiased_cross_entropy(z, target, old_channels=3), (logits,))
    assert torch.autograd.gradcheck(lambda z: unbiased_distillation(z, old_logits), (logits,))


# ---- initialisation -------------------------------------------------------------------------------------------------


@EVERY_ARCHITECTURE
@pytest.mark.parametrize("new", [(2,), (2, 4), (2, 4, 6)])
def test_new_classes_and_background_share_the_backgrounds_probability_evenly(
    architecture: Architecture, new: tuple[int, ...]
) -> None:
    model, (images, _) = trained(OLD, architecture), drawn()
    with torch.no_grad():
        before = model(images).softmax(dim=1)
        model.grow(len(new))
        model.init_head_from_background(OLD.background_head, OLD.background_in_head)
        after = model.eval()(images).softmax(dim=1)
    share = before[:, :1] / (len(new) + 1)
    torch.testing.assert_close(after[:, :1], share)
    torch.testing.assert_close(after[:, OLD.num_channels :], share.expand(-1, len(new), -1, -1))
    torch.testing.assert_close(after[:, 1 : OLD.num_channels], before[:, 1:])
    assert before[:, 0].max() - before[:, 0].min() > 0.01  # the case is not an empty one


def test_at_the_start_it_distils_what_it_already_knows() -> None:
    """What the student gives background and new classes together is what the teacher gives the background."""
    model, (images, target) = trained(OLD), drawn(0, 4, 5)
    with torch.no_grad():
        scores = model(images).softmax(dim=1)
    objective = prepare_increment(model, OLD, NEW, distillation=10.0)
    loss = objective.eval()(images, target)
    entropy = torch.special.entr(scores).sum(dim=1).mean() / OLD.num_channels
    torch.testing.assert_close(loss.parts["distillation"], entropy)


def test_sharing_changes_no_other_channel_and_only_the_backgrounds_bias() -> None:
    model = trained(OLD)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.grow(2)
    model.init_head_from_background(OLD.background_head, OLD.background_in_head)
    after = model.state_dict()
    assert [name for name in before if not torch.equal(after[name], before[name])] == ["heads.0.classifier.bias"]
    moved = before["heads.0.classifier.bias"] - after["heads.0.classifier.bias"]
    assert moved.tolist() == pytest.approx([math.log(3), 0.0, 0.0])


# ---- the whole step -------------------------------------------------------------------------------------------------


@EVERY_ARCHITECTURE
@pytest.mark.parametrize("void", ["background", "ignore"])
def test_a_step_is_cross_entropy_plus_weighed_distillation_of_the_network_before(
    architecture: Architecture, void: str
) -> None:
    model, (images, target) = trained(OLD, architecture), drawn(0, 2, 4, 5)
    past = copy.deepcopy(model).eval()
    objective = prepare_increment(model, OLD, NEW, distillation=7.0, void=void).train()
    objective.model.dropout.p = 0.0
    assert (target == VOID).any()
    loss = objective(images, target)
    if void == "background":
        target = torch.where(target == VOID, 0, target)
    with torch.no_grad():
        logits = copy.deepcopy(model).train()(images)
        learned = naive_cross_entropy(logits, target, OLD.num_channels)
        kept = naive_distillation(logits, past(images))
    torch.testing.assert_close(loss.total.detach(), learned + 7.0 * kept)
    torch.testing.assert_close(loss.parts, {"cross_entropy": learned, "distillation": kept})
    assert objective.labels == OLD.with_step(NEW)


def test_everything_learns_and_the_teacher_does_not() -> None:
    assert_only_the_whole_student_learns(prepare_increment(trained(OLD), OLD, NEW, distillation=10.0))
