"""Transforms of whole images: resized targets, the centre crop, normalised images."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ssul.data.transforms import MEAN_COLOUR, centre_crop, resize_target
from ssul.labels.ids import VOID
from ssul.model.normalisation import Normalisation

Labels = NDArray[np.uint8]
values = st.sampled_from([0, 1, 2, 20, VOID])
labels = arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=24), elements=values)
# No image shrinks to a single pixel here: torch cannot resize a colour image to 1 x 1.
images = arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, min_side=4, max_side=24), elements=values)
lengths = st.integers(1, 60)
VOC_SIZE = np.random.default_rng(0).integers(0, 21, (366, 500), dtype=np.uint8)


def between_two_pixels(old: int, new: int) -> NDArray[np.bool_]:
    """Which of the new pixels' centres lie exactly on the border of two old pixels: either of the two is nearest."""
    return (2 * np.arange(new) + 1) * old % (2 * new) == 0


def assert_nearest(ours: Tensor, pillows: NDArray[np.uint8], *decided: NDArray[np.bool_]) -> None:
    """Equality, except where two old pixels are equally near."""
    rows, columns = decided
    known = ~rows[:, None] & ~columns[None, :]
    assert ours.dtype == torch.uint8
    np.testing.assert_array_equal(ours.numpy()[known], pillows[known])


@example(VOC_SIZE, 366, 500)
@example(VOC_SIZE, 250, 333)
@example(VOC_SIZE, 183, 251)
@example(VOC_SIZE, 731, 999)
@given(labels, lengths, lengths)
def test_a_target_is_resized_as_by_pil(target: Labels, height: int, width: int) -> None:
    expected = np.asarray(Image.fromarray(target).resize((width, height), Image.Resampling.NEAREST))
    resized = resize_target(torch.from_numpy(target), [height, width])
    assert resized.shape == (height, width)
    assert set(resized.unique().tolist()) <= set(np.unique(target).tolist())
    rows, columns = between_two_pixels(target.shape[0], height), between_two_pixels(target.shape[1], width)
    assert_nearest(resized, expected, rows, columns)


def test_enlarging_by_two_doubles_every_pixel() -> None:
    doubled = resize_target(torch.tensor([[1, 2], [3, VOID]], dtype=torch.uint8), [4, 4])
    assert doubled.tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, VOID, VOID], [3, 3, VOID, VOID]]


def published_crop(image: Image.Image, side: int, resampling: Image.Resampling) -> NDArray[np.uint8]:
    """The published code's ExtResize and ExtCenterCrop, in PIL."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    stretched = int(side * long / short)
    size = (side, stretched) if width <= height else (stretched, side)
    resized = image.resize(size, resampling)
    left, top = round((size[0] - side) / 2.0), round((size[1] - side) / 2.0)
    return np.asarray(resized.crop((left, top, left + side, top + side)))


@given(images, st.integers(2, 40), st.integers(0, 100))
def test_the_centre_crop_of_an_image_is_the_published_codes(drawn: Labels, side: int, seed: int) -> None:
    photograph = np.random.default_rng(seed).integers(0, 256, (*drawn.shape, 3), dtype=np.uint8)
    image, target = centre_crop(torch.from_numpy(photograph).permute(2, 0, 1), torch.from_numpy(drawn), side)
    expected = published_crop(Image.fromarray(photograph), side, Image.Resampling.BILINEAR)
    assert (image.shape, image.dtype) == ((3, side, side), torch.uint8)
    assert (target.shape, target.dtype) == ((side, side), torch.uint8)
    assert np.abs(image.permute(1, 2, 0).numpy().astype(int) - expected).max() <= 1
    assert set(target.unique().tolist()) <= set(np.unique(drawn).tolist())


@pytest.mark.parametrize("shape", [(375, 500), (500, 333), (400, 400), (300, 1001)])
@pytest.mark.parametrize("side", [513, 256, 127])
def test_the_centre_crop_of_a_target_is_the_published_codes(shape: tuple[int, int], side: int) -> None:
    drawn = np.random.default_rng(0).integers(0, 21, shape, dtype=np.uint8)
    _, target = centre_crop(torch.from_numpy(drawn).expand(3, -1, -1), torch.from_numpy(drawn), side)
    expected = published_crop(Image.fromarray(drawn), side, Image.Resampling.NEAREST)
    resized = [side * length // min(shape) for length in shape]
    rows, columns = (
        between_two_pixels(old, new)[round((new - side) / 2) :][:side] for old, new in zip(shape, resized, strict=True)
    )
    assert (~rows[:, None] & ~columns[None, :]).mean() > 0.2
    assert_nearest(target, expected, rows, columns)


def test_the_centre_crop_contains_the_whole_short_side() -> None:
    columns = torch.arange(12, dtype=torch.uint8).expand(4, 12).contiguous()
    image, target = centre_crop(columns.expand(3, -1, -1), columns, 4)
    assert target.tolist() == [[4, 5, 6, 7]] * 4
    assert torch.equal(image[0], target)


def test_padding_is_close_to_zero_when_normalised() -> None:
    assert Normalisation().normalise(MEAN_COLOUR[None, :, None, None]).abs().max() < 0.01
