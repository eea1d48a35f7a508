"""What methods share and what they keep, through real `dvc`: one base for many, and prototypes from the cache.

The tests of this module run in order over one clone.
"""

import shutil

import pytest
from safetensors.torch import load_file

from tests.pipeline.clone import TINY, Clone, Outcome, digest, succeeded
from tests.project import PROJECT, composed, write_params

pytestmark = pytest.mark.slow

ONE_INCREMENT = (*TINY, "scenario.increment=4", "recipe.increment.lr=0.005")
METHODS = {path.stem: (f"method={path.stem}",) for path in sorted((PROJECT / "conf" / "method").glob("*.yaml"))}
RUNS = METHODS | {"ewf": ("method=mib", "method.fusion=true")}


def repro(clone: Clone, target: str, *overrides: str) -> Outcome:
    """Brings a stage and those before it up to date with other parameters."""
    write_params(clone.root / "params.yaml", *ONE_INCREMENT, *overrides)
    return succeeded(clone.dvc("repro", target))


@pytest.fixture(scope="module")
def sweep(fresh: Clone) -> dict[str, tuple[Outcome, dict[str, str]]]:
    """What ran for the base step of each method, one after the other, and the digests of its checkpoint."""
    checkpoint = fresh.root / "data" / "checkpoints" / "step_0"
    return {name: (repro(fresh, "train_base", *asked), digest(checkpoint)) for name, asked in RUNS.items()}


def base_parameters(*overrides: str) -> tuple[object, ...]:
    """The parameters of a method that decide its base step."""
    method = composed(*overrides)["method"]
    bugs = method["published_bugs"]
    names = ("loss", "positive_weight", "unknown", "selection")
    return (*(method[name] for name in names), bugs["padding"], bugs["drop_last"])


def test_a_sweep_over_all_methods_trains_each_base_once(sweep: dict[str, tuple[Outcome, dict[str, str]]]) -> None:
    kinds = {name: base_parameters(*asked) for name, asked in RUNS.items()}
    assert len({kinds[name] for name in ("finetune", "mib", "plop", "lwf", "ilt", "ewf")}) == 1
    assert len({kinds[name] for name in ("finetune", "lwf_mc", "ssul", "ssul_published", "dkd", "star")}) == 6
    trained = [kinds[name] for name, (outcome, _) in sweep.items() if "train_base" in outcome.ran]
    assert len(trained) == len(set(trained)) == len(set(kinds.values()))
    checkpoints = {(kinds[name], *checkpoint.values()) for name, (_, checkpoint) in sweep.items()}
    assert len(checkpoints) == len(trained)
    began = [name for name, (outcome, _) in sweep.items() if {"prepare", "splits"} & set(outcome.ran)]
    assert began == [next(iter(RUNS))]


def test_a_weight_of_dkd_trains_its_increment_again_and_nothing_else(fresh: Clone, sweep: object) -> None:
    first = repro(fresh, "evaluate_step@1", "method=dkd")
    assert "train_base" in first.restored
    assert "train_step@1" in first.ran
    again = repro(fresh, "evaluate_step@1", "method=dkd", "method.dkd.distillation=1")
    # it selects in a second, because the memory is empty
    assert again.ran == ["select_memory@1", "train_step@1", "evaluate_step@1"]


def test_what_star_keeps_comes_back_from_the_cache_to_the_byte(fresh: Clone, sweep: object) -> None:
    assert "train_step@1" in repro(fresh, "train_step@1", "method=star").ran
    data = fresh.root / "data"
    outputs, kept = data / "checkpoints" / "step_1" / "outputs.safetensors", data / "memory" / "step_1.safetensors"
    assert load_file(outputs)
    assert "prototypes" in load_file(kept)
    whole = digest(data / "checkpoints"), digest(data / "memory")

    def brought_back(*command: str) -> Outcome:
        shutil.rmtree(data / "checkpoints")
        shutil.rmtree(data / "memory")
        outcome = succeeded(fresh.dvc(*command))
        assert (digest(data / "checkpoints"), digest(data / "memory")) == whole
        return outcome

    brought_back("checkout", "train_base", "select_memory@1", "train_step@1", "splits")
    assert brought_back("repro", "train_step@1").ran == []
    shutil.rmtree(data / "cache")  # the saved states of the trainings
    (fresh.root / "dvc.lock").unlink()
    outcome = brought_back("repro", "train_step@1")
    assert outcome.ran == []
    assert {"train_base", "select_memory@1", "train_step@1"} <= set(outcome.restored)
