"""Predictions from low-resolution logits equal those of all logits at full size."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from ssul.data.dataset import LabeledImage
from ssul.inference import predict as prediction
from ssul.inference.predict import possible_winners, predict
from ssul.labels.scores import fold_unknown
from ssul.labels.space import Activation, LabelSpace
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.model.normalisation import Normalisation

# [unknown][background][3][1], and the same without the unknown
FOLDING = LabelSpace(((3, 1),), unknown=True, activation="sigmoid")
PLAIN = LabelSpace(((3, 1),), unknown=False, activation="softmax")


def test_images_are_normalised_as_the_network_asks() -> None:
    own = Normalisation((0.5, 0.5, 0.5), (0.5, 0.25, 0.5))
    model = IncrementalDeepLab(Architecture("small", "deeplabv3", 16, 8, mean=own.mean, std=own.std), (1, 1, 2)).eval()
    photograph = torch.randint(0, 256, (3, 40, 56), dtype=torch.uint8)
    image = LabeledImage("a", photograph, torch.zeros(40, 56, dtype=torch.uint8), None)
    (made,) = prediction.predict_images(model, [image], torch.device("cpu"))
    assert torch.equal(made.inputs, own.normalise(photograph[None]))
    assert torch.equal(made.low_res, model.forward_low_res(own.network_input(photograph[None])))


@st.composite
def spaces_and_logits(draw: st.DrawFn) -> tuple[LabelSpace, Tensor, Tensor]:
    """A label space of 2 to 160 channels, low-resolution logits for it, and larger or smaller images."""
    channels = draw(st.integers(2, 12) | st.integers(13, 160))
    unknown = channels > 2 and draw(st.booleans())
    activation: Activation = draw(st.sampled_from(["sigmoid", "softmax"]))
    classes = channels - 1 - int(unknown)
    base = draw(st.integers(1, classes))
    groups = tuple(filter(None, (tuple(range(1, base + 1)), tuple(range(base + 1, classes + 1)))))
    sides = st.integers(1, 7)
    batch, height, width = draw(st.integers(1, 2)), draw(sides), draw(sides)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    levels = draw(st.sampled_from([0.0, 3.0])) * torch.randn(channels, 1, 1, generator=generator)
    low_res = levels + draw(st.sampled_from([0.3, 3.0])) * torch.randn(
        batch, channels, height, width, generator=generator
    )
    images = torch.zeros(batch, 3, draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    return LabelSpace(groups, unknown, activation), low_res, images


@pytest.fixture(params=[1, 5, 200])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "_AT_ONCE_ON_CPU", request.param)


def full_size(low_res: Tensor, images: Tensor) -> Tensor:
    return functional.interpolate(low_res, size=images.shape[-2:], mode="bilinear", align_corners=False)


@pytest.mark.usefixtures("at_once")
@given(spaces_and_logits())
def test_the_prediction_is_the_arg_max_of_all_scores_at_full_size(case: tuple[LabelSpace, Tensor, Tensor]) -> None:
    labels, low_res, images = case
    scores = fold_unknown(labels, full_size(low_res, images))
    best = scores.topk(2, dim=1).values
    decided = best[:, 0] - best[:, 1] > 1e-6  # closer than that is rounding
    found = predict(labels, low_res, images)
    assert found.dtype == torch.uint8
    assert torch.equal(found[decided].long(), scores.argmax(dim=1)[decided])
    taken = scores.gather(1, found[:, None].long())[:, 0]
    assert (taken >= best[:, 0] - 1e-6).all()
    assert torch.equal(predict(labels, low_res.contiguous(memory_format=torch.channels_last), images), found)


@pytest.mark.usefixtures("at_once")
@given(spaces_and_logits())
def test_without_a_background_the_prediction_is_the_arg_max_of_the_classes(
    case: tuple[LabelSpace, Tensor, Tensor],
) -> None:
    labels, low_res, images = case
    logits = full_size(low_res, images)[:, labels.first_class_channel :]
    found = predict(labels, low_res, images, background=False)
    assert found.dtype == torch.uint8
    taken = logits.gather(1, found[:, None].long() - 1)[:, 0]  # class indices start at 1
    assert (taken >= logits.amax(dim=1) - 1e-5).all()


@given(spaces_and_logits())
def test_a_channel_that_is_the_greatest_somewhere_is_a_possible_winner(case: tuple[LabelSpace, Tensor, Tensor]) -> None:
    _, low_res, images = case
    winners = full_size(low_res, images).argmax(dim=1).unique().tolist()
    assert set(winners) <= set(possible_winners(low_res).tolist())


def columns(*pixels: list[float]) -> Tensor:
    """Low-resolution logits (1, K, 1, w), one column for each pixel."""
    return torch.tensor(pixels).T[None, :, None, :]


def test_a_channel_that_is_below_another_everywhere_is_not() -> None:
    # the second stays below the first; the third is above it in the middle only, the fourth at one end
    low_res = columns([2.0, 1.0, 0.0, 3.0], [2.0, 1.0, 2.5, 0.0], [2.0, 1.9, 0.0, 0.0])
    assert possible_winners(low_res).tolist() == [0, 2, 3]


def test_a_channel_may_win_between_two_pixels_of_which_it_wins_neither() -> None:
    low_res = columns([9.0, 0.0, 7.0], [0.0, 9.0, 7.0])  # a third of the way 6, 3 and 7
    assert possible_winners(low_res).tolist() == [0, 1, 2]
    assert predict(PLAIN, low_res, torch.zeros(1, 3, 1, 6)).tolist() == [[[0, 0, 2, 2, 1, 1]]]


def test_the_first_of_equal_channels_wins() -> None:
    low_res = columns([1.0, 1.0, 1.0])
    assert possible_winners(low_res).tolist() == [0, 1, 2]
    assert predict(PLAIN, low_res, torch.zeros(1, 3, 2, 2)).unique().tolist() == [0]
    assert predict(PLAIN, columns([0.0, 1.0, 1.0]), torch.zeros(1, 3, 2, 2)).unique().tolist() == [1]


def test_background_and_unknown_together_can_beat_a_class() -> None:
    low_res = torch.logit(columns([0.4, 0.3, 0.6, 0.1], [0.1, 0.2, 0.6, 0.1]))
    assert predict(FOLDING, low_res, torch.zeros(1, 3, 1, 2)).tolist() == [[[0, 1]]]


def test_without_a_winning_class_all_is_background() -> None:
    low_res = columns([5.0, 1.0, -9.0, -9.0], [1.0, 5.0, -9.0, -9.0])
    assert predict(FOLDING, low_res, torch.zeros(1, 3, 3, 4)).unique().tolist() == [0]


def test_a_class_below_the_background_everywhere_is_predicted_where_there_is_no_background() -> None:
    low_res = columns([5.0, 1.0, -9.0, -8.0], [1.0, 5.0, -8.0, -9.0])
    assert predict(FOLDING, low_res, torch.zeros(1, 3, 1, 2), background=False).tolist() == [[[2, 1]]]


def test_half_precision_logits_are_upsampled_in_single_precision() -> None:
    low_res = torch.randn(1, 4, 5, 6, generator=torch.Generator().manual_seed(0)).bfloat16()
    images = torch.zeros(1, 3, 40, 50)
    assert torch.equal(predict(FOLDING, low_res, images), predict(FOLDING, low_res.float(), images))


def test_at_most_8_channels_are_held_at_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, sizes = LabelSpace((tuple(range(1, 151)),), unknown=True, activation="sigmoid"), []
    upsample = prediction.upsample

    def watched(logits: Tensor, images: Tensor, **how: bool) -> Tensor:
        made = upsample(logits, images, **how)
        sizes.append(made.numel())
        return made

    monkeypatch.setattr(prediction, "upsample", watched)
    low_res = torch.randn(1, 152, 8, 8, generator=torch.Generator().manual_seed(0))
    predict(labels, low_res, torch.zeros(1, 3, 400, 400))
    assert max(sizes) == 8 * 400 * 400
