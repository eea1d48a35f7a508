"""DKD: its terms by hand, the identities that it rests on, the whole step against the textbook, and what learns."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.methods.dkd.increment import (
    DkdIncrement,
    decomposed_logits,
    heads_input,
    prepare_increment,
)
from ssul.model.deeplab import Architecture, IncrementalDeepLab, join
from ssul.model.heads import Head
from tests.methods.builders import NEW, PLUS, SMALL, drawn, trained
from tests.model.learning import tensors_changed_by_training, tensors_of_norms

# [auxiliary][background][3][1] [5], then [2][4]
OLD = LabelSpace(((3, 1), (5,)), unknown=True, activation="sigmoid", constant_background=True)
OLD_HEADS, NEWEST = (2, 3), 4
CLASSIFIERS = ("conv3x3", "conv1x1", "shared_conv1x1")
EVERY_NETWORK = pytest.mark.parametrize(
    "architecture",
    [replace(network, classifier=classifier) for network in (SMALL, PLUS) for classifier in CLASSIFIERS],
    ids=[f"{name}, {classifier}" for name in ("v3", "v3+") for classifier in CLASSIFIERS],
)


def increment(model: IncrementalDeepLab, *, positive_weight: float = 1.0, kept: float = 5.0) -> DkdIncrement:
    settings = {"positive_weight": positive_weight, "distillation": kept, "decomposed": kept, "other_decay": 0.0}
    return prepare_increment(model, OLD, NEW, **settings)


def change(model: IncrementalDeepLab) -> None:
    """Moves every parameter that learns, as a training would."""
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.02 * torch.randn_like(parameter)


# ---- the terms by hand ----------------------------------------------------------------------------------------------


def test_a_logits_parts_by_hand() -> None:
    model = trained(OLD, replace(SMALL, classifier="conv1x1", width=3))
    head = model.heads[2]
    assert isinstance(head, Head)
    assert head.classifier.bias is not None
    with torch.no_grad():
        head.classifier.weight[:, :, 0, 0] = torch.tensor([[1.0, -2.0, 0.0], [-1.0, -1.0, 3.0]])
        head.classifier.bias[:] = torch.tensor([0.5, -4.0])
    seen = torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64)[None, :, None, None]
    found = decomposed_logits(model, seen, [2])
    assert found.positive.flatten().tolist() == [2.0, 15.0]
    assert found.negative.flatten().tolist() == [-6.0, -5.0]
    assert found.whole.flatten().tolist() == [2 - 6 + 0.5, 15 - 5 - 4]


# ---- the identities -------------------------------------------------------------------------------------------------


@EVERY_NETWORK
def test_a_logit_is_what_speaks_for_the_class_what_speaks_against_it_and_the_bias(architecture: Architecture) -> None:
    model, (images, _) = trained(OLD, architecture), drawn()
    with torch.no_grad():
        seen = heads_input(model, images)
        found = decomposed_logits(model, seen, OLD_HEADS)
        logits = model.forward_low_res(images)
    biases = torch.cat([model.heads[index].classifier.bias for index in OLD_HEADS])  # type: ignore[union-attr, misc]
    assert seen.min() >= 0
    assert found.positive.min() >= 0 >= found.negative.max()
    assert found.positive.max() > 0.01 > -0.01 > found.negative.min()
    torch.testing.assert_close(found.whole, logits[:, OLD.first_class_channel :])
    torch.testing.assert_close(found.positive + found.negative + biases[None, :, None, None], found.whole)


def test_void_pixels_are_negatives_as_background_and_old_classes_are() -> None:
    model, (images, target) = trained(OLD), drawn(0, 1, 3, 5, 6)
    objective = increment(model).eval()
    background = torch.where((target == 5) | (target == 6), target, 1)
    assert (target == VOID).any()
    assert torch.equal(objective(images, target).total, objective(images, background).total)
    # and without any positive the term is the mean of -log(1 - score)
    nothing = torch.full_like(target, VOID)
    with torch.no_grad():
        scores = model(images)[:, 5:].sigmoid()
        found = objective(images, nothing).parts["classes"]
    torch.testing.assert_close(found, -(1 - scores).log().sum(dim=1).mean())


def test_positive_pixels_of_a_new_class_have_a_weight() -> None:
    model, (images, target) = trained(OLD), drawn(0, 5, 6)
    with torch.no_grad():
        costs = [
            increment(copy.deepcopy(model), positive_weight=weight).eval()(images, target).parts["classes"]
            for weight in (1.0, 2.0)
        ]
        scores = increment(model).model.eval()(images)[:, 5:].sigmoid()
    positive = sum(-scores[:, k].log()[target == 5 + k].sum() for k in range(2)) / target.numel()
    torch.testing.assert_close(costs[1] - costs[0], positive)


# ---- the start ------------------------------------------------------------------------------------------------------


@EVERY_NETWORK
def test_new_heads_start_as_copies_of_the_auxiliary_head(architecture: Architecture) -> None:
    model, (images, _) = trained(OLD, architecture), drawn()
    before = model(images).detach()
    objective = increment(model)
    after = model(images).detach()
    torch.testing.assert_close(after[:, 5:], before[:, :1].expand(-1, 2, -1, -1))
    assert torch.equal(after[:, :5], before)
    assert objective.labels == OLD.with_step(NEW)


@EVERY_NETWORK
def test_at_the_start_nothing_lies_between_student_and_teacher(architecture: Architecture) -> None:
    """In training mode too, because norms are frozen and nothing is dropped: the terms are the teacher's entropy."""
    model, (images, target) = trained(OLD, architecture), drawn(0, 5, 6)
    before = decomposed_logits(model, heads_input(model, images), OLD_HEADS)
    loss = increment(model).train()(images, target)

    def entropy(logits: Tensor) -> Tensor:
        p = logits.detach().sigmoid()
        return (torch.special.entr(p) + torch.special.entr(1 - p)).sum(dim=1).mean()

    torch.testing.assert_close(loss.parts["positive"], entropy(before.positive))
    torch.testing.assert_close(loss.parts["negative"], entropy(before.negative))
    whole = functional.interpolate(before.whole, size=images.shape[-2:], mode="bilinear", align_corners=False)
    torch.testing.assert_close(loss.parts["distillation"], entropy(whole))


