"""Progress bars."""

import sys
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")


def with_progress(items: Iterable[T], *, total: int | None, title: str, unit: str, silent: bool = False) -> Iterator[T]:
    """The same items, under a progress bar."""
    with progress_bar(total=total, title=title, unit=unit, silent=silent) as bar:
        for item in items:
            yield item
            bar.update()


def progress_bar(*, total: int | None, title: str, unit: str, silent: bool = False, done: int = 0) -> "tqdm[Any]":
    """A tqdm bar; without a terminal it prints every 20 s, with `silent` never."""
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


def show_transfers(progress: Iterable[Any]) -> None:
    """Shows downloads and unpacking, a bar for each; each item has `what`, `done`, `total` and `unit`."""
    for _, group in groupby(progress, key=lambda one: one.what):
        first = next(group)
        with progress_bar(total=first.total, title=first.what, unit=first.unit) as bar:
            for one in chain([first], group):
                bar.update(one.done - bar.n)
