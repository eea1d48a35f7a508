"""Not a stage: the process that shows a training to MLflow while it goes on, see `stages.live`."""

import os
import select
import sys
from pathlib import Path

from ssul import config
from ssul.atomic import write_text
from ssul.data.splits import Split
from ssul.tracking.live import follow
from ssul.tracking.store import TrackingError
from stages.entry import LAYOUT
from stages.experiment import experiment_of
from stages.live import trouble_of


def main(step: str, journal: str) -> None:
    """Passes the journal of a step's training on to MLflow; why it could not is left beside the journal."""
    os.nice(10)  # the training goes first
    lines, split = Path(journal), Split.read(LAYOUT.split(int(step)))
    try:
        follow(lines, experiment_of(config.load(LAYOUT.params)), split.step, split.new_names, training_lives)
    except TrackingError as error:
        write_text(trouble_of(lines), str(error))
        if training_lives(0):
            return
    lines.unlink(missing_ok=True)
    trouble_of(lines).unlink(missing_ok=True)


def training_lives(seconds: float) -> bool:
    """Waits until the training process closes its end of the pipe, at most so long; tells whether it has not."""
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    return not (readable and not os.read(sys.stdin.fileno(), 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
