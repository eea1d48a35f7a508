"""The label algebra: which channel a pixel trains, and which class a channel means."""

import json
import random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ssul.errors import UserError
from ssul.labels.ids import VOID
from ssul.labels.scores import predict
from ssul.labels.space import LabelSpace
from tests.labels.spaces import BASE, GROWN, PLAIN, label_spaces, masks

MASK = torch.tensor([[0, 1, 2, 3], [VOID, 7, 0, 2]], dtype=torch.uint8)
SALIENCY = torch.tensor([[255, 255, 0, 0], [255, 255, 0, 9]], dtype=torch.uint8)


# --- encode -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "saliency", "annotated", "target"),
    [
        (GROWN, SALIENCY, (2,), [[0, 0, 4, 1], [VOID, 0, 1, 4]]),
        (GROWN, None, (2,), [[0, 0, 4, 0], [VOID, 0, 0, 4]]),  # the whole background is unknown
        (GROWN, SALIENCY, (), [[0, 0, 1, 1], [VOID, 0, 1, 0]]),
        (PLAIN, SALIENCY, (2,), [[0, 0, 3, 0], [VOID, 0, 0, 3]]),  # without an unknown channel saliency is not used
        (PLAIN, None, (2,), [[0, 0, 3, 0], [VOID, 0, 0, 3]]),
    ],
)
def test_annotated_classes_void_unknown_and_background_have_their_channels(
    labels: LabelSpace, saliency: Tensor | None, annotated: tuple[int, ...], target: list[list[int]]
) -> None:
    mask, before = MASK.clone(), SALIENCY.clone()
    encoded = labels.encode(mask, saliency, annotated)
    assert encoded.tolist() == target
    assert encoded.dtype == torch.uint8
    assert torch.equal(mask, MASK)
    assert torch.equal(SALIENCY, before)


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
    grown = labels.with_step((100, 101))
    assert torch.equal(labels.encode(mask, None, labels.classes), grown.encode(mask, None, labels.classes))


# --- decode -----------------------------------------------------------------------------------------------------------


@given(label_spaces())
def test_a_network_that_is_right_predicts_the_ground_truth(labels: LabelSpace) -> None:
    """Target channels, turned into perfect logits, decode to the mask that they came from."""
    mask = torch.tensor([[0, *labels.classes]], dtype=torch.uint8)
    for saliency in (torch.zeros_like(mask), torch.ones_like(mask)):
        target = labels.encode(mask, saliency, labels.classes).long()
        logits = 20.0 * torch.nn.functional.one_hot(target, labels.num_channels).movedim(-1, 0)[None] - 10.0
        assert torch.equal(labels.decode(predict(labels, logits))[0], mask)


@given(st.integers(1, 253), st.integers(1, 253), st.booleans(), st.randoms(use_true_random=False))
def test_a_mask_of_up_to_253_classes_survives_encoding_and_decoding(
    count: int, base: int, unknown: bool, rng: random.Random
) -> None:
    order = rng.sample(range(1, count + 1), count)
    groups = tuple(tuple(group) for group in (order[:base], order[base:]) if group)
    labels = LabelSpace(groups, unknown, "sigmoid")
    annotated = rng.sample(order, rng.randint(1, count))
    mask = torch.tensor([[*annotated, VOID]], dtype=torch.uint8)
    target = labels.encode(mask, torch.ones_like(mask), annotated)
    assert target[0, -1] == VOID
    assert (target[0, :-1] < labels.num_channels).all()
    assert labels.num_channels <= VOID  # no channel is mistaken for void
    indices = torch.where(target == VOID, VOID, target.int() - labels.first_class_channel + 1).to(torch.uint8)
    assert torch.equal(labels.decode(indices), mask)


@pytest.mark.parametrize("unknown", [True, False])
def test_253_classes_all_differ_from_void(unknown: bool) -> None:
    labels = LabelSpace((tuple(range(1, 151)), tuple(range(151, 254))), unknown, "sigmoid")
    mask = torch.arange(256, dtype=torch.uint8)[None]
    target = labels.encode(mask, torch.zeros_like(mask), labels.classes)
    assert len(set(target[0, :254].tolist())) == 254  # the background and every class have a channel of their own
    assert (target == VOID).tolist() == [[False] * 255 + [True]]
    ground_truth = labels.encode_ground_truth(mask)
    assert torch.equal(labels.decode(ground_truth)[0, :254], mask[0, :254])
    assert ground_truth[0, 254:].tolist() == [VOID, VOID]


