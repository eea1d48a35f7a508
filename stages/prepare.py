"""Stage `prepare`: draws the embedded dataset, or uses or downloads the one at data.root, and indexes it."""

from contextlib import closing
from functools import partial

from ssul.config.paths import LAYOUT, given_checkpoint
from ssul.data.initial_checkpoint import InitialCheckpoint
from ssul.datasets.indexing import scan_splits, write_indexes
from ssul.datasets.prepare import Preparation
from ssul.io.atomic import replace_dir
from ssul.pipeline.progress import show_transfers, with_progress
from ssul.pipeline.provenance import Provenance
from ssul.pipeline.run import run
from ssul.pipeline.way_back import name_way_back


def main() -> None:
    """Writes data/drawn and data/index, and records the checkpoint to start from."""
    provenance = Provenance.read("prepare")
    params = provenance.params
    checkpoint = InitialCheckpoint.of(given_checkpoint(params.recipe.base.checkpoint))
    preparation = Preparation.of(params.data, LAYOUT)
    with replace_dir(LAYOUT.drawn) as folder:  # DVC needs the folder even if data.root names another place
        preparation.draw(folder, with_progress)
    with closing(preparation.complete()) as transfers:  # an interrupt must find half-unpacked files removed
        show_transfers(transfers)
    rows, problems = scan_splits(preparation, with_progress, partial(print, flush=True))
    provenance.record()
    write_indexes(preparation.spec, rows, problems, LAYOUT)
    checkpoint.write(LAYOUT.initial_checkpoint)


if __name__ == "__main__":
    with name_way_back():
        run(main)
