"""A training crop equals that of torchvision's transforms on the whole image, though only the crop is computed."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from ssul.data.random_crop import CropWindow, sample_crop_window
from ssul.data.transforms import MEAN_COLOUR, resize_target
from ssul.labels.ids import VOID

Labels = NDArray[np.uint8]
values = st.sampled_from([0, 1, 2, 20, VOID])
images = arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=24), elements=values)
lengths = st.integers(2, 600)
scales = st.sampled_from([(0.5, 2.0), (1.0, 1.0), (0.5, 0.6), (1.7, 2.0), (0.1, 4.0)])


class RandomScale(v2.Transform):  # type: ignore[misc]  # torchvision brings no types
    """Resizes by one random factor; torchvision's own resizing of a Mask lies up to half a pixel beside the image."""

    def __init__(self, smallest: float, largest: float) -> None:
        super().__init__()
        self.smallest, self.largest = smallest, largest

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = functional.get_size(flat_inputs[0])
        factor = self.smallest + (self.largest - self.smallest) * torch.rand(()).item()
        return {"size": [max(1, round(height * factor)), max(1, round(width * factor))]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if isinstance(inpt, tv_tensors.Mask):
            return tv_tensors.Mask(resize_target(inpt.as_subclass(Tensor), params["size"]))
        return functional.resize(inpt, params["size"], interpolation=InterpolationMode.BILINEAR, antialias=True)


def of_the_whole(
    *parts: Tensor, seed: int, crop: int, scale: tuple[float, float], fill: int = VOID
) -> tuple[Tensor, ...]:
    """The crop of tv_tensors as torchvision makes it: everything is resized and padded first."""
    padding = {tv_tensors.Image: MEAN_COLOUR.tolist(), tv_tensors.Mask: fill}
    random_crop = v2.RandomCrop(crop, pad_if_needed=True, fill=padding)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = v2.Compose([RandomScale(*scale), random_crop, v2.RandomHorizontalFlip()])(*parts)
    return tuple(part.as_subclass(Tensor) for part in (made if len(parts) > 1 else [made]))


def window_of(height: int, width: int, seed: int, *, crop: int, scale: tuple[float, float]) -> CropWindow:
    return sample_crop_window(height, width, crop=crop, scale=scale, generator=torch.Generator().manual_seed(seed))


def sampled(window: CropWindow, target: Tensor, fill: int = VOID) -> Tensor:
    return window.target(lambda mask: mask, target, fill=fill)


def cropped(image: Tensor, target: Tensor, seed: int, fill: int = VOID, **how: Any) -> tuple[Tensor, Tensor]:
    window = window_of(*target.shape, seed, **how)
    return window.image(image), sampled(window, target, fill)


def noise(height: int, width: int, seed: int, *, channels_last: bool = True) -> tuple[Tensor, Tensor]:
    """The hardest image, in which every pixel differs from the next, and a target."""
    chance = np.random.default_rng(seed)
    image = torch.from_numpy(chance.integers(0, 256, (height, width, 3), dtype=np.uint8)).permute(2, 0, 1)
    target = torch.from_numpy(chance.integers(0, 21, (height, width), dtype=np.uint8))
    return image if channels_last else image.contiguous(), target


def levels_apart(one: Tensor, other: Tensor) -> int:
    return int((one.int() - other.int()).abs().max())


def assert_is_crop_of_the_whole(image: Tensor, target: Tensor, seed: int, **how: Any) -> float:
    """Equal targets, and images within rounding; returns the share of equal image values."""
    ours = cropped(image, target, seed, fill=7, **how)
    # channels last, because torch's kernel fails for channels first if the whole image becomes a single pixel
    together = image.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    whole = of_the_whole(tv_tensors.Image(together), tv_tensors.Mask(target), seed=seed, fill=7, **how)
    assert torch.equal(ours[1], whole[1])
    assert levels_apart(ours[0], whole[0]) <= 1
    return (ours[0] == whole[0]).float().mean().item()


@example(2, 2, 1, (0.5, 0.6), 0, False)
@given(lengths, lengths, st.integers(1, 600), scales, st.integers(0, 10**6), st.booleans())
def test_a_crop_is_that_of_the_whole_resized_image(
    height: int, width: int, crop: int, scale: tuple[float, float], seed: int, channels_last: bool
) -> None:
    image, target = noise(height, width, seed, channels_last=channels_last)
    assert_is_crop_of_the_whole(image, target, seed, crop=crop, scale=scale)


def test_a_crop_of_an_image_that_is_hardly_resized_is_that_of_the_whole() -> None:
    assert_is_crop_of_the_whole(*noise(7, 2, 620155), seed=620155, crop=1, scale=(0.5, 2.0))


@pytest.mark.parametrize("size", [(375, 500), (366, 500), (500, 333), (281, 500)])
def test_a_crop_of_voc_size_is_that_of_the_whole_resized_image(size: tuple[int, int]) -> None:
    image, target = noise(*size, 0)
    how: dict[str, Any] = {"crop": 513, "scale": (0.5, 2.0)}
    assert min(assert_is_crop_of_the_whole(image, target, seed, **how) for seed in range(12)) > 0.99


@given(st.integers(1, 600), st.integers(1, 600), st.integers(1, 600), scales, st.integers(0, 10**6))
def test_a_crop_is_that_which_torchvision_would_draw(
    height: int, width: int, crop: int, scale: tuple[float, float], seed: int
) -> None:
    """For labels alone, because torch cannot resize a colour image to 1 x 1."""
    columns = torch.arange(height * width, dtype=torch.int64).remainder(251).to(torch.uint8).view(height, width)
    window = window_of(height, width, seed, crop=crop, scale=scale)
    assert window.side == crop
    (whole,) = of_the_whole(tv_tensors.Mask(columns), seed=seed, crop=crop, scale=scale)
    assert torch.equal(sampled(window, columns), whole)


def test_a_crop_does_not_depend_on_where_the_rest_is_cut_off() -> None:
    """The same place, once in the corner, so that nearly all is left out, and once in a crop of the whole."""
    image, target = noise(90, 120, 0)
    corner, everything = (CropWindow((90, 120), (151, 201), 0, 0, side, flipped=False) for side in (40, 201))
    assert levels_apart(corner.image(image), everything.image(image)[:, :40, :40]) <= 1
    assert torch.equal(sampled(corner, target), sampled(everything, target)[:40, :40])


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 90), scales, st.integers(0, 10**6))
def test_encoding_before_and_after_sampling_are_the_same_and_the_smaller_one_is_chosen(
    height: int, width: int, crop: int, scale: tuple[float, float], seed: int
) -> None:
    _, mask = noise(height, width, seed)
    _, other = noise(height, width, seed + 1)
    window = window_of(height, width, seed, crop=crop, scale=scale)
    encoded: list[int] = []

    def encode(one: Tensor, two: Tensor) -> Tensor:
        encoded.append(one.numel())
        return one * 2 + two.clamp(max=1)

    target = window.target(encode, mask, other, fill=VOID)
    assert torch.equal(target, sampled(window, mask * 2 + other.clamp(max=1)))
    assert len(encoded) == 1
    assert encoded[0] <= min(height * width, crop * crop)


