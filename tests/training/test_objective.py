"""The label statistics of a batch, counted by hand; the base step beside a constant background."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.training.objective import auxiliary_loss, base_objective, label_statistics

UNKNOWN = LabelSpace(((1, 2), (3,)), unknown=True, activation="sigmoid")
NONE = LabelSpace(((1, 2), (3,)), unknown=False, activation="softmax")


def of(*rows: list[int]) -> Tensor:
    """A batch of one image."""
    return torch.tensor([rows], dtype=torch.uint8)


def shares(target: Tensor, completed: Tensor, labels: LabelSpace) -> dict[str, float]:
    return {name: share.item() for name, share in label_statistics(target, completed, labels).items()}


def test_pseudo_labels_and_the_unknown_are_counted_among_valid_pixels() -> None:
    target = of([0, 0, 1, 4, 4], [0, 1, 1, VOID, VOID])
    completed = of([2, 0, 1, 4, 4], [0, 3, 1, VOID, VOID])
    assert shares(target, completed, UNKNOWN) == {"pseudo_share": 2 / 8, "unknown_share": 2 / 8}


def test_without_an_unknown_class_channel_0_is_the_background_and_is_not_counted() -> None:
    assert shares(of([0, 0, 3, VOID]), of([1, 0, 3, VOID]), NONE) == {"pseudo_share": pytest.approx(1 / 3)}


def test_only_a_completed_target_has_a_share_of_pseudo_labels() -> None:
    target = of([0, 1, 2, 2])
    assert shares(target, target, UNKNOWN) == {"unknown_share": 0.25}
    assert shares(target, target, NONE) == {}
    assert shares(target, target.clone(), NONE) == {"pseudo_share": 0.0}


@pytest.mark.parametrize("labels", [UNKNOWN, NONE])
def test_a_batch_of_void_has_shares_of_zero(labels: LabelSpace) -> None:
    void = of([VOID, VOID])
    assert set(shares(void, void.clone(), labels).values()) == {0.0}


def test_all_images_of_a_batch_count_together() -> None:
    target = torch.tensor([[[0, 0]], [[1, 2]]], dtype=torch.uint8)
    completed = torch.tensor([[[3, 0]], [[1, 2]]], dtype=torch.uint8)
    assert shares(target, completed, UNKNOWN) == {"pseudo_share": 0.25, "unknown_share": 0.25}


# ---- the base step beside a constant background ---------------------------------------------------------------------

ARCHITECTURES = pytest.mark.parametrize("classifier", ["conv3x3", "conv1x1", "shared_conv1x1"])


def base_step(classifier: str, *, unknown: bool) -> tuple[IncrementalDeepLab, LabelSpace, Tensor, Tensor]:
    torch.manual_seed(0)
    labels = LabelSpace(((1, 2),), unknown, "sigmoid", constant_background=True)
    architecture = Architecture("small", "deeplabv3", 8, 16, classifier, constant_head=labels.constant_head)
    model = IncrementalDeepLab(architecture, labels.head_sizes).double().train()
    model.dropout.p = 0.0
    values = torch.tensor([0, *map(labels.channel_of, (1, 2)), VOID], dtype=torch.uint8)
    return model, labels, torch.randn(2, 3, 33, 41).double(), values[torch.randint(4, (2, 33, 41))]


@ARCHITECTURES
@pytest.mark.parametrize("unknown", [False, True], ids=["classes alone", "with an auxiliary class"])
def test_it_minimises_the_sum_over_the_classes_and_the_auxiliary_class_is_nowhere(
    classifier: str, unknown: bool
) -> None:
    model, labels, images, target = base_step(classifier, unknown=unknown)
    found = base_objective(model, labels, "class_bce", 2.0)(images, target).total
    logits, expected = model(images), images.new_zeros(())
    for class_id in (1, 2):
        channel = labels.channel_of(class_id)
        positive = (target == channel).to(logits.dtype)
        score = logits[:, channel]
        expected = expected - (2 * positive * functional.logsigmoid(score)).mean()
        expected = expected - ((1 - positive) * functional.logsigmoid(-score)).mean()
    if unknown:
        expected = expected - functional.logsigmoid(-logits[:, labels.unknown_channel]).mean()
    torch.testing.assert_close(found, expected)
    assert (logits[:, labels.background_channel] == 0).all()


@ARCHITECTURES
def test_the_auxiliary_loss_moves_its_own_head_and_nothing_else(classifier: str) -> None:
    model, labels, images, _ = base_step(classifier, unknown=True)
    auxiliary_loss(model, labels, model.head_input(model.features(images)), images).backward()
    moved = {
        name.split(".")[1] if name.startswith("heads.") else name
        for name, p in model.named_parameters()
        if p.grad is not None
    }
    assert moved == {str(labels.unknown_head)}
