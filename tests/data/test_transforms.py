"""Image and target stay together through resizing, cropping, padding and flipping."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from ssul.data.transforms import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    RandomScale,
    centre_crop,
    normalise,
    resize_target,
    training_transform,
)
from ssul.files import VOID

MEAN_COLOUR = torch.tensor([round(255 * mean) for mean in IMAGENET_MEAN], dtype=torch.uint8)[:, None, None]
Labels = NDArray[np.uint8]
values = st.sampled_from([0, 1, 2, 20, VOID])
labels = arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=24), elements=values)
# No image shrinks to a single pixel here: torch cannot resize a colour image to 1 x 1.
pictures = arrays.arrays(
    np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, min_side=4, max_side=24), elements=values
)
lengths = st.integers(1, 60)


def transformed(transform: v2.Transform, image: Tensor, target: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        image, target = transform(tv_tensors.Image(image), tv_tensors.Mask(target))
    return image.as_subclass(Tensor), target.as_subclass(Tensor)


def between_two_pixels(old: int, new: int) -> NDArray[np.bool_]:
    """Which of the new pixels' centres lie exactly on the border of two old pixels: either of the two is nearest."""
    return (2 * np.arange(new) + 1) * old % (2 * new) == 0


# --- resizing a target ------------------------------------------------------------------------------------------------


@given(labels, lengths, lengths)
def test_a_target_is_resized_as_pil_does(target: Labels, height: int, width: int) -> None:
    expected = np.asarray(Image.fromarray(target).resize((width, height), Image.Resampling.NEAREST))
    resized = resize_target(torch.from_numpy(target), [height, width]).numpy()
    rows, columns = between_two_pixels(target.shape[0], height), between_two_pixels(target.shape[1], width)
    decided = ~rows[:, None] & ~columns[None, :]
    assert resized.shape == (height, width)
    assert resized.dtype == np.uint8
    np.testing.assert_array_equal(resized[decided], expected[decided])


@pytest.mark.parametrize("size", [(366, 500), (250, 333), (183, 251), (731, 999)])
def test_a_target_of_voc_size_is_resized_as_pil_does(size: tuple[int, int]) -> None:
    target = np.random.default_rng(0).integers(0, 21, (366, 500), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(target).resize(size[::-1], Image.Resampling.NEAREST))
    rows, columns = (between_two_pixels(old, new) for old, new in zip(target.shape, size, strict=True))
    decided = ~rows[:, None] & ~columns[None, :]
    resized = resize_target(torch.from_numpy(target), list(size)).numpy()
    np.testing.assert_array_equal(resized[decided], expected[decided])


@given(labels, lengths, lengths)
def test_resizing_invents_no_label(target: Labels, height: int, width: int) -> None:
    assert set(np.unique(resize_target(torch.from_numpy(target), [height, width]))) <= set(np.unique(target))


def test_enlarging_by_two_doubles_every_pixel() -> None:
    doubled = resize_target(torch.tensor([[1, 2], [3, VOID]], dtype=torch.uint8), [4, 4])
    assert doubled.tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, VOID, VOID], [3, 3, VOID, VOID]]


# --- random resizing --------------------------------------------------------------------------------------------------


@given(st.integers(0, 1000), st.integers(4, 40), st.integers(4, 40))
def test_a_random_size_lies_in_the_range_and_is_the_same_for_image_and_target(
    seed: int, height: int, width: int
) -> None:
    scale = RandomScale(0.5, 2.0)
    image, target = transformed(
        scale, torch.zeros(3, height, width, dtype=torch.uint8), torch.zeros(height, width), seed
    )
    assert image.shape[1:] == target.shape
    for new, old in zip(target.shape, (height, width), strict=True):
        assert round(0.5 * old) <= new <= round(2.0 * old)


def test_random_sizes_differ_and_keep_the_proportions() -> None:
    image, target = torch.zeros(3, 100, 200, dtype=torch.uint8), torch.zeros(100, 200, dtype=torch.uint8)
    sizes = [tuple(transformed(RandomScale(0.5, 2.0), image, target, seed)[1].shape) for seed in range(20)]
    assert len(set(sizes)) > 15
    assert all(abs(width - 2 * height) <= 2 for height, width in sizes)
    assert min(sizes)[0] < 75
    assert max(sizes)[0] > 150


def test_a_scale_of_one_changes_nothing() -> None:
    image = torch.randint(0, 256, (3, 7, 9), dtype=torch.uint8)
    target = torch.randint(0, 3, (7, 9), dtype=torch.uint8)
    same_image, same_target = transformed(RandomScale(1.0, 1.0), image, target, seed=0)
    assert torch.equal(same_image, image)
    assert torch.equal(same_target, target)


# --- the central square -----------------------------------------------------------------------------------------------


def published_crop(picture: Image.Image, side: int, resampling: Image.Resampling) -> NDArray[np.uint8]:
    """The published code's ExtResize and ExtCenterCrop, in PIL."""
    width, height = picture.size
    short, long = min(width, height), max(width, height)
    stretched = int(side * long / short)
    size = (side, stretched) if width <= height else (stretched, side)
    resized = picture.resize(size, resampling)
    left, top = round((size[0] - side) / 2.0), round((size[1] - side) / 2.0)
    return np.asarray(resized.crop((left, top, left + side, top + side)))


