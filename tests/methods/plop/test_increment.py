"""PLOP: local POD, entropies and their medians, pseudo-labels, each by hand; the whole step against the textbook."""

import copy
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from ssul.labels.ids import VOID
from ssul.methods.plop.increment import MIN_MEDIAN, PlopIncrement, fold_new, local_pod, prepare_increment
from ssul.methods.plop.thresholds import Entropy, normalised_entropy, published_entropy
from ssul.model.deeplab import Architecture, Features, IncrementalDeepLab, join
from ssul.training.objective import Batch
from tests.methods.builders import EVERY_ARCHITECTURE, NEW, OLD, assert_only_the_whole_student_learns, drawn, trained
from tests.methods.plop.textbook import published_threshold


class Replayed:
    """Batches that can be iterated over again; counts how often they were."""

    def __init__(self, *batches: Batch) -> None:
        self.batches, self.passes = batches, 0

    def __iter__(self) -> Iterator[Batch]:
        self.passes += 1
        return iter(self.batches)


def increment(model: IncrementalDeepLab, *, entropy: Entropy = "exact", pod_logits: float = 0.0005) -> PlopIncrement:
    return prepare_increment(model, OLD, NEW, pod=0.01, pod_logits=pod_logits, entropy=entropy)


def calibrated(objective: PlopIncrement, *batches: Batch) -> PlopIncrement:
    for _ in objective.calibrate(Replayed(*batches)):
        pass
    return objective


# ---- local POD ------------------------------------------------------------------------------------------------------


def textbook_pod(ours: Tensor, theirs: Tensor) -> Tensor:
    """The distance of each image's strips by itself, window by window."""
    total = ours.new_zeros(())
    for one, other in zip(ours, theirs, strict=True):
        squared = ours.new_zeros(())
        for scale in (1, 2, 4):
            h, w = one.shape[1] // scale, one.shape[2] // scale
            for y, x in np.ndindex(scale, scale):
                place = (slice(None), slice(y * h, (y + 1) * h), slice(x * w, (x + 1) * w))
                change = one[place] ** 2 - other[place] ** 2
                squared = squared + (change.mean(1) ** 2).sum() + (change.mean(2) ** 2).sum()
        total = total + squared.sqrt()
    return total / len(ours)


def test_local_pod_of_a_four_by_four_layer_by_hand() -> None:
    ours, theirs = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    ours[0, 0, 0, 1] = 2.0  # its square, 4, is in one row and one column of one window at each scale
    strips = [4 / 4, 4 / 4, 4 / 2, 4 / 2, 4 / 1, 4 / 1]  # mean over width and over height of 4, 2 and 1 pixels
    assert local_pod(ours, theirs).item() == pytest.approx(math.sqrt(sum(strip**2 for strip in strips)))


def test_local_pod_looks_at_squares_and_at_every_channel_and_averages_over_images() -> None:
    ours, theirs = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    ours[0, 0, 0, 0], ours[0, 2, 3, 3] = -1.0, 1.0
    theirs[1] = -ours[0]  # equal squares
    one = math.sqrt(2 * 2 * (1 / 16 + 1 / 4 + 1))  # two channels, two strips a scale
    assert local_pod(ours, theirs).item() == pytest.approx((one + one) / 2)
    assert local_pod(ours[:1], theirs[1:]).item() == 0.0


def test_windows_do_not_see_each_others_pixels() -> None:
    """Means over the whole layer's rows and columns are equal here; only the windows distinguish the layers."""
    ours, theirs = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    ours[0, 0, 0, 0] = ours[0, 0, 2, 2] = 1.0
    theirs[0, 0, 0, 2] = theirs[0, 0, 2, 0] = 1.0
    changed = 4 * 2 * (1 / 4 + 1)  # four windows at scale 2 and four at scale 4, two strips in each
    assert local_pod(ours, theirs).item() == pytest.approx(math.sqrt(changed))


