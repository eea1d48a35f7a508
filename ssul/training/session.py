"""The training of one step as one iterator: loader, loop, history, best weights and saved state."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor, nn

from ssul.data.loader import TrainingLoader, batch_loader, loader_workers, training_loader
from ssul.errors import UserError
from ssul.inference.device import device_name
from ssul.inference.processes import same_on_all_ranks
from ssul.io.disk import require_disk_space
from ssul.model.normalisation import Normalisation
from ssul.training.history import TrainingHistory
from ssul.training.job import TrainingJob
from ssul.training.loop import DivergedError, TrainingProgress, iteration_count, learn_step
from ssul.training.objective import Batch, FixedObjective, FixedPart
from ssul.training.resume import StateFile, TrainerState
from ssul.training.selection import BestWeights
from ssul.training.state import LastFiniteWeights, StateMismatchError, TrainingState
from ssul.training.views import ViewFiles, Views, ViewSamples, unpacked

_BEST = "best."
_THEN = ", then "


class TrainingSession:
    """One training from its beginning, or from its saved state, to its end.

    Iterating trains: each item is the progress after an iteration and, where one is complete, a point of the history.
    """

    def __init__(
        self,
        job: TrainingJob,
        fabric: Fabric,
        rank: int,
        world_size: int,
        state_file: StateFile,
        log: Callable[[str], None],
    ) -> None:
        """Prepares a training.

        Args:
            job: what is trained.
            fabric: devices and precision.
            rank, world_size: of this process.
            state_file: where the state is saved.
            log: takes one line about this step.
        """
        self.job, self.fabric, self.state_file, self.log = job, fabric, state_file, log
        self.rank, self.world_size = rank, world_size
        order = job.order
        self.history = TrainingHistory(
            job.step,
            job.class_names,
            device_name(fabric),
            images=len(order.new),
            exemplars=len(order.memory),
            iterations=job.iterations,
        )
        self._load = partial(
            training_loader,
            dataset=job.dataset,
            labels=job.objective.labels,
            augmentation=job.augmentation,
            workers=loader_workers(fabric.world_size),
        )
        self.best: BestWeights | None = None
        self.first = 0
        self.views: ViewFiles | None = None
        if job.views is not None:
            chosen = Views(order, job.iterations, job.views)
            self.views = ViewFiles(state_file.path("views"), chosen, world_size)

    def calibrate(self) -> Iterator[int]:
        """Lets the method look at the step's new images (and appended exemplars) before the training.

        Yields after each batch.
        """
        order, objective = self.job.order, self.job.objective
        if not order.appended:
            order = replace(order, memory=())
        one_pass = iteration_count(len(order.images), epochs=1, batch=order.batch)
        objective.to(self.fabric.device)
        # every rank looks at all images
        batches = self._load(order, iterations=one_pass)
        return objective.calibrate(_OnDevice(batches, self.fabric, objective.model.normalisation))

    def start(self) -> Iterator[tuple[TrainingProgress, dict[str, float] | None]]:
        """Resumes from the saved state, if there is one; returns the remaining iterations.

        Raises:
            UserError: if the state is damaged or of another training, or if the ranks see different states.
        """
        job, fabric = self.job, self.fabric
        self.best = None if job.selection is None else job.selection(job.iterations)
        state = self.resume()
        self.first = same_on_all_ranks(fabric, 0 if state is None else state.iteration, "a state to go on from")
        rank, world_size = self.rank, self.world_size
        learned: nn.Module = job.objective
        batches: Iterable[tuple[Any, Tensor]]
        if self.views is None:
            batches = self._load_part(start_iteration=self.first)
        else:
            learned, batches = FixedObjective(job.objective), self._viewed(self.views)
        try:
            progress = learn_step(
                learned,
                batches,
                job.groups,
                fabric=fabric,
                normalisation=job.objective.model.normalisation if self.views is None else None,
                iterations=job.iterations,
                momentum=job.optimisation.momentum,
                weight_decay=job.optimisation.weight_decay,
                schedule=job.optimisation.schedule,
                accumulate=job.optimisation.accumulate,
                seeds=partial(job.order.dropout_seeds, rank=rank, world_size=world_size),
                resume_from=state,
            )
        except StateMismatchError as error:
            path = self.state_file.path("safetensors")
            raise UserError(f"{path} is the state of another training ({error}): delete it") from None
        self._last_finite = LastFiniteWeights(job.objective.model, self.first)
        return self._recorded(progress)

    def missing_views(self, files: ViewFiles) -> dict[int, int]:
        """The batches whose views the remaining iterations need first: their numbers of samples by iteration.

        Collective: every rank must call it, and gets the same.
        """
        missing = {} if self.first == self.job.iterations else files.missing()
        self.fabric.barrier()  # no rank writes before all have looked
        return missing

    def compute_views(self, files: ViewFiles, missing: Mapping[int, int]) -> Iterator[int]:
        """Computes and writes this rank's samples of these batches; `start` must have been called before.

        Yields after each batch how many samples are done, over all ranks.

        Raises:
            UserError: if the disk is too small for all of them.
        """
        job, fabric, precision = self.job, self.fabric, self.fabric.strategy.precision
        own = {iteration: slots for iteration in missing if (slots := files.slots(iteration, self.rank))}
        loaded = iter(self._load_part(chosen=own))
        left = sum(missing.values())
        for iteration, count in missing.items():
            left -= count
            if iteration in own:
                images, target = (fabric.to_device(part) for part in next(loaded))
                inputs = job.objective.model.normalisation.network_input(images)
                with precision.forward_context():  # as the wrapped objective in the loop
                    fixed = job.objective.fixed_part(precision.convert_input(inputs), target)
                size = files.write(iteration, self.rank, fixed, target)
                what = f"step {job.step} with recipe.increment.views={job.views}"
                require_disk_space(files.folder, left * size // len(target), what=what)
            yield files.views.total - left

    def discard_views(self) -> None:
        """Removes the fixed views of a training that is done."""
        if self.views is not None:
            shutil.rmtree(self.views.folder, ignore_errors=True)

    def _load_part(self, **which: Any) -> TrainingLoader:
        """This rank's part of the batches."""
        ranks: dict[str, Any] = {"rank": self.rank, "world_size": self.world_size}
        return self._load(self.job.order, iterations=self.job.iterations, **ranks, **which)

    def _viewed(self, files: ViewFiles) -> Iterator[tuple[FixedPart, Tensor]]:
        """The remaining batches, from the fixed views."""
        samples = ViewSamples(files, self.rank)
        count = len(samples.slots)
        places = [[*range(at * count, (at + 1) * count)] for at in range(self.first, self.job.iterations)]
        loader = batch_loader(samples, places, workers=loader_workers(self.world_size))
        yield from map(unpacked, loader)

    def finish(self) -> None:
        """Restores the best weights, if `method.selection` selects them; then the method may change them."""
        if self.best is not None:
            self.best.restore()
        self.job.objective.finish()

    def resume(self) -> TrainingState | None:
        """Restores history and best weights from the saved state; returns the state of the loop.

        Raises:
            UserError: if the saved state is damaged.
        """
        saved = self.state_file.read()
        if saved is None:
            return None
        path, history = self.state_file.path("safetensors"), self.history
        best = {name.removeprefix(_BEST): one for name, one in saved.tensors.items() if name.startswith(_BEST)}
        rest = {name: one for name, one in saved.tensors.items() if not name.startswith(_BEST)}
        try:
            state = TrainingState(saved.notes["iteration"], rest)
            history.points[:], history.window[:] = saved.notes["points"], saved.notes["window"]
            if self.best is not None:
                self.best.score, self.best.state = saved.notes["score"], best or None
            started_on = saved.notes["hardware"]
        except (KeyError, TypeError) as error:
            raise UserError(f"the state {path} is damaged ({error}): delete it") from None
        end = history.iterations
        elsewhere = started_on.rpartition(_THEN)[2] != history.hardware and state.iteration < end
        history.hardware = f"{started_on}{_THEN}{history.hardware}" if elsewhere else started_on
        remarks = [f"started on {started_on}: rounding may differ"] if elsewhere else []
        if state.iteration == end:
            remarks.append(f"all iterations are done; to train them again, delete {path}")
        self.log(
            f"goes on after iteration {state.iteration} of {end}" + (f" ({'; '.join(remarks)})" if remarks else "")
        )
        return state

    def save_due(self, progress: TrainingProgress) -> bool:
        """Whether to save now: the interval has passed, or a training ends that was saved before or is waited for."""
        ends = progress.iteration == progress.iterations
        return self.state_file.save_due() or (ends and (self.state_file.exists() or self.state_file.is_wanted()))

    def save(self, progress: TrainingProgress) -> bool:
        """Saves the state; a full disk is logged and does not end the training.

        Returns:
            whether it was saved.
        """
        state, best = progress.capture(), self.best
        weights = best.state if best is not None and best.state is not None else {}
        notes = {
            "iteration": state.iteration,
            "hardware": self.history.hardware,
            "points": self.history.points,
            "window": self.history.window,
            "score": None if best is None else best.score,
        }
        tensors = {**state.tensors, **{_BEST + name: one for name, one in weights.items()}}
        try:
            self.state_file.save(TrainerState(tensors, notes))
        except OSError as error:
            previous = "the previous one is kept" if self.state_file.exists() else "none is kept"
            self.log(f"the state after iteration {state.iteration} cannot be saved ({error}): {previous}")
            return False
        return True

    def restore_last_finite(self) -> int | None:
        """Restores the last finite weights, after a divergence.

        Returns:
            the iterations before they were taken; None if the weights were never finite, so that nothing is restored.
        """
        if self._last_finite.iteration is not None:
            self._last_finite.restore()
        return self._last_finite.iteration

    def images_of(self, error: DivergedError) -> list[str]:
        """The ids of the batch at which the loss was not finite."""
        return [self.job.order.item(error.iteration, slot).id for slot in range(self.job.order.batch)]

    def _recorded(
        self, progress: Iterator[TrainingProgress]
    ) -> Iterator[tuple[TrainingProgress, dict[str, float] | None]]:
        for one in progress:
            point = self.history.add(one)
            self._last_finite.take(one.iteration)
            if self.best is not None:
                self.best.update(one.iteration)
            yield one, point


@dataclass(frozen=True)
class _OnDevice:
    """Loaded batches, normalised, on the device; may be iterated several times."""

    batches: TrainingLoader
    fabric: Fabric
    normalisation: Normalisation

    def __iter__(self) -> Iterator[Batch]:
        for images, target in self.batches:
            yield self.normalisation.normalise(self.fabric.to_device(images)), self.fabric.to_device(target)
