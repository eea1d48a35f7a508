"""The stages of dvc.yaml, with its templates filled in as dvc does it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ssul.config.dotted import value_at
from ssul.errors import UserError

try:  # seven times as fast, so that no stage starts noticeably later
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

_CODE = (".py", ".safetensors")  # weights that come with the code decide as it does
_TEMPLATE = re.compile(r"\$\{([\w.]+)\}")


@dataclass(frozen=True)
class Stage:
    """A stage.

    Attributes:
        name: as dvc prints it: `train_base`, `train_step@1`.
        command: what it runs.
        deps: the data and the code that it lists.
        params: the parameters and sections that it lists, by dotted name.
        outs: what it writes.
    """

    name: str
    command: str
    deps: tuple[str, ...]
    params: tuple[str, ...]
    outs: tuple[str, ...]

    @property
    def data(self) -> list[str]:
        """The data that it lists."""
        return [dep for dep in self.deps if dep.startswith("data/")]

    def code(self, root: Path) -> list[Path]:
        """The files of code that it lists, or that lie in a folder that it lists; below `root`, sorted."""
        listed = [root / dep for dep in self.deps if not dep.startswith("data/")]
        files = (file for path in listed for file in ([path] if path.suffix == ".py" else path.rglob("*.*")))
        return sorted(file for file in files if file.suffix in _CODE)

    def reads(self, other: "Stage") -> bool:
        """Whether it reads what another stage writes."""
        return any(dep == out or dep.startswith(f"{out}/") for dep in self.deps for out in other.outs)


def read_stages(path: Path, params: Mapping[str, Any]) -> list[Stage]:
    """Reads a dvc.yaml.

    Args:
        path: of the file.
        params: all parameters, for its templates.

    Raises:
        UserError: if it is missing or has no stages.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=SafeLoader)
        return [stage for name, entry in content["stages"].items() for stage in _expanded(name, entry, params)]
    except (OSError, yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read ({reason}): restore it with `git checkout {path}`") from None


def upstream(stage: Stage, stages: Sequence[Stage]) -> list[Stage]:
    """The stages that make what a stage reads, directly or through others, in the order of dvc.yaml."""
    found = [stage]
    for one in found:  # it grows
        found += [other for other in stages if other not in found and one.reads(other)]
    return [one for one in stages if one in found[1:]]


def _expanded(name: str, entry: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[Stage]:
    """One stage, or with `foreach` one for each item."""
    if "foreach" not in entry:
        yield _filled(name, entry, params)
        return
    found = _TEMPLATE.fullmatch(str(entry["foreach"]))
    items = value_at(params, found[1]) if found else entry["foreach"]
    for key, item in items.items() if isinstance(items, Mapping) else zip(items, items, strict=True):
        yield _filled(f"{name}@{key}", entry["do"], {**params, "key": key, "item": item})


def _filled(name: str, entry: Mapping[str, Any], values: Mapping[str, Any]) -> Stage:
    def listed(part: str) -> tuple[str, ...]:
        """The paths or names of a part; one that has settings is a mapping."""
        texts = [next(iter(one)) if isinstance(one, Mapping) else str(one) for one in entry.get(part, ())]
        return tuple(map(fill, texts))

    def fill(text: str) -> str:
        return _TEMPLATE.sub(lambda found: str(value_at(values, found[1])), text)

    return Stage(name, fill(str(entry["cmd"])), listed("deps"), listed("params"), listed("outs"))
