"""Windows give the logits that a whole image gives, as far as the network looks no farther than a window."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from ssul.model.deeplab import upsample
from ssul.model.normalisation import Normalisation
from ssul.prediction.sliding import logits_of

CPU = torch.device("cpu")


NORMALISATION = Normalisation()


class Local:
    """A network whose logits in a cell depend on this cell alone."""

    def __init__(self, cell: int) -> None:
        self.cell, self.seen = cell, list[tuple[int, ...]]()

    normalisation = NORMALISATION

    def forward_low_res(self, images: Tensor) -> Tensor:
        self.seen.append(tuple(images.shape[-2:]))
        return functional.avg_pool2d(images, self.cell, ceil_mode=True)


def image_of(height: int, width: int) -> Tensor:
    return torch.randint(256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_an_image_that_fits_is_seen_whole() -> None:
    network, image = Local(16), image_of(100, 128)
    found = logits_of(network, image, 128, CPU)
    assert network.seen == [(100, 128)]
    expected = upsample(network.forward_low_res(NORMALISATION.network_input(image[None])), image)[0]
    assert torch.equal(found.at_full_size(upsample), expected)


@settings(max_examples=20)
@given(st.integers(1, 400), st.integers(129, 400), st.sampled_from([4, 8, 16, 32]), st.booleans())
def test_windows_of_a_local_network_join_without_a_seam(short: int, long: int, cell: int, upright: bool) -> None:
    size = (long, short) if upright else (short, long)
    network, image = Local(cell), image_of(*size)
    found = logits_of(network, image, 128, CPU)
    assert len(network.seen) > 1
    assert max(max(seen) for seen in network.seen) <= 128
    padded = torch.empty(1, 3, *(-(-length // cell) * cell for length in size))
    expected = upsample(network.forward_low_res(NORMALISATION.network_input(image[None])), padded)[
        0, :, : size[0], : size[1]
    ]
    assert found.at_full_size(upsample).shape == (3, *size)
    assert torch.allclose(found.at_full_size(upsample), expected, atol=1e-4)


@pytest.mark.parametrize("length", [129, 144, 200, 1000])
def test_neighbouring_windows_share_half_of_their_pixels(length: int) -> None:
    class Watched(Local):
        def forward_low_res(self, images: Tensor) -> Tensor:
            places.append(images[0, 0, 0, 0].item())
            return super().forward_low_res(images)

    places: list[float] = []
    image = torch.zeros(3, 16, length, dtype=torch.uint8)
    image[:, 0] = torch.arange(length) // 16  # where a window starts, in cells
    logits_of(Watched(16), image, 128, CPU)
    starts = [round(255 * (0.229 * place + 0.485)) * 16 for place in places]
    assert starts[0] == 0
    assert all(0 < later - earlier <= 80 for earlier, later in pairwise(starts))
    assert starts[-1] + 128 >= length
