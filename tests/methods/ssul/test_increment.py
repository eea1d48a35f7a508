"""SSUL's increments: the lean step equals the textbook's, and every switch changes what it names and nothing else."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import ssul.methods.ssul.increment
from ssul.labels.ids import VOID
from ssul.labels.scores import add_pseudo_labels
from ssul.labels.space import LabelSpace
from ssul.methods.ssul.increment import FrozenIncrement, PseudoLabelIncrement, learning_heads, prepare_increment
from ssul.model.deeplab import Architecture, Features, IncrementalDeepLab
from ssul.training.losses import focal
from ssul.training.objective import Objective, Supervised
from tests.methods.builders import NEW, PLUS, SMALL
from tests.methods.builders import OLD as SOFTMAX
from tests.model.learning import (
    convolutions_of_heads,
    norms_of_heads,
    tensors_changed_by_training,
    tensors_of_norms,
    train,
)

SSUL = LabelSpace(((3, 1), (5,)), unknown=True, activation="sigmoid")
ON: dict[str, Any] = {"weight_transfer": True, "freeze": True, "freeze_norm": True, "pseudo_threshold": 0.7}
FREEZE = pytest.mark.parametrize("freeze", [True, False], ids=["frozen", "unfrozen"])
FIRST_AND_OTHERS = slice(None, 3), slice(3, None)
OFF: dict[str, Any] = {"weight_transfer": False, "freeze": False, "freeze_norm": False, "pseudo_threshold": None}


def network(
    labels: LabelSpace, dtype: torch.dtype = torch.float32, architecture: Architecture = SMALL
) -> IncrementalDeepLab:
    """A network as after some training: norms know their statistics, and logits differ from pixel to pixel by about 3.

    It is left in training mode, as a training leaves it.
    """
    torch.manual_seed(11)
    model = IncrementalDeepLab(architecture, labels.head_sizes).to(dtype).train()
    images, _ = batch(labels, dtype)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
        model(images)
        for norm in norms:
            norm.momentum = 0.1
        for head in model.eval().heads:
            assert isinstance(head.classifier, nn.Conv2d)
            assert head.classifier.bias is not None
            spread, centre = torch.std_mean(head(model.head_input(model.features(images))), dim=(0, 2, 3))
            head.classifier.weight *= (3 / spread)[:, None, None, None]
            head.classifier.bias.copy_((head.classifier.bias - centre) * 3 / spread)
    return model.train()


def batch(labels: LabelSpace, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Images, and a target of the grown label space as `encode` makes it: no old classes, some void."""
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(3, 3, 33, 33, generator=generator).to(dtype)
    grown = labels.with_step(NEW)
    values = [*range(grown.first_class_channel), *map(grown.channel_of, NEW), VOID]
    chosen = torch.randint(len(values), (3, 33, 33), generator=generator)
    return images, torch.tensor(values, dtype=torch.uint8)[chosen]


def prepared(labels: LabelSpace, model: IncrementalDeepLab | None = None, **switches: Any) -> Objective:
    """An increment, with the loss that belongs to the scores unless another is named."""
    torch.manual_seed(12)
    loss = {"sigmoid": "bce", "softmax": "ce"}[labels.activation]
    objective = prepare_increment(model or network(labels), labels, NEW, **{"loss": loss, **switches})
    return objective.train()


def what_learns(objective: Objective, images: Tensor, target: Tensor) -> set[str]:
    """The tensors of the network's state, statistics included, that a few iterations change."""
    return tensors_changed_by_training(objective.model, lambda: objective(images, target).total)


