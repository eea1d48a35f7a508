"""Trains a step under lock, from its saved state if there is one, and writes its checkpoint."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

from ssul.config.paths import LAYOUT, Layout
from ssul.environment import project_root
from ssul.inference.device import choose_device
from ssul.inference.processes import fabric_settings, is_rank_zero, launch
from ssul.pipeline.clock import TrainingClock
from ssul.pipeline.nodes import spread_over_nodes
from ssul.pipeline.provenance import Provenance
from ssul.pipeline.run import stage_lock
from ssul.pipeline.watch import log, run_session, silent
from ssul.training.distributed import can_share, require_even
from ssul.training.job import TrainingJob
from ssul.training.resume import StateFile
from ssul.training.session import TrainingSession

WAY_ON = "the same command trains with these; if the former ones are restored, it goes on from the last saved state"


def train(job: TrainingJob, provenance: Provenance) -> None:
    """Trains a step, from its saved state if it was interrupted, and writes data/checkpoints/step_K.

    Args:
        job: what is trained.
        provenance: what the job was made from; nothing is written if it has changed meanwhile.
    """
    spread_over_nodes(partial(shared_by, job))
    fabric = choose_device(job.precision, fabric_settings())
    require_even(job.order.batch, fabric.world_size, job.optimisation.accumulate)
    with lock_training(job, provenance) as state_file:
        # from here on rank 0 alone prints and writes
        rank, world_size = launch(fabric)
        leads = fabric.is_global_zero
        log_line = partial(log, job.step) if leads else silent
        session = TrainingSession(job, fabric, rank, world_size, state_file, log_line)
        if leads:
            print(start_line(job, str(fabric.device)), flush=True)
        clock = TrainingClock(provenance.stage, session)
        with clock.runs() if leads else nullcontext():
            run_session(session, provenance.params)
        if leads:
            provenance.record(WAY_ON)
            job.trained_model.save(
                LAYOUT.checkpoint(job.step), training=session.history.describe(), outputs=job.objective.outputs()
            )
            clock.note()
            session.discard_views()


def shared_by(job: TrainingJob, processes: int) -> int:
    """How many of so many processes train: all, or one where they cannot share what learns.

    Raises:
        UserError: if a batch cannot be divided evenly.
    """
    require_even(job.order.batch, processes, job.optimisation.accumulate)
    device = choose_device(job.precision).device
    if processes > 1 and not can_share(job.objective.train(), device):
        print(f"step {job.step}: one process trains, because norms that learn cannot be shared on {device.type}")
        return 1
    return processes


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


def start_line(job: TrainingJob, device: str) -> str:
    """What is printed when a training starts."""
    order, network = job.order, job.objective.model
    few = len(order.new) < order.batch
    return (
        f"step {job.step}: learning {', '.join(job.class_names)} from {len(order.new)} images"
        + (f" and {len(order.memory)} exemplars" if order.memory else "")
        + f" on {device}, {job.iterations} iterations"
        + (f" over {job.views} fixed view{'s' if job.views > 1 else ''} of each image" if job.views else "")
        + (f" (fewer images than a batch of {order.batch}: they repeat)" if few else "")
        + (
            f" ({network.architecture.backbone} cannot dilate: its features keep the stride {network.stride})"
            if network.stride != network.architecture.output_stride
            else ""
        )
    )