def stripes(height: int, width: int, along: int) -> Tensor:
    """A target of 0 and 1 in stripes of twelve pixels."""
    lines = (torch.arange(width if along else height) // 12 % 2).to(torch.uint8)
    return (lines[None, :] if along else lines[:, None]).expand(height, width).contiguous()


@pytest.mark.parametrize("along", [0, 1])
@pytest.mark.parametrize("seed", range(8))
def test_image_and_target_stay_aligned(seed: int, along: int) -> None:
    target = stripes(61, 83, along)
    image = (255 * target).expand(3, -1, -1)
    image, target = cropped(image, target, seed, crop=64, scale=(0.6, 1.7))
    brightness = image[0].int()
    assert {0, 1} <= set(target.unique().tolist())
    assert (brightness[target == 1] >= 126).all()
    assert (brightness[target == 0] <= 129).all()


@given(st.integers(0, 1000), lengths, lengths)
def test_a_random_size_lies_in_the_range(seed: int, height: int, width: int) -> None:
    window = window_of(height, width, seed, crop=33, scale=(0.5, 2.0))
    for new, old in zip(window.resized, (height, width), strict=True):
        assert round(0.5 * old) <= new <= round(2.0 * old)


def test_random_sizes_differ_and_keep_the_proportions() -> None:
    sizes = [window_of(100, 200, seed, crop=33, scale=(0.5, 2.0)).resized for seed in range(20)]
    assert len(set(sizes)) > 15
    assert all(abs(width - 2 * height) <= 2 for height, width in sizes)
    assert min(sizes)[0] < 75
    assert max(sizes)[0] > 150


def test_a_scale_of_one_changes_no_pixel() -> None:
    image, target = noise(16, 16, 0)
    for seed in range(4):
        flipped = window_of(16, 16, seed, crop=16, scale=(1.0, 1.0)).flipped
        same_image, same_target = cropped(image, target, seed, crop=16, scale=(1.0, 1.0))
        assert torch.equal(same_image, image.flip(2) if flipped else image)
        assert torch.equal(same_target, target.flip(1) if flipped else target)


def test_a_crop_lies_anywhere_and_is_flipped_half_the_time() -> None:
    columns = torch.arange(48, dtype=torch.uint8).expand(40, 48).contiguous()
    crops = [cropped(columns.expand(3, -1, -1), columns, seed, crop=32, scale=(1.0, 1.0)) for seed in range(60)]
    assert all(torch.equal(image[0], target) for image, target in crops)
    assert 15 <= sum(int(target[0, 0]) > int(target[0, -1]) for _, target in crops) <= 45
    assert len({int(target.min()) for _, target in crops}) > 8


@pytest.mark.parametrize("seed", range(6))
def test_padding_is_void_in_the_target_and_the_mean_colour_in_the_image(seed: int) -> None:
    image = torch.full((3, 20, 50), 255, dtype=torch.uint8)
    target = torch.ones(20, 50, dtype=torch.uint8)
    image, target = cropped(image, target, seed, crop=64, scale=(1.0, 1.0))
    void = target == VOID
    assert (~void).sum() == 20 * 50  # an image smaller than the crop is wholly in it
    assert (image[:, void] == MEAN_COLOUR[:, None]).all()
    assert (image[:, ~void] == 255).all()


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 120), st.integers(0, 10**6))
def test_published_padding_is_that_of_the_published_transforms(height: int, width: int, crop: int, seed: int) -> None:
    """All four sides by half of what the width lacks, then of what the height lacks, in black; then a random crop."""
    image, target = noise(height, width, seed)
    window = sample_crop_window(
        height,
        width,
        crop=crop,
        scale=(1.0, 1.0),
        generator=torch.Generator().manual_seed(seed),
        published_padding=True,
    )
    whole, labels = tv_tensors.Image(image), tv_tensors.Mask(target)
    for axis in (1, 0):
        lack = crop - labels.shape[axis]
        if lack > 0:
            pad = int((1 + lack) / 2)
            whole, labels = functional.pad(whole, pad), functional.pad(labels, pad, fill=9)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.rand(())  # the factor, here always 1
        whole, labels = v2.Compose([v2.RandomCrop(crop), v2.RandomHorizontalFlip()])(whole, labels)
    assert torch.equal(window.image(image), whole.as_subclass(Tensor))
    assert torch.equal(sampled(window, target, 9), labels.as_subclass(Tensor))


