"""Reads params.yaml into `Params`; errors are one line and name the nearest valid parameter."""

import difflib
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from ssul.config.base import StrictModel
from ssul.config.custom_dataset import CustomDataset
from ssul.config.schema import METHODS, Params, method_name
from ssul.errors import UserError

Section = TypeVar("Section", bound=StrictModel)


def parse_params(params: Any) -> Params:
    """Validates composed parameters.

    Raises:
        UserError: one line that names every wrong parameter, what is allowed and where to change it.
    """
    if not isinstance(params, dict):
        raise UserError("params.yaml holds no parameters: restore it with `git checkout params.yaml`")
    return _validate(Params, params, way_out=". Set parameters with `dvc exp run -S NAME=VALUE` or in conf/.")


def parse_custom_dataset(custom: Any) -> CustomDataset | None:
    """Validates the description of a custom dataset (`data.custom`).

    Raises:
        UserError: one line that names every wrong parameter.
    """
    if custom is None:
        return None
    return _validate(CustomDataset, custom, ("data", "custom"), way_out=". Change it in conf/data/")


def unknown_parameter(name: str, valid: Sequence[str]) -> str:
    """The message about a name that no parameter has.

    Args:
        name: dotted.
        valid: the names that are valid in its section.
    """
    section, dot, last = name.rpartition(".")
    close = difflib.get_close_matches(last, valid, n=1)
    guess = f" (did you mean {section}{dot}{close[0]}?)" if close else ""
    return f"unknown parameter {name}{guess}, valid here: {', '.join(valid) or 'nothing'}"


def load_params(path: Path) -> Params:
    """Reads and validates a params.yaml.

    Raises:
        UserError: if it is missing, is not YAML, or does not validate.
    """
    return parse_params(read_params(path))


def read_params(path: Path) -> Any:
    """Reads a params.yaml as it is.

    Raises:
        UserError: if it is missing or is not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: restore it with `git checkout {path}`, or let `dvc exp run` compose it"
        ) from None
    # PyYAML raises other errors too: an invalid date is a ValueError
    except (yaml.YAMLError, ValueError, TypeError, LookupError, OSError) as error:
        raise UserError(f"{path} cannot be read as YAML: {' '.join(str(error).split())[:500]}") from None
    except RecursionError:
        raise UserError(f"{path} cannot be read as YAML: it is nested too deeply") from None


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlist, _SHORT.maxtuple = 3, 200, 200, 12, 12


def _validate(schema: type[Section], values: Any, inside: tuple[str, ...] = (), *, way_out: str) -> Section:
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        messages = dict.fromkeys(_message(detail, values, inside) for detail in error.errors())
        raise UserError("; ".join(messages) + way_out) from None


def _message(detail: Any, params: dict[str, Any], inside: tuple[str, ...]) -> str:
    location = (*inside, *detail["loc"])
    if not location:  # of parameters that do not go together, which the message names
        return str(detail["msg"].removeprefix("Value error, "))
    if detail["type"].startswith("union_tag"):
        return f"parameter method.name is {_brief(method_name(detail['input']))}: choose {', '.join(METHODS)}"
    kind = str(location[1]) if location[0] == "method" and len(location) > 1 else ""
    location = location[:1] + location[2:] if kind else location  # pydantic names the method of the union in between
    name = ".".join(_named(part) for part in location)
    if detail["type"] == "missing":
        return f"parameter {name} is missing"
    if location[:2] == ("scenario", "order"):  # a union: pydantic reports an error for each of its members
        order = _brief(params["scenario"]["order"])
        return f"parameter scenario.order is {order}: choose natural, a published letter, or a list of names or ids"
    if detail["type"] == "extra_forbidden":
        return unknown_parameter(name, _valid(location, kind))
    reason = " ".join(detail["msg"].removeprefix("Value error, ").split())
    reason = f"{reason[:1].lower()}{reason[1:]}"
    if isinstance(detail["input"], dict):  # of a whole section
        return f"parameter {name}: {reason}"
    return f"parameter {name} is {_brief(detail['input'])}: {reason}"


def _brief(value: Any) -> str:
    text = _SHORT.repr(value)  # never the whole: aliases of aliases are short in YAML, and their text is endless
    return text if len(text) <= 200 else f"{text[:200]}..."


def _named(part: Any) -> str:
    """A name that fits into a message of one line."""
    name = str(part)
    return name if name.isprintable() and len(name) <= 80 else _brief(name)


def _valid(location: tuple[Any, ...], method: str) -> list[str]:
    """The names beside an unknown one."""
    section: Any = METHODS[method] if method else Params
    for part in location[1 if method else 0 : -1]:
        annotation = section.model_fields[part].annotation
        section = next(
            kind for kind in (annotation, *getattr(annotation, "__args__", ())) if hasattr(kind, "model_fields")
        )
    return list(section.model_fields)
