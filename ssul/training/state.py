"""The state of a training between two iterations, from which another process resumes to the bit.

A sample, its augmentation, its dropout and the learning rates are functions of the iteration alone. So the state is
small: the weights that learn, the statistics of BatchNorm, the momentum, in half precision the scaling of gradients,
and torch's random state, for future methods that draw from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

_LEARNED, _MOMENTUM, _BUFFER = "learned.", "momentum.", "momentum_buffer"
_RANDOM, _CUDA_RANDOM, _SCALING = "random.cpu", "random.cuda", "scaling."
NO_SCALING: Mapping[str, float] = MappingProxyType({})


class StateMismatchError(Exception):
    """A state does not belong to this training; the message is one line."""


@dataclass(frozen=True)
class TrainingState:
    """The state of a training.

    Attributes:
        iteration: the number of iterations done.
        tensors: copies on the CPU, by name: `learned.*`, `momentum.*`, `random.*`, `scaling.*`.
    """

    iteration: int
    tensors: Mapping[str, Tensor]


def capture(
    objective: nn.Module, optimizer: torch.optim.Optimizer, iteration: int, scaling: Mapping[str, float] = NO_SCALING
) -> TrainingState:
    """The state of a training after an iteration, without frozen weights, because they are the same at every start.

    Args:
        objective, optimizer: of the training.
        iteration: iterations done.
        scaling: the state of what scales gradients; empty but in half precision.
    """
    tensors = {_LEARNED + name: tensor for name, tensor in _changing(objective).items()}
    for name, parameter in _optimised(objective, optimizer).items():
        momentum = optimizer.state.get(parameter, {}).get(_BUFFER)
        if momentum is not None:
            tensors[_MOMENTUM + name] = momentum
    tensors[_RANDOM] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors[_CUDA_RANDOM] = torch.cuda.get_rng_state()
    tensors |= {_SCALING + name: torch.tensor(value, dtype=torch.float64) for name, value in scaling.items()}
    return TrainingState(iteration, {name: _copied(tensor) for name, tensor in tensors.items()})


def restore(
    state: TrainingState,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaling: Mapping[str, float] = NO_SCALING,
) -> dict[str, float]:
    """Restores a state in a training that was just made and moved to its device.

    Args:
        state: what is restored.
        objective, optimizer: of the training; they are changed.
        scaling: the present state of what scales gradients.

    Returns:
        The saved state of what scales gradients.

    Raises:
        StateMismatchError: if it is the state of another training; nothing is changed.
    """
    changing, optimised, tensors = _changing(objective), _optimised(objective, optimizer), state.tensors
    needed = {_LEARNED + name: tensor for name, tensor in changing.items()} | {_RANDOM: torch.get_rng_state()}
    needed |= {_SCALING + name: torch.zeros((), dtype=torch.float64) for name in scaling}
    known = needed | {_MOMENTUM + name: parameter for name, parameter in optimised.items()}
    if missing := needed.keys() - tensors.keys():
        raise StateMismatchError(f"{min(missing)} is missing")
    for name in sorted(tensors.keys() - {_CUDA_RANDOM}):
        if name not in known:
            raise StateMismatchError(f"{name} is unknown")
        if (tensors[name].shape, tensors[name].dtype) != (known[name].shape, known[name].dtype):
            raise StateMismatchError(f"{name} has another shape or type")
    for name, tensor in changing.items():
        tensor.detach().copy_(tensors[_LEARNED + name])
    for name, parameter in optimised.items():
        if _MOMENTUM + name in tensors:
            # in the layout of the weight, because the same sum over another layout may round differently
            momentum = torch.empty_like(parameter, requires_grad=False).copy_(tensors[_MOMENTUM + name])
            optimizer.state[parameter][_BUFFER] = momentum
    torch.set_rng_state(tensors[_RANDOM])
    if torch.cuda.is_available() and _CUDA_RANDOM in tensors:
        torch.cuda.set_rng_state(tensors[_CUDA_RANDOM])
    return {name: type(value)(tensors[_SCALING + name].item()) for name, value in scaling.items()}


class LastFiniteWeights:
    """A recent snapshot of finite weights.

    Attributes:
        iteration: after how many iterations it was taken; None if the weights were never finite.
    """

    def __init__(self, model: nn.Module, iteration: int = 0, *, every: int = 100) -> None:
        """Takes the network, the number of its iterations so far, and the iterations between two snapshots."""
        self.model, self.every = model, every
        self.iteration: int | None = None
        self._take(iteration)

    def take(self, iteration: int) -> None:
        """Takes a snapshot after an iteration where it is due, unless the weights are no longer finite."""
        if iteration % self.every == 0:
            self._take(iteration)

    def _take(self, iteration: int) -> None:
        state = self.model.state_dict()
        if all(bool(tensor.isfinite().all()) for tensor in state.values()):
            self.iteration = iteration
            self._state = {name: tensor.detach().clone() for name, tensor in state.items()}

    def restore(self) -> None:
        """Gives the network the weights of the snapshot."""
        self.model.load_state_dict(self._state)


def _changing(objective: nn.Module) -> dict[str, Tensor]:
    """The weights that learn and all statistics, by name; not copied."""
    frozen = {name for name, parameter in objective.named_parameters() if not parameter.requires_grad}
    return {name: tensor for name, tensor in objective.state_dict().items() if name not in frozen}


def _optimised(objective: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, nn.Parameter]:
    """The weights that the optimiser moves, by name."""
    moved = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    return {name: parameter for name, parameter in objective.named_parameters() if id(parameter) in moved}


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
