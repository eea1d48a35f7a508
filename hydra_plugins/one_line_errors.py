"""A mistyped `-S` is answered in one line with what is valid; Hydra's own answers do not say what could be meant.

Hydra offers no hook for its messages, so that its loader is wrapped here; should a later Hydra have no such methods,
its own messages appear again, and nothing else changes.
"""

import difflib
import functools
from collections.abc import Callable, Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import MissingConfigException
from omegaconf import DictConfig, OmegaConf

from ssul.errors import UserError

ConfigLoaderImpl: Any
try:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    ConfigLoaderImpl._apply_overrides_to_config, ConfigLoaderImpl.load_configuration  # noqa: B018 - are they there?
except (ImportError, AttributeError):
    ConfigLoaderImpl = None


def name_groups(load: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """Says which choices a group such as `scenario` has."""

    @functools.wraps(load)
    def loading(*args: Any, **kwargs: Any) -> DictConfig:
        try:
            return load(*args, **kwargs)
        except MissingConfigException as error:
            if error.options is None:
                raise
            group, _, choice = (error.missing_cfg_file or "").rpartition("/")
            raise UserError(f"{group}={choice} is not known{_guess(choice, error.options)}") from None

    return loading


def name_parameters(apply: Callable[..., None]) -> Callable[..., None]:
    """Says which parameters there are beside an unknown one."""

    @functools.wraps(apply)
    def applying(overrides: Sequence[Override], cfg: DictConfig) -> None:
        for override in overrides:
            if not override.is_add() and not override.is_delete():
                _refuse_unknown(override.key_or_group, cfg)
        apply(overrides, cfg)

    return applying


def _refuse_unknown(name: str, cfg: DictConfig) -> None:
    section: Any = cfg
    parts = name.split(".")
    for depth, part in enumerate(parts):
        if not isinstance(section, DictConfig):
            return
        if part not in section:
            before = ".".join(parts[:depth])
            known = [f"{before}.{key}" if before else str(key) for key in section if key != "hydra"]
            raise UserError(f"the parameter {name} is not known{_guess(name, known)}")
        if OmegaConf.is_interpolation(section, part) or OmegaConf.is_missing(section, part):
            return
        section = section[part]


def _guess(wrong: str, valid: Sequence[str]) -> str:
    close = difflib.get_close_matches(wrong, valid, n=1)
    return (
        f" (did you mean {close[0]}?): choose from {', '.join(valid)}" if close else f": choose from {', '.join(valid)}"
    )


if ConfigLoaderImpl is not None:
    ConfigLoaderImpl.load_configuration = name_groups(ConfigLoaderImpl.load_configuration)
    ConfigLoaderImpl._apply_overrides_to_config = staticmethod(
        name_parameters(ConfigLoaderImpl._apply_overrides_to_config)
    )
