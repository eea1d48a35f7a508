"""What brings back the parameters and data of before when `prepare` has failed.

DVC removes the outputs of a stage before it runs the stage, and `dvc exp run` has composed params.yaml anew by then.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssul.config.paths import LAYOUT, Layout
from ssul.environment import dvc_experiment, project_root
from ssul.io.atomic import write_text


def keep_params(layout: Layout) -> None:
    """Keeps params.yaml before it is composed anew.

    One with which `prepare` has failed, and so left no index, does not replace the one that is kept.
    """
    failed = layout.former_params.is_file() and not layout.initial_checkpoint.is_file()
    if layout.params.is_file() and not failed:
        write_text(layout.former_params, layout.params.read_text(encoding="utf-8"))


@contextmanager
def name_way_back() -> Iterator[None]:
    """Prints the command that brings them back if the block fails; nothing where there is nothing to bring back."""
    try:
        yield
    except BaseException:
        in_a_copy = project_root().resolve() != Path.cwd()  # of the queue: the main folder has not changed
        if LAYOUT.lock.is_file() and not in_a_copy:
            print(_way_back(), file=sys.stderr)
        raise


def _way_back() -> str:
    checkout = "dvc checkout --allow-missing prepare"
    if dvc_experiment()[0] is None:
        return f"`{checkout}` brings back the data of before"
    return f"`cp {LAYOUT.former_params} {LAYOUT.params} && {checkout}` brings back the parameters and data of before"
