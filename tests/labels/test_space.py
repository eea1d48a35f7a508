"""The label algebra: which channel a pixel trains, and which class a channel means."""

import json
import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from ssul.errors import UserError
from ssul.labels.ids import VOID
from ssul.labels.space import Activation, LabelSpace

# [unknown][background][3][1] and, after a step, [2]
BASE = LabelSpace(((3, 1),), unknown=True, activation="sigmoid")
GROWN = BASE.with_step((2,))
PLAIN = LabelSpace(((3, 1), (2,)), unknown=False, activation="softmax")

MASK = torch.tensor([[0, 1, 2, 3], [VOID, 7, 0, 2]], dtype=torch.uint8)
SALIENCY = torch.tensor([[255, 255, 0, 0], [255, 255, 0, 9]], dtype=torch.uint8)


@st.composite
def label_spaces(draw: st.DrawFn, unknown: bool | None = None) -> LabelSpace:
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    ids = iter(draw(st.permutations(range(1, sum(sizes) + 3))))  # two of them are never learned
    groups = tuple(tuple(next(ids) for _ in range(size)) for size in sizes)
    has_unknown = draw(st.booleans()) if unknown is None else unknown
    return LabelSpace(groups, has_unknown, draw(st.sampled_from(["sigmoid", "softmax"])))


def masks() -> st.SearchStrategy[Tensor]:
    values = st.one_of(st.integers(0, 20), st.just(VOID))
    return arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=values).map(
        torch.from_numpy
    )


def noise(seed: int, *shape: int) -> Tensor:
    return 3.0 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pixels(*columns: list[float]) -> Tensor:
    """Logits (1, K, 1, W), one column per pixel."""
    return torch.tensor(columns).T[None, :, None, :]


# --- encode -----------------------------------------------------------------------------------------------------------


def test_annotated_classes_void_unknown_and_background_have_their_channels() -> None:
    target = GROWN.encode(MASK, SALIENCY, annotated=(2,))
    assert target.tolist() == [[0, 0, 4, 1], [VOID, 0, 1, 4]]
    assert target.dtype == torch.uint8


def test_without_saliency_the_whole_background_is_unknown() -> None:
    assert GROWN.encode(MASK, None, annotated=(2,)).tolist() == [[0, 0, 4, 0], [VOID, 0, 0, 4]]


@pytest.mark.parametrize("saliency", [SALIENCY, None])
def test_without_an_unknown_channel_saliency_is_not_looked_at(saliency: Tensor | None) -> None:
    assert PLAIN.encode(MASK, saliency, annotated=(2,)).tolist() == [[0, 0, 3, 0], [VOID, 0, 0, 3]]


def test_an_image_without_any_annotated_class_is_only_background_unknown_and_void() -> None:
    assert GROWN.encode(MASK, SALIENCY, annotated=()).tolist() == [[0, 0, 1, 1], [VOID, 0, 1, 0]]


def test_encoding_leaves_mask_and_saliency_as_they_are() -> None:
    mask, saliency = MASK.clone(), SALIENCY.clone()
    GROWN.encode(mask, saliency, annotated=(1, 2, 3))
    assert torch.equal(mask, MASK)
    assert torch.equal(saliency, SALIENCY)


def test_a_class_that_is_not_learned_cannot_be_annotated() -> None:
    with pytest.raises(KeyError):
        BASE.encode(MASK, SALIENCY, annotated=(2,))


def test_memory_and_new_images_are_encoded_alike() -> None:
    """The published code does not shift memory images: class k trains the head of k - 1, background the unknown."""
    new_image = torch.tensor([[2, 0, 0]], dtype=torch.uint8)
    memory_image = torch.tensor([[3, 0, 0]], dtype=torch.uint8)
    saliency = torch.tensor([[255, 255, 0]], dtype=torch.uint8)
    assert GROWN.encode(new_image, saliency, annotated=(2,)).tolist() == [[GROWN.channel_of(2), 0, 1]]
    assert GROWN.encode(memory_image, saliency, annotated=(3, 1)).tolist() == [[GROWN.channel_of(3), 0, 1]]


