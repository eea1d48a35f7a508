"""Spreads a stage over the nodes of a SLURM job."""

import shutil
import sys
from collections.abc import Callable

from ssul import environment
from ssul.errors import UserError
from ssul.tracking.stage_times import command_start

_OPTIONS = (
    "--export=ALL",
    "--input=none",
    "--kill-on-bad-exit=1",  # where one process dies the others end too
    "--wait=0",  # where one is done the others take their time, whatever slurm.conf says: the first one still writes
)


def spread_over_nodes(shared_by: Callable[[int], int] = lambda processes: processes) -> None:
    """Becomes the srun that starts this very command on SSUL_NODES nodes, once for each of SSUL_DEVICES devices.

    Returns in the processes that srun (or torchrun) has started, and where SSUL_NODES is not set. One node is no
    exception: signals that SLURM sends to a job reach what srun has started. Nothing may have been written yet, because
    the command begins anew.

    Args:
        shared_by: says how many of so many processes take part: all of them, or one.

    Raises:
        UserError: if there is no srun, or `shared_by` raises it.
    """
    nodes, devices = environment.nodes(), environment.devices()
    if nodes is None or environment.srun_since() is not None or environment.torchrun_sizes() is not None:
        return
    srun = shutil.which("srun")
    if srun is None:
        raise UserError(f"{environment.NODES} is set, but there is no srun: unset it outside SLURM")
    if shared_by(nodes * devices) == 1:
        nodes = devices = 1
    sys.stdout.flush()
    options = ["--nodes", nodes, "--ntasks", nodes * devices, "--ntasks-per-node", devices, *_OPTIONS]
    shape = {environment.NODES: nodes, environment.DEVICES: devices, environment.SRUN: command_start()}
    environment.become([srun, *map(str, options), sys.executable, *sys.orig_argv[1:]], shape)
