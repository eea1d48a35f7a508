"""Spreads a training over the nodes of a SLURM job."""

import shutil
import sys

from ssul import environment
from ssul.errors import UserError
from ssul.inference.device import choose_device
from ssul.tracking.stage_times import command_start
from ssul.training.distributed import can_share, require_even
from ssul.training.job import TrainingJob

_OPTIONS = (
    "--export=ALL",
    "--input=none",
    "--kill-on-bad-exit=1",  # where one process dies the others end too
    "--wait=0",  # where one is done the others take their time, whatever slurm.conf says: the first one still writes
)


def spread_over_nodes(job: TrainingJob) -> None:
    """Becomes the srun that starts this very command on SSUL_NODES nodes, once for each of SSUL_DEVICES devices.

    Returns in the processes that srun (or torchrun) has started, and where SSUL_NODES is not set. One node is no
    exception: signals that SLURM sends to a job reach what srun has started.

    Args:
        job: what is trained; nothing may have been written yet, because the command begins anew.

    Raises:
        UserError: if there is no srun, or a batch cannot be divided evenly.
    """
    nodes, devices = environment.nodes(), environment.devices()
    if nodes is None or environment.srun_since() is not None or environment.torchrun_sizes() is not None:
        return
    srun = shutil.which("srun")
    if srun is None:
        raise UserError(f"{environment.NODES} is set, but there is no srun: unset it outside SLURM")
    require_even(job.order.batch, nodes * devices, job.optimisation.accumulate)
    device = choose_device(job.precision).device
    if nodes * devices > 1 and not can_share(job.objective.train(), device):
        print(f"step {job.step}: one process trains, because norms that learn cannot be shared on {device.type}")
        nodes = devices = 1
    sys.stdout.flush()
    options = ["--nodes", nodes, "--ntasks", nodes * devices, "--ntasks-per-node", devices, *_OPTIONS]
    shape = {environment.NODES: nodes, environment.DEVICES: devices, environment.SRUN: command_start()}
    environment.become([srun, *map(str, options), sys.executable, *sys.orig_argv[1:]], shape)