@given(pictures, st.integers(2, 40), st.integers(0, 100))
def test_the_central_square_is_the_published_codes(drawn: Labels, side: int, seed: int) -> None:
    photograph = np.random.default_rng(seed).integers(0, 256, (*drawn.shape, 3), dtype=np.uint8)
    image, target = centre_crop(torch.from_numpy(photograph).permute(2, 0, 1), torch.from_numpy(drawn), side)
    expected = published_crop(Image.fromarray(photograph), side, Image.Resampling.BILINEAR)
    assert (image.shape, image.dtype) == ((3, side, side), torch.uint8)
    assert (target.shape, target.dtype) == ((side, side), torch.uint8)
    assert np.abs(image.permute(1, 2, 0).numpy().astype(int) - expected).max() <= 1
    assert set(target.unique().tolist()) <= set(np.unique(drawn).tolist())


@pytest.mark.parametrize("shape", [(375, 500), (500, 333), (400, 400), (300, 1001)])
@pytest.mark.parametrize("side", [513, 256, 127])
def test_the_central_square_of_a_truth_is_the_published_codes(shape: tuple[int, int], side: int) -> None:
    drawn = np.random.default_rng(0).integers(0, 21, shape, dtype=np.uint8)
    _, target = centre_crop(torch.from_numpy(drawn).expand(3, -1, -1), torch.from_numpy(drawn), side)
    expected = published_crop(Image.fromarray(drawn), side, Image.Resampling.NEAREST)
    resized = [side * length // min(shape) for length in shape]
    rows, columns = (
        between_two_pixels(old, new)[round((new - side) / 2) :][:side] for old, new in zip(shape, resized, strict=True)
    )
    decided = ~rows[:, None] & ~columns[None, :]
    assert decided.mean() > 0.2
    np.testing.assert_array_equal(target.numpy()[decided], expected[decided])


def test_the_central_square_is_in_the_middle_and_shows_the_whole_short_side() -> None:
    columns = torch.arange(12, dtype=torch.uint8).expand(4, 12).contiguous()
    image, target = centre_crop(columns.expand(3, -1, -1), columns, 4)
    assert target.tolist() == [[4, 5, 6, 7]] * 4
    assert torch.equal(image[0], target)


# --- all together -----------------------------------------------------------------------------------------------------


def stripes(height: int, width: int, along: int) -> Tensor:
    """A target of 0 and 1 in stripes of twelve pixels."""
    lines = (torch.arange(width if along else height) // 12 % 2).to(torch.uint8)
    return (lines[None, :] if along else lines[:, None]).expand(height, width).contiguous()


@pytest.mark.parametrize("along", [0, 1])
@pytest.mark.parametrize("seed", range(8))
def test_image_and_target_stay_aligned(seed: int, along: int) -> None:
    """The target, drawn in white on black as an image too, is where the image's bright half is."""
    target = stripes(61, 83, along)
    image = (255 * target).expand(3, -1, -1)
    image, target = transformed(training_transform(crop=64, scale=(0.6, 1.7), fill=VOID), image, target, seed)
    brightness = image[0].int()
    assert {0, 1} <= set(target.unique().tolist())
    assert (brightness[target == 1] >= 126).all()
    assert (brightness[target == 0] <= 129).all()


@pytest.mark.parametrize("seed", range(6))
def test_padding_is_void_in_the_target_and_the_mean_colour_in_the_image(seed: int) -> None:
    image = torch.full((3, 20, 50), 255, dtype=torch.uint8)
    target = torch.ones(20, 50, dtype=torch.uint8)
    image, target = transformed(training_transform(crop=64, scale=(1.0, 1.0), fill=VOID), image, target, seed)
    void = target == VOID
    assert (~void).sum() == 20 * 50  # a picture smaller than the crop is wholly in it
    assert (image[:, void] == MEAN_COLOUR[:, :, 0]).all()
    assert (image[:, ~void] == 255).all()


def test_a_crop_lies_anywhere_and_is_flipped_half_the_time() -> None:
    columns = torch.arange(48, dtype=torch.uint8).expand(40, 48).contiguous()
    transform = training_transform(crop=32, scale=(1.0, 1.0), fill=VOID)
    crops = [transformed(transform, columns.expand(3, -1, -1), columns, seed) for seed in range(60)]
    for image, target in crops:
        assert torch.equal(image[0], target)
    flipped = sum(int(target[0, 0]) > int(target[0, -1]) for _, target in crops)
    assert 15 <= flipped <= 45
    assert len({int(target.min()) for _, target in crops}) > 8


@given(pictures, st.integers(0, 1000), st.sampled_from([8, 33]), st.sampled_from([(0.5, 2.0), (1.0, 1.0), (0.5, 0.6)]))
def test_samples_have_the_crops_shape_and_no_foreign_label(
    drawn: Labels, seed: int, crop: int, scale: tuple[float, float]
) -> None:
    target = torch.from_numpy(drawn)
    image = torch.randint(0, 256, (3, *target.shape), dtype=torch.uint8)
    transform = training_transform(crop=crop, scale=scale, fill=VOID)
    new_image, new_target = transformed(transform, image, target, seed)
    assert (new_image.shape, new_image.dtype) == ((3, crop, crop), torch.uint8)
    assert (new_target.shape, new_target.dtype) == ((crop, crop), torch.uint8)
    assert set(new_target.unique().tolist()) <= {*target.unique().tolist(), VOID}


def test_the_same_random_state_gives_the_same_sample() -> None:
    image = torch.randint(0, 256, (3, 50, 60), dtype=torch.uint8)
    transform = training_transform(crop=32, scale=(0.5, 2.0), fill=VOID)
    one, two, other = (transformed(transform, image, image[0], seed) for seed in (1, 1, 2))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert not torch.equal(one[0], other[0])


# --- normalising ------------------------------------------------------------------------------------------------------


def test_images_are_normalised_as_torchvision_does() -> None:
    images = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    expected = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)])(images)
    torch.testing.assert_close(normalise(images), expected)


def test_padding_is_close_to_zero_when_normalised() -> None:
    assert normalise(MEAN_COLOUR[None]).abs().max() < 0.01
