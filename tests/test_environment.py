"""The environment variables: defaults, values and refusals."""

from collections.abc import Callable

import pytest

from ssul import environment
from ssul.errors import UserError


@pytest.mark.parametrize(
    ("name", "read", "default", "given", "value"),
    [
        ("SSUL_DEVICES", environment.devices, 1, "4", 4),
        ("SSUL_NODES", environment.nodes, None, "2", 2),
        ("SSUL_SRUN", environment.srun_since, None, "17.5", 17.5),
        ("SSUL_WORKERS", environment.workers, None, "-1", 0),
        ("SSUL_CACHE_MIB", environment.cache_bytes, 512 * 2**20, "0", 0),
        ("SSUL_SAVE_MINUTES", environment.save_minutes, 5.0, "0.5", 0.5),
        ("SSUL_LIVE_AFTER", environment.live_after, 30.0, "0", 0.0),
        ("SSUL_TRACKING", environment.tracking, True, "Off", False),
        ("SSUL_ACCELERATOR", environment.accelerator, "auto", "cpu", "cpu"),
    ],
)
def test_an_unset_or_empty_variable_has_its_default(
    name: str, read: Callable[[], object], default: object, given: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name, raising=False)
    assert read() == default
    monkeypatch.setenv(name, "")
    assert read() == default
    monkeypatch.setenv(name, given)
    assert read() == value


@pytest.mark.parametrize(
    ("name", "read", "given"),
    [
        ("SSUL_DEVICES", environment.devices, "0"),
        ("SSUL_DEVICES", environment.devices, "two"),
        ("SSUL_NODES", environment.nodes, "0"),
        ("SSUL_WORKERS", environment.workers, "some"),
        ("SSUL_CACHE_MIB", environment.cache_bytes, "much"),
        ("SSUL_SAVE_MINUTES", environment.save_minutes, "-1"),
        ("SSUL_LIVE_AFTER", environment.live_after, "soon"),
        ("SSUL_TRACKING", environment.tracking, "of"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(
    name: str, read: Callable[[], object], given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, given)
    with pytest.raises(UserError, match=f"{name}.*{given}.*choose"):
        read()
