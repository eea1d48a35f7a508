"""What every parameter may be and what it decides, from the schema."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ssul.config.method import FusibleMethod, MethodParams
from ssul.config.schema import METHODS, Params

_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_KINDS = {"integer": "whole number", "number": "number", "string": "text", "object": "mapping"}


@dataclass(frozen=True)
class Parameter:
    """A parameter of params.yaml.

    Attributes:
        name: as `-S` takes it, such as `recipe.base.lr`.
        values: which it may have, in words.
        text: what it decides.
        method: the method whose section it is in; None for those of all runs.
    """

    name: str
    values: str
    text: str
    method: str | None = None


def parameters() -> list[Parameter]:
    """All parameters, in the order of params.yaml; a method's own come after those of all methods."""
    found: list[Parameter] = []
    for one in _walk(Params.model_json_schema(), ""):
        found += _method_parameters() if one.name == "method" else [one]
    return found


def _method_parameters() -> Iterator[Parameter]:
    yield from _walk(MethodParams.model_json_schema(), "method.")
    yield from (one for one in _walk(FusibleMethod.model_json_schema(), "method.") if one.name == "method.fusion")
    for name, method in METHODS.items():
        for one in _walk(method.model_json_schema(), "method."):
            if one.name.startswith(f"method.{name}."):
                yield Parameter(one.name, one.values, one.text, name)


def _walk(schema: Mapping[str, Any], prefix: str) -> Iterator[Parameter]:
    """The parameters of a JSON schema; sections, also those that may be null, are gone through."""
    definitions = schema.get("$defs", {})

    def of(node: Mapping[str, Any], prefix: str) -> Iterator[Parameter]:
        for name, field in node["properties"].items():
            sections = [one for one in map(resolved, _alternatives(field)) if "properties" in one]
            if len(sections) == 1:
                yield from of(sections[0], f"{prefix}{name}.")
            else:
                values = "" if sections else _values(field)
                yield Parameter(prefix + name, values, " ".join(field.get("description", "").split()))

    def resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
        return definitions[node["$ref"].rpartition("/")[2]] if "$ref" in node else node

    yield from of(schema, prefix)


def _alternatives(field: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The schemas of which a value fits one."""
    return field.get("anyOf") or field.get("oneOf") or [field]


def _values(field: Mapping[str, Any]) -> str:
    """The values of a schema in words, such as `number ≥ 0, < 1`."""
    if len(_alternatives(field)) > 1:
        return " or ".join(map(_values, _alternatives(field)))
    if "enum" in field or "const" in field:
        return " | ".join(map(str, field.get("enum") or [field["const"]]))
    kind = field.get("type")
    if kind == "null":
        return "null"
    if kind == "boolean":
        return "true | false"
    if kind == "array":
        return _list(field)
    bounds = ", ".join(f"{sign} {field[bound]:g}" for bound, sign in _BOUNDS.items() if bound in field)
    return f"{_KINDS[str(kind)]} {bounds}".strip()


def _list(field: Mapping[str, Any]) -> str:
    """Lists of a fixed length hold one kind of value here: ranges and colours."""
    if "prefixItems" in field:
        return f"{len(field['prefixItems'])} times ({_values(field['prefixItems'][0])})"
    return f"list of ({_values(field['items'])})"