@given(label_spaces(), masks(), st.data())
def test_the_channel_of_an_annotated_class_does_not_depend_on_what_else_is_annotated(
    labels: LabelSpace, mask: Tensor, data: st.DataObject
) -> None:
    subsets = st.lists(st.sampled_from(labels.classes), unique=True)
    one, other = data.draw(subsets), data.draw(subsets)
    saliency = torch.randint(0, 2, mask.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    targets = [labels.encode(mask, saliency, annotated) for annotated in (one, other)]
    for class_id in set(one) & set(other):
        for target in targets:
            assert (target[mask == class_id] == labels.channel_of(class_id)).all()
    neither = torch.isin(mask, torch.tensor([*one, *other, VOID]), invert=True)
    assert torch.equal(targets[0][neither], targets[1][neither])


@given(label_spaces(), masks())
def test_growing_does_not_change_how_an_old_image_is_encoded(labels: LabelSpace, mask: Tensor) -> None:
    with_step = labels.with_step((100, 101))
    assert torch.equal(labels.encode(mask, None, labels.classes), with_step.encode(mask, None, labels.classes))


# --- pseudo-labels ----------------------------------------------------------------------------------------------------

SURE, UNSURE, LOW = 2.0, 0.5, -4.0


def test_pseudo_labels_fill_only_unknown_and_background_where_the_old_network_is_sure_of_a_class() -> None:
    cases = {  # name: (target, old logits [unknown, background, 3, 1], expected)
        "unknown, sure of a class": (0, [LOW, LOW, SURE, LOW], 2),
        "background, sure of a class": (1, [LOW, LOW, LOW, SURE], 3),
        "annotated": (4, [LOW, LOW, SURE, LOW], 4),
        "annotated with another old class": (3, [LOW, LOW, SURE, LOW], 3),
        "void": (VOID, [LOW, LOW, LOW, SURE], VOID),
        "sure of background": (1, [LOW, SURE, LOW, LOW], 1),
        "unknown, sure of background": (0, [LOW, SURE, LOW, LOW], 0),
        "sure of unknown": (1, [SURE, LOW, LOW, LOW], 1),
        "a class best, but not sure": (0, [LOW, LOW, UNSURE, LOW], 0),
        "sure of a class, surer of background": (1, [LOW, SURE + 1, SURE, LOW], 1),
    }
    target = torch.tensor([[[target for target, _, _ in cases.values()]]], dtype=torch.uint8)
    completed = BASE.add_pseudo_labels(target, pixels(*(logits for _, logits, _ in cases.values())), threshold=0.7)
    assert dict(zip(cases, completed.flatten().tolist(), strict=True)) == {
        name: case[2] for name, case in cases.items()
    }
    assert completed.dtype == torch.uint8


def test_a_sigmoid_score_at_the_threshold_is_enough() -> None:
    below = float(np.nextafter(np.float32(0.0), np.float32(-1.0)))
    logits = pixels([LOW, LOW, 0.0, LOW], [LOW, LOW, below, LOW])  # sigmoid(0) is exactly 0.5
    assert BASE.pseudo_labels(logits, threshold=0.5).flatten().tolist() == [2, VOID]


def test_a_softmax_score_at_the_threshold_is_enough() -> None:
    logits = pixels([-math.inf, 0.0, 0.0, -math.inf])  # two channels share: exactly 0.5 each, the first is taken
    base = LabelSpace(((3, 1, 2),), unknown=False, activation="softmax")
    assert base.pseudo_labels(logits, threshold=0.5).flatten().tolist() == [1]
    assert base.pseudo_labels(logits, threshold=0.50001).flatten().tolist() == [VOID]


def test_softmax_scores_compete_where_sigmoid_scores_do_not() -> None:
    logits = pixels([LOW, LOW, 2.0, 2.1])  # two classes, both likely
    softmax = LabelSpace(BASE.groups, unknown=True, activation="softmax")
    assert BASE.pseudo_labels(logits, threshold=0.7).flatten().tolist() == [3]
    assert softmax.pseudo_labels(logits, threshold=0.7).flatten().tolist() == [VOID]


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_threshold_zero_takes_every_best_class(activation: Activation) -> None:
    labels = LabelSpace(BASE.groups, unknown=True, activation=activation)
    logits = pixels([LOW, 2 * LOW, LOW + 1, LOW], [LOW + 1, LOW, LOW, LOW])
    assert labels.pseudo_labels(logits, threshold=0.0).flatten().tolist() == [2, VOID]


@given(label_spaces(), st.integers(0, 2**32), st.floats(0.05, 0.95))
def test_the_threshold_means_the_score(labels: LabelSpace, seed: int, threshold: float) -> None:
    """In particular, comparing logits is comparing sigmoids."""
    logits = noise(seed, 2, labels.num_channels, 3, 5)
    scores = logits.sigmoid() if labels.activation == "sigmoid" else logits.softmax(dim=1)
    best, channel = scores.max(dim=1)
    expected = torch.where((best >= threshold) & (channel >= labels.first_class_channel), channel, VOID)
    decided = (best - threshold).abs() > 1e-6  # closer than that is rounding
    found = labels.pseudo_labels(logits, threshold)
    assert torch.equal(found[decided].long(), expected[decided])


@given(label_spaces(), st.integers(0, 2**32), st.floats(0.0, 1.0))
def test_a_pseudo_label_is_never_background_or_unknown(labels: LabelSpace, seed: int, threshold: float) -> None:
    found = labels.pseudo_labels(noise(seed, 2, labels.num_channels, 3, 5), threshold)
    assert (found >= labels.first_class_channel).all()
    assert ((found < labels.num_channels) | (found == VOID)).all()


@given(label_spaces(), st.integers(0, 2**32), st.floats(0.0, 1.0))
def test_completing_touches_no_annotated_and_no_void_pixel(labels: LabelSpace, seed: int, threshold: float) -> None:
    with_step = labels.with_step((100, 101))
    values = torch.tensor([*range(with_step.num_channels), VOID], dtype=torch.uint8)
    chance = torch.Generator().manual_seed(seed)
    target = values[torch.randint(len(values), (2, 4, 5), generator=chance)]
    before = target.clone()
    logits = noise(seed, 2, labels.num_channels, 4, 5)
    completed = labels.add_pseudo_labels(target, logits, threshold)
    open_ = before <= labels.background_channel
    assert torch.equal(completed[~open_], before[~open_])
    found = labels.pseudo_labels(logits, threshold)
    assert torch.equal(completed[open_], torch.where(found == VOID, before, found)[open_])
    assert torch.equal(target, before)


# --- scores and predictions -------------------------------------------------------------------------------------------


def test_the_unknown_score_counts_as_background() -> None:
    scores = BASE.fold_unknown(pixels([0.0, 0.0, 100.0, -100.0]))
    assert scores.flatten().tolist() == pytest.approx([1.0, 1.0, 0.0])


def test_softmax_scores_still_sum_to_one_when_folded() -> None:
    softmax = LabelSpace(BASE.groups, unknown=True, activation="softmax")
    scores = softmax.fold_unknown(pixels([math.log(1.0), math.log(2.0), math.log(3.0), math.log(4.0)]))
    assert scores.flatten().tolist() == pytest.approx([0.3, 0.3, 0.4])


@given(label_spaces(unknown=False), st.integers(0, 2**32))
def test_without_an_unknown_channel_there_is_nothing_to_fold(labels: LabelSpace, seed: int) -> None:
    logits = noise(seed, 1, labels.num_channels, 2, 3)
    expected = logits.sigmoid() if labels.activation == "sigmoid" else logits.softmax(dim=1)
    assert torch.equal(labels.fold_unknown(logits), expected)


def test_background_and_unknown_together_can_beat_a_class() -> None:
    logits = torch.logit(torch.tensor([[0.4, 0.3, 0.6, 0.1], [0.1, 0.2, 0.6, 0.1]])).T[None, :, None, :]
    assert BASE.predict(logits).flatten().tolist() == [0, 1]


@given(label_spaces(), st.integers(0, 2**32))
def test_a_prediction_is_the_arg_max_of_the_folded_scores(labels: LabelSpace, seed: int) -> None:
    logits = noise(seed, 2, labels.num_channels, 3, 5)
    scores = labels.fold_unknown(logits)
    best = scores.topk(2, dim=1).values
    decided = best[:, 0] - best[:, 1] > 1e-6  # closer than that is rounding
    assert torch.equal(labels.predict(logits)[decided].long(), scores.argmax(dim=1)[decided])


def test_classes_whose_scores_are_rounded_to_one_are_still_told_apart() -> None:
    assert BASE.predict(pixels([-50.0, -50.0, 30.0, 40.0])).flatten().tolist() == [2]


@given(label_spaces(), st.integers(0, 2**32))
def test_a_prediction_decodes_to_background_or_a_learned_class(labels: LabelSpace, seed: int) -> None:
    positions = labels.predict(noise(seed, 2, labels.num_channels, 3, 4))
    assert positions.dtype == torch.uint8
    assert set(labels.decode(positions).flatten().tolist()) <= {0, *labels.classes}


@given(label_spaces())
def test_a_network_that_is_right_predicts_the_truth(labels: LabelSpace) -> None:
    """Target channels, turned into perfect logits, decode to the mask that they came from."""
    mask = torch.tensor([[0, *labels.classes]], dtype=torch.uint8)
    for saliency in (torch.zeros_like(mask), torch.ones_like(mask)):
        target = labels.encode(mask, saliency, labels.classes).long()
        logits = 20.0 * torch.nn.functional.one_hot(target, labels.num_channels).movedim(-1, 0)[None] - 10.0
        assert torch.equal(labels.decode(labels.predict(logits))[0], mask)


@given(st.integers(1, 253), st.integers(1, 253), st.booleans(), st.randoms(use_true_random=False))
def test_a_mask_of_up_to_253_classes_survives_encoding_and_decoding(
    count: int, base: int, unknown: bool, chance: random.Random
) -> None:
    order = chance.sample(range(1, count + 1), count)
    groups = tuple(tuple(group) for group in (order[:base], order[base:]) if group)
    labels = LabelSpace(groups, unknown, "sigmoid")
    annotated = chance.sample(order, chance.randint(1, count))
    mask = torch.tensor([[*annotated, VOID]], dtype=torch.uint8)
    target = labels.encode(mask, torch.ones_like(mask), annotated)
    assert target[0, -1] == VOID
    assert (target[0, :-1] < labels.num_channels).all()
    assert labels.num_channels <= VOID  # no channel is mistaken for void
    positions = torch.where(target == VOID, VOID, target.int() - labels.first_class_channel + 1).to(torch.uint8)
    assert torch.equal(labels.decode(positions), mask)


@pytest.mark.parametrize("unknown", [True, False])
def test_253_classes_are_all_told_apart_from_void(unknown: bool) -> None:
    labels = LabelSpace((tuple(range(1, 151)), tuple(range(151, 254))), unknown, "sigmoid")
    mask = torch.arange(256, dtype=torch.uint8)[None]
    target = labels.encode(mask, torch.zeros_like(mask), labels.classes)
    assert len(set(target[0, :254].tolist())) == 254  # the background and every class have a channel of their own
    assert (target == VOID).tolist() == [[False] * 255 + [True]]
    truth = labels.encode_ground_truth(mask)
    assert torch.equal(labels.decode(truth)[0, :254], mask[0, :254])
    assert truth[0, 254:].tolist() == [VOID, VOID]


# --- truth ------------------------------------------------------------------------------------------------------------


@given(label_spaces(), masks())
def test_decoding_the_truth_gives_back_learned_classes_background_and_void(labels: LabelSpace, mask: Tensor) -> None:
    truth = labels.decode(labels.encode_ground_truth(mask))
    known = torch.isin(mask, torch.tensor([0, VOID, *labels.classes]))
    assert torch.equal(truth[known], mask[known])
    assert (truth[~known] == VOID).all()


@given(label_spaces(), masks())
def test_positions_of_the_truth_are_background_then_classes_in_learning_order(labels: LabelSpace, mask: Tensor) -> None:
    truth = labels.encode_ground_truth(mask)
    for position, class_id in enumerate((0, *labels.classes)):
        assert (truth[mask == class_id] == position).all()


def test_pixels_of_future_classes_are_left_out_or_background() -> None:
    mask = torch.tensor([[0, 3, 1, 2, VOID]], dtype=torch.uint8)
    assert BASE.encode_ground_truth(mask).tolist() == [[0, 1, 2, VOID, VOID]]
    assert BASE.encode_ground_truth(mask, future="background").tolist() == [[0, 1, 2, 0, VOID]]


# --- channels and heads -----------------------------------------------------------------------------------------------


def test_heads_are_unknown_background_and_one_per_step() -> None:
    labels = LabelSpace(((4, 2, 9), (1, 3), (5,)), unknown=True, activation="sigmoid")
    assert labels.head_sizes == (1, 1, 3, 2, 1)
    assert (labels.unknown_head, labels.background_head) == (0, 1)
    assert [labels.channel_of(class_id) for class_id in (4, 2, 9, 1, 3, 5)] == [2, 3, 4, 5, 6, 7]
    assert labels.channels_of_heads([4, 2]) == [2, 3, 4, 7]


def test_without_the_unknown_head_the_first_head_scores_background_and_base_classes() -> None:
    labels = LabelSpace(((4, 2, 9), (1, 3), (5,)), unknown=False, activation="softmax")
    assert labels.head_sizes == (4, 2, 1)
    assert labels.background_head == 0
    assert [labels.channel_of(class_id) for class_id in (4, 2, 9, 1, 3, 5)] == [1, 2, 3, 4, 5, 6]
    assert labels.channels_of_heads([0]) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="no unknown head"):
        _ = labels.unknown_head