# --- ground truth -----------------------------------------------------------------------------------------------------


@given(label_spaces(), masks())
def test_class_indices_are_the_background_then_the_classes_in_learning_order_and_decode_to_the_mask(
    labels: LabelSpace, mask: Tensor
) -> None:
    ground_truth = labels.encode_ground_truth(mask)
    for index, class_id in enumerate((0, *labels.classes)):
        assert (ground_truth[mask == class_id] == index).all()
    known = torch.isin(mask, torch.tensor([0, VOID, *labels.classes]))
    assert torch.equal(labels.decode(ground_truth)[known], mask[known])
    assert (labels.decode(ground_truth)[~known] == VOID).all()


def test_pixels_of_future_classes_are_left_out_or_background() -> None:
    mask = torch.tensor([[0, 3, 1, 2, VOID]], dtype=torch.uint8)
    assert BASE.encode_ground_truth(mask).tolist() == [[0, 1, 2, VOID, VOID]]
    assert BASE.encode_ground_truth(mask, future="background").tolist() == [[0, 1, 2, 0, VOID]]


def test_in_a_steps_ground_truth_every_other_class_is_background() -> None:
    mask = torch.tensor([[0, 3, 1, 2, 7, VOID]], dtype=torch.uint8)
    assert GROWN.encode_step_ground_truth(mask, new=(2,)).tolist() == [[0, 0, 0, 3, 0, VOID]]
    assert GROWN.encode_step_ground_truth(mask, new=(3, 1)).tolist() == [[0, 1, 2, 0, 0, VOID]]
    assert PLAIN.encode_step_ground_truth(mask, new=(2,)).tolist() == [[0, 0, 0, 3, 0, VOID]]


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
def test_the_heads_split_the_channels_and_every_class_has_its_channel_and_index(labels: LabelSpace) -> None:
    heads = [labels.channels_of_heads([head]) for head in range(len(labels.head_sizes))]
    assert [channel for channels in heads for channel in channels] == list(range(labels.num_channels))
    assert tuple(map(len, heads)) == labels.head_sizes
    assert heads[labels.background_head][labels.background_in_head] == labels.background_channel
    newest = [labels.channel_of(class_id) for class_id in labels.groups[-1]]
    assert heads[-1][-len(newest) :] == newest
    assert [labels.class_of(labels.channel_of(class_id)) for class_id in labels.classes] == list(labels.classes)
    assert [labels.class_index(class_id) for class_id in (0, *labels.classes)] == list(range(labels.num_classes))
    if labels.unknown:
        assert heads[labels.unknown_head] == [labels.unknown_channel] == [0]
    else:
        with pytest.raises(ValueError, match="no unknown head"):
            _ = labels.unknown_channel


@given(label_spaces())
def test_growing_keeps_the_channels_of_old_classes(labels: LabelSpace) -> None:
    grown = labels.with_step((100, 101))
    assert [grown.channel_of(class_id) for class_id in labels.classes] == [
        labels.channel_of(class_id) for class_id in labels.classes
    ]
    assert [grown.channel_of(100), grown.channel_of(101)] == [labels.num_channels, labels.num_channels + 1]
    assert grown.head_sizes == (*labels.head_sizes, 2)
    assert (grown.unknown, grown.activation) == (labels.unknown, labels.activation)


def test_a_class_that_is_not_learned_has_no_channel_and_cannot_be_annotated() -> None:
    for class_id in (0, 2, VOID):
        with pytest.raises(KeyError):
            BASE.channel_of(class_id)
    with pytest.raises(KeyError):
        BASE.encode(MASK, SALIENCY, annotated=(2,))


# --- description ------------------------------------------------------------------------------------------------------


@given(label_spaces())
def test_a_label_space_survives_json(labels: LabelSpace) -> None:
    assert LabelSpace.from_dict(json.loads(json.dumps(labels.to_dict()))) == labels


NOT_GROUPS: list[Any] = [None, [], [1, 2], ["12"], [["cat"]], [[1], [True]], [[1, 2.0]], [[1], [2, 1]], [[1], []]]
NOT_GROUPS += [[[0, 1]], [[255]]]


