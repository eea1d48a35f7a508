"""Strict JSON reading: wrong types, duplicate keys, NaN and infinity are refused."""

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ssul.errors import UserError

Kind = TypeVar("Kind")
_MAX_QUOTED = 300


def read_json(path: Path, kind: type[Kind], *, what: str, way_out: str) -> Kind:
    """Reads a JSON file as an object of a type.

    Args:
        path: the file.
        kind: the type, such as a dataclass; a tuple stands for a list. `Any` accepts all JSON.
        what: names the file in the message: `the index`.
        way_out: what writes a correct file, for the message: ``run `dvc repro prepare` ``.

    Raises:
        UserError: if it is missing, cannot be read, or has another content.
    """
    try:
        content = path.read_bytes() if path.is_file() else None  # reading a pipe would block
    except OSError as error:
        raise UserError(f"{what} {path} cannot be read ({error.strerror or error}): {way_out}") from None
    if content is None:
        raise UserError(f"{what} {path} is {'not a file' if path.exists() else 'missing'}: {way_out}")
    try:
        return parse_json(content, kind)
    except ValueError as error:
        raise UserError(f"{what} {path} is damaged ({error}): {way_out}") from None


def parse_json(content: bytes, kind: type[Kind]) -> Kind:
    """Parses the content of a JSON file, as `read_json`.

    Raises:
        ValueError: if it is anything else; the message is one line.
    """
    try:
        json.loads(content.decode(), parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unique_keys)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    try:
        found: Kind = _reader(kind).validate_json(content, strict=True)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part)[:_MAX_QUOTED] for part in first["loc"])
        message = " ".join(first["msg"].removeprefix("Value error, ").split())
        raise ValueError(f"{place}: {message}" if place else message) from None
    return found


def check_consistent(path: Path, faults: Mapping[str, bool], *, what: str, way_out: str) -> None:
    """Refuses a file whose parts contradict each other.

    Args:
        path, what, way_out: as in `read_json`.
        faults: descriptions of what may be wrong, and whether it is.

    Raises:
        UserError: naming the first fault.
    """
    fault = next((words for words, is_so in faults.items() if is_so), None)
    if fault is not None:
        raise UserError(f"{what} {path} is damaged ({fault}): {way_out}")


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"{digits[:_MAX_QUOTED]} is too large a number")
    return number


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:_MAX_QUOTED]!r} is there twice")
    return found
