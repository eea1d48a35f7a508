"""Runs a training session under progress bar and live curve; saves its state, and stops it at a signal."""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from signal import SIGTERM
from typing import NoReturn

from ssul.config.paths import Layout
from ssul.config.schema import Params
from ssul.environment import project_root
from ssul.errors import UserError
from ssul.inference.device import peak_memory_gib
from ssul.inference.processes import any_rank
from ssul.pipeline.progress import progress_bar, with_progress
from ssul.tracking.live import live_logger
from ssul.training.loop import DivergedError, TrainingProgress
from ssul.training.session import TrainingSession
from ssul.training.shutdown import StopRequest, stop_on_signal
from ssul.training.views import ViewFiles


def run_session(session: TrainingSession, settings: Params) -> None:
    """Calibrates, trains and selects the weights.

    Args:
        session: the training.
        settings: all parameters, for the live curve.

    Raises:
        UserError: if the loss is not finite; the last finite weights are saved.
        SystemExit: if a signal stopped the training; its state is saved.
    """
    leads, step = session.fabric.is_global_zero, session.job.step
    calibrate(session)
    iterations = session.start()
    if session.views is not None:
        watch_views(session, session.views)
    try:
        watch(session, iterations, settings)
    except DivergedError as error:
        message = save_last_finite(session, error) if leads else ""
        session.fabric.barrier()  # a process that leaves earlier ends the others
        raise UserError(message) from None
    session.finish()
    if session.best is not None and leads:
        print(f"step {step}: {session.best}")


def calibrate(session: TrainingSession) -> None:
    """Lets the method look at the step's images before the training, under a progress bar."""
    batches, title = session.calibrate(), f"calibrate step {session.job.step}"
    if next(batches, None) is not None:  # most methods do not calibrate and need no bar
        for _ in with_progress(
            batches, total=None, title=title, unit="batch", silent=not session.fabric.is_global_zero
        ):
            pass


def watch_views(session: TrainingSession, files: ViewFiles) -> None:
    """Computes the missing views under a progress bar, and stops at a signal; what is computed by then is kept."""
    missing = session.missing_views(files)
    if not missing:
        return
    fabric, step, leads, end = session.fabric, session.job.step, session.fabric.is_global_zero, files.views.total
    done = end - sum(missing.values())
    with (
        progress_bar(total=end, title=f"features step {step}", unit="view", silent=not leads, done=done) as bar,
        stop_on_signal() as request,
    ):
        for done in session.compute_views(files, missing):
            bar.update(done - bar.n)
            if any_rank(fabric, request.signal is not None):
                _stop(session, request, f"{done} of {end} views: the same command goes on")


def _stop(session: TrainingSession, request: StopRequest, after: str) -> NoReturn:
    """Leaves at a signal that some rank got."""
    number = request.signal or SIGTERM  # another rank got the signal
    session.log(f"{number.name} after {after}")
    session.fabric.barrier()  # a process that leaves earlier ends the others
    leads = session.fabric.is_global_zero
    raise SystemExit(128 + number if leads else 0)  # else rank 0 would report that a process has died


def watch(
    session: TrainingSession, iterations: Iterator[tuple[TrainingProgress, dict[str, float] | None]], settings: Params
) -> None:
    """Iterates under a progress bar and the live curve, saves the state when it is due, and stops at a signal."""
    fabric, step, end = session.fabric, session.job.step, session.job.iterations
    leads = fabric.is_global_zero
    with (
        progress_bar(total=end, title=f"train step {step}", unit="it", silent=not leads, done=session.first) as bar,
        live_logger(step, settings) if leads else nullcontext() as live,
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
                way_on = "the same command goes on" if saved else "nothing later than the previous state is kept"
                _stop(session, request, f"iteration {progress.iteration} of {end}: {way_on}")


def save_last_finite(session: TrainingSession, error: DivergedError) -> str:
    """Saves the last finite weights; returns the error message."""
    job = session.job
    message = f"step {job.step}: {error}. The batch was {', '.join(session.images_of(error))}"
    iteration = session.restore_last_finite()
    if iteration is None:  # resumed with weights that were not finite
        return message
    place = Layout(project_root()).last_good(job.step)
    job.trained_model.save(place)
    return f"{message}; the weights after iteration {iteration} are in {place}"


def log(step: int, line: str) -> None:
    """Prints a line about a step, above a progress bar."""
    print(f"\nstep {step}: {line}", file=sys.stderr, flush=True)


def silent(line: str) -> None:
    """Prints nothing: the `log` of the other ranks."""
    del line
