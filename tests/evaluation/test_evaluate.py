"""Evaluating: a network that is right scores one, whatever the order of its classes."""

from typing import Any

import pytest
import torch
from lightning_fabric import Fabric

from ssul.errors import UserError
from ssul.evaluation.evaluate import EvaluatedImage, ImageCounter, evaluate_images, sum_confusion
from ssul.evaluation.protocol import Protocol
from ssul.inference.confusion import ConfusionMatrix
from ssul.labels.background import Future
from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace

LABELS = LabelSpace(((5, 2), (7,)), unknown=True, activation="sigmoid")  # learned as 5, 2, 7; channels 2, 3, 4
RIGHT = {0: 1, 5: 2, 2: 3, 7: 4}
FUTURE_ID, CLASSES = 3, 7


@pytest.fixture
def evaluate(cpu: Fabric, dataset_of: Any, sees_red: Any) -> Any:
    """Evaluates a network that sees channels where an image shows ids."""

    def evaluated(
        content: dict[str, Any],
        sees: dict[int, int],
        future: Future = "ignore",
        crop: int | None = None,
        *,
        in_data: bool = True,
    ) -> list[EvaluatedImage]:
        network, protocol = sees_red(sees, LABELS.num_channels), Protocol(cpu, future, "auto", crop, "all")
        background = protocol.background(LABELS, in_data=in_data, classes=CLASSES)
        images = dataset_of(content)
        return list(evaluate_images(network, LABELS, images, list(content), protocol=protocol, background=background))

    return evaluated


def test_a_network_that_is_always_right_scores_one_everywhere(evaluate: Any) -> None:
    masks = {"a": [[0, 5, 5], [2, 2, 7]], "b": [[7, 7], [0, 0], [5, 2]]}
    evaluated = evaluate({name: (mask, mask) for name, mask in masks.items()}, RIGHT)
    assert sum_confusion(evaluated, 4).iou() == [1.0, 1.0, 1.0, 1.0]
    for one in evaluated:
        assert one.prediction.dtype == torch.uint8
        assert one.prediction.tolist() == masks[one.image.id]


def test_images_are_evaluated_in_order_each_with_its_own_counts(evaluate: Any) -> None:
    evaluated = evaluate({"b": ([[5, 5]], [[5, 2]]), "a": ([[0]], [[0]])}, RIGHT)
    assert [one.image.id for one in evaluated] == ["b", "a"]
    first, second = (one.confusion.counts for one in evaluated)
    assert first[1, 1] == first[2, 1] == 1  # 5 found; 2 taken for 5
    assert first.sum() == 2
    assert second.sum() == second[0, 0] == 1


def test_what_looks_unknown_counts_as_background(evaluate: Any) -> None:
    (one,) = evaluate({"a": ([[9, 5]], [[0, 5]])}, {**RIGHT, 9: 0})
    assert one.prediction.tolist() == [[0, 5]]
    assert one.confusion.iou()[:2] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("future", "counts"),
    [
        ("ignore", [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]),
        ("background", [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]),
    ],
)
def test_classes_not_yet_learned_are_left_out_or_count_as_background(
    evaluate: Any, future: str, counts: list[list[int]]
) -> None:
    (one,) = evaluate({"a": ([[0, 5, 5]], [[FUTURE_ID, FUTURE_ID, 5]])}, RIGHT, future)
    assert one.confusion.counts.tolist() == counts
    assert one.prediction.tolist() == [[0, 5, 5]]


@pytest.mark.parametrize("future", ["ignore", "background"])
def test_void_pixels_are_in_no_count(evaluate: Any, future: str) -> None:
    (one,) = evaluate({"a": ([[0, 5]], [[VOID, 5]])}, RIGHT, future)
    assert one.confusion.counts.sum() == one.confusion.counts[1, 1] == 1


def test_counts_of_single_images_hold_what_their_scores_are_made_of(evaluate: Any) -> None:
    """By hand: class, right, of the ground truth, predicted; the sums are those of the confusion matrix."""
    counter = ImageCounter()
    evaluated = evaluate({"b": ([[5, 5, 0]], [[5, 2, VOID]]), "a": ([[0]], [[0]])}, RIGHT)
    total = sum_confusion(counter.watch(evaluated), 4).counts
    assert counter.counts() == {"b": [(1, 1, 1, 2), (2, 0, 1, 0)], "a": [(0, 1, 1, 1)]}
    assert (total.diag().tolist(), total.sum(1).tolist(), total.sum(0).tolist()) == (
        [1, 1, 0, 0],
        [1, 1, 1, 0],
        [1, 2, 0, 0],
    )


