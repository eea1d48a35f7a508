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
_LONGEST = 300


def read_json(path: Path, kind: type[Kind], *, what: str, way_out: str) -> Kind:
    """Reads a JSON file as an object of a type: a dataclass, whose keys must all be known, or built of lists and dicts.

    Args:
        path: the file.
        kind: what it must hold; tuples stand for lists. `Any` takes whatever JSON there is.
        what: the file is, for the message: `the index`.
        way_out: what brings a right one, for the message: ``run `dvc repro prepare` ``.

    Raises:
        UserError: if it is missing, cannot be read, or holds anything else.
    """
    try:
        content = path.read_bytes() if path.is_file() else None  # a pipe would be waited for without end
    except OSError as error:
        raise UserError(f"{what} {path} cannot be read ({error.strerror or error}): {way_out}") from None
    if content is None:
        raise UserError(f"{what} {path} is {'no file' if path.exists() else 'missing'}: {way_out}")
    try:
        return parse_json(content, kind)
    except ValueError as error:
        raise UserError(f"{what} {path} is damaged ({error}): {way_out}") from None


def parse_json(content: bytes, kind: type[Kind]) -> Kind:
    """The same of bytes.

    Raises:
        ValueError: if they hold anything else; says in one line what.
    """
    try:
        json.loads(content.decode(), parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_each_key_once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    try:
        found: Kind = _reader(kind).validate_json(content, strict=True)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part)[:_LONGEST] for part in first["loc"])
        told = " ".join(first["msg"].removeprefix("Value error, ").split())
        raise ValueError(f"{place}: {told}" if place else told) from None
    return found


def check_consistent(path: Path, faults: Mapping[str, bool], *, what: str, way_out: str) -> None:
    """Refuses what was read, where its parts do not fit together.

    Args:
        path, what, way_out: as in `read_json`.
        faults: what may be wrong, in words, and whether it is.

    Raises:
        UserError: naming the first fault.
    """
    fault = next((words for words, is_so in faults.items() if is_so), None)
    if fault is not None:
        raise UserError(f"{what} {path} is damaged ({fault}): {way_out}")


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"{digits[:_LONGEST]} is too large a number")
    return number


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:_LONGEST]!r} is there twice")
    return found
