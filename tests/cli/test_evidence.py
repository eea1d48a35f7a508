"""Which run in MLflow is an experiment of docs/evidence.yaml."""

from ssul.cli.evidence import find_run
from ssul.config.load import parse_params
from ssul.report.evidence import Planned
from ssul.tracking.collect import LoggedRun
from ssul.tracking.experiment import logged_params
from tests.project import PROJECT, composed

MIB = Planned("toys", "MiB", 0, ("method=mib", "seed=0"))
FUSED = Planned("toys", "MiB with EWF", 0, ("method=mib", "method.fusion=true", "seed=0"))


def run(*overrides: str, without: str = "") -> LoggedRun:
    """A run of a version that lacks one parameter."""
    params = {name: str(value) for name, value in logged_params(parse_params(composed(*overrides))).items()}
    return LoggedRun("a" * 32, {}, {name: value for name, value in params.items() if name != without}, {}, 0)


def test_a_run_of_a_version_without_a_parameter_is_an_experiment_that_leaves_it_alone_but_none_that_sets_it() -> None:
    older = run("method=mib", without="method.fusion")
    assert find_run(MIB, [older], PROJECT) == older
    assert find_run(FUSED, [older], PROJECT) is None
    fused = run("method=mib", "method.fusion=true")
    assert find_run(FUSED, [older, fused], PROJECT) == fused
    assert find_run(MIB, [fused, run("method=plop")], PROJECT) is None
