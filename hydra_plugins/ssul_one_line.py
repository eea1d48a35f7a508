"""Refusals of a composition in one line, Hydra's own among them.

A refusal is a SystemExit, because DVC drowns every other exception in words of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra._internal.hydra import Hydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException

from ssul.config.load import unknown_parameter
from ssul.errors import UserError

_compose = Hydra.compose_config


@contextmanager
def one_line() -> Iterator[None]:
    """Turns refusals into exits with one line."""
    try:
        yield
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
    except HydraException as error:
        raise SystemExit(f"error: {_reason(error)}") from None


def _reason(error: HydraException) -> str:
    """What Hydra says, without its advice to add a parameter, which nothing would read."""
    if isinstance(error, MissingConfigException) and error.options:
        return f"there is no conf/{error.missing_cfg_file}.yaml: choose {', '.join(error.options)}"
    if isinstance(error, OverrideParseException):
        name, _, value = error.override.partition("=")
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        return (
            f"-S {error.override} cannot be read: put a value with blanks, umlauts or other special characters into "
            f"two pairs of quotes, as in -S '{name}=\"{quoted}\"'"
        )
    section = getattr(error.__cause__, "parent_node", None)  # where a name is missing
    if section is not None:
        name = str(getattr(error.__cause__, "full_key", ""))
        return unknown_parameter(name, [str(known) for known in section if known != "hydra"])
    return " ".join(str(error).split())


def _compose_config(hydra: Hydra, *arguments: Any, **settings: Any) -> Any:
    with one_line():
        return _compose(hydra, *arguments, **settings)


Hydra.compose_config = _compose_config
