"""STAR: each term by hand, the whole step against the textbook, what learns, and what a batch may lack."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.methods.star.increment import StarIncrement, class_separation, feature_distillation, prepare_increment
from ssul.methods.star.kept import Kept
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.training.objective import Loss
from tests.methods.builders import EVERY_ARCHITECTURE, NEW, SMALL, drawn, trained
from tests.methods.star.past import kept_of_three
from tests.model.learning import tensors_changed_by_training, tensors_of_norms

OLD = LabelSpace(((3, 1), (5,)), unknown=False, activation="sigmoid", constant_background=True)
SHARED = replace(SMALL, classifier="shared_conv1x1")
BY_CLASSIFIER = pytest.mark.parametrize("architecture", [SMALL, SHARED], ids=["conv3x3", "shared_conv1x1"])
CELLS = 2 * 5 * 6  # of a batch of `drawn`, with V3


def old_network(architecture: Architecture = SMALL) -> IncrementalDeepLab:
    """A network that sees each old class in some pixels, and nothing in half of them."""
    model, (images, _) = trained(OLD, architecture), drawn()
    with torch.no_grad():
        logits = model(images)[:, 1:].movedim(1, 0).flatten(1)
        shift = logits.median(dim=1, keepdim=True).values
        shift += (logits - shift).amax(dim=0).median()
        for head, of_head in zip(list(model.heads)[1:], shift[:, 0].split([2, 1]), strict=True):
            head.classifier.bias -= of_head  # type: ignore[union-attr, operator]
    return model


def increment(model: IncrementalDeepLab, kept: Kept | None = None, **changes: float) -> StarIncrement:
    weights = {"distillation": 5.0, "separation": 0.05, "newest_lr_ratio": 10.0, "positive_weight": 4.0} | changes
    width = 48 + 16 if model.architecture.is_plus and model.architecture.classifier != "shared_conv1x1" else 16
    tensors = (kept_of_three(width) if kept is None else kept).tensors
    torch.manual_seed(9)
    return prepare_increment(model, OLD, NEW, kept=tensors, **weights)


def calibrated(objective: StarIncrement, *batches: tuple[Tensor, Tensor]) -> StarIncrement:
    for _ in objective.calibrate(batches):
        pass
    objective.replay.seeds = (11, 12)
    return objective.train()


# ---- the distillation of features -----------------------------------------------------------------------------------


def test_features_are_distilled_where_old_classes_show_by_hand() -> None:
    ours, theirs = torch.zeros(1, 2, 1, 3), torch.zeros(1, 2, 1, 3)
    ours[0, :, 0, 0], ours[0, :, 0, 1], theirs[0, :, 0, 2] = torch.tensor([3.0, 1.0]), 9.0, 2.0
    known = torch.tensor([[[[1.0, 0.0, 0.5]]]])
    assert feature_distillation(ours, theirs, known).item() == pytest.approx((9 + 1 + 0.5 * 8) / (1.5 * 2))


def test_nothing_is_distilled_where_no_old_class_shows() -> None:
    ours = torch.randn(1, 2, 3, 3, requires_grad=True)
    loss = feature_distillation(ours, torch.zeros(1, 2, 3, 3), torch.zeros(1, 1, 3, 3))
    loss.backward()
    assert loss.item() == 0.0
    assert ours.grad is not None
    assert not ours.grad.any()


def test_features_of_half_precision_are_compared_in_single() -> None:
    far = 300 * torch.ones(1, 4, 2, 2, dtype=torch.float16)
    assert feature_distillation(far, -far, torch.ones(1, 1, 2, 2)).item() == pytest.approx(600**2)


# ---- the distance to prototypes -------------------------------------------------------------------------------------

PROTOTYPES = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)  # nothing was seen of the third
FEATURES = torch.tensor([[2.0, 0.0], [3.0, 3.0], [0.0, 5.0]], dtype=torch.float64).T[None, :, None]


def masks(*rows: tuple[float, float, float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)[None, :, None]


def test_the_separation_of_two_classes_by_hand() -> None:
    apart = class_separation(FEATURES, masks((0, 1, 0), (0.5, 0, 1)), PROTOTYPES)
    root = math.sqrt(0.5)
    of_one = 1 / math.hypot(1 - root, root)  # from either prototype
    centre = (0.5 / math.hypot(0.5, 1), 1 / math.hypot(0.5, 1))
    of_other = 1 / math.hypot(centre[0], 1 - centre[1])
    assert apart.item() == pytest.approx((of_one + of_other) / 2)


def test_a_class_that_the_batch_does_not_show_adds_one_and_teaches_nothing() -> None:
    features = FEATURES.clone().requires_grad_()
    apart = class_separation(features, masks((0, 0, 0)), PROTOTYPES)
    apart.backward()
    assert apart.item() == 1.0
    assert features.grad is not None
    assert not features.grad.any()


def test_without_a_prototype_there_is_nothing_to_keep_away_from() -> None:
    assert class_separation(FEATURES, masks((0, 1, 0)), PROTOTYPES[2:]).item() == 0.0


# ---- the calibration ------------------------------------------------------------------------------------------------


def test_calibration_counts_what_the_old_network_sees_where_nothing_is_annotated() -> None:
    model, batches = old_network(), [drawn(0, 4, 5, seed=1), drawn(0, 1, 4, seed=2)]
    predicted = [0, 0, 0, 0]
    rows, columns = [3, 9, 16, 23, 29], [3, 10, 17, 23, 30, 37]  # the middles of five and of six cells
    for images, target in batches:
        scores = model(images).sigmoid()[:, 1:]
        for b in range(2):
            for y in rows:
                for x in columns:
                    if target[b, y, x] == 0:
                        best, channel = scores[b, :, y, x].max(dim=0)
                        predicted[int(channel) + 1 if best > 0.5 else 0] += 1
    objective = calibrated(increment(model), *batches)
    assert objective.outputs()["predicted"].tolist() == predicted
    assert predicted[0] > 5
    assert sum(predicted[1:]) > 5
    kept = kept_of_three()
    assert objective.replay.numbers.tolist() == [
        max(0, had - seen) // 2 for had, seen in zip(kept.counts.tolist(), predicted[1:], strict=True)
    ]
    assert objective.background_ratio == pytest.approx(max(0.0, 80 * 0.98 / predicted[0] - 0.5))


def test_in_the_disjoint_setting_it_replays_all() -> None:
    objective = calibrated(increment(old_network(), kept_of_three(overlapped=False)), drawn(0, 4), drawn(0, 5))
    assert objective.replay.numbers.tolist() == [25, 4, 15]
    assert objective.predicted is not None
    assert objective.background_ratio == pytest.approx(80 / int(objective.predicted[0]))


def test_it_reports_each_batch() -> None:
    assert list(increment(old_network()).calibrate([drawn(0, 4), drawn(0, 5), drawn(0)])) == [0, 1, 2]


def test_without_calibration_it_refuses_to_learn() -> None:
    with pytest.raises(RuntimeError, match="calibrate"):
        increment(old_network())(*drawn(0, 4))


# ---- the whole step -------------------------------------------------------------------------------------------------


def resized(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def alone(head: nn.Module, vector: Tensor) -> Tensor:
    """A head's logits of one feature vector; a 3x3 convolution over equal neighbours is the sum of its taps."""
    if hasattr(head, "conv"):
        hidden = head.norm((head.conv.weight.sum(dim=(2, 3)) @ vector)[None, :, None, None])  # type: ignore[operator]
        vector = hidden.flatten().relu()
    weight: Tensor = head.classifier.weight  # type: ignore[union-attr, assignment]
    return weight[:, :, 0, 0] @ vector + head.classifier.bias  # type: ignore[union-attr, operator, no-any-return]