def test_the_students_dropout_is_off() -> None:
    model, (images, target) = trained(OLD), drawn(0, 5, 6)
    objective = increment(model)
    assert model.dropout.p > 0
    losses = [objective.train(mode)(images, target).total for mode in (True, True, False)]
    assert losses[0] == losses[1] == losses[2]


# ---- the whole step -------------------------------------------------------------------------------------------------


def textbook_hidden(model: IncrementalDeepLab, images: Tensor, index: int, *, detached: bool = False) -> Tensor:
    """The input of a head's last convolution, from a pass of its own."""
    seen = join(model.features(images))
    if model.architecture.has_shared_convolution:
        seen = model.shared(seen)
    seen = seen.detach() if detached else seen
    head = model.heads[index]
    return head.norm(head.conv(seen)).clamp(min=0) if hasattr(head, "conv") else seen  # type: ignore[operator]


def textbook_logit(model: IncrementalDeepLab, x: Tensor, index: int, k: int, sign: int | None = None) -> Tensor:
    """A class's logit, weight by weight; with a sign only the weights of this sign, and no bias."""
    head = model.heads[index]
    assert isinstance(head, Head)
    weights = head.classifier.weight[k, :, 0, 0]
    terms = [w * x[:, c] for c, w in enumerate(weights) if sign is None or w * sign > 0]
    total = torch.stack(terms).sum(dim=0)
    assert head.classifier.bias is not None
    return total if sign is not None else total + head.classifier.bias[k]


