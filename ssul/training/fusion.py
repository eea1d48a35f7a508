"""Endpoints weight fusion (EWF, CVPR 2023): a step ends between the network before it and the one that it trained."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ssul.model.deeplab import IncrementalDeepLab


@dataclass(frozen=True)
class WeightFusion:
    """Old weights, and the share of the trained ones in the fusion.

    Attributes:
        before: the floating tensors of the network before the step, statistics included, by name; on the CPU.
        share: of the trained weights, 0..1.
    """

    before: Mapping[str, Tensor]
    share: float

    @classmethod
    def with_network_before(cls, model: IncrementalDeepLab, *, old: int, new: int) -> "WeightFusion":
        """The fusion of a step: the trained weights have the share sqrt(new / (new + old)).

        Args:
            model: the network before it grows.
            old: how many classes it knows, background included.
            new: how many classes the step learns.
        """
        state = {name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
        before = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
        return cls(before, math.sqrt(new / (new + old)))

    @torch.no_grad()
    def apply(self, model: IncrementalDeepLab) -> None:
        """Turns every tensor that the network had before into (1 - share) * before + share * trained, in place.

        What did not change stays the same to the bit. Tensors of the new head, and counts, stay as trained.
        """
        state = model.state_dict()
        for name, before in self.before.items():
            trained = state[name]
            trained.copy_(torch.lerp(before.to(trained.device), trained, self.share))
