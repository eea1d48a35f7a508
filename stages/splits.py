"""Stage `splits`: which classes and which training images belong to each step of the scenario."""

from ssul import catalog, config
from ssul.atomic import replaced_folder
from ssul.data.exemplars import write_exemplars
from ssul.data.index import ImageIndex
from ssul.data.splits import Split
from ssul.errors import UserError
from ssul.scenario import Scenario, step_images
from stages.entry import LAYOUT, run


def main() -> None:
    """Writes data/splits/step_K.json for every step, and says how many images each has."""
    settings = config.load(LAYOUT.params)
    index = ImageIndex.read(LAYOUT.index("train"))
    data_set = catalog.data_set(index.data_set)
    scenario = Scenario(
        catalog.learning_order(data_set, settings.scenario.order),
        settings.scenario.base_classes,
        settings.scenario.increment,
    )
    if len(scenario.steps) - 1 != settings.scenario.last:
        raise UserError(
            f"the scenario has {len(scenario.steps)} steps, but scenario.last is {settings.scenario.last}: params.yaml "
            "was edited by hand; change scenario.* with `dvc exp run -S`, which derives the steps anew"
        )
    splits = []
    for step in scenario.steps:
        images = step_images(index.present, step, settings.setting, settings.seed)
        names = [index.class_names[class_id - 1] for class_id in step.new]
        if not images:
            raise UserError(
                f"step {step.index} has no training image: none shows {', '.join(names)} in the {settings.setting} "
                "setting; choose another setting or scenario, or add images"
            )
        print(f"step {step.index}: {len(images):6d} images for {', '.join(names)}")
        groups = tuple(past.new for past in scenario.steps[: step.index + 1])
        seen_names = tuple(index.class_names[class_id - 1] for class_id in step.seen)
        splits.append(Split(step.index, groups, seen_names, tuple(images)))
    with replaced_folder(LAYOUT.splits) as folder:
        for split in splits:
            split.write(folder / LAYOUT.split(split.step).name)
    write_exemplars(LAYOUT.memory(0), [])  # nothing is rehearsed at the base step; later memories build on this one


if __name__ == "__main__":
    run(main)
