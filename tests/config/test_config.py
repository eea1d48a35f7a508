"""What params.yaml may say, and that what conf/ composes says it."""

import copy
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import compose_and_dump

from ssul.config.custom_dataset import MAX_CLASSES
from ssul.config.load import load_params, parse_custom_dataset, parse_params
from ssul.config.naming import RunName
from ssul.config.schema import Params
from ssul.datasets import catalog
from ssul.errors import UserError
from ssul.scenario.class_orders import published_orders
from ssul.scenario.order import ScenarioName, learning_order
from ssul.scenario.scenario import Scenario
from tests.project import composed, composed_text

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
Compose = Callable[..., dict[str, Any]]


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


SCENARIOS = options("scenario")


@pytest.fixture(scope="module")
def compose_text() -> Callable[..., str]:
    """What `dvc exp run -S ...` writes into params.yaml."""
    return composed_text


@pytest.fixture(scope="module")
def compose() -> Compose:
    return composed


@pytest.fixture
def params() -> dict[str, Any]:
    """The default parameters, for a test to spoil."""
    return composed()


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
        ("method.ssul.freez", "method.ssul.freeze", "pseudo_threshold, freeze, freeze_norm, weight_transfer"),
        ("method.select", "method.selection", "name, loss, unknown, selection, published_bugs, ssul"),
        ("recipe.base.epoch", "recipe.base.epochs", "epochs, batch, schedule, lr, backbone_lr_ratio"),
        ("data.shapes.hight", "data.shapes.height", "seed, train, val, height, width"),
        ("data.mirrors", "data.mirror", "name, root, download, mirror, on_error, saliency, holdout"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_and_the_valid_names(
    params: dict[str, Any], name: str, nearest: str, valid: str
) -> None:
    with pytest.raises(UserError) as refusal:
        parse_params(with_value(params, name, 1))
    assert f"unknown parameter {name} (did you mean {nearest}?)" in str(refusal.value)
    assert valid in str(refusal.value)


def test_a_name_like_no_other_is_refused_without_a_guess(params: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"unknown parameter memory\.zzz, valid here: capacity, strategy"):
        parse_params(with_value(params, "memory.zzz", 1))


@pytest.mark.parametrize("name", ["\n", "a\u2028b", "\x1b[31m", "long" * 1000])
def test_a_strange_name_is_told_in_one_short_line(params: dict[str, Any], name: str) -> None:
    with pytest.raises(UserError, match=r"unknown parameter data\.") as refusal:
        parse_params(with_value(params, f"data.{name}", 1))
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("seed", "many", "valid integer"),
        ("setting", "sequential", "'overlapped', 'disjoint' or 'partitioned'"),
        ("data.saliency", True, "'maps' or 'none'"),
        ("scenario.base_classes", 0, "greater than or equal to 1"),
        ("data.on_error", "ignore", "'refuse' or 'skip'"),
        ("data.holdout", 1.0, "less than 1"),
        ("data.holdout", -0.1, "greater than or equal to 0"),
        ("data.custom", "town", "dictionary"),
        ("scenario.order", 5, "choose natural, a published letter, or a list of names or ids"),
        ("scenario.order", [1, [2]], "choose natural, a published letter, or a list of names or ids"),
        ("scenario.order", [1, 2.5], "choose natural, a published letter, or a list of names or ids"),
        ("scenario.order", None, "choose natural, a published letter, or a list of names or ids"),
        ("model.backbone", "vgg16", "'resnet50'"),
        ("model.output_stride", 32, "8 or 16"),
        ("model.width", 64.5, "valid integer"),
        ("method.loss", "hinge", "'bce', 'ce' or 'focal'"),
        ("method.unknown", "perhaps", "valid boolean"),
        ("method.name", "sull", "choose ssul, finetune, mib, plop"),
        ("method.ssul.pseudo_threshold", 1.5, "less than or equal to 1"),
        ("method.ssul.pseudo_threshold", float("nan"), "less than or equal to 1"),
        ("memory.capacity", -1, "greater than or equal to 0"),
        ("recipe.crop", 16, "greater than or equal to 32"),
        ("recipe.scale", 1.0, "tuple"),
        ("recipe.precision", 16, "'32' or 'bf16'"),
        ("recipe.base", "voc", "dictionary"),
        ("recipe.base.batch", 1, "greater than or equal to 2"),
        ("recipe.increment.lr", 0.0, "greater than 0"),
        ("recipe.increment.lr", float("inf"), "finite"),
        ("evaluation.future", "forget", "'ignore' or 'background'"),
        ("evaluation.protocol", "resize", "'full' or 'crop'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_its_value_and_what_is_valid(
    params: dict[str, Any], name: str, value: object, words: str
) -> None:
    with pytest.raises(UserError) as refusal:
        parse_params(with_value(params, name, value))
    told = str(refusal.value)
    assert told.startswith(f"parameter {name} is "), told
    assert str(value) in told
    assert words in told
    assert "\n" not in told


def test_missing_parameters_are_all_named_at_once(params: dict[str, Any]) -> None:
    del params["seed"]
    del params["recipe"]["increment"]["lr"]
    with pytest.raises(UserError) as refusal:
        parse_params(params)
    assert "parameter seed is missing" in str(refusal.value)
    assert "parameter recipe.increment.lr is missing" in str(refusal.value)


def test_a_missing_order_is_named_like_any_other_parameter(params: dict[str, Any]) -> None:
    del params["scenario"]["order"]
    with pytest.raises(UserError, match=r"parameter scenario\.order is missing"):
        parse_params(params)


def test_a_refusal_says_the_way_out(params: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"`dvc exp run -S NAME=VALUE` or in conf/"):
        parse_params(with_value(params, "seed", "many"))


def test_a_missing_file_is_refused_with_the_way_to_restore_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml is missing: restore it with `git checkout"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("content", [b"seed: [1, 2", b"seed: 1\n\tsetting: x", b"\xff\xfe\x00seed"])
def test_a_file_that_is_not_yaml_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"params\.yaml cannot be read as YAML") as refusal:
        load_params(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "hello\n"])
def test_a_file_without_parameters_is_refused_in_words(tmp_path: Path, content: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as refusal:
        load_params(path)
    assert "parameter  is" not in str(refusal.value)  # a parameter without a name helps nobody


# --- own datasets ----------------------------------------------------------------------------------------------------

OWN: dict[str, Any] = {
    "classes": ["house", "tree", "road"],
    "train": {"image": "photos/{id}.jpg", "mask": "masks/{id}.png"},
    "val_share": 0.2,
}
PLACE = OWN["train"]
DESCRIBED_FAULTS = [
    ({"classes": []}, "parameter data.custom.classes is []: list should have at least 1 item"),
    ({"classes": ["a", 2]}, "parameter data.custom.classes.1 is 2: input should be a valid string"),
    ({"classes": ["a", "b", "a", "c", "b"]}, "classes are named twice, or like the background: a, b"),
    ({"classes": ["a", "background"]}, "classes are named twice, or like the background: background"),
    ({"palette": [[0, 0, 0]] * 3}, "palette has 3 colours, not 4 (background and each class)"),
    ({"palette": [[0, 0, 0]] * 3 + [[0, 0, 256]]}, "parameter data.custom.palette.3.2 is 256: "),
    ({"val": PLACE}, "choose either val (where the validation split lies) or val_share"),
    ({"val_share": None}, "choose either val (where the validation split lies) or val_share"),
    ({"val_share": 0.0}, "parameter data.custom.val_share is 0.0: input should be greater than 0"),
    ({"val_share": 1.0}, "parameter data.custom.val_share is 1.0: input should be less than 1"),
    ({"first_value": 0}, "0 (background) and 0.. (classes) overlap: first_value must be 1 or more"),
    ({"first_value": 254}, "the classes take the values up to 256, a mask holds 0..255"),
    ({"first_value": -1}, "parameter data.custom.first_value is -1: input should be greater than or equal to 0"),
    ({"void": 2}, "void is 2, which is also the value of the background or of a class"),
    ({"void": 0}, "void is 0, which is also the value of the background or of a class"),
    ({"void": 256}, "parameter data.custom.void is 256: input should be less than or equal to 255"),
    ({"train": {"image": "photos/{id}.jpg"}}, "parameter data.custom.train.mask is missing"),
    ({"train": {**PLACE, "mask": "masks"}}, "train.mask is 'masks': a file template must hold {id} once"),
    ({"train": {**PLACE, "mask": "{id}/{id}.png"}}, "'{id}/{id}.png': a file template must hold {id} once"),
    ({"train": {**PLACE, "mask": "/masks/{id}.png"}}, "'/masks/{id}.png': a file template must stay below data.root"),
    ({"train": {**PLACE, "image": "../{id}.png"}}, "'../{id}.png': a file template must stay below data.root"),
    ({"clases": 1}, "unknown parameter data.custom.clases (did you mean data.custom.classes?), valid here: "),
    (
        {"train": {**PLACE, "masks": "m"}},
        "unknown parameter data.custom.train.masks (did you mean data.custom.train.mask?), valid here: image",
    ),
]


@pytest.mark.parametrize(("change", "words"), DESCRIBED_FAULTS)
def test_each_fault_of_a_description_is_told_in_one_line(
    params: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    described = {**OWN, **change}
    with pytest.raises(UserError) as alone:
        parse_custom_dataset(described)
    with pytest.raises(UserError) as among_all:
        parse_params(with_value(params, "data.custom", described))
    for refusal in (alone, among_all):
        assert words in str(refusal.value)
        assert "data.custom" in str(refusal.value)
        assert "\n" not in str(refusal.value)
    assert "conf/data/" in str(alone.value)


def test_all_faults_of_a_description_are_told_at_once() -> None:
    with pytest.raises(UserError) as refusal:
        parse_custom_dataset({**OWN, "classes": ["a", "a"], "palette": [], "void": 1, "val": PLACE})
    for words in ("named twice", "palette has 0 colours, not 3", "void is 1", "choose either val"):
        assert words in str(refusal.value)


@pytest.mark.parametrize("custom", [{}, [], "town", 3])
def test_a_description_that_is_none_is_refused(custom: object) -> None:
    with pytest.raises(UserError, match=r"parameter data\.custom"):
        parse_custom_dataset(custom)


def test_a_description_is_optional_and_so_is_most_of_it() -> None:
    assert parse_custom_dataset(None) is None
    own = parse_custom_dataset(OWN)
    assert own is not None
    assert (own.background, own.first_value, own.void, own.palette, own.val) == (True, 1, 255, None, None)


@pytest.mark.parametrize(
    "values",
    [
        {"background": True, "first_value": 1, "void": 255},
        {"background": True, "first_value": 1, "void": 254},
        {"background": True, "first_value": 3, "void": 1},
        {"background": False, "first_value": 1, "void": 0},
        {"background": False, "first_value": 0, "void": 255},
        {"background": False, "first_value": 0, "void": None},
    ],
)
def test_253_classes_fit_into_a_mask(values: dict[str, Any]) -> None:
    classes = [f"class {number}" for number in range(1, 1 + MAX_CLASSES)]
    own = parse_custom_dataset({**OWN, "classes": classes, **values})
    assert own is not None
    assert len(own.classes) == 253


def test_254_classes_are_refused_in_words() -> None:
    with pytest.raises(UserError, match=r"data\.custom\.classes .*at most 253 items") as refusal:
        parse_custom_dataset({**OWN, "classes": [f"class {number}" for number in range(254)]})
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 500  # the 254 names are none of the message's business


# --- what is accepted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [32, "32"])
def test_precision_32_may_be_a_number(params: dict[str, Any], written: object) -> None:
    assert parse_params(with_value(params, "recipe.precision", written)).recipe.precision == "32"


def test_settings_cannot_be_changed(params: dict[str, Any]) -> None:
    settings = parse_params(params)
    with pytest.raises(ValueError, match="frozen"):
        settings.seed = 1  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        settings.recipe.base.lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(("loss", "activation"), [("bce", "sigmoid"), ("ce", "softmax")])
def test_the_loss_decides_how_logits_become_scores(params: dict[str, Any], loss: str, activation: str) -> None:
    assert parse_params(with_value(params, "method.loss", loss)).method.activation == activation


# --- what conf/ composes ----------------------------------------------------------------------------------------------


def test_the_committed_parameters_are_what_conf_composes(compose_text: Callable[..., str]) -> None:
    """To the byte: `dvc exp run` without overrides leaves params.yaml as it is.

    The committed ones, or those about to be: an experiment that somebody has just run composes others.
    """
    committed = subprocess.run(
        ["git", "show", "HEAD:params.yaml"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert compose_text() in (committed.stdout, (ROOT / "params.yaml").read_text(encoding="utf-8"))


def scenario_of(settings: Params) -> Scenario:
    data_set = catalog.find_dataset(settings.data.name)
    order = learning_order(settings.scenario.order, names=data_set.classes, published=published_orders(data_set.name))
    return Scenario(order, settings.scenario.base_classes, settings.scenario.increment)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_file_says_what_it_is_called(name: str) -> None:
    content = yaml.safe_load((CONF / "scenario" / f"{name}.yaml").read_text(encoding="utf-8"))
    said = ScenarioName.parse(name)
    data_set = catalog.find_dataset(said.data_set)
    assert {"override /data": said.data_set} in content["defaults"]
    assert content["scenario"]["name"] == name
    written = content["scenario"]
    assert written["order"] == said.order
    order = learning_order(said.order, names=data_set.classes, published=published_orders(data_set.name))
    assert Scenario(order, written["base_classes"], written["increment"]) == said.scenario(order)


def test_every_published_scenario_has_a_file() -> None:
    voc = ("19-1", "15-5", "15-1", "10-1", "5-5", "5-3", "5-1", "2-2", "2-1", "offline")
    ade = ("100-50", "100-10", "100-5", "50-50", "50-20", "offline")
    published = {*(f"voc_{sizes}" for sizes in voc), *(f"ade_{sizes}" for sizes in ade)}
    assert len(published) == 16
    assert published | {"shapes_6-2", "shapes_offline"} == set(SCENARIOS)


@pytest.mark.parametrize(("name", "letters"), [("voc_15-1", "bcdefghijklmnopqrstuvw"), ("ade_100-50", "bc")])
def test_every_published_order_is_chosen_by_its_letter(compose: Compose, name: str, letters: str) -> None:
    orders = published_orders(name.partition("_")[0])
    assert "".join(orders) == letters
    for letter, order in orders.items():
        settings = parse_params(compose(f"scenario={name}", f"scenario.order={letter}"))
        assert scenario_of(settings).order == order
        assert str(RunName.of(settings)).split()[1] == f"{name}_{letter}"


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_composes_with_what_belongs_to_it(compose: Compose, name: str) -> None:
    settings = parse_params(compose(f"scenario={name}"))
    said = ScenarioName.parse(name)
    # it brings its dataset, network and recipe
    brought = {"shapes": ("small", 96, "maps"), "voc": ("resnet101", 513, "maps"), "ade": ("resnet101", 513, "none")}
    assert (settings.scenario.name, settings.data.name) == (name, said.data_set)
    assert (settings.model.backbone, settings.recipe.crop, settings.data.saliency) == brought[said.data_set]
    # and the pipeline has its steps
    steps = scenario_of(settings).steps
    assert settings.scenario.last == len(steps) - 1
    assert settings.scenario.steps == {str(k): {"prev": k - 1} for k in range(1, len(steps))}


@pytest.mark.parametrize("memory", options("memory"))
@pytest.mark.parametrize("method", options("method"))
@pytest.mark.parametrize("name", ["shapes_6-2", "voc_15-1", "ade_100-50"])
def test_every_method_and_memory_composes_with_every_data_set(
    compose: Compose, name: str, method: str, memory: str
) -> None:
    settings = parse_params(compose(f"scenario={name}", f"method={method}", f"memory={memory}"))
    capacity = {"shapes": 24, "voc": 100, "ade": 300}[settings.data.name]
    assert settings.method.name == method.removesuffix("_published")
    assert settings.memory.capacity == (capacity if memory == "rehearsal" else 0)


@pytest.mark.parametrize(
    "overrides",
    [(f"scenario={name}",) for name in SCENARIOS]
    + [(f"method={name}", "memory=rehearsal") for name in options("method")],
)
def test_parameters_pass_the_schema_unchanged(compose: Compose, overrides: tuple[str, ...]) -> None:
    """So what DVC hashed is what a stage reads, and stages need not depend on ssul/config."""
    params = compose(*overrides)
    assert normal(parse_params(params).model_dump(mode="json")) == normal(params)


def normal(value: Any) -> Any:
    """Tuples are lists, and the precision 32 is written without quotes."""
    if isinstance(value, dict):
        return {key: normal(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [normal(one) for one in value]
    return "32" if value == 32 and type(value) is int else value


def test_an_own_data_set_composes_with_steps_over_its_own_classes(tmp_path: Path) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    head = {"name": "town", "root": "data/town", "download": False, "mirror": None, "on_error": "refuse"}
    rest = {
        "saliency": "none",
        "holdout": 0.0,
        "holdout_seed": 0,
        "rehearsal_capacity": 9,
        "shapes": None,
        "custom": OWN,
    }
    (tmp_path / "conf" / "data" / "town.yaml").write_text(yaml.safe_dump(head | rest), encoding="utf-8")
    output = tmp_path / "params.yaml"
    overrides = ["data=town", "scenario.base_classes=1", "scenario.increment=1", "scenario.order=[road,1,tree]"]
    compose_and_dump(output, str(tmp_path / "conf"), None, "config", str(ROOT), overrides)
    settings = load_params(output)
    assert settings.data.custom == parse_custom_dataset(OWN)
    assert settings.scenario.order == ["road", 1, "tree"]
    assert (list(settings.scenario.steps), settings.scenario.last) == (["1", "2"], 2)


def test_a_choice_wins_over_what_the_scenario_brings(compose: Compose) -> None:
    settings = parse_params(compose("scenario=voc_15-5", "model=small", "recipe=shapes", "recipe.base.epochs=1"))
    assert (settings.data.name, settings.model.backbone) == ("voc", "small")
    assert (settings.recipe.crop, settings.recipe.base.epochs, settings.recipe.increment.epochs) == (96, 1, 12)


def test_changed_arithmetic_changes_the_pipeline(compose: Compose) -> None:
    params = compose("scenario.base_classes=3", "scenario.increment=4", "scenario.order=[10,9,8,7,6,5,4,3,2,1]")
    settings = parse_params(params)
    assert settings.scenario.order == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert (list(settings.scenario.steps), settings.scenario.last) == (["1", "2"], 2)


def test_arithmetic_that_does_not_work_out_is_refused_while_composing(compose: Compose) -> None:
    with pytest.raises(Exception, match=r"scenario\.increment is 9, but 4 of 10 classes are left.*choose 1\.\.4"):
        compose("scenario.increment=9")


def test_one_place_has_one_writing() -> None:
    own = parse_custom_dataset({**OWN, "train": {"image": "./a//{id}.jpg", "mask": "./{id}.png"}})
    assert own is not None
    assert (own.train.image, own.train.mask) == ("a/{id}.jpg", "{id}.png")


def test_an_own_data_set_that_is_also_drawn_is_refused_in_words(params: dict[str, Any]) -> None:
    params["data"] |= {"name": "town", "custom": OWN}
    with pytest.raises(UserError, match=r"parameter data: shapes and custom exclude each other.*set shapes to null"):
        parse_params(params)


def test_fine_tuning_has_every_part_of_ssul_off(compose: Compose) -> None:
    method = parse_params(compose("method=finetune")).method
    assert (method.loss, method.unknown, method.pseudo_threshold) == ("ce", False, None)
    assert method.own.model_dump() == {"freeze_norm": False}


@pytest.mark.parametrize("override", ["method.freeze=true", "method.ssul.freeze=true", "method.mib.distillation=1"])
def test_a_switch_that_a_method_does_not_have_is_refused(compose: Compose, override: str) -> None:
    with pytest.raises(Exception, match=re.escape(override.partition("=")[0])):
        compose("method=plop", override)


def test_a_section_of_another_method_is_refused(params: dict[str, Any]) -> None:
    params["method"]["plop"] = composed("method=plop")["method"]["plop"]
    with pytest.raises(UserError, match=r"unknown parameter method\.plop, valid here: name, loss"):
        parse_params(params)


def test_ssul_has_every_part_on_and_no_fault(compose: Compose) -> None:
    method = parse_params(compose("method=ssul")).method
    own = method.own.model_dump()
    assert method.unknown
    assert own["freeze"]
    assert own["freeze_norm"]
    assert own["weight_transfer"]
    assert (method.loss, method.pseudo_threshold, method.selection) == ("bce", 0.7, "last")
    assert not any(method.published_bugs.model_dump().values())


def test_published_ssul_is_ssul_with_every_fault(compose: Compose) -> None:
    right, published = (parse_params(compose(f"method={name}")).method for name in ("ssul", "ssul_published"))
    assert all(published.published_bugs.model_dump().values())
    assert published.selection == "published"
    assert published.model_copy(update={"published_bugs": right.published_bugs, "selection": right.selection}) == right


@pytest.mark.parametrize("name", ["finetune", "mib", "plop"])
def test_the_softmax_methods_share_their_base_step_and_have_no_fault(compose: Compose, name: str) -> None:
    method = parse_params(compose(f"method={name}")).method
    assert (method.loss, method.unknown, method.selection, method.activation) == ("ce", False, "last", "softmax")
    assert not any(method.published_bugs.model_dump().values())


def test_mib_and_plop_bring_the_papers_weights_for_voc(compose: Compose) -> None:
    of_mib, of_plop = (parse_params(compose(f"method={name}")).method for name in ("mib", "plop"))
    assert of_mib.own.model_dump() == {"distillation": 10, "freeze_norm": False}
    weights = {"pod": 0.01, "pod_logits": 0.0005, "entropy": "exact"}
    assert of_plop.own.model_dump() == weights | {"freeze_norm": False}


@pytest.mark.parametrize(
    ("recipe", "epochs", "batch", "rates", "backbone", "schedule", "crop"),
    [
        ("voc", (50, 50), 32, (0.01, 0.01), 0.1, "poly", 513),
        ("ade", (100, 100), 24, (0.01, 0.05), 0.1, "warm_poly", 513),
        ("mib_published", (30, 30), 24, (0.01, 0.001), 1.0, "poly", 512),
        ("mib_published_ade", (60, 60), 24, (0.01, 0.001), 1.0, "poly", 512),
        ("plop_published", (30, 30), 24, (0.01, 0.001), 1.0, "poly", 512),
        ("plop_published_ade", (60, 60), 24, (0.01, 0.001), 1.0, "poly", 512),
    ],
)
def test_each_papers_recipe_has_its_settings(
    compose: Compose,
    recipe: str,
    epochs: tuple[int, int],
    batch: int,
    rates: tuple[float, float],
    backbone: float,
    schedule: str,
    crop: int,
) -> None:
    found = parse_params(compose("scenario=voc_15-1", f"recipe={recipe}")).recipe
    both = (found.base, found.increment)
    assert (found.crop, found.scale) == (crop, (0.5, 2.0))
    assert tuple(learning.epochs for learning in both) == epochs
    assert tuple(learning.lr for learning in both) == rates
    for learning in both:
        assert (learning.batch, learning.backbone_lr_ratio, learning.schedule) == (batch, backbone, schedule)
        assert (learning.momentum, learning.weight_decay) == (0.9, 1e-4)


def names_in(section: object) -> Iterator[str]:
    if isinstance(section, dict):
        for name, value in section.items():
            yield name
            yield from names_in(value)


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_no_parameter_has_a_name_that_dvcs_run_cache_overlooks(path: Path) -> None:
    assert not {"size", "nfiles"} & set(names_in(yaml.safe_load(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(
    "name", ["seed", "recipe.base.epochs", "recipe.increment.lr", "memory.capacity", "data.holdout"]
)
@pytest.mark.parametrize("value", [True, False])
def test_true_is_no_number(params: dict[str, Any], name: str, value: bool) -> None:
    with pytest.raises(UserError, match=f"parameter {name} is {value}: true and false are no numbers"):
        parse_params(with_value(params, name, value))


def test_true_is_no_class_in_an_order(params: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"scenario\.order"):
        parse_params(with_value(params, "scenario.order", [True, 2]))


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x00", "\u2028"])
def test_a_class_name_is_one_line_of_text(params: dict[str, Any], name: str) -> None:
    described = {"classes": ["a", name], "train": {"image": "{id}.jpg", "mask": "{id}.png"}, "val_share": 0.5}
    with pytest.raises(UserError, match="one line of text") as refused:
        parse_custom_dataset(described)
    assert "\n" not in str(refused.value)


def test_a_parameter_that_is_endless_in_words_is_refused_in_few(params: dict[str, Any]) -> None:
    endless: list[Any] = ["x"]
    for _ in range(40):
        endless = [endless] * 9
    with pytest.raises(UserError) as refused:
        parse_params(with_value(params, "data.root", endless))
    assert len(str(refused.value)) < 1000
