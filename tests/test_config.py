"""What params.yaml may say, and that what conf/ composes says it."""

import copy
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import compose_and_dump

from ssul import catalog, config
from ssul.config import Settings
from ssul.errors import UserError
from ssul.scenario import Scenario

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"
Compose = Callable[..., dict[str, Any]]


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


SCENARIOS = options("scenario")


@pytest.fixture(scope="module")
def compose_text(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """What `dvc exp run -S ...` writes into params.yaml."""
    output = tmp_path_factory.mktemp("composed") / "params.yaml"

    def composed(*overrides: str) -> str:
        compose_and_dump(output, str(CONF), None, "config", str(ROOT), list(overrides))
        return output.read_text(encoding="utf-8")

    return composed


@pytest.fixture(scope="module")
def compose(compose_text: Callable[..., str]) -> Compose:
    return lambda *overrides: yaml.safe_load(compose_text(*overrides))


@pytest.fixture
def params() -> dict[str, Any]:
    """The committed parameters, for a test to spoil."""
    return yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def with_value(params: dict[str, Any], name: str, value: object) -> dict[str, Any]:
    *sections, last = name.split(".")
    changed = copy.deepcopy(params)
    section = changed
    for part in sections:
        section = section[part]
    section[last] = value
    return changed


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "nearest", "valid"),
    [
        ("sede", "seed", "seed, setting, data, scenario, model, method, memory, recipe, evaluation"),
        ("method.pseudo_label", "method.pseudo_labels", "unknown, pseudo_labels, pseudo_threshold, freeze"),
        ("recipe.base.epoch", "recipe.base.epochs", "epochs, batch, lr, trunk_lr_ratio, momentum, weight_decay"),
        ("data.drawn.hight", "data.drawn.height", "seed, train, val, height, width"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_and_the_valid_names(
    params: dict[str, Any], name: str, nearest: str, valid: str
) -> None:
    with pytest.raises(UserError) as refusal:
        config.parse(with_value(params, name, 1))
    assert f"unknown parameter {name} (did you mean {nearest}?)" in str(refusal.value)
    assert valid in str(refusal.value)


def test_a_name_like_no_other_is_refused_without_a_guess(params: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"unknown parameter memory\.zzz, valid here: capacity, strategy"):
        config.parse(with_value(params, "memory.zzz", 1))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("seed", "many", "valid integer"),
        ("setting", "sequential", "'overlapped', 'disjoint' or 'partitioned'"),
        ("data.saliency", True, "'maps' or 'none'"),
        ("scenario.base_classes", 0, "greater than or equal to 1"),
        ("scenario.order", 5, "list of class ids"),
        ("scenario.order", [1, "two"], "list of class ids"),
        ("model.trunk", "vgg16", "'resnet50'"),
        ("model.output_stride", 32, "8 or 16"),
        ("model.width", 64.5, "valid integer"),
        ("method.loss", "focal", "'bce' or 'ce'"),
        ("method.unknown", "perhaps", "valid boolean"),
        ("method.pseudo_threshold", 1.5, "less than or equal to 1"),
        ("method.pseudo_threshold", float("nan"), "less than or equal to 1"),
        ("memory.capacity", -1, "greater than or equal to 0"),
        ("recipe.crop", 16, "greater than or equal to 32"),
        ("recipe.scale", 1.0, "tuple"),
        ("recipe.precision", 16, "'32' or 'bf16'"),
        ("recipe.base", "voc", "dictionary"),
        ("recipe.base.batch", 1, "greater than or equal to 2"),
        ("recipe.increment.lr", 0.0, "greater than 0"),
        ("recipe.increment.lr", float("inf"), "finite"),
        ("evaluation.future", "forget", "'ignore' or 'background'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_its_value_and_what_is_valid(
    params: dict[str, Any], name: str, value: object, words: str
) -> None:
    with pytest.raises(UserError) as refusal:
        config.parse(with_value(params, name, value))
    told = str(refusal.value)
    assert told.startswith(f"parameter {name} is "), told
    assert str(value) in told
    assert words in told
    assert "\n" not in told


def test_missing_parameters_are_all_named_at_once(params: dict[str, Any]) -> None:
    del params["seed"]
    del params["recipe"]["increment"]["lr"]
    with pytest.raises(UserError) as refusal:
        config.parse(params)
    assert "parameter seed is missing" in str(refusal.value)
    assert "parameter recipe.increment.lr is missing" in str(refusal.value)


def test_a_refusal_says_the_way_out(params: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"`dvc exp run -S NAME=VALUE` or in conf/"):
        config.parse(with_value(params, "seed", "many"))


def test_a_missing_file_is_refused_with_the_way_to_restore_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml is missing: restore it with `git checkout"):
        config.load(tmp_path / "params.yaml")


@pytest.mark.parametrize("content", [b"seed: [1, 2", b"seed: 1\n\tsetting: x", b"\xff\xfe\x00seed"])
def test_a_file_that_is_not_yaml_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"params\.yaml cannot be read as YAML") as refusal:
        config.load(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "hello\n"])
def test_a_file_without_parameters_is_refused_in_words(tmp_path: Path, content: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as refusal:
        config.load(path)
    assert "parameter  is" not in str(refusal.value)  # a parameter without a name helps nobody


# --- what is accepted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [32, "32"])
def test_precision_32_may_be_a_number(params: dict[str, Any], written: object) -> None:
    assert config.parse(with_value(params, "recipe.precision", written)).recipe.precision == "32"


def test_settings_cannot_be_changed(params: dict[str, Any]) -> None:
    settings = config.parse(params)
    with pytest.raises(ValueError, match="frozen"):
        settings.seed = 1  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        settings.recipe.base.lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(("loss", "activation"), [("bce", "sigmoid"), ("ce", "softmax")])
def test_the_loss_decides_how_logits_become_scores(params: dict[str, Any], loss: str, activation: str) -> None:
    assert config.parse(with_value(params, "method.loss", loss)).method.activation == activation


# --- what conf/ composes ----------------------------------------------------------------------------------------------


def test_the_committed_parameters_are_what_conf_composes(compose_text: Callable[..., str]) -> None:
    """To the byte: `dvc exp run` without overrides leaves params.yaml as it is.

    The committed ones, or those about to be: an experiment that somebody has just run composes others.
    """
    committed = subprocess.run(
        ["git", "show", "HEAD:params.yaml"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert compose_text() in (committed.stdout, (ROOT / "params.yaml").read_text(encoding="utf-8"))


def scenario_of(settings: Settings) -> Scenario:
    order = catalog.learning_order(catalog.data_set(settings.data.name), settings.scenario.order)
    return Scenario(order, settings.scenario.base_classes, settings.scenario.increment)


@pytest.mark.parametrize("memory", options("memory"))
@pytest.mark.parametrize("method", options("method"))
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_composes_with_every_method_and_memory(
    compose: Compose, name: str, method: str, memory: str
) -> None:
    settings = config.parse(compose(f"scenario={name}", f"method={method}", f"memory={memory}"))
    data_set, _, arithmetic = name.partition("_")
    assert settings.scenario.name == name
    assert settings.method.name == method
    # it brings its data set, network and recipe
    brought = {"shapes": ("small", 96), "voc": ("resnet101", 513)}
    assert settings.data.name == data_set
    assert (settings.model.trunk, settings.recipe.crop) == brought[data_set]
    assert settings.memory.capacity == (settings.data.rehearsal_capacity if memory == "rehearsal" else 0)
    # and its arithmetic is what it is called
    scenario = scenario_of(settings)
    if arithmetic == "offline":
        assert len(scenario.steps) == 1
    else:
        sizes, _, letter = arithmetic.partition("_")
        assert sizes == f"{scenario.base_classes}-{scenario.increment}"
        assert settings.scenario.order == (letter or "natural")
    assert settings.scenario.last == len(scenario.steps) - 1
    assert settings.scenario.steps == {str(k): {"prev": k - 1} for k in range(1, len(scenario.steps))}


def test_a_choice_wins_over_what_the_scenario_brings(compose: Compose) -> None:
    settings = config.parse(compose("scenario=voc_15-5", "model=small", "recipe=shapes", "recipe.base.epochs=1"))
    assert (settings.data.name, settings.model.trunk) == ("voc", "small")
    assert (settings.recipe.crop, settings.recipe.base.epochs, settings.recipe.increment.epochs) == (96, 1, 12)


def test_changed_arithmetic_changes_the_pipeline(compose: Compose) -> None:
    params = compose("scenario.base_classes=3", "scenario.increment=4", "scenario.order=[10,9,8,7,6,5,4,3,2,1]")
    settings = config.parse(params)
    assert settings.scenario.order == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert (list(settings.scenario.steps), settings.scenario.last) == (["1", "2"], 2)


def test_arithmetic_that_does_not_work_out_is_refused_while_composing(compose: Compose) -> None:
    with pytest.raises(Exception, match=r"scenario\.increment is 9, but 4 of 10 classes are left.*choose 1\.\.4"):
        compose("scenario.increment=9")


def test_fine_tuning_has_every_part_of_ssul_off(compose: Compose) -> None:
    method = config.parse(compose("method=finetune")).method
    switches = {name: value for name, value in method if isinstance(value, bool)}
    assert set(switches) >= {"unknown", "pseudo_labels", "freeze", "freeze_norm", "weight_transfer"}
    assert not any(switches.values())
    assert method.loss == "ce"


def test_ssul_has_every_part_on(compose: Compose) -> None:
    method = config.parse(compose("method=ssul")).method
    assert all(value for _, value in method if isinstance(value, bool))
    assert (method.loss, method.pseudo_threshold) == ("bce", 0.7)


def names_in(section: object) -> Iterator[str]:
    if isinstance(section, dict):
        for name, value in section.items():
            yield name
            yield from names_in(value)


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_no_parameter_has_a_name_that_dvcs_run_cache_overlooks(path: Path) -> None:
    assert not {"size", "nfiles"} & set(names_in(yaml.safe_load(path.read_text(encoding="utf-8"))))
