"""The files of conf/, read without Hydra."""

from pathlib import Path
from typing import Any

import yaml

from ssul.config.load import parse_custom_dataset
from ssul.config.paths import Layout
from ssul.datasets.catalog import CATALOG, DatasetSpec
from ssul.datasets.custom import resolve_dataset
from ssul.errors import UserError


def known_dataset(name: str, root: Path) -> DatasetSpec:
    """A dataset of the catalog, or the user's own one that conf/data describes.

    Raises:
        UserError: if it is neither, or its description is not valid.
    """
    path = Layout(root).datasets / f"{name}.yaml"
    if name in CATALOG or not path.is_file():
        return resolve_dataset(name, None)
    return resolve_dataset(name, parse_custom_dataset(read_sections(path).get("custom")))


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
