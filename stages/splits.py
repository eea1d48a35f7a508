"""Stage `splits`: which classes and which training images belong to each step of the scenario."""

import json

from ssul.config.load import load_params
from ssul.config.paths import LAYOUT
from ssul.data.index import ImageIndex
from ssul.errors import UserError
from ssul.io.atomic import replace_dir, write_text
from ssul.memory.exemplars import write_exemplars
from ssul.pipeline.run import run
from ssul.scenario.class_orders import published_orders
from ssul.scenario.order import learning_order
from ssul.scenario.scenario import Scenario
from ssul.scenario.splits import make_splits
from ssul.scenario.summary import summarise, text_summary


def main() -> None:
    """Writes data/splits/step_K.json for every step and a summary, and says how many images each has."""
    settings = load_params(LAYOUT.params)
    index = ImageIndex.read(LAYOUT.index("train"))
    order = learning_order(settings.scenario.order, names=index.class_names, published=published_orders(index.data_set))
    scenario = Scenario(order, settings.scenario.base_classes, settings.scenario.increment)
    if len(scenario.steps) - 1 != settings.scenario.last:
        raise UserError(
            f"the scenario has {len(scenario.steps)} steps, but scenario.last is {settings.scenario.last}: params.yaml "
            "was edited by hand; change scenario.* with `dvc exp run -S`, which derives the steps anew"
        )
    if scenario.remainder:
        print(scenario.remainder)
    splits = make_splits(
        index.present,
        scenario,
        settings.setting,
        names=index.class_names,
        seed=settings.seed,
        holdout=settings.data.holdout,
        holdout_seed=settings.data.holdout_seed,
    )
    summary = summarise(splits, index.present, settings.setting)
    print(text_summary(summary))
    with replace_dir(LAYOUT.splits) as folder:
        for split in splits:
            split.write(folder / LAYOUT.split(split.step).name)
        write_text(folder / LAYOUT.split_summary.name, json.dumps(summary, indent=1) + "\n")
    write_exemplars(LAYOUT.memory(0), [])  # nothing is rehearsed at the base step; later memories build on this one


if __name__ == "__main__":
    run(main)
