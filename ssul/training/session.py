"""The training of one step: loader, loop, history, best weights and saved state."""

import sys
from dataclasses import dataclass

import PIL
import torch
import torchvision

from ssul.errors import UserError
from ssul.training.history import TrainingHistory
from ssul.training.loop import Progress
from ssul.training.resume import StateFile, TrainerState
from ssul.training.selection import BestWeights
from ssul.training.state import TrainingState


def libraries() -> dict[str, str]:
    """The versions of what decodes, resizes and computes: others may round otherwise."""
    return {module.__name__: module.__version__ for module in (torch, torchvision, PIL)}


_BEST = "best."
_THEN = ", then "


@dataclass(frozen=True)
class Course:
    """The course of one training.

    Attributes:
        kept: where it is saved.
        curve: drawn so far.
        best: the best weights so far, where they are chosen.
        silent: whether another process of this training tells.
    """

    kept: StateFile
    curve: TrainingHistory
    best: BestWeights | None
    silent: bool = False

    def take_up(self) -> TrainingState | None:
        """Brings curve and best weights to where they were when they were saved; returns where the network was.

        Raises:
            UserError: if what was saved is damaged.
        """
        saved = self.kept.read()
        if saved is None:
            return None
        best = {name.removeprefix(_BEST): one for name, one in saved.tensors.items() if name.startswith(_BEST)}
        rest = {name: one for name, one in saved.tensors.items() if not name.startswith(_BEST)}
        try:
            state = TrainingState(saved.notes["iteration"], rest)
            self.curve.points[:], self.curve.window[:] = saved.notes["points"], saved.notes["window"]
            if self.best is not None:
                self.best.score, self.best.state = saved.notes["score"], best or None
            begun_on = saved.notes["hardware"]
        except (KeyError, TypeError) as error:
            raise UserError(f"the state {self.kept.path('safetensors')} is damaged ({error}): delete it") from None
        here, end = self.curve.hardware, self.curve.iterations
        elsewhere = begun_on.rpartition(_THEN)[2] != here and state.iteration < end
        self.curve.hardware = f"{begun_on}{_THEN}{here}" if elsewhere else begun_on
        notes = [f"begun on {begun_on}: rounding may differ"] if elsewhere else []
        if state.iteration == end:
            notes.append(f"all is learned; to learn it anew, delete {self.kept.path('safetensors')}")
        self.tell(f"goes on after iteration {state.iteration} of {end}" + (f" ({'; '.join(notes)})" if notes else ""))
        return state

    def save_due(self, progress: Progress) -> bool:
        """Whether to save now: in time, and the end of a long training or for who waits; a checkpoint may get lost."""
        ends = progress.iteration == progress.iterations
        return self.kept.save_due() or (ends and (self.kept.exists() or self.kept.is_wanted()))

    def save(self, progress: Progress) -> bool:
        """Saves where it stands now; a disk that will not take it is told of, and ends no training.

        Returns:
            whether it could.
        """
        state, best = progress.capture(), self.best
        weights = best.state if best is not None and best.state is not None else {}
        notes = {
            "iteration": state.iteration,
            "hardware": self.curve.hardware,
            "points": self.curve.points,
            "window": self.curve.window,
            "score": None if best is None else best.score,
        }
        try:
            self.kept.save(
                TrainerState({**state.tensors, **{_BEST + name: one for name, one in weights.items()}}, notes)
            )
        except OSError as error:
            before = "the one before is kept" if self.kept.exists() else "none is kept"
            self.tell(f"the state after iteration {state.iteration} cannot be saved ({error}): {before}")
            return False
        return True

    def tell(self, line: str) -> None:
        """Says something of this step, above a progress bar."""
        if not self.silent:
            print(f"\nstep {self.curve.step}: {line}", file=sys.stderr, flush=True)
