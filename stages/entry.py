"""What every stage shares: one-line errors, a progress bar, and where this working folder's things lie."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from ssul.errors import UserError
from ssul.exclusive import exclusive
from ssul.failures import explained
from ssul.paths import Layout

LAYOUT = Layout()
T = TypeVar("T")


def run(stage: Callable[..., None], *arguments: str, alone: bool = True) -> None:
    """Runs a stage's main with its command-line arguments; a UserError ends it with one line on stderr and code 1.

    Args:
        stage: its main.
        arguments: for it.
        alone: whether to be `alone_at` it; trainings see to that themselves.
    """
    name = "_".join([Path(stage.__code__.co_filename).stem, *arguments])
    try:
        with alone_at(name) if alone else nullcontext():
            stage(*arguments)
    except UserError as error:
        if str(error):  # of several processes that fail alike the first one tells
            print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except (RuntimeError, OSError, MemoryError) as error:
        reason = explained(error)
        if reason is None:
            raise
        print(f"error: {reason}", file=sys.stderr)
        raise SystemExit(1) from None


def alone_at(stage: str) -> AbstractContextManager[None]:
    """Waits for a process at the same stage in this folder, left over from a command that was killed.

    It would write to the same place, perhaps the results of other parameters.
    """

    def busy(holder: str) -> None:
        told = f"{stage} runs already in this folder ({holder}), left from an earlier command: waiting for it to end"
        print(f"{told}; to end it, kill that process", file=sys.stderr, flush=True)

    return exclusive(LAYOUT.stage_lock(stage), busy)


def shown(items: Iterable[T], *, total: int | None, title: str, unit: str, silent: bool = False) -> Iterator[T]:
    """Passes items on under a progress bar."""
    with progress_bar(total=total, title=title, unit=unit, silent=silent) as bar:
        for item in items:
            yield item
            bar.update()


def progress_bar(*, total: int | None, title: str, unit: str, silent: bool = False, done: int = 0) -> "tqdm[Any]":
    """A progress bar with the time left; where nobody watches a terminal it speaks up rarely, a silent one never."""
    interval = 0.5 if sys.stderr.isatty() else 20.0
    return tqdm(
        total=total,
        desc=title,
        unit=unit,
        mininterval=interval,
        maxinterval=2 * interval,
        dynamic_ncols=True,
        disable=silent,
        initial=done,
    )
