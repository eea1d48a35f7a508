"""What is kept of three old classes, by hand."""

import torch
from torch import Tensor
from torch.nn import functional

from ssul.methods.star.kept import Kept


def kept_of_three(channels: int = 16, *, overlapped: bool = True, dtype: torch.dtype = torch.float32) -> Kept:
    """Three classes of 50, 9 and 30 features, and a background of 80."""
    generator = torch.Generator().manual_seed(5)

    def drawn(*size: int) -> Tensor:
        return torch.rand(*size, generator=generator).to(dtype)

    return Kept(
        prototypes=functional.normalize(drawn(3, channels), dim=1),
        spread=0.1 * drawn(3, channels),
        length_mean=1 + drawn(3),
        length_std=0.2 * drawn(3),
        counts=torch.tensor([50, 9, 30]),
        background=torch.tensor(80.0, dtype=torch.float64),
        images_repeat=torch.tensor(overlapped),
    )