@given(st.integers(0, 1000), st.integers(4, 11), st.integers(4, 11))
def test_local_pod_is_the_textbooks_and_nothing_between_equal_layers(seed: int, height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    ours, theirs = torch.randn(2, 2, 3, height, width, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(local_pod(ours, theirs), textbook_pod(ours, theirs))
    torch.testing.assert_close(local_pod(ours, theirs), local_pod(theirs, ours))
    torch.testing.assert_close(local_pod(ours.transpose(2, 3), theirs.transpose(2, 3)), local_pod(ours, theirs))
    torch.testing.assert_close(local_pod(ours[:, [2, 0, 1]], theirs[:, [2, 0, 1]]), local_pod(ours, theirs))
    assert local_pod(ours, -ours).item() == 0.0


def test_the_gradient_of_local_pod_is_right_and_none_where_nothing_has_changed() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = torch.randn(2, 2, 2, 5, 4, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda layer: local_pod(layer, theirs), (ours.requires_grad_(),))
    local_pod(ours, ours.detach()).backward()
    assert ours.grad is not None
    assert torch.equal(ours.grad, torch.zeros_like(ours))


def test_local_pod_of_half_precision_is_computed_in_single() -> None:
    layer = 300 * torch.ones(1, 1, 4, 4, dtype=torch.float16)  # its square is infinite in half precision
    assert local_pod(layer, torch.zeros_like(layer)).isfinite()


def test_new_classes_are_folded_into_the_background_by_hand() -> None:
    logits = torch.tensor([1.0, 2.0, 3.0, 10.0, 20.0])[None, :, None, None]
    assert fold_new(logits, 3).flatten().tolist() == [31.0, 2.0, 3.0]


# ---- pseudo-labels --------------------------------------------------------------------------------------------------


def scores_of(*pixels: tuple[float, float, float, float]) -> Tensor:
    """Old scores (1, 4, 1, W), one tuple a pixel."""
    return torch.tensor(pixels, dtype=torch.float64).T[None, :, None, :]


SURE_OF_1, UNSURE_OF_1 = (0.01, 0.97, 0.01, 0.01), (0.2, 0.4, 0.2, 0.2)
SURE_OF_0, UNSURE_OF_0 = (0.97, 0.01, 0.01, 0.01), (0.4, 0.2, 0.2, 0.2)


def with_medians(model: IncrementalDeepLab, *medians: float) -> PlopIncrement:
    objective = increment(model)
    objective.medians.copy_(torch.tensor(medians))  # type: ignore[operator]
    return objective


def test_old_and_background_pixels_take_what_the_old_network_is_sure_of_and_are_void_else() -> None:
    cases = {  # name: (target, old scores, label)
        "background, sure of a class": (0, SURE_OF_1, 1),
        "background, not sure": (0, UNSURE_OF_1, VOID),
        "background, sure of background": (0, SURE_OF_0, 0),
        "background, not sure of background": (0, UNSURE_OF_0, VOID),
        "an old class, sure": (2, SURE_OF_1, 1),
        "an old class, not sure": (2, UNSURE_OF_1, VOID),
        "a new class, sure": (4, SURE_OF_1, 4),
        "a new class, not sure": (5, UNSURE_OF_1, 5),
        "void": (VOID, SURE_OF_1, VOID),
    }
    objective = with_medians(trained(OLD), 0.5, 0.5, 0.5, 0.5)
    target = torch.tensor([[[given for given, _, _ in cases.values()]]], dtype=torch.uint8)
    labels, factor = objective._label(target, scores_of(*(scores for _, scores, _ in cases.values())))
    found = dict(zip(cases, labels.flatten().tolist(), strict=True))
    assert found == {name: case[2] for name, case in cases.items()}
    assert labels.dtype == torch.uint8
    assert factor.tolist() == pytest.approx([3 / 6])  # six old and background pixels, three accepted


def test_each_class_has_its_own_threshold_and_lies_strictly_below_it() -> None:
    unsure = normalised_entropy(scores_of(UNSURE_OF_1)).item()  # the same for both
    target = torch.zeros(1, 1, 2, dtype=torch.uint8)
    scores = scores_of(UNSURE_OF_0, UNSURE_OF_1).float()
    found = []
    for of_0, of_1 in ((unsure + 0.01, unsure - 0.01), (unsure - 0.01, unsure + 0.01)):
        labels, _ = with_medians(trained(OLD), of_0, of_1, 0.0, 0.0)._label(target, scores)
        found.append(labels.flatten().tolist())
    assert found == [[0, VOID], [VOID, 1]]


def test_each_image_is_weighed_by_its_own_accepted_share() -> None:
    scores = torch.cat([scores_of(*[SURE_OF_1] * 3, UNSURE_OF_1)] * 3)
    target = torch.tensor([[[0, 0, 0, 0]], [[0, 4, VOID, 0]], [[4, 5, VOID, 4]]], dtype=torch.uint8)
    _, factor = with_medians(trained(OLD), 0.5, 0.5, 0.5, 0.5)._label(target, scores)
    assert factor.tolist() == pytest.approx([3 / 4, 1 / 2, 0.0], abs=1e-6)  # no such pixel: 0, as published


# --- calibration ----------------------------------------------------------------------------------------------------


def test_calibration_finds_the_median_of_each_class_over_background_pixels() -> None:
    # old classes are annotated in memory images; their pixels are not looked at
    model, batches = trained(OLD), [drawn(0, 4, 5, seed=1), drawn(0, 1, 2, 3, seed=2)]
    with torch.no_grad():
        scores = [model(images).softmax(dim=1) for images, _ in batches]
    objective = calibrated(increment(model), *batches)
    background = torch.cat([(target == 0).flatten() for _, target in batches])
    guesses = torch.cat([score.argmax(dim=1).flatten() for score in scores])[background]
    entropy = torch.cat([normalised_entropy(score).flatten() for score in scores])[background].float()
    expected = [entropy[guesses == c].median().item() if (guesses == c).any() else 0.0 for c in range(4)]
    assert objective.medians.tolist() == [max(median, float(np.float32(MIN_MEDIAN))) for median in expected]  # type: ignore[operator]
    assert max(expected) > 0.1


@pytest.mark.parametrize(("entropy", "passes"), [("exact", 2), ("published", 1)])
def test_calibration_reports_each_batch_of_its_passes(entropy: Entropy, passes: int) -> None:
    objective = increment(trained(OLD), entropy=entropy)
    batches = Replayed(drawn(0, 4), drawn(0, 5), drawn(0))
    assert list(objective.calibrate(batches)) == [0, 1, 2] * passes
    assert batches.passes == passes


def test_medians_are_never_below_the_least() -> None:
    model = trained(OLD)
    with torch.no_grad():
        model.heads[0].classifier.bias[0] = 1000.0  # type: ignore[union-attr, index]  # sure of background everywhere
    images = torch.randn(1, 3, 33, 33, dtype=torch.float64)
    objective = calibrated(increment(model), (images, torch.zeros(1, 33, 33, dtype=torch.uint8)))
    assert objective.medians.tolist() == pytest.approx([MIN_MEDIAN] * 4)  # type: ignore[operator]
    labels, factor = objective._label(torch.zeros(1, 1, 1, dtype=torch.uint8), scores_of((1.0, 0.0, 0.0, 0.0)))
    assert (labels.item(), factor.item()) == (0, pytest.approx(1.0, abs=1e-5))


def test_the_published_calibration_divides_by_all_classes_and_bins() -> None:
    model, (images, target) = trained(OLD), drawn(0, 4, 5)
    with torch.no_grad():
        scores = model(images).softmax(dim=1)
    objective = calibrated(increment(model, entropy="published"), (images, target))
    uncertain = (published_entropy(scores) / math.log(6))[target == 0]
    guesses = scores.argmax(dim=1)[target == 0]
    for c in range(4):
        counts = torch.histc(uncertain[guesses == c].float(), bins=100, min=0.0, max=1.0).long().tolist()
        expected = published_threshold(counts)
        assert objective.medians[c].item() == pytest.approx(max(expected, MIN_MEDIAN), rel=1e-5)  # type: ignore[index]


def test_without_calibration_it_refuses_to_learn() -> None:
    """All would be void, and nothing but the distillation learned."""
    objective = increment(trained(OLD))
    with pytest.raises(RuntimeError, match="calibrate"):
        objective(*drawn(0, 4))


# ---- the whole step -------------------------------------------------------------------------------------------------


def layers_and_logits(model: IncrementalDeepLab, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """What the small network gives before each stage's ReLU, its ASPP, and its logits; without dropout."""
    layers, low, x = [], None, images
    for position, child in enumerate(model.backbone.children()):
        if position < 2:
            x = child(x)
            continue
        before = child.body(x) + child.shortcut(x)  # type: ignore[operator]
        layers.append(before)
        x = before.relu()
        low = x if low is None else low
    aspp = model.aspp(x)
    seen = join(Features(aspp, model.low_level(low) if model.architecture.is_plus else None))
    return [*layers, aspp], torch.cat([head(seen) for head in model.heads], dim=1)


def textbook_cross_entropy(logs: Tensor, old_scores: Tensor, target: Tensor, medians: list[float]) -> Tensor:
    """Pixel by pixel: what is old or background takes the old network's sure guesses, and weighs its image."""
    total = logs.new_zeros(())
    for b in range(len(target)):
        pixels, accepted, possible = logs.new_zeros(()), 0, 0
        for y, x in np.ndindex(target.shape[1], target.shape[2]):
            label = int(target[b, y, x])
            if label < 4:
                scores = old_scores[b, :, y, x]
                guess = int(scores.argmax())
                sure = float(-(scores * scores.log()).sum() / math.log(4)) < medians[guess]
                possible, accepted = possible + 1, accepted + sure
                label = guess if sure else VOID
            if label != VOID:
                pixels = pixels - logs[b, label, y, x]
        total = total + accepted / (possible + 1e-6) * pixels
    return total / target.numel()


def textbook_step(
    student: IncrementalDeepLab, teacher: IncrementalDeepLab, images: Tensor, target: Tensor, medians: list[float]
) -> tuple[Tensor, Tensor]:
    """Cross-entropy and POD."""

    def whole(logits: Tensor) -> Tensor:
        return functional.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)

    with torch.no_grad():
        old_layers, old_logits = layers_and_logits(teacher, images)
    layers, logits = layers_and_logits(student, images)
    learned = textbook_cross_entropy(whole(logits).log_softmax(1), whole(old_logits).softmax(1), target, medians)
    folded = torch.stack([logits[:, 0] + logits[:, 4:].sum(1), *logits[:, 1:4].unbind(1)], dim=1)
    growth = math.sqrt(6 / 2)  # background, three old and two new classes
    tensors = [0.01 * growth * textbook_pod(a, b) for a, b in zip(layers, old_layers, strict=True)]
    tensors.append(0.0005 * growth * textbook_pod(folded, old_logits))
    return learned, torch.stack(tensors).mean()


@EVERY_ARCHITECTURE
def test_a_step_is_the_textbooks(architecture: Architecture) -> None:
    model, (images, target) = trained(OLD, architecture), drawn(0, 2, 4, 5)
    teacher = copy.deepcopy(model)
    objective = calibrated(increment(model), (images, target)).train()
    model.dropout.p = 0.0
    student = copy.deepcopy(model)
    loss = objective(images, target)
    loss.total.backward()
    student.train()
    medians = objective.medians.tolist()  # type: ignore[operator]
    learned, kept = textbook_step(student, teacher.eval(), images, target, medians)
    (learned + kept).backward()
    torch.testing.assert_close(loss.total, learned + kept)
    torch.testing.assert_close(loss.parts["cross_entropy"], learned.detach())
    torch.testing.assert_close(loss.parts["pod"], kept.detach())
    assert learned > 0.01
    assert kept > 0.001
    theirs = dict(student.named_parameters())
    for name, parameter in model.named_parameters():
        expected = theirs[name].grad
        assert expected is not None
        tolerance = 1e-6 * expected.abs().max().item()  # the images' weights are of single precision
        torch.testing.assert_close(parameter.grad, expected, rtol=0, atol=tolerance, msg=name)


def test_everything_learns_and_the_teacher_does_not() -> None:
    assert_only_the_whole_student_learns(calibrated(increment(trained(OLD)), drawn(0, 4, 5)))


def test_it_starts_with_even_shares_of_the_background_as_mib_does() -> None:
    model, (images, _) = trained(OLD), drawn(0)
    with torch.no_grad():
        before = model(images).softmax(1)
        increment(model)
        after = model.eval()(images).softmax(1)
    torch.testing.assert_close(after[:, [0, 4, 5]], before[:, :1].expand(-1, 3, -1, -1) / 3)


def test_in_evaluation_nothing_lies_between_student_and_teacher_but_the_folded_logits() -> None:
    """Logits that share a probability do not add up to the logit that they came from: this much POD asks at once."""
    model, (images, target) = trained(OLD), drawn(0, 4)
    without = calibrated(increment(copy.deepcopy(model), pod_logits=0.0), (images, target)).eval()
    assert without(images, target).parts["pod"].item() == 0.0
    assert calibrated(increment(model), (images, target)).eval()(images, target).parts["pod"].item() > 0.0