def test_no_image_counts_nothing() -> None:
    assert sum_confusion([], 4).counts.tolist() == ConfusionMatrix.empty(4).counts.tolist()


# ---- datasets without a background ----------------------------------------------------------------------------------


def test_where_no_pixel_can_be_background_none_is_predicted_or_counted(evaluate: Any) -> None:
    """What looks unknown gets a class, and the counts are of the classes 5, 2, 7 alone."""
    counter = ImageCounter()
    content = {"a": ([[9, 5, 2, 7]], [[5, 5, 7, FUTURE_ID]])}
    (one,) = counter.watch(evaluate(content, {**RIGHT, 9: 0}, in_data=False))
    assert one.prediction.tolist() == [[5, 5, 2, 7]]
    assert one.confusion.counts.tolist() == [[2, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert counter.counts() == {"a": [(0, 2, 2, 2), (1, 0, 0, 1), (2, 0, 1, 0)]}


def test_where_later_classes_count_as_background_it_is_predicted_and_counted(evaluate: Any) -> None:
    (one,) = evaluate({"a": ([[9, 0, 5]], [[FUTURE_ID, 5, 5]])}, {**RIGHT, 9: 0}, "background", in_data=False)
    assert one.prediction.tolist() == [[0, 0, 5]]
    assert one.confusion.counts[:2, :2].tolist() == [[1, 0], [1, 1]]


# ---- the central square ---------------------------------------------------------------------------------------------

WIDE = [[2, 0, 0, 7, 7, 2], [2, 5, 5, 5, 5, 2]]  # the square in the middle: 0 7 above 5 5


def test_of_a_cropped_image_only_the_central_square_is_evaluated(evaluate: Any) -> None:
    (one,) = evaluate({"a": (WIDE, WIDE)}, RIGHT, crop=2)
    assert one.image.mask.tolist() == one.prediction.tolist() == [[0, 7], [5, 5]]
    assert one.image.image.shape == (3, 2, 2)
    assert one.confusion.counts.diag().tolist() == [1, 2, 0, 1]
    assert one.confusion.counts.sum() == 4


def test_a_cropped_image_is_resized_with_its_ground_truth(evaluate: Any) -> None:
    flat = [[5] * 8] * 4
    (one,) = evaluate({"a": (flat, flat)}, RIGHT, crop=2)
    assert one.confusion.counts.sum() == one.confusion.counts[1, 1] == 4


def test_void_and_later_classes_within_the_crop_are_not_evaluated(evaluate: Any) -> None:
    mask = [[2, 0, VOID, FUTURE_ID, 7, 2], [2, 5, 5, 5, 5, 2]]
    (one,) = evaluate({"a": (WIDE, mask)}, RIGHT, crop=2)
    assert one.confusion.counts.sum() == one.confusion.counts[1, 1] == 2


# ---- which images ---------------------------------------------------------------------------------------------------

PRESENT = {"new": (7,), "later": (FUTURE_ID,), "both": (FUTURE_ID, 5), "empty": (), "old": (2,)}


def test_all_images_are_scored_unless_those_of_seen_classes_alone_are_asked_for(cpu: Fabric) -> None:
    everything, seen = (Protocol(cpu, "ignore", "auto", None, images) for images in ("all", "seen"))
    assert everything.scored(PRESENT, LABELS) == list(PRESENT)
    assert seen.scored(PRESENT, LABELS) == ["new", "both", "old"]


def test_later_steps_score_more_images(cpu: Fabric) -> None:
    base = LabelSpace(LABELS.groups[:1], unknown=True, activation="sigmoid")
    assert Protocol(cpu, "ignore", "auto", None, "seen").scored(PRESENT, base) == ["both", "old"]


def test_no_image_with_a_seen_class_is_an_error_that_says_what_to_do(cpu: Fabric) -> None:
    with pytest.raises(UserError, match=r"none of the 2 validation images .* -S evaluation\.images=all"):
        Protocol(cpu, "ignore", "auto", None, "seen").scored({"a": (FUTURE_ID,), "b": ()}, LABELS)
