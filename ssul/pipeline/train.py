"""Trains a step under lock, progress bar and live curve, and writes its checkpoint."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from ssul.config.paths import LAYOUT, Layout
from ssul.environment import project_root
from ssul.errors import UserError
from ssul.inference.device import choose_device, peak_memory_gib
from ssul.inference.trained_model import TrainedModel
from ssul.pipeline.progress import progress_bar, with_progress
from ssul.pipeline.provenance import Provenance
from ssul.pipeline.run import stage_lock
from ssul.scenario.splits import Split
from ssul.tracking.live import live_logger
from ssul.training.distributed import any_rank, fabric_settings, is_rank_zero, launch
from ssul.training.job import TrainingJob
from ssul.training.loop import DivergedError
from ssul.training.resume import StateFile
from ssul.training.session import TrainingSession
from ssul.training.shutdown import stop_on_signal


def train(job: TrainingJob, split: Split, provenance: Provenance) -> None:
    """Trains a step, from its saved state if it was interrupted, and writes data/checkpoints/step_K.

    Args:
        job: what is trained.
        split: the step.
        provenance: what the job was made from; nothing is written if it has changed meanwhile.
    """
    fabric = choose_device(job.precision, fabric_settings())
    with lock_training(job, provenance) as state_file:
        rank, world_size = launch(fabric, job.order.batch)  # from here on rank 0 alone prints and writes
        leads = fabric.is_global_zero
        session = TrainingSession(
            job, fabric, rank, world_size, state_file, partial(log, job.step) if leads else _silent
        )
        if leads:
            print(start_line(job, str(fabric.device)), flush=True)
        run_session(session, split)
        if leads:
            provenance.require_unchanged()
            trained_model(job, split).save(LAYOUT.checkpoint(job.step), training=session.history.describe())


@contextmanager
def lock_training(job: TrainingJob, provenance: Provenance) -> Iterator[StateFile]:
    """Locks the training and the stage; of several processes rank 0 does so for all.

    The training's own lock comes first: its holder, perhaps an orphan, is asked to save its final state. Then any other
    process of this stage is waited for.
    """
    place = (Layout(project_root()).trainings, job.fingerprint(provenance.digests))
    if not is_rank_zero():
        yield StateFile(*place)
        return
    waiting = partial(print, f"step {job.step}:", flush=True)
    with StateFile.locked(*place, waiting) as state_file, stage_lock(f"the training of step {job.step}"):
        yield state_file


def run_session(session: TrainingSession, split: Split) -> None:
    """Calibrates, trains and selects the weights.

    Raises:
        UserError: if the loss is not finite; the last finite weights are saved.
        SystemExit: if a signal stopped the training; its state is saved.
    """
    leads, step = session.fabric.is_global_zero, session.job.step
    batches = session.calibrate()
    if next(batches, None) is not None:  # most methods do not calibrate: no bar for them
        for _ in with_progress(batches, total=None, title=f"calibrate step {step}", unit="batch", silent=not leads):
            pass
    iterations = session.start()
    try:
        watch(session, iterations)
    except DivergedError as error:
        message = save_last_finite(session, split, error) if leads else ""
        session.fabric.barrier()  # a process that leaves earlier ends the others
        raise UserError(message) from None
    session.finish()
    if session.best is not None and leads:
        print(f"step {step}: {session.best}")


def watch(session: TrainingSession, iterations: Iterator[tuple[Any, dict[str, float] | None]]) -> None:
    """Iterates under a progress bar and the live curve, saves the state when it is due, and stops when asked to."""
    fabric, step, end = session.fabric, session.job.step, session.job.iterations
    leads = fabric.is_global_zero
    with (
        progress_bar(total=end, title=f"train step {step}", unit="it", silent=not leads, done=session.first) as bar,
        live_logger(step) if leads else nullcontext() as live,
        stop_on_signal() as request,
    ):
        for progress, point in iterations:
            speed = progress.images_per_second
            parts = "".join(f" {name} {value:.2f}" for name, value in progress.parts.items())
            bar.update()
            bar.set_postfix_str(
                f"loss {progress.loss:.3f} lr {progress.lr:.1e} {speed:.0f} images/s{parts}", refresh=False
            )
            if point is not None and live is not None:
                live.show(point | {"images_per_second": speed, "memory_gib": peak_memory_gib(fabric)})
            stopped = any_rank(fabric, request.signal is not None)
            saved = leads and (stopped or session.save_due(progress)) and session.save(progress)
            if stopped:
                number = request.signal or signal.SIGTERM  # another rank got the signal
                way_on = "the same command goes on" if saved else "nothing later than the previous state is kept"
                session.log(f"{number.name} after iteration {progress.iteration} of {end}: {way_on}")
                fabric.barrier()  # a process that leaves earlier ends the others
                raise SystemExit(128 + number if leads else 0)  # else rank 0 would report that a process has died


def save_last_finite(session: TrainingSession, split: Split, error: DivergedError) -> str:
    """Saves the last finite weights; returns the error message."""
    message = f"step {split.step}: {error}. The batch was {', '.join(session.images_of(error))}"
    iteration = session.restore_last_finite()
    if iteration is None:  # resumed with weights that were not finite
        return message
    place: Path = Layout(project_root()).last_good(split.step)
    trained_model(session.job, split).save(place)
    return f"{message}; the weights after iteration {iteration} are in {place}"


def trained_model(job: TrainingJob, split: Split) -> TrainedModel:
    """The network of a job with the meaning of its channels."""
    return TrainedModel(job.objective.model, job.objective.labels, split.class_names)


def start_line(job: TrainingJob, device: str) -> str:
    """What is printed when a training starts."""
    order = job.order
    few = len(order.new) < order.batch
    return (
        f"step {job.step}: learning {', '.join(job.class_names)} from {len(order.new)} images"
        + (f" and {len(order.memory)} exemplars" if order.memory else "")
        + f" on {device}, {job.iterations} iterations"
        + (f" (fewer images than a batch of {order.batch}: they repeat)" if few else "")
    )


def log(step: int, line: str) -> None:
    """Prints a line about a step, above a progress bar."""
    print(f"\nstep {step}: {line}", file=sys.stderr, flush=True)


def _silent(line: str) -> None:
    del line
