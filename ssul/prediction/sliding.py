"""The logits of images of any size: whole images where they fit, overlapping windows where they do not.

The windows start at whole cells of the features. So their low-resolution logits fall on one grid, where they are
averaged, and only the average is upsampled, in stripes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

STRIDE = 32
"""Windows start at its multiples, which every network's cell divides."""
_STRIPE = 512
"""Pixel rows that are upsampled together."""
Compute = Callable[[Tensor, Tensor], Tensor]
"""(low-resolution logits (1, K, h, w), a tensor (1, 3, H, W) that has the size) -> (1, ..., H, W)."""


@dataclass(frozen=True)
class Logits:
    """The logits of one image at the resolution of the features.

    Attributes:
        low_res: float (1, K, h, w).
        size: height and width of the image in pixels.
        cell: pixels of the side of a cell, where windows were joined; None where the cells fill the image exactly.
    """

    low_res: Tensor
    size: tuple[int, int]
    cell: int | None = None

    def at_full_size(self, compute: Compute) -> Tensor:
        """What a function makes of the logits at image resolution: (..., H, W)."""
        if self.cell is None:
            return compute(self.low_res, torch.empty(1, 3, *self.size, device="meta"))[0]
        rows, columns = self.low_res.shape[-2:]
        step, stripes = max(1, _STRIPE // self.cell), []
        for top in range(0, rows, step):
            first, last = max(0, top - 1), min(rows, top + step + 1)  # a cell more, because neighbours interpolate
            size = torch.empty(1, 3, (last - first) * self.cell, columns * self.cell, device="meta")
            made = compute(self.low_res[:, :, first:last], size)[0]
            skipped = (top - first) * self.cell
            stripes.append(made[..., skipped : skipped + step * self.cell, :])
        return torch.cat(stripes, dim=-2)[..., : self.size[0], : self.size[1]]


def logits_of(network: Any, image: Tensor, window: int, device: torch.device) -> Logits:
    """Runs a network on an image.

    Args:
        network: see `ssul.inference.predict.setup_for_inference`.
        image: uint8 (3, H, W), on the CPU.
        window: the side in pixels up to which an image is seen whole, and of the windows of a larger one; a multiple
            of `STRIDE`.
        device: the network's.
    """
    size = (image.shape[1], image.shape[2])
    if max(size) <= window:
        return Logits(_forward(network, image, device), size)
    tops, lefts = (_starts(length, window) for length in size)
    total, weights, cell = torch.empty(0), torch.empty(0), 0
    for top in tops:
        for left in lefts:
            part = image[:, top : top + window, left : left + window]
            found = _forward(network, part, device).float()
            if not cell:  # from a side of the whole window, because other sides may end within a cell
                cell = window // max(found.shape[-2:])
                grid = [-(-length // cell) for length in size]
                total, weights = found.new_zeros(1, found.shape[1], *grid), found.new_zeros(1, 1, *grid)
            weight = _ramp(found.shape[-2], found.device)[:, None] * _ramp(found.shape[-1], found.device)
            rows = slice(top // cell, top // cell + found.shape[-2])
            columns = slice(left // cell, left // cell + found.shape[-1])
            total[:, :, rows, columns] += found * weight
            weights[:, :, rows, columns] += weight
    return Logits(total / weights, size, cell)


def _forward(network: Any, image: Tensor, device: torch.device) -> Tensor:
    with torch.inference_mode():
        found: Tensor = network.forward_low_res(network.normalisation.network_input(image[None].to(device)))
        return found


def _starts(length: int, window: int) -> list[int]:
    """Where the windows of one side start: at most half a window apart, evenly, the last one at the end."""
    if length <= window:
        return [0]
    last = -(-(length - window) // STRIDE) * STRIDE  # this window ends within the last cell
    count = -(-last // (window // 2))
    return [round(last * place / count / STRIDE) * STRIDE for place in range(count + 1)]


def _ramp(cells: int, device: torch.device) -> Tensor:
    """Weights float (cells,) that rise to a window's middle, because its border knows less of what is around it."""
    place = torch.arange(cells, device=device)
    return 1.0 + torch.minimum(place, cells - 1 - place)
