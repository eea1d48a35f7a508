"""Runs a stage: lock, one-line errors, exit codes."""

import gc
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from ssul.config.paths import LAYOUT
from ssul.environment import rank
from ssul.errors import UserError
from ssul.io.locks import file_lock
from ssul.pipeline.clock import note_stage
from ssul.pipeline.failures import exit_explained


def run(stage: Callable[..., None], *arguments: str, alone: bool = True) -> None:
    """Runs a stage's main with its command-line arguments; a UserError ends it with one line on stderr and code 1.

    Args:
        stage: its main function.
        arguments: of the command line.
        alone: whether to take the `stage_lock` and note the time, as rank 0; trainings do so themselves.
    """
    if not gc.isenabled():  # see `stages`
        gc.freeze()
        gc.enable()
    name = "_".join([Path(stage.__code__.co_filename).stem, *arguments])
    leads = alone and rank() == 0
    try:
        with stage_lock(name) if leads else nullcontext():
            stage(*arguments)
        if leads:
            note_stage(Path(stage.__code__.co_filename).stem, *arguments)
    except UserError as error:
        if str(error):  # empty on all ranks but the first, which prints
            print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except (RuntimeError, OSError, MemoryError) as error:
        exit_explained(error)


def stage_lock(stage: str) -> AbstractContextManager[None]:
    """Waits for a process of the same stage in this folder, left over from a killed command.

    It would write to the same place, perhaps the results of other parameters.
    """

    def busy(holder: str) -> None:
        message = f"{stage} runs already in this folder ({holder}), left from an earlier command: waiting for it to end"
        print(f"{message}; to end it, kill that process", file=sys.stderr, flush=True)

    return file_lock(LAYOUT.stage_lock(stage), busy)
