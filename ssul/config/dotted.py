"""Parameters by their dotted names."""

from collections.abc import Mapping
from typing import Any

LOCATION_PARAMS = ("data.root", "data.download", "data.mirror", "data.on_error", "recipe.base.checkpoint")
"""Parameters that change no result: they name places, or the data index holds their whole effect (on_error)."""


def affects_results(name: str) -> bool:
    """Whether a parameter can change a result."""
    return name not in LOCATION_PARAMS


def value_at(params: Any, name: str) -> Any:
    """The value or the section of that name; None if there is none."""
    for part in name.split("."):
        params = params.get(part) if isinstance(params, Mapping) else None
    return params


def leaves(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """All values by dotted name; a list is one value."""
    found: dict[str, Any] = {}
    for key, value in params.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The names whose values differ, as dvc compares them, or that only one of both has; sorted."""
    return sorted(name for name in {**one, **other} if name not in one or name not in other or one[name] != other[name])