def textbook_step(
    student: IncrementalDeepLab,
    teacher: IncrementalDeepLab,
    images: Tensor,
    target: Tensor,
    fakes: Tensor,
    ratio: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The three terms from the paper's equations, two networks and no sharing of work."""
    seen = student.head_input(student.features(images))
    logits = student.heads[-1](seen)
    with torch.no_grad():
        old_seen = teacher.head_input(teacher.features(images))
        scores = resized(torch.cat([head(old_seen) for head in list(teacher.heads)[1:]], dim=1), images).sigmoid()
    old_class = scores.max(dim=1).values > 0.5

    # binary cross-entropies: of the pixels, of replayed features, of features where neither sees anything
    one_hot = torch.stack([target == 4, target == 5], dim=1).to(logits.dtype)
    weight = torch.tensor(4.0, dtype=logits.dtype)
    real = functional.binary_cross_entropy_with_logits(resized(logits, images), one_hot, pos_weight=weight)
    fake_scores = torch.stack([alone(student.heads[-1], vector) for vector in fakes])
    fake = -(1 - fake_scores.sigmoid()).log().sum(dim=1).mean()
    height, width = seen.shape[-2:]
    refused = []
    for b in range(len(target)):
        for i in range(height):
            for j in range(width):
                y, x = int((i + 0.5) * target.shape[1] / height), int((j + 0.5) * target.shape[2] / width)
                if target[b, y, x] == 0 and not old_class[b, y, x]:
                    refused.append(-(1 - logits[b, :, i, j].sigmoid()).log().sum())
    cells = len(target) * height * width
    w_f, w_b = len(fakes) / cells, ratio * len(refused) / cells
    learned = (2 * real + w_f * fake + w_b * torch.stack(refused).mean()) / (1 + w_f + w_b)  # 2: summed over classes

    # the distillation of features
    known = resized(((target == 0) & old_class)[:, None].to(seen.dtype), seen)
    kept = ((seen - old_seen) ** 2 * known).sum() / (known.sum() * seen.shape[1])

    # the distance to prototypes
    apart = []
    for channel in (4, 5):
        mask = resized((target == channel)[:, None].to(seen.dtype), seen)
        centre = (seen / seen.norm(dim=1, keepdim=True).clamp(min=1e-12) * mask).sum(dim=(0, 2, 3))
        centre = centre / centre.norm()
        prototypes = kept_of_three(seen.shape[1]).prototypes.to(seen.dtype)
        apart.append(1 / min((centre - prototype).norm() for prototype in prototypes))
    return learned, kept, torch.stack(apart).mean()


@EVERY_ARCHITECTURE
def test_a_step_is_the_textbooks(architecture: Architecture) -> None:
    check_a_step(architecture)


def test_a_step_behind_a_shared_convolution_is_the_textbooks() -> None:
    check_a_step(SHARED)


def check_a_step(architecture: Architecture) -> None:
    model, (images, target) = old_network(architecture), drawn(0, 0, 0, 2, 4, 5)
    teacher = copy.deepcopy(model)
    objective = calibrated(increment(model), (images, target))
    student = copy.deepcopy(model).eval()
    loss = objective(images, target)
    loss.total.backward()
    fakes = objective.replay().double()
    assert len(fakes) > 10
    assert objective.background_ratio > 0.1
    learned, kept, apart = textbook_step(student, teacher, images, target, fakes, objective.background_ratio)
    total = learned + 5 * kept + 0.05 * apart
    total.backward()
    torch.testing.assert_close(loss.total, total)
    for name, expected in {"classes": learned, "distillation": kept, "separation": apart}.items():
        torch.testing.assert_close(loss.parts[name], expected.detach(), msg=name)
    theirs = dict(student.named_parameters())
    for name, parameter in model.named_parameters():
        expected = theirs[name].grad
        if expected is None:
            assert parameter.grad is None or not parameter.grad.any(), name
        else:
            tolerance = 1e-9 * max(1.0, expected.abs().max().item())
            torch.testing.assert_close(parameter.grad, expected, rtol=1e-7, atol=tolerance, msg=name)


def test_the_student_moves_away_from_the_teacher_in_the_textbooks_step_too() -> None:
    """The case above starts where the distillation is 0; here it is not."""
    model, (images, target) = old_network(), drawn(0, 0, 4, 5)
    objective = calibrated(increment(model), (images, target))
    teacher = copy.deepcopy(objective.teacher(images))
    with torch.no_grad():
        for parameter in model.aspp.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    student = copy.deepcopy(model).eval()
    loss = objective(images, target)
    loss.total.backward()
    fakes = objective.replay().double()
    terms = textbook_step(student, teacher, images, target, fakes, objective.background_ratio)
    (terms[0] + 5 * terms[1] + 0.05 * terms[2]).backward()
    assert terms[1] > 1e-3
    torch.testing.assert_close(loss.parts["distillation"], terms[1].detach())
    for ours, theirs in zip(model.aspp.parameters(), student.aspp.parameters(), strict=True):
        if theirs.requires_grad:
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_at_the_start_nothing_has_moved() -> None:
    assert calibrated(increment(old_network()), drawn(0, 4, 5))(*drawn(0, 4, 5)).parts["distillation"] == 0


def test_where_nothing_lacks_the_classes_are_learned_from_the_pixels_alone() -> None:
    """The textbook's divisor is 1 then."""
    model, (images, target) = old_network(), drawn(0, 4, 5)
    kept = replace(kept_of_three(), counts=torch.zeros(3, dtype=torch.long), background=torch.tensor(0.0))
    objective = calibrated(increment(model, kept), (images, target))
    logits = copy.deepcopy(model).eval()(images)[:, 4:]
    one_hot = torch.stack([target == 4, target == 5], dim=1).double()
    weight = torch.tensor(4.0).double()
    expected = 2 * functional.binary_cross_entropy_with_logits(logits, one_hot, pos_weight=weight)
    torch.testing.assert_close(objective(images, target).parts["classes"], expected.detach())


def test_replayed_features_weigh_by_their_number() -> None:
    """In a batch of zero logits every binary cross-entropy is log 2 a class, wherever it comes from."""
    model, (images, target) = old_network(SHARED), drawn(0, VOID)
    objective = calibrated(increment(model), (images, target))
    with torch.no_grad():
        for parameter in model.heads[-1].parameters():
            parameter.zero_()
    loss = objective(images, target)
    assert loss.parts["classes"].item() == pytest.approx(2 * math.log(2))
    loss.total.backward()
    # the bias's gradient is sigmoid - label = 1/2 a sample: also their weighed mean
    assert model.heads[-1].classifier.bias.grad.tolist() == pytest.approx([0.5, 0.5])  # type: ignore[union-attr]


# ---- what a batch may lack ------------------------------------------------------------------------------------------


def blind(model: IncrementalDeepLab) -> None:
    """Lets a network see nothing of its classes."""
    with torch.no_grad():
        for head in list(model.heads)[1:]:
            head.classifier.bias.fill_(-1000)  # type: ignore[union-attr, operator]


def sees_one_class_everywhere(model: IncrementalDeepLab) -> None:
    with torch.no_grad():
        model.heads[1].classifier.bias[0] = 1000.0  # type: ignore[union-attr, index]


def finite(loss: Loss, model: IncrementalDeepLab) -> bool:
    loss.total.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return bool(loss.total.isfinite()) and all(bool(gradient.isfinite().all()) for gradient in gradients)


@pytest.mark.parametrize("change", [blind, sees_one_class_everywhere])
@pytest.mark.parametrize(
    "channels", [(0,), (4, 5), (1, 2), ()], ids=["background", "new classes", "old classes", "void"]
)
def test_every_batch_has_a_finite_loss(change: Callable[[IncrementalDeepLab], None], channels: tuple[int, ...]) -> None:
    model, (images, target) = old_network(), drawn(*channels)
    target[target == VOID] = channels[0] if channels else VOID
    change(model)
    objective = calibrated(increment(model), (images, target))
    loss = objective(images, target)
    assert finite(loss, model)
    assert loss.parts["distillation"] == 0.0
    if not set(channels) & {4, 5}:
        assert loss.parts["separation"].item() == pytest.approx(1.0)  # of absent classes


def test_void_pixels_are_of_no_background() -> None:
    model, (images, _) = old_network(), drawn()
    blind(model)
    objective = calibrated(increment(model), (images, torch.full((2, 33, 41), VOID, dtype=torch.uint8)))
    assert objective.predicted is not None
    assert objective.predicted.tolist() == [0, 0, 0, 0]
    assert objective.background_ratio == 0.0


def test_a_pixel_is_of_an_old_class_from_a_score_of_one_half_on() -> None:
    """The published code's logit of 0.5 is a score of 0.62 in training, and one half at test."""
    for logit, seen in ((-0.1, 0), (0.1, CELLS), (0.4, CELLS)):
        model, (images, target) = old_network(SHARED), (drawn()[0], torch.zeros(2, 33, 41, dtype=torch.uint8))
        with torch.no_grad():
            for head in list(model.heads)[1:]:
                head.classifier.weight.zero_()  # type: ignore[union-attr, operator]
                head.classifier.bias.fill_(-1)  # type: ignore[union-attr, operator]
            model.heads[1].classifier.bias[1] = logit  # type: ignore[union-attr, index]
        objective = calibrated(increment(model), (images, target))
        assert objective.predicted is not None
        assert objective.predicted.tolist() == [CELLS - seen, 0, seen, 0]


def test_sums_are_of_single_precision_where_the_network_is_of_half() -> None:
    model, (images, target) = old_network().float(), drawn(0, 4, 5, dtype=torch.float32)
    objective = calibrated(increment(model), (images, target))
    with torch.autocast("cpu", torch.bfloat16):
        loss = objective(images, target)
    exact = objective(images, target)
    assert finite(loss, model)
    for name, part in loss.parts.items():
        assert part.dtype == torch.float32
        assert part.item() == pytest.approx(exact.parts[name].item(), rel=0.03, abs=0.01), name


# ---- what learns ----------------------------------------------------------------------------------------------------


@BY_CLASSIFIER
def test_everything_but_the_norms_learns_and_the_teacher_does_not(architecture: Architecture) -> None:
    model, (images, target) = old_network(architecture), drawn(0, 4, 5)
    objective = calibrated(increment(model), (images, target))
    before = objective.teacher(images)(images)
    learned = tensors_changed_by_training(model, lambda: objective(images, target).total)
    assert learned == set(model.state_dict()) - tensors_of_norms(model)
    assert torch.equal(objective.teacher(images)(images), before)
    assert {id(p) for p in objective.parameters()} == {id(p) for p in model.parameters()}
    assert {name.removeprefix("model.") for name in objective.state_dict()} == set(model.state_dict())


@BY_CLASSIFIER
def test_only_weight_decay_moves_the_old_heads(architecture: Architecture) -> None:
    model, (images, target) = old_network(architecture), drawn(0, 4, 5)
    objective = calibrated(increment(model), (images, target))
    (decay, rate), moved = (0.1, 0.5), []
    before = copy.deepcopy(model.heads[1])
    groups = objective.parameter_groups(rate, backbone_ratio=0.1)
    optimizer = torch.optim.SGD(groups, lr=rate, weight_decay=decay)
    objective(images, target).total.backward()
    optimizer.step()
    for (name, old), new in zip(before.named_parameters(), model.heads[1].parameters(), strict=True):
        if new.requires_grad:
            assert new.grad is not None
            torch.testing.assert_close(new.detach(), (1 - rate * decay) * old.detach())
            moved.append(name)
    assert "classifier.weight" in moved


def test_dropout_is_off() -> None:
    model, (images, target) = old_network(), drawn(0, 4, 5)
    objective = calibrated(increment(model), (images, target))
    assert model.training
    assert torch.equal(objective(images, target).total, objective(images, target).total)


@BY_CLASSIFIER
def test_the_newest_head_learns_ten_times_as_fast_as_the_others(architecture: Architecture) -> None:
    model = old_network(architecture)
    groups = increment(model).parameter_groups(0.01, backbone_ratio=0.1)
    assert {group["name"]: group["lr"] for group in groups} == pytest.approx(
        {"backbone": 0.001, "heads": 0.01, "newest": 0.1}
    )
    assert all("weight_decay" not in group for group in groups)
    newest = {id(p) for p in model.heads[-1].parameters()}
    assert {id(p) for p in groups[-1]["params"]} <= newest
    learning = {id(p) for p in model.parameters() if p.requires_grad}
    assert {id(p) for group in groups for p in group["params"]} == learning


def test_old_logits_stay_and_new_heads_start_at_random() -> None:
    model, (images, _) = old_network(), drawn()
    before = model(images)
    increment(model)
    after = model.eval()(images)
    assert torch.equal(after[:, :4], before)
    weight = model.heads[-1].classifier.weight  # type: ignore[union-attr]
    assert weight.std().item() == pytest.approx(math.sqrt(2 / 16), rel=0.3)  # type: ignore[operator]