@given(label_spaces())
def test_heads_share_out_all_channels(labels: LabelSpace) -> None:
    assert sum(labels.head_sizes) == labels.num_channels
    each = [labels.channels_of_heads([head]) for head in range(len(labels.head_sizes))]
    assert [channel for channels in each for channel in channels] == list(range(labels.num_channels))
    assert labels.background_channel in each[labels.background_head]
    newest = [labels.channel_of(class_id) for class_id in labels.groups[-1]]
    assert each[-1][-len(newest) :] == newest


@given(label_spaces())
def test_growing_keeps_the_channels_of_old_classes(labels: LabelSpace) -> None:
    with_step = labels.with_step((100, 101))
    assert [with_step.channel_of(class_id) for class_id in labels.classes] == [
        labels.channel_of(class_id) for class_id in labels.classes
    ]
    assert [with_step.channel_of(100), with_step.channel_of(101)] == [labels.num_channels, labels.num_channels + 1]
    assert with_step.head_sizes == (*labels.head_sizes, 2)
    assert (with_step.unknown, with_step.activation) == (labels.unknown, labels.activation)


def test_a_class_that_is_not_learned_has_no_channel() -> None:
    for class_id in (0, 2, VOID):
        with pytest.raises(KeyError):
            BASE.channel_of(class_id)


