"""The description of a converted dataset, as conf/data has it."""

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from ssul.config.custom_dataset import CustomDataset
from ssul.config.load import parse_custom_dataset
from ssul.convert.write import Converted
from ssul.errors import UserError
from ssul.labels.ids import BACKGROUND_ID, VOID


def check_classes(classes: Sequence[str]) -> CustomDataset:
    """Refuses classes that no description may have, before anything is written.

    Raises:
        UserError: naming what is wrong with them.
    """
    if not classes:
        raise UserError("the annotations name no class")
    split = {"image": "{id}", "mask": "{id}"}
    try:
        found = parse_custom_dataset({"classes": list(classes), "train": split, "val_share": 0.5})
    except UserError as error:
        raise UserError(
            str(error).replace("data.custom.classes", "classes").replace(". Change it in conf/data/", "")
        ) from None
    assert found is not None
    return found


def description(name: str, root: Path, classes: Sequence[str], converted: Converted) -> str:
    """A file of conf/data.

    Args:
        name: of the dataset.
        root: of its files, absolute or relative to the project.
        classes: in the order of their values, from 1.
        converted: what was written.
    """
    places = {
        split: f"{{image: {_text(image)}, mask: {_text(mask)}, saliency: null, list: null}}"
        for split, (image, mask) in converted.templates.items()
    }
    void = VOID if converted.pixels[VOID] else "null"
    background = "true" if converted.pixels[BACKGROUND_ID] else "false"
    text = f"""# Written by `ssul convert`; docs/own_data.md explains it.
name: {_text(name)}
root: {_text(str(root))}
download: false
mirror: null
on_error: refuse
saliency: none
holdout: 0.0
holdout_seed: 0
rehearsal_capacity: {len(classes) * 5}
shapes: null
custom:
  classes: [{", ".join(map(_text, classes))}]
  palette: null
  background: {background}
  first_value: 1
  void: {void}
  train: {places["train"]}
  val: {places.get("val", "null")}
  val_share: {"null" if "val" in places else 0.2}
  val_seed: 0
"""
    parse_custom_dataset(yaml.safe_load(text)["custom"])
    return text


def _text(text: str) -> str:
    """A YAML scalar in quotes: JSON's, which YAML contains."""
    return json.dumps(text, ensure_ascii=False)