@pytest.mark.parametrize(
    "description",
    [
        {},
        None,
        [],
        {"groups": [[1]], "unknown": True},
        {"groups": [[1]], "unknown": True, "activation": ["sigmoid"]},
        {"groups": [[1]], "unknown": "yes", "activation": "sigmoid"},
        {"groups": [[1]], "unknown": True, "activation": "tanh"},
        *({"groups": groups, "unknown": True, "activation": "sigmoid"} for groups in NOT_GROUPS),
    ],
)
def test_a_description_that_is_not_a_label_space_is_refused(description: Any) -> None:
    with pytest.raises(UserError, match="label space"):
        LabelSpace.from_dict(description)


# --- bugs of the published code, as switches --------------------------------------------------------------------------


def test_unshifted_labels_train_the_channel_before_their_own() -> None:
    # channels are [unknown][background][3][1][2]; 3, 1 and 2 would be 2, 3 and 4
    assert GROWN.encode_without_unknown_shift(MASK, annotated=(3, 1)).tolist() == [[0, 2, 0, 1], [VOID, 0, 0, 0]]
    assert GROWN.encode_without_unknown_shift(MASK, annotated=(2,)).tolist() == [[0, 0, 3, 0], [VOID, 0, 0, 3]]
    assert GROWN.encode_without_unknown_shift(MASK, annotated=()).dtype == torch.uint8
    for annotated in ((), (2,), (3, 1, 2)):  # without an unknown channel there is no shift
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
    unshifted = labels.padding(saliency=saliency, without_unknown_shift=True)
    assert labels.encode_without_unknown_shift(nothing, ()).item() == unshifted == 0


# --- a constant background -------------------------------------------------------------------------------------------

AUXILIARY = LabelSpace(((3, 1), (2,)), unknown=True, activation="sigmoid", constant_background=True)
CONSTANT = LabelSpace(((3, 1), (2,)), unknown=False, activation="sigmoid", constant_background=True)


def test_a_constant_background_has_a_head_of_its_own_and_its_channel_stays() -> None:
    assert (AUXILIARY.head_sizes, AUXILIARY.constant_head, AUXILIARY.background_channel) == ((1, 1, 2, 1), 1, 1)
    assert (CONSTANT.head_sizes, CONSTANT.constant_head, CONSTANT.background_channel) == ((1, 2, 1), 0, 0)
    assert (GROWN.constant_head, PLAIN.constant_head) == (None, None)
    assert [labels.first_scored_channel for labels in (AUXILIARY, CONSTANT, GROWN, PLAIN)] == [1, 0, 0, 0]


@given(label_spaces())
def test_a_label_space_is_read_as_it_was_written(labels: LabelSpace) -> None:
    assert LabelSpace.from_dict(json.loads(json.dumps(labels.to_dict()))) == labels


def test_a_softmax_has_no_constant_background() -> None:
    described = PLAIN.to_dict() | {"constant_background": True}
    with pytest.raises(UserError, match="not valid"):
        LabelSpace.from_dict(described)


# --- a network that learned in several steps as the base of another scenario -----------------------------------------


def test_as_a_base_its_heads_and_channels_stay_and_its_classes_have_other_ids() -> None:
    base = GROWN.as_base((1, 2, 3))
    assert (base.groups, base.head_sizes) == (((1, 2, 3),), GROWN.head_sizes)
    assert [base.channel_of(new) for new in (1, 2, 3)] == [GROWN.channel_of(old) for old in GROWN.classes]
    assert base.with_step((4,)).head_sizes == (*GROWN.head_sizes, 1)
    assert BASE.as_base(BASE.classes) == BASE  # one head is nothing new


@given(label_spaces())
def test_as_a_base_a_label_space_survives_its_file(labels: LabelSpace) -> None:
    base = labels.as_base(labels.classes)
    assert base.head_sizes == labels.head_sizes
    assert LabelSpace.from_dict(json.loads(json.dumps(base.to_dict()))) == base


@pytest.mark.parametrize("heads", [[1], [2, 2], [3, 0], ["3"], 3, [True, 2]])
def test_heads_that_do_not_share_out_the_base_classes_are_refused(heads: Any) -> None:
    with pytest.raises(UserError, match="label space is not"):
        LabelSpace.from_dict({**GROWN.as_base((1, 2, 3)).to_dict(), "base_heads": heads})