@pytest.fixture
def completed(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The targets that the objective completes with pseudo-labels, in order."""
    seen: list[Tensor] = []
    original: Callable[..., Tensor] = ssul.methods.ssul.increment.add_pseudo_labels_low_res

    def complete(*arguments: Any, **options: Any) -> Tensor:
        seen.append(original(*arguments, **options))
        return seen[-1]

    monkeypatch.setattr(ssul.methods.ssul.increment, "add_pseudo_labels_low_res", complete)
    return seen


# ---- the lean step is the textbook's --------------------------------------------------------------------------------


def textbook_step(
    student: IncrementalDeepLab,
    teacher: IncrementalDeepLab,
    old: LabelSpace,
    images: Tensor,
    target: Tensor,
    *,
    learning: tuple[int, ...],
    freeze_norm: bool,
    dropout: nn.Module,
) -> tuple[dict[str, Tensor], Tensor]:
    """The published loop: two whole networks, all channels, a one-hot target. Gradients and pseudo-labels."""
    student.requires_grad_(False).eval()
    teacher.requires_grad_(False).eval()
    for head in learning:
        student.heads[head].requires_grad_(True)
        if not freeze_norm:
            student.heads[head].train()
        elif student.architecture.classifier == "conv3x3":
            student.heads[head].norm.requires_grad_(False)  # type: ignore[union-attr]

    with torch.no_grad():
        old_logits = teacher(images)
        scores = old_logits.sigmoid() if old.activation == "sigmoid" else old_logits.softmax(dim=1)
        best, channel = scores.max(dim=1)
    labelled = target.long().clone()
    first_class = 2 if old.unknown else 1
    fill = (labelled < first_class) & (channel >= first_class) & (best >= 0.7)
    labelled[fill] = channel[fill]

    if student.architecture.is_plus:
        stem_and_first_stage, others = (nn.Sequential(*list(student.backbone)[place]) for place in FIRST_AND_OTHERS)  # type: ignore[call-overload]
        early = stem_and_first_stage(images)
        aspp = dropout(student.aspp(others(early)))
        aspp = functional.interpolate(aspp, size=early.shape[-2:], mode="bilinear", align_corners=False)
        features = torch.cat([student.low_level(early), aspp], dim=1)
    else:
        features = dropout(student.aspp(student.backbone(images)))
    logits = torch.cat([head(features) for head in student.heads], dim=1)
    logits = functional.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)
    if old.activation == "softmax":
        loss = functional.cross_entropy(logits, labelled, ignore_index=255)
    else:
        valid = labelled != 255
        one_hot = functional.one_hot(torch.where(valid, labelled, 0), logits.shape[1]).permute(0, 3, 1, 2)
        every = functional.binary_cross_entropy_with_logits(logits, one_hot.to(logits.dtype), reduction="none")
        loss = every.sum(dim=1)[valid].mean()
    loss.backward()
    return {name: p.grad for name, p in student.named_parameters() if p.grad is not None}, labelled


@pytest.mark.parametrize("freeze_norm", [True, False], ids=["norms frozen", "norms learn"])
@pytest.mark.parametrize(
    ("labels", "learning"),
    [
        pytest.param(SSUL, (0, 1, 4), id="ssul"),
        pytest.param(SOFTMAX, (2,), id="softmax"),
        pytest.param(LabelSpace(((3, 1), (5,)), unknown=False, activation="sigmoid"), (2,), id="no unknown"),
        pytest.param(LabelSpace(((3, 1), (5,)), unknown=True, activation="softmax"), (0, 1, 4), id="unknown, softmax"),
    ],
)
@pytest.mark.parametrize(
    ("dtype", "tolerance", "dropout", "architecture"),
    [
        pytest.param(torch.float32, 1e-5, 0.0, SMALL, id="float32"),
        pytest.param(torch.float64, 1e-12, 0.1, SMALL, id="float64 with dropout"),
        pytest.param(torch.float64, 1e-12, 0.1, PLUS, id="v3+"),
        pytest.param(torch.float64, 1e-12, 0.1, replace(PLUS, separable=True), id="v3+, separable"),
        pytest.param(torch.float64, 1e-12, 0.1, replace(SMALL, classifier="conv1x1"), id="conv1x1"),
    ],
)
def test_the_frozen_step_has_the_textbooks_gradients_and_pseudo_labels(
    completed: list[Tensor],
    labels: LabelSpace,
    learning: tuple[int, ...],
    freeze_norm: bool,
    dtype: torch.dtype,
    tolerance: float,
    dropout: float,
    architecture: Architecture,
) -> None:
    model, (images, target) = network(labels, dtype, architecture), batch(labels, dtype)
    teacher = copy.deepcopy(model)
    objective = prepared(labels, model, **{**ON, "freeze_norm": freeze_norm})
    assert isinstance(objective, FrozenIncrement)
    student = copy.deepcopy(model)
    model.dropout.p = dropout

    model.dropout.seeds = (5, 6, 7)
    objective(images, target).total.backward()
    lean = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    textbook, labelled = textbook_step(
        student, teacher, labels, images, target, learning=learning, freeze_norm=freeze_norm, dropout=model.dropout
    )

    assert torch.equal(completed[0].long(), labelled)
    assert 0.05 < (completed[0] != target).float().mean() < 0.95  # the case is not an empty one
    assert lean.keys() == textbook.keys()
    for name, gradient in textbook.items():
        scale = gradient.abs().max().item()
        assert scale > 0, name
        torch.testing.assert_close(lean[name], gradient, rtol=0, atol=tolerance * max(scale, 1e-3), msg=name)


def test_the_frozen_step_learns_as_the_textbook_over_several_iterations() -> None:
    model, (images, target) = network(SSUL, torch.float64), batch(SSUL, torch.float64)
    teacher = copy.deepcopy(model)
    objective = prepared(SSUL, model, **ON)
    model.dropout.p = 0.0
    student = copy.deepcopy(model)
    train(model, lambda: objective(images, target).total, iterations=4)
    parameters = [p for head in (0, 1, 4) for n, p in student.heads[head].named_parameters() if "norm" not in n]
    optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4)
    for _ in range(4):
        optimizer.zero_grad()
        textbook_step(
            student, teacher, SSUL, images, target, learning=(0, 1, 4), freeze_norm=True, dropout=nn.Identity()
        )
        optimizer.step()
    for name, tensor in student.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, rtol=1e-9, atol=1e-9, msg=name)


def test_its_loss_is_the_full_one_less_the_channels_that_do_not_learn() -> None:
    images, target = batch(SSUL, torch.float64)
    objective = prepared(SSUL, network(SSUL, torch.float64), **{**ON, "pseudo_threshold": None})
    objective.model.dropout.p = 0.0
    total = objective(images, target).total
    with torch.no_grad():
        logits = objective.model(images)
    valid = target != VOID
    left_out = functional.softplus(logits[:, 2:5]).sum(dim=1)[valid].mean()  # no pixel is labelled with an old class
    full = Supervised(objective.model, objective.labels, "bce")(images, target).total
    torch.testing.assert_close(total + left_out, full)


# ---- fine-tuning ----------------------------------------------------------------------------------------------------


def test_with_every_switch_off_it_is_plain_fine_tuning_iteration_for_iteration() -> None:
    model, (images, target) = network(SOFTMAX, torch.float64), batch(SOFTMAX, torch.float64)
    plain = copy.deepcopy(model)
    objective = prepared(SOFTMAX, model, **OFF)
    assert type(objective) is Supervised
    torch.manual_seed(12)
    plain.grow(len(NEW))
    plain.train()
    torch.manual_seed(100)  # of the dropout
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4)
    for _ in range(3):
        optimizer.zero_grad()
        functional.cross_entropy(plain(images), target.long(), ignore_index=255).backward()
        optimizer.step()
    torch.manual_seed(100)
    train(model, lambda: objective(images, target).total)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, rtol=1e-9, atol=1e-9, msg=name)


# ---- the switches ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "changes", "expected"),
    [
        pytest.param(SSUL, {}, convolutions_of_heads((0, 1, 4)), id="unknown, background and newest head"),
        pytest.param(SOFTMAX, {}, convolutions_of_heads((2,)), id="without an unknown head only the newest"),
        pytest.param(
            SSUL, {"freeze_norm": False}, convolutions_of_heads((0, 1, 4)) | norms_of_heads((0, 1, 4)), id="their norms"
        ),
        pytest.param(SSUL, {"learn_unknown": False}, convolutions_of_heads((4,)), id="only the newest, if so chosen"),
    ],
)
def test_frozen_only_these_heads_learn(labels: LabelSpace, changes: dict[str, Any], expected: set[str]) -> None:
    assert what_learns(prepared(labels, **{**ON, **changes}), *batch(labels)) == expected


def test_unknown_and_background_that_do_not_learn_give_way_to_all_later_classes() -> None:
    assert prepared(SSUL, **ON).model.yielding is None
    first = prepared(SSUL, **{**ON, "learn_unknown": False})
    assert first.model.yielding == (2, SSUL.num_channels)
    second = prepare_increment(first.model, first.labels, (19,), **ON, loss="bce", learn_unknown=False)
    assert second.model.yielding == first.model.yielding


@pytest.mark.parametrize("freeze_norm", [True, False])
@pytest.mark.parametrize("pseudo_threshold", [0.7, None])
def test_without_freezing_everything_learns_but_frozen_norms(freeze_norm: bool, pseudo_threshold: float | None) -> None:
    changes = {"freeze": False, "freeze_norm": freeze_norm, "pseudo_threshold": pseudo_threshold}
    objective = prepared(SSUL, **{**ON, **changes})
    frozen = tensors_of_norms(objective.model) if freeze_norm else set()
    assert what_learns(objective, *batch(SSUL)) == set(objective.model.state_dict()) - frozen


@FREEZE
def test_the_transfer_lets_new_classes_start_as_the_unknown_and_touches_nothing_else(freeze: bool) -> None:
    images, _ = batch(SSUL)
    before = network(SSUL).eval()(images)
    switches = {**ON, "freeze": freeze}
    inherited = prepared(SSUL, **switches).model.eval()(images)
    fresh = prepared(SSUL, **{**switches, "weight_transfer": False}).model.eval()(images)
    torch.testing.assert_close(inherited[:, 5:], inherited[:, :1].expand(-1, 2, -1, -1))
    assert not torch.allclose(fresh[:, 5:], fresh[:, :1].expand(-1, 2, -1, -1), atol=0.1)
    assert torch.equal(inherited[:, :5], before)
    assert torch.equal(fresh[:, :5], before)


def test_without_an_unknown_head_there_is_nothing_to_transfer() -> None:
    images, _ = batch(SOFTMAX)
    logits = [prepared(SOFTMAX, **{**ON, "weight_transfer": on}).model.eval()(images) for on in (True, False)]
    assert torch.equal(*logits)


@FREEZE
@pytest.mark.parametrize("labels", [SSUL, SOFTMAX], ids=["sigmoid", "softmax"])
def test_without_pseudo_labels_the_target_is_taken_as_it_is(
    completed: list[Tensor], labels: LabelSpace, freeze: bool
) -> None:
    images, target = batch(labels)
    objective = prepared(labels, **{**ON, "freeze": freeze, "pseudo_threshold": None})
    loss = objective(images, target)
    assert completed == []
    assert "pseudo_share" not in loss.parts
    channels = [0, 1, 5, 6] if labels.unknown else [0, 4, 5]
    assert set(target.unique().tolist()) == {*channels, VOID}


@FREEZE
def test_pseudo_labels_leave_annotated_and_void_pixels_alone(completed: list[Tensor], freeze: bool) -> None:
    images, target = batch(SSUL)
    given = target.clone()
    loss = prepared(SSUL, **{**ON, "freeze": freeze})(images, target)
    changed = completed[0] != given
    assert changed.any()
    assert (given[changed] <= 1).all()
    assert set(completed[0][changed].tolist()) <= {2, 3, 4}
    assert torch.equal(target, given)
    assert loss.parts["pseudo_share"].item() == pytest.approx((changed.sum() / (given != VOID).sum()).item())


def test_the_grown_labels_know_old_and_new_classes() -> None:
    objective = prepared(SSUL, **ON)
    assert objective.labels == LabelSpace(((3, 1), (5,), (2, 4)), unknown=True, activation="sigmoid")
    assert objective.model.head_sizes == (1, 1, 2, 1, 2)


def test_the_learning_heads_are_the_first_two_and_the_newest_or_without_unknown_the_newest() -> None:
    assert learning_heads(SSUL) == (0, 1, 3)
    assert learning_heads(SOFTMAX) == (1,)


# ---- the teacher ----------------------------------------------------------------------------------------------------


@FREEZE
def test_the_teacher_is_the_network_of_the_step_before_in_evaluation(completed: list[Tensor], freeze: bool) -> None:
    images, target = batch(SSUL)
    model = network(SSUL)
    past = copy.deepcopy(model).eval()
    prepared(SSUL, model, **{**ON, "freeze": freeze})(images, target)
    with torch.no_grad():
        expected = add_pseudo_labels(SSUL, target, past(images), 0.7)
    assert torch.equal(completed[0], expected)


@pytest.mark.parametrize("freeze_norm", [True, False])
@FREEZE
def test_the_teacher_stays_what_it_was_while_the_student_learns(
    completed: list[Tensor], freeze: bool, freeze_norm: bool
) -> None:
    images, target = batch(SSUL)
    objective = prepared(SSUL, **{**ON, "freeze": freeze, "freeze_norm": freeze_norm})
    before = copy.deepcopy(objective.model).eval()(images)[:, :2]
    train(objective.model, lambda: objective(images, target).total, iterations=4, lr=0.05 if freeze else 1e-5)
    after = copy.deepcopy(objective.model).eval()(images)[:, :2]
    assert (after - before).abs().max() > 1  # the student's unknown and background moved
    assert len(completed) == 4
    assert all(torch.equal(later, completed[0]) for later in completed[1:])


@FREEZE
def test_pseudo_labels_come_from_logits_with_the_corners_of_the_network(
    monkeypatch: pytest.MonkeyPatch, freeze: bool
) -> None:
    given: list[bool] = []

    def complete(labels: LabelSpace, target: Tensor, *_: Any, align_corners: bool = False) -> Tensor:
        given.append(align_corners)
        return target

    monkeypatch.setattr(ssul.methods.ssul.increment, "add_pseudo_labels_low_res", complete)
    for corners in (False, True):
        monkeypatch.setattr(IncrementalDeepLab, "align_corners", corners)
        prepared(SSUL, **{**ON, "freeze": freeze})(*batch(SSUL))
    assert given == [False, True]


@FREEZE
def test_the_student_drops_out_and_the_teacher_does_not(completed: list[Tensor], freeze: bool) -> None:
    images, target = batch(SSUL)
    model = network(SSUL)
    model.dropout.p = 0.5
    objective = prepared(SSUL, model, **{**ON, "freeze": freeze})
    losses = [objective(images, target).total.item() for _ in range(2)]
    assert losses[0] != losses[1]
    assert torch.equal(completed[0], completed[1])


@FREEZE
def test_the_teacher_is_no_part_of_what_is_optimised_or_saved(freeze: bool) -> None:
    objective = prepared(SSUL, **{**ON, "freeze": freeze})
    assert isinstance(objective, FrozenIncrement if freeze else PseudoLabelIncrement)
    assert {id(p) for p in objective.parameters()} == {id(p) for p in objective.model.parameters()}
    assert {name.removeprefix("model.") for name in objective.state_dict()} == set(objective.model.state_dict())


@FREEZE
def test_in_v3_plus_the_student_drops_out_the_aspp_alone_and_the_teacher_nothing(
    completed: list[Tensor], monkeypatch: pytest.MonkeyPatch, freeze: bool
) -> None:
    images, target = batch(SSUL)
    model = network(SSUL, architecture=PLUS)
    model.dropout.p = 0.9
    past = copy.deepcopy(model).eval()
    scored: list[Features] = []
    original = IncrementalDeepLab.classify

    def score(self: IncrementalDeepLab, features: Features, *args: Any) -> Tensor:
        if torch.is_grad_enabled():
            scored.append(features)
        return original(self, features, *args)

    monkeypatch.setattr(IncrementalDeepLab, "classify", score)
    prepared(SSUL, model, **{**ON, "freeze": freeze})(images, target)
    (features,) = scored
    assert features.low_level is not None
    assert (features.aspp == 0).float().mean() > 0.8
    assert (features.low_level == 0).float().mean() < 0.8
    with torch.no_grad():
        assert torch.equal(completed[0], add_pseudo_labels(SSUL, target, past(images), 0.7))


@FREEZE
def test_focal_loss_is_taken_over_all_channels_of_the_completed_target(completed: list[Tensor], freeze: bool) -> None:
    images, target = batch(SOFTMAX, torch.float64)
    objective = prepared(SOFTMAX, network(SOFTMAX, torch.float64), **{**ON, "freeze": freeze, "loss": "focal"})
    objective.model.dropout.p = 0.0
    student = copy.deepcopy(objective.model)
    total = objective(images, target).total
    torch.testing.assert_close(total, focal(student(images), completed[0]))