@example(np.zeros((1, 1), np.uint8), 0, 5, (0.5, 2.0))
@example(np.zeros((1, 7), np.uint8), 1, 5, (0.5, 2.0))
@example(np.zeros((9, 1), np.uint8), 2, 5, (0.5, 2.0))
@given(images, st.integers(0, 1000), st.sampled_from([8, 33]), scales)
def test_a_crop_has_its_shape_and_labels_and_a_size_in_the_range(
    mask: Labels, seed: int, crop: int, scale: tuple[float, float]
) -> None:
    target = torch.from_numpy(mask)
    image, _ = noise(*target.shape, seed)
    new_image, new_target = cropped(image, target, seed, crop=crop, scale=scale)
    assert (new_image.shape, new_image.dtype) == ((3, crop, crop), torch.uint8)
    assert (new_target.shape, new_target.dtype) == ((crop, crop), torch.uint8)
    assert set(new_target.unique().tolist()) <= {*target.unique().tolist(), VOID}
    for new, old in zip(window_of(*target.shape, seed, crop=crop, scale=scale).resized, target.shape, strict=True):
        assert max(1, round(scale[0] * old)) <= new <= round(scale[1] * old)


def test_a_crop_is_never_a_view_of_its_image() -> None:
    image, target = noise(16, 16, 0)
    before = image.clone(), target.clone()
    for seed in range(4):
        for made in cropped(image, target, seed, crop=16, scale=(1.0, 1.0)):
            made.fill_(9)
    assert torch.equal(image, before[0])
    assert torch.equal(target, before[1])
