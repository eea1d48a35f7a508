"""Stage `prepare`: draws the embedded dataset, or takes or downloads the one at data.root, and indexes it."""

from contextlib import closing
from functools import partial

from ssul.config.load import load_params
from ssul.config.paths import LAYOUT, given_checkpoint
from ssul.data.initial_checkpoint import InitialCheckpoint
from ssul.datasets.prepare import Preparation
from ssul.io.atomic import replace_dir
from ssul.pipeline.progress import show_transfers, with_progress
from ssul.pipeline.run import run


def main() -> None:
    """Writes data/drawn and data/index, and records the checkpoint to start from."""
    params = load_params(LAYOUT.params)
    checkpoint = InitialCheckpoint.of(given_checkpoint(params.recipe.base.checkpoint))
    preparation = Preparation.of(params.data, LAYOUT)
    with replace_dir(LAYOUT.drawn) as folder:  # empty where data.root names another place: DVC wants it all the same
        preparation.draw(folder, with_progress)
    with closing(preparation.complete()) as transfers:  # an interrupt must find half-unpacked files removed
        show_transfers(transfers)
    rows, problems = preparation.scan(with_progress, partial(print, flush=True))
    preparation.write(rows, problems, LAYOUT)
    checkpoint.write(LAYOUT.initial_checkpoint)


if __name__ == "__main__":
    run(main)
