"""The estimate of the time counts the iterations that the training will have."""

import pytest

from ssul.cli.time_estimate import estimated_iterations
from ssul.config.load import parse_params
from tests.project import composed


@pytest.mark.parametrize(
    ("overrides", "step", "iterations"),
    [
        ((), 1, 10 * 10),
        (("memory=rehearsal",), 0, 10 * 10),
        (("memory=rehearsal",), 1, 10 * 20),  # half of each batch shows exemplars
        (("memory=rehearsal", "memory.epoch=iterations"), 1, 10 * 10),
        (("memory=appended", "memory.capacity=32"), 1, 10 * 12),
    ],
)
def test_exemplars_make_an_increment_longer(overrides: tuple[str, ...], step: int, iterations: int) -> None:
    lengths = [
        "recipe.base.epochs=10",
        "recipe.increment.epochs=10",
        "recipe.base.batch=16",
        "recipe.increment.batch=16",
    ]
    params = parse_params(composed(*lengths, *overrides))
    assert estimated_iterations(params, 160, step) == iterations
