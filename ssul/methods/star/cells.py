"""Labels at the resolution of the features."""

import torch
from torch import Tensor
from torch.nn import functional


def at_cell_centres(labels: Tensor, features: Tensor) -> Tensor:
    """The labels at the centres of the cells of a feature map.

    With a crop of 512 pixels and a stride of 16 these are rows and columns 8, 24, 40 and so on.

    Args:
        labels: any type, (B, H, W).
        features: (B, C, h, w); only their size counts.

    Returns:
        (B, h, w) of the same type.
    """
    rows, columns = (
        ((2 * torch.arange(cells, device=labels.device) + 1) * pixels) // (2 * cells)
        for pixels, cells in zip(labels.shape[-2:], features.shape[-2:], strict=True)
    )
    return labels[:, rows][:, :, columns]


def covered_share(mask: Tensor, features: Tensor) -> Tensor:
    """A mask shrunk bilinearly to the cells of a feature map.

    Args:
        mask: bool (B, K, H, W).
        features: float (B, C, h, w); their size and type count.

    Returns:
        float (B, K, h, w) in 0..1, in single precision at least.
    """
    precise = torch.promote_types(features.dtype, torch.float32)
    return functional.interpolate(mask.to(precise), features.shape[-2:], mode="bilinear", align_corners=False)
