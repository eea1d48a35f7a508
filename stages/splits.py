"""Stage `splits`: which classes and which training images belong to each step of the scenario."""

import sys

from ssul.config.paths import LAYOUT
from ssul.data.index import ImageIndex
from ssul.errors import UserError
from ssul.io.atomic import replace_dir, write_json
from ssul.memory.exemplars import write_exemplars, write_nothing_kept
from ssul.pipeline.provenance import Provenance
from ssul.pipeline.run import run
from ssul.scenario.order import make_scenario
from ssul.scenario.splits import make_splits
from ssul.scenario.summary import never_learned, summarise, text_summary, warning_of


def main() -> None:
    """Writes data/splits/step_K.json for every step and a summary, and prints how many images each has."""
    provenance, index = Provenance.read("splits"), ImageIndex.read(LAYOUT.index("train"))
    params, asked, names = provenance.params, provenance.params.scenario, index.class_names
    scenario = make_scenario(asked.order, asked.base_classes, asked.increment, dataset=index.data_set, names=names)
    if len(scenario.steps) - 1 != asked.last:
        raise UserError(
            f"{len(scenario.steps)} steps, but scenario.last is {asked.last}: change scenario.* with `dvc exp run -S`"
        )
    splits = make_splits(
        index.present,
        scenario,
        params.setting,
        names=names,
        seed=params.seed,
        known=index.known,
        holdout=params.data.holdout,
        holdout_seed=params.data.holdout_seed,
    )
    summary = summarise(splits, index.present, params.setting, known=index.known)
    print(text_summary(summary, scenario.remainder, never_learned(scenario, names)))
    if warning := warning_of(summary):
        print(f"warning: {warning}", file=sys.stderr)
    provenance.record()
    with replace_dir(LAYOUT.splits) as folder:
        for split in splits:
            split.write(folder / LAYOUT.split(split.step).name)
        write_json(folder / LAYOUT.split_summary.name, summary)
    write_exemplars(LAYOUT.memory(0), [])  # nothing is known before the base step; later memories build on this one
    write_nothing_kept(LAYOUT.kept(0))


if __name__ == "__main__":
    run(main)