# --- description ------------------------------------------------------------------------------------------------------


@given(label_spaces())
def test_a_label_space_survives_json(labels: LabelSpace) -> None:
    assert LabelSpace.from_dict(json.loads(json.dumps(labels.describe()))) == labels


@pytest.mark.parametrize(
    "description",
    [
        {},
        None,
        [],
        {"groups": [[1]], "unknown": True},
        {"groups": None, "unknown": True, "activation": "sigmoid"},
        {"groups": [1, 2], "unknown": True, "activation": "sigmoid"},
        {"groups": [["cat"]], "unknown": True, "activation": "sigmoid"},
        {"groups": [], "unknown": True, "activation": "sigmoid"},
        {"groups": [[1], [True]], "unknown": True, "activation": "sigmoid"},
        {"groups": [[1, 2.0]], "unknown": True, "activation": "sigmoid"},
        {"groups": ["12"], "unknown": True, "activation": "sigmoid"},
        {"groups": [[1], [2, 1]], "unknown": True, "activation": "sigmoid"},
        {"groups": [[1], []], "unknown": True, "activation": "sigmoid"},
        {"groups": [[0, 1]], "unknown": True, "activation": "sigmoid"},
        {"groups": [[255]], "unknown": True, "activation": "sigmoid"},
        {"groups": [[1]], "unknown": True, "activation": ["sigmoid"]},
        {"groups": [[1]], "unknown": "yes", "activation": "sigmoid"},
        {"groups": [[1]], "unknown": True, "activation": "tanh"},
    ],
)
def test_a_description_of_no_label_space_is_refused(description: Any) -> None:
    with pytest.raises(UserError, match="label space"):
        LabelSpace.from_dict(description)


