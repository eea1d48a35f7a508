"""The files of conf/, read without Hydra."""

from pathlib import Path
from typing import Any

import yaml

from ssul.config.load import parse_custom_dataset
from ssul.config.paths import Layout
from ssul.datasets.catalog import CATALOG, DatasetSpec
from ssul.datasets.custom import resolve_dataset
from ssul.errors import UserError


def known_dataset(name: str, root: Path, *, option: str = "the dataset") -> DatasetSpec:
    """A dataset of the catalog, or the user's own one that conf/data describes.

    Args:
        name: of the dataset.
        root: the project.
        option: where the name was typed, for the message.

    Raises:
        UserError: if it is neither, or its description is not valid.
    """
    path = Layout(root).datasets / f"{name}.yaml"
    if name in CATALOG:
        return CATALOG[name]
    if not path.is_file():
        raise unknown_dataset(name, root, option=option)
    return resolve_dataset(name, parse_custom_dataset(read_sections(path).get("custom")))


def unknown_dataset(name: str, root: Path, *, option: str = "the dataset") -> UserError:
    """The error about a name that neither the catalog nor conf/data has; it names all that there are.

    Args:
        name: as it was typed.
        root: the project.
        option: where it was typed.
    """
    own = {path.stem for path in Layout(root).datasets.glob("*.yaml")}
    known = sorted(own | CATALOG.keys())
    return UserError(
        f"{option} is '{name}', which is not in the catalog and not described in conf/data: choose "
        f"{', '.join(known)}, or describe your own, see docs/own_data.md"
    )


def read_sections(path: Path) -> dict[str, Any]:
    """The content of a file of conf/; empty if it holds no sections.

    Raises:
        UserError: if it cannot be read.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    return content if isinstance(content, dict) else {}
