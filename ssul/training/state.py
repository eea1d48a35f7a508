"""Where a training stands between two iterations, so that another process can go on from there to the bit.

What a sample, its augmentation, its dropout and the rates are is a function of the iteration and of nothing that went
before. So little is left: the weights that learn, the norms' statistics, the momentum, and, for methods to come that
draw from it, torch's random state.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_LEARNED, _MOMENTUM, _BUFFER = "learned.", "momentum.", "momentum_buffer"
_RANDOM, _CUDA_RANDOM = "random.cpu", "random.cuda"


class StateMismatchError(Exception):
    """A state does not belong to this training; says why in one line."""


@dataclass(frozen=True)
class TrainingState:
    """Where a training stands.

    Attributes:
        iteration: how many are done.
        tensors: copies on the CPU, by name: `learned.*`, `momentum.*`, `random.*`.
    """

    iteration: int
    tensors: Mapping[str, Tensor]


def capture(objective: nn.Module, optimizer: torch.optim.Optimizer, iteration: int) -> TrainingState:
    """The state of a training after so many iterations. What is frozen is left out: every start makes it alike."""
    tensors = {_LEARNED + name: tensor for name, tensor in _changing(objective).items()}
    for name, parameter in _optimised(objective, optimizer).items():
        momentum = optimizer.state.get(parameter, {}).get(_BUFFER)
        if momentum is not None:
            tensors[_MOMENTUM + name] = momentum
    tensors[_RANDOM] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors[_CUDA_RANDOM] = torch.cuda.get_rng_state()
    return TrainingState(iteration, {name: _copied(tensor) for name, tensor in tensors.items()})


def restore(state: TrainingState, objective: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Brings a training, made as it was before its first iteration and moved to its device, to a state of it.

    Raises:
        StateMismatchError: if it is the state of another training; nothing has changed then.
    """
    changing, optimised, tensors = _changing(objective), _optimised(objective, optimizer), state.tensors
    needed = {_LEARNED + name: tensor for name, tensor in changing.items()} | {_RANDOM: torch.get_rng_state()}
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
            # laid out as the weight is: the same sum over another layout may be rounded otherwise
            momentum = torch.empty_like(parameter, requires_grad=False).copy_(tensors[_MOMENTUM + name])
            optimizer.state[parameter][_BUFFER] = momentum
    torch.set_rng_state(tensors[_RANDOM])
    if torch.cuda.is_available() and _CUDA_RANDOM in tensors:
        torch.cuda.set_rng_state(tensors[_CUDA_RANDOM])


def _changing(objective: nn.Module) -> dict[str, Tensor]:
    """The weights that learn and all statistics, by name, in place."""
    frozen = {name for name, parameter in objective.named_parameters() if not parameter.requires_grad}
    return {name: tensor for name, tensor in objective.state_dict().items() if name not in frozen}


def _optimised(objective: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, nn.Parameter]:
    """What the optimiser moves, by name."""
    moved = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    return {name: parameter for name, parameter in objective.named_parameters() if id(parameter) in moved}


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
