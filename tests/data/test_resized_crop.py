"""A crop by area and aspect is torchvision's RandomResizedCrop, with targets by the nearest pixel centre."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from ssul.data.resized_crop import ASPECT, ResizedCrop, sample_resized_crop
from ssul.data.transforms import resize_target
from ssul.labels.ids import VOID

lengths = st.integers(1, 300)
areas = st.sampled_from([(0.5, 2.0), (0.08, 1.0), (1.5, 2.0)])


def drawn(height: int, width: int, seed: int, *, crop: int = 33, area: tuple[float, float] = (0.5, 2.0)) -> ResizedCrop:
    return sample_resized_crop(height, width, crop=crop, area=area, generator=torch.Generator().manual_seed(seed))


def noise(height: int, width: int, seed: int) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).permute(2, 0, 1)
    return image, torch.from_numpy(rng.integers(0, 21, (height, width), dtype=np.uint8))


@given(st.integers(2, 300), st.integers(2, 300), st.integers(2, 200), areas, st.integers(0, 10**6))
def test_it_is_the_crop_that_torchvision_draws_and_resizes(
    height: int, width: int, crop: int, area: tuple[float, float], seed: int
) -> None:
    image, target = noise(height, width, seed)
    ours = drawn(height, width, seed, crop=crop, area=area)
    transform = v2.Compose([v2.RandomResizedCrop(crop, scale=area, ratio=ASPECT), v2.RandomHorizontalFlip()])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        whole = transform(tv_tensors.Image(image)).as_subclass(Tensor)
    assert torch.equal(ours.image(image), whole)
    part = target[ours.top : ours.top + ours.height, ours.left : ours.left + ours.width]
    expected = resize_target(part, [crop, crop])
    assert torch.equal(
        ours.target(lambda mask: mask, target, fill=VOID), expected.flip(-1) if ours.flipped else expected
    )


@given(lengths, lengths, areas, st.integers(0, 10**6))
def test_the_rectangle_lies_within_the_image_and_nothing_is_padded(
    height: int, width: int, area: tuple[float, float], seed: int
) -> None:
    window = drawn(height, width, seed, area=area)
    assert 0 <= window.top <= height - window.height
    assert 0 <= window.left <= width - window.width
    assert min(window.height, window.width) > 0
    square = window.target(lambda mask: mask, torch.zeros(height, width, dtype=torch.uint8), fill=VOID)
    assert square.shape == (33, 33)
    assert not square.any()


@pytest.mark.parametrize("seed", range(8))
def test_image_and_target_stay_aligned(seed: int) -> None:
    target = (torch.arange(83) // 12 % 2).to(torch.uint8).expand(61, 83).contiguous()
    window = drawn(61, 83, seed, crop=64)
    bright = window.image((255 * target).expand(3, -1, -1))[0].int()
    shown = window.target(lambda mask: mask, target, fill=VOID)
    assert (bright[shown == 1] >= 126).all()
    assert (bright[shown == 0] <= 129).all()


def test_a_crop_is_never_a_view_of_the_image() -> None:
    image, target = noise(16, 16, 0)
    before = image.clone(), target.clone()
    window = ResizedCrop(0, 0, 16, 16, 16, flipped=False)
    window.image(image).fill_(9)
    window.target(lambda mask: mask, target, fill=VOID).fill_(9)
    assert torch.equal(image, before[0])
    assert torch.equal(target, before[1])