# --- faults of the published code, as switches ------------------------------------------------------------------------


def test_unshifted_labels_train_the_channel_before_their_own() -> None:
    # channels are [unknown][background][3][1][2]; 3, 1 and 2 would be 2, 3 and 4
    assert GROWN.encode_without_unknown_shift(MASK, annotated=(3, 1)).tolist() == [[0, 2, 0, 1], [VOID, 0, 0, 0]]
    assert GROWN.encode_without_unknown_shift(MASK, annotated=(2,)).tolist() == [[0, 0, 3, 0], [VOID, 0, 0, 3]]
    assert GROWN.encode_without_unknown_shift(MASK, annotated=()).dtype == torch.uint8


def test_without_an_unknown_channel_there_is_no_shift_to_forget() -> None:
    for annotated in ((), (2,), (3, 1, 2)):
        assert torch.equal(PLAIN.encode_without_unknown_shift(MASK, annotated), PLAIN.encode(MASK, None, annotated))


@given(label_spaces(unknown=True), masks(), st.data())
def test_unshifted_is_the_encoding_of_images_with_nothing_salient_less_one(
    labels: LabelSpace, mask: Tensor, data: st.DataObject
) -> None:
    annotated = data.draw(st.lists(st.sampled_from(labels.classes), unique=True))
    right = labels.encode(mask, torch.zeros_like(mask), annotated).int()
    expected = torch.where(right == VOID, VOID, right - 1)
    assert torch.equal(labels.encode_without_unknown_shift(mask, annotated).int(), expected)


@pytest.mark.parametrize(
    ("labels", "saliency", "channel"), [(GROWN, True, 1), (GROWN, False, 0), (PLAIN, True, 0), (PLAIN, False, 0)]
)
def test_padding_is_what_plain_background_is_encoded_as(labels: LabelSpace, saliency: bool, channel: int) -> None:
    assert labels.padding(saliency=saliency) == channel
    nothing = torch.zeros(1, 1, dtype=torch.uint8)
    assert labels.encode(nothing, nothing if saliency else None, ()).item() == channel


# --- the truth of a step ----------------------------------------------------------------------------------------------


def test_in_a_steps_truth_every_other_class_is_background() -> None:
    mask = torch.tensor([[0, 3, 1, 2, 7, VOID]], dtype=torch.uint8)
    assert GROWN.encode_step_ground_truth(mask, new=(2,)).tolist() == [[0, 0, 0, 3, 0, VOID]]
    assert GROWN.encode_step_ground_truth(mask, new=(3, 1)).tolist() == [[0, 1, 2, 0, 0, VOID]]
    assert PLAIN.encode_step_ground_truth(mask, new=(2,)).tolist() == [[0, 0, 0, 3, 0, VOID]]