def textbook_step(
    student: IncrementalDeepLab, teacher: IncrementalDeepLab, images: Tensor, target: Tensor, weight: float
) -> dict[str, Tensor]:
    """The terms, class by class; the networks are in evaluation mode."""

    def large(logit: Tensor) -> Tensor:
        size = images.shape[-2:]
        return functional.interpolate(logit[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]

    def cross_entropy(z: Tensor, p: Tensor, weight: float = 1.0) -> Tensor:
        return (-weight * p * z.sigmoid().log() - (1 - p) * (1 - z.sigmoid()).log()).mean()

    def zero() -> Tensor:
        return images.new_zeros(())

    terms = {"classes": zero(), "auxiliary": zero(), "distillation": zero(), "positive": zero(), "negative": zero()}
    for k in range(2):
        z = large(textbook_logit(student, textbook_hidden(student, images, NEWEST), NEWEST, k))
        terms["classes"] = terms["classes"] + cross_entropy(z, (target == 5 + k).double(), weight)
    z = large(textbook_logit(student, textbook_hidden(student, images, 0, detached=True), 0, 0))
    terms["auxiliary"] = cross_entropy(z, torch.zeros_like(z))
    for index, k in ((2, 0), (2, 1), (3, 0)):
        ours = textbook_hidden(student, images, index)
        with torch.no_grad():
            theirs = textbook_hidden(teacher, images, index)
            p = large(textbook_logit(teacher, theirs, index, k)).sigmoid()
        terms["distillation"] = terms["distillation"] + cross_entropy(large(textbook_logit(student, ours, index, k)), p)
        for name, sign in (("positive", 1), ("negative", -1)):
            with torch.no_grad():
                p = textbook_logit(teacher, theirs, index, k, sign).sigmoid()
            terms[name] = terms[name] + cross_entropy(textbook_logit(student, ours, index, k, sign), p)
    return terms


@EVERY_NETWORK
def test_a_step_is_the_textbooks(architecture: Architecture) -> None:
    model, (images, target) = trained(OLD, architecture), drawn(0, 1, 3, 5, 6)
    teacher = copy.deepcopy(model)
    objective = increment(model, positive_weight=3.0).train()
    change(model)
    student = copy.deepcopy(model).eval()
    loss = objective(images, target)
    loss.total.backward()
    terms = textbook_step(student, teacher, images, target, weight=3.0)
    total = (
        terms["classes"] + terms["auxiliary"] + 5 * terms["distillation"] + 5 * (terms["positive"] + terms["negative"])
    )
    total.backward()
    torch.testing.assert_close(loss.total, total)
    torch.testing.assert_close(loss.parts, {name: term.detach() for name, term in terms.items()})
    theirs = dict(student.named_parameters())
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            assert parameter.grad is None
            continue
        expected = theirs[name].grad
        assert expected is not None
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-7, atol=1e-12, msg=name)


@EVERY_NETWORK
def test_everything_learns_but_the_norms_and_the_teacher(architecture: Architecture) -> None:
    objective, (images, target) = increment(trained(OLD, architecture)).train(), drawn(0, 1, 5, 6)
    model = objective.model
    before = objective.teacher(images)(images)
    learned = tensors_changed_by_training(model, lambda: objective(images, target).total)
    assert learned == set(model.state_dict()) - tensors_of_norms(model)
    assert torch.equal(objective.teacher(images)(images), before)
    assert {id(p) for p in objective.parameters()} == {id(p) for p in model.parameters()}
    assert {name.removeprefix("model.") for name in objective.state_dict()} == set(model.state_dict())


def test_all_but_the_newest_head_learn_without_decay_and_all_heads_at_one_rate() -> None:
    objective = increment(trained(OLD))
    groups = {group["name"]: group for group in objective.parameter_groups(0.01, backbone_ratio=0.1)}
    names = {id(parameter): name for name, parameter in objective.model.named_parameters()}
    parts = {
        key: {".".join(names[id(p)].split(".")[: 1 + names[id(p)].startswith("heads")]) for p in group["params"]}
        for key, group in groups.items()
    }
    assert parts == {
        "backbone": {"backbone"},
        "heads": {"aspp", "heads.0", "heads.2", "heads.3"},
        "newest": {"heads.4"},
    }
    assert {key: group["lr"] for key, group in groups.items()} == {"backbone": 0.001, "heads": 0.01, "newest": 0.01}
    assert {key: group.get("weight_decay") for key, group in groups.items()} == {
        "backbone": 0.0,
        "heads": 0.0,
        "newest": None,  # the recipe's
    }
