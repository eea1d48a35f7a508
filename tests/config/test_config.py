"""The schema of params.yaml, and the parameters that conf/ composes."""

import itertools
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import compose_and_dump

from ssul.config.custom_dataset import MAX_CLASSES, CustomDataset
from ssul.config.load import load_params, parse_custom_dataset, parse_params
from ssul.config.method import MethodParams
from ssul.config.naming import RunName
from ssul.config.schema import METHODS, Params
from ssul.datasets import catalog
from ssul.errors import UserError
from ssul.scenario.class_orders import published_orders
from ssul.scenario.order import ScenarioName, make_scenario
from ssul.scenario.scenario import Scenario
from tests.project import PROJECT, composed, composed_text

CONF = PROJECT / "conf"


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


SCENARIOS = [name for name in options("scenario") if name != "extension"]  # that one needs a dataset with a network


def with_value(name: str, value: object) -> dict[str, Any]:
    """The default parameters with one changed."""
    *sections, last = name.split(".")
    changed = section = composed()
    for part in sections:
        section = section[part]
    section[last] = value
    return changed


def refusal(params: Any) -> str:
    """The message of a refusal, which is one line."""
    with pytest.raises(UserError) as refused:
        parse_params(params)
    assert str(refused.value).isprintable()
    return str(refused.value)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "guess", "valid"),
    [
        ("sede", "seed", "seed, setting, data, scenario, model, method, memory, recipe, evaluation"),
        ("method.ssul.freez", "method.ssul.freeze", "pseudo_threshold, freeze, freeze_norm, weight_transfer"),
        ("method.select", "method.selection", "name, loss, positive_weight, unknown, selection, published_bugs, ssul"),
        ("recipe.base.epoch", "recipe.base.epochs", "epochs, batch, accumulate, schedule, lr"),
        ("data.shapes.hight", "data.shapes.height", "seed, train, val, height, width"),
        ("data.mirrors", "data.mirror", "name, root, download, mirror, on_error, saliency, holdout"),
        ("memory.zzz", None, "capacity, strategy"),
        ("method.plop", None, "name, loss"),  # the section of another method
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_and_the_valid_names(
    name: str, guess: str | None, valid: str
) -> None:
    guessed = f" (did you mean {guess}?)" if guess else ""
    assert f"unknown parameter {name}{guessed}, valid here: {valid}" in refusal(with_value(name, 1))


@pytest.mark.parametrize("name", ["resnet18", "timm:", "timm:hf-hub:a/b", "timm:../weights", "TIMM:resnet18"])
def test_a_backbone_is_one_of_the_projects_or_a_name_behind_timm(name: str) -> None:
    message = refusal(with_value("model.backbone", name))
    assert "choose small, mobilenet_v2, resnet50, resnet101, or timm:NAME for a network of timm" in message
    assert parse_params(with_value("model.backbone", "timm:resnet18.a1_in1k")).model.backbone.startswith("timm:")


def test_a_strange_name_or_an_endless_value_is_refused_in_a_short_message() -> None:
    for name in ("\n", "a\u2028b", "\x1b[31m", "long" * 1000):
        message = refusal(with_value(f"data.{name}", 1))
        assert "unknown parameter data." in message
        assert len(message) < 500
    endless: list[Any] = ["x"]
    for _ in range(40):
        endless = [endless] * 9
    assert len(refusal(with_value("data.root", endless))) < 1000


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("seed", "many", "valid integer"),
        ("setting", "sequential", "'overlapped', 'disjoint' or 'partitioned'"),
        ("scenario.base_classes", 0, "greater than or equal to 1"),
        ("data.holdout", 1.0, "less than 1"),
        ("data.holdout", -0.1, "greater than or equal to 0"),
        ("model.output_stride", 32, "8 or 16"),
        ("model.width", 64.5, "valid integer"),
        ("method.unknown", "perhaps", "valid boolean"),
        ("method.name", "sull", f"choose {', '.join(METHODS)}"),
        ("method.ssul.pseudo_threshold", 1.5, "less than or equal to 1"),
        ("method.ssul.pseudo_threshold", float("nan"), "less than or equal to 1"),
        ("memory.capacity", -1, "greater than or equal to 0"),
        ("recipe.crop", 16, "greater than or equal to 32"),
        ("recipe.scale", 1.0, "tuple"),
        ("recipe.precision", 8, "'32', 'bf16' or '16'"),
        ("recipe.base.batch", 1, "greater than or equal to 2"),
        ("recipe.base.accumulate", 0, "greater than or equal to 1"),
        ("recipe.increment.views", 0, "greater than or equal to 1"),
        ("recipe.increment.lr", 0.0, "greater than 0"),
        ("recipe.increment.lr", float("inf"), "finite"),
        *(
            (name, True, "true and false are not numbers")
            for name in ("seed", "recipe.increment.lr", "memory.capacity")
        ),
        *(("scenario.order", order, "natural, a published") for order in (5, None, [1, [2]], [1, 2.5], [True, 2])),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_its_value_and_what_is_valid(
    name: str, value: object, words: str
) -> None:
    message = refusal(with_value(name, value))
    assert message.startswith(f"parameter {name} is "), message
    assert str(value) in message
    assert words in message
    assert "`dvc exp run -S NAME=VALUE` or in conf/" in message


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["method=mib", "recipe.increment.views=5"],
            "views is 5, but with these settings of the method mib the backbone",
        ),
        (["method.ssul.freeze=false", "recipe.increment.views=5"], "take method=ssul with method.ssul.freeze=true"),
        (
            ["method.ssul.learn_unknown=false", "method.loss=ce"],
            "learn_unknown is false, but method.loss is ce: the unknown gives way",
        ),
        (
            ["method=star", "recipe.increment.accumulate=2"],
            "accumulate is 2, but the loss of star needs the whole batch",
        ),
        (
            ["recipe.base.accumulate=3"],
            "parameter recipe.base: a batch of 16 has no 3 equal parts of at least 2 images",
        ),
        (["recipe.increment.accumulate=16"], "parameter recipe.increment: a batch of 16 has no 16 equal parts"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_way_out(overrides: list[str], words: str) -> None:
    with pytest.raises(SystemExit, match=re.escape(words)) as refused:  # already where it is composed
        composed(*overrides)
    assert len(str(refused.value).splitlines()) == 1


def test_fixed_views_go_with_a_frozen_backbone() -> None:
    increment = params_of("recipe.increment.views=5", "recipe.increment.accumulate=4").recipe.increment
    assert (increment.views, increment.accumulate) == (5, 4)


def test_missing_parameters_are_all_named_at_once() -> None:
    params = composed()
    del params["seed"], params["recipe"]["increment"]["lr"], params["scenario"]["order"]
    message = refusal(params)
    for name in ("seed", "recipe.increment.lr", "scenario.order"):
        assert f"parameter {name} is missing" in message


def test_a_missing_file_is_refused_with_the_way_to_restore_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml is missing: restore it with `git checkout"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        *(
            (content, "cannot be read as YAML")
            for content in (b"seed: [1, 2", b"seed: 1\n\tsetting: x", b"\xff\xfe\x00")
        ),
        *((content, "holds no parameters") for content in (b"", b"- a\n- b\n", b"hello\n")),
    ],
)
def test_a_file_without_parameters_is_refused_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"params\.yaml {words}") as refused:
        load_params(path)
    assert "\n" not in str(refused.value)


# --- own datasets -----------------------------------------------------------------------------------------------------

OWN: dict[str, Any] = {
    "classes": ["house", "tree", "road"],
    "train": {"image": "photos/{id}.jpg", "mask": "masks/{id}.png"},
    "val_share": 0.2,
}
PLACE = OWN["train"]
CUSTOM_ERRORS = [
    ({"classes": []}, "parameter data.custom.classes is []: list should have at least 1 item"),
    ({"classes": ["a", 2]}, "parameter data.custom.classes.1 is 2: input should be a valid string"),
    ({"classes": ["a", "b", "a", "c", "b"]}, "classes are named twice, or like the background: a, b"),
    ({"classes": ["a", "background"]}, "classes are named twice, or like the background: background"),
    ({"palette": [[0, 0, 0]] * 3}, "palette has 3 colours, not 4 (background and each class)"),
    ({"palette": [[0, 0, 0]] * 3 + [[0, 0, 256]]}, "parameter data.custom.palette.3.2 is 256: "),
    *(
        (change, "choose either val (where the validation split lies)")
        for change in ({"val": PLACE}, {"val_share": None})
    ),
    ({"val_share": 0.0}, "parameter data.custom.val_share is 0.0: input should be greater than 0"),
    ({"val_share": 1.0}, "parameter data.custom.val_share is 1.0: input should be less than 1"),
    ({"first_value": 0}, "0 (background) and 0.. (classes) overlap: first_value must be 1 or more"),
    ({"first_value": 254}, "the classes take the values up to 256, a mask holds 0..255"),
    ({"first_value": -1}, "parameter data.custom.first_value is -1: input should be greater than or equal to 0"),
    *(({"void": one}, f"void is {one}, which is also the value of the background or of a class") for one in (0, 2)),
    ({"void": 256}, "parameter data.custom.void is 256: input should be less than or equal to 255"),
    ({"train": {"image": "photos/{id}.jpg"}}, "parameter data.custom.train.mask is missing"),
    ({"train": {**PLACE, "mask": "masks"}}, "train.mask is 'masks': a file template must contain {id} once"),
    ({"train": {**PLACE, "mask": "{id}/{id}.png"}}, "'{id}/{id}.png': a file template must contain {id} once"),
    ({"train": {**PLACE, "mask": "/masks/{id}.png"}}, "'/masks/{id}.png': a file template must stay below data.root"),
    ({"train": {**PLACE, "image": "../{id}.png"}}, "'../{id}.png': a file template must stay below data.root"),
    *(({"classes": ["a", name]}, "one line of text") for name in ("", " ", "a\nb", "a\x00", "\u2028")),
    ({"clases": 1}, "unknown parameter data.custom.clases (did you mean data.custom.classes?), valid here: "),
    (
        {"train": {**PLACE, "masks": "m"}},
        "data.custom.train.masks (did you mean data.custom.train.mask?), valid here: i",
    ),
]


@pytest.mark.parametrize(("change", "words"), CUSTOM_ERRORS)
def test_every_error_in_a_custom_dataset_is_named_in_one_line(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_custom_dataset({**OWN, **change})
    message = str(refused.value)
    assert words in message
    assert "data.custom" in message
    assert "conf/data/" in message
    assert "\n" not in message


def test_the_errors_of_a_custom_dataset_are_all_named_with_those_of_the_other_parameters() -> None:
    custom = {**OWN, "classes": ["a", "a"], "palette": [], "void": 1, "val": PLACE}
    message = refusal(with_value("data.custom", custom))
    for words in ("data.custom", "named twice", "palette has 0 colours, not 3", "void is 1", "choose either val"):
        assert words in message
    both = refusal(with_value("data", composed()["data"] | {"name": "town", "custom": OWN}))
    assert "parameter data: shapes and custom exclude each other" in both
    assert "set shapes to null" in both


@pytest.mark.parametrize("custom", [{}, [], "town", 3])
def test_what_does_not_describe_a_dataset_is_refused(custom: object) -> None:
    with pytest.raises(UserError, match=r"parameter data\.custom"):
        parse_custom_dataset(custom)


def own_dataset(**changes: Any) -> CustomDataset:
    custom = parse_custom_dataset({**OWN, **changes})
    assert custom is not None
    return custom


def test_a_description_is_optional_and_so_is_most_of_it() -> None:
    assert parse_custom_dataset(None) is None
    own = own_dataset(train={"image": "./a//{id}.jpg", "mask": "./{id}.png"})
    assert (own.background, own.first_value, own.void, own.palette, own.val) == (True, 1, 255, None, None)
    assert (own.train.image, own.train.mask) == ("a/{id}.jpg", "{id}.png")  # normalised


@pytest.mark.parametrize(
    ("background", "first_value", "void"),
    [(True, 1, 255), (True, 1, 254), (True, 3, 1), (False, 1, 0), (False, 0, 255), (False, 0, None)],
)
def test_253_classes_fit_into_a_mask(background: bool, first_value: int, void: int | None) -> None:
    classes = [f"class {number}" for number in range(1, 1 + MAX_CLASSES)]
    own = own_dataset(classes=classes, background=background, first_value=first_value, void=void)
    assert len(own.classes) == 253


def test_254_classes_are_refused_in_a_short_message() -> None:
    with pytest.raises(UserError, match=r"data\.custom\.classes .*at most 253 items") as refused:
        own_dataset(classes=[f"class {number}" for number in range(254)])
    assert len(str(refused.value)) < 500


# --- what is accepted -------------------------------------------------------------------------------------------------


def test_precision_32_may_be_a_number_and_the_loss_decides_the_activation() -> None:
    for written in (32, "32"):
        assert parse_params(with_value("recipe.precision", written)).recipe.precision == "32"
    for loss, activation in (("bce", "sigmoid"), ("ce", "softmax")):
        assert parse_params(with_value("method.loss", loss)).method.activation == activation


# --- what conf/ composes ----------------------------------------------------------------------------------------------


def params_of(*overrides: str) -> Params:
    return parse_params(composed(*overrides))


def scenario_of(params: Params) -> Scenario:
    asked, names = params.scenario, catalog.find_dataset(params.data.name).classes
    return make_scenario(asked.order, asked.base_classes, asked.increment, dataset=params.data.name, names=names)


def test_the_committed_parameters_are_what_conf_composes() -> None:
    """To the byte: `dvc exp run` without overrides leaves params.yaml as it is.

    They are read from git's index, because a running experiment composes others into the working copy. So a change is
    to be added to it before the test.
    """
    show = ["git", "show", ":params.yaml"]
    staged = subprocess.run(show, cwd=PROJECT, capture_output=True, text=True, check=False)
    if staged.returncode:
        pytest.skip("not in a git checkout of the project")
    assert composed_text() == staged.stdout


def test_every_published_scenario_has_a_file() -> None:
    voc = ("19-1", "15-5", "15-1", "10-1", "5-5", "5-3", "5-1", "2-2", "2-1", "offline")
    ade = ("100-50", "100-10", "100-5", "50-50", "50-20", "offline")
    published = {*(f"voc_{sizes}" for sizes in voc), *(f"ade_{sizes}" for sizes in ade)}
    assert len(published) == 16
    assert published | {"shapes_6-2", "shapes_offline", "silhouettes_offline"} == set(SCENARIOS)


@pytest.mark.parametrize(("name", "letters"), [("voc_15-1", "bcdefghijklmnopqrstuvw"), ("ade_100-50", "bc")])
def test_every_published_order_is_chosen_by_its_letter(name: str, letters: str) -> None:
    orders = published_orders(name.partition("_")[0])
    assert "".join(orders) == letters
    for letter, order in orders.items():
        params = params_of(f"scenario={name}", f"scenario.order={letter}")
        assert scenario_of(params).order == order
        assert str(RunName.of(params)).split()[1] == f"{name}_{letter}"


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_composes_with_its_dataset_network_recipe_and_steps(name: str) -> None:
    params, parsed = params_of(f"scenario={name}"), ScenarioName.parse(name)
    dataset, scenario = parsed.dataset, scenario_of(params)
    assert (params.scenario.name, params.scenario.order) == (name, parsed.order)
    assert scenario == parsed.scenario(scenario.order)
    brought = {
        "shapes": ("small", 96, "maps", 24),
        "silhouettes": ("small", 96, "maps", 48),
        "voc": ("resnet101", 513, "maps", 100),
        "ade": ("resnet101", 513, "none", 300),
    }
    assert params.data.name == dataset
    found = (params.model.backbone, params.recipe.crop, params.data.saliency, params.data.rehearsal_capacity)
    assert found == brought[dataset]
    last = len(scenario.steps) - 1
    assert params.scenario.last == last
    assert params.scenario.steps == {str(k): {"prev": k - 1} for k in range(1, last + 1)}


@pytest.mark.parametrize("memory", options("memory"))
@pytest.mark.parametrize("method", options("method"))
def test_every_method_composes_with_every_memory(method: str, memory: str) -> None:
    params = params_of("scenario=voc_15-1", f"method={method}", f"memory={memory}")
    assert params.method.name == method.removesuffix("_published")
    assert params.memory.capacity == (0 if memory == "none" else 100)


@pytest.mark.parametrize(
    "overrides",
    [(f"scenario={name}",) for name in SCENARIOS]
    + [(f"method={name}", "memory=rehearsal") for name in options("method")],
)
def test_parameters_pass_the_schema_unchanged(overrides: tuple[str, ...]) -> None:
    """So a stage reads exactly what DVC hashed, and stages need not depend on ssul/config."""
    params = composed(*overrides)
    assert normal(parse_params(params).model_dump(mode="json")) == normal(params)


def normal(value: Any) -> Any:
    """Tuples are lists, and the precision 32 is written without quotes."""
    if isinstance(value, dict):
        return {key: normal(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [normal(one) for one in value]
    return "32" if value == 32 and type(value) is int else value


def test_an_own_dataset_composes_with_steps_over_its_own_classes(tmp_path: Path) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    town = {"name": "town", "root": "data/town", "download": False, "mirror": None, "on_error": "refuse"}
    town |= {"saliency": "none", "holdout": 0.0, "holdout_seed": 0, "rehearsal_capacity": 9}
    town |= {"shapes": None, "custom": OWN}
    (tmp_path / "conf" / "data" / "town.yaml").write_text(yaml.safe_dump(town), encoding="utf-8")
    output = tmp_path / "params.yaml"
    overrides = ["data=town", "scenario.base_classes=1", "scenario.increment=1", "scenario.order=[road,1,tree]"]
    compose_and_dump(output, str(tmp_path / "conf"), None, "config", str(PROJECT), overrides)
    params = load_params(output)
    assert params.data.custom == own_dataset()
    assert params.scenario.order == ["road", 1, "tree"]
    assert (list(params.scenario.steps), params.scenario.last) == (["1", "2"], 2)


def test_a_choice_wins_over_what_the_scenario_brings() -> None:
    params = params_of("scenario=voc_15-5", "model=small", "recipe=shapes", "recipe.base.epochs=1")
    assert (params.data.name, params.model.backbone) == ("voc", "small")
    assert (params.recipe.crop, params.recipe.base.epochs, params.recipe.increment.epochs) == (96, 1, 12)


def test_changed_arithmetic_changes_the_pipeline() -> None:
    order = "scenario.order=[10,9,8,7,6,5,4,3,2,1]"
    scenario = params_of("scenario.base_classes=3", "scenario.increment=4", order).scenario
    assert scenario.order == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert (list(scenario.steps), scenario.last) == (["1", "2"], 2)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scenario.increment=9", r"scenario\.increment is 9, but 4 of 10 classes are left.*choose 1\.\.4"),
        ("recipe.increment.lr=-1", r"parameter recipe\.increment\.lr is -1: input should be greater than 0"),
        ("data.name=town", "data.name is 'town', which is not in the catalog: choose shapes"),
    ],
)
def test_values_that_cannot_be_run_are_refused_in_one_line_while_composing(override: str, message: str) -> None:
    with pytest.raises(SystemExit, match=f"^error: {message}"):
        composed(override)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("recipe.lr=1", "unknown parameter recipe.lr, valid here: crop, augmentation, scale, precision, base, increm"),
        ("method.ssul.freeze=true", "unknown parameter method.ssul, valid here: name, loss, positive_weight, unknown"),
        ("method.plop.podd=1", "unknown parameter method.plop.podd (did you mean method.plop.pod?), valid here: pod,"),
        ("metod=ssul", "unknown parameter metod (did you mean method?), valid here: data, model, recipe, method, mem"),
        ("method=nope", f"there is no conf/method/nope.yaml: choose {', '.join(options('method'))}"),
    ],
)
def test_what_hydra_refuses_is_one_line_too(override: str, message: str) -> None:
    with pytest.raises(SystemExit) as refused:
        composed("method=plop", override)
    assert str(refused.value).startswith(f"error: {message}")
    assert str(refused.value).isprintable()


def test_a_fusion_is_refused_where_only_heads_learn() -> None:
    message = "unknown parameter method.fusion, valid here: name, loss, positive_weight, unknown, selection"
    with pytest.raises(SystemExit, match=f"^error: {message}"):
        composed("method=ssul", "method.fusion=true")
    assert message in refusal(with_value("method.fusion", True))


def test_a_fusion_changes_no_parameter_of_the_base_step() -> None:
    listed = yaml.safe_load((PROJECT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["train_base"]["params"]
    assert not {"method", "method.fusion"} & set(listed)


def method_of(name: str) -> MethodParams:
    return params_of(f"method={name}").method


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("finetune", {}),
        ("ilt", {"distillation": 100, "features": 100}),
        ("lwf", {"distillation": 100}),
        ("mib", {"distillation": 10, "void": "background"}),
        ("plop", {"pod": 0.01, "pod_logits": 0.0005, "entropy": "exact"}),
    ],
)
def test_the_softmax_methods_share_their_base_step_and_have_the_papers_weights(name: str, own: dict[str, Any]) -> None:
    method = method_of(name)
    assert (method.loss, method.unknown, method.memory_threshold, method.activation) == ("ce", False, None, "softmax")
    assert method.own.model_dump() == own | {"freeze_norm": False}
    assert method.selection == "last"
    assert not any(method.published_bugs.model_dump().values())


def test_lwf_mc_has_its_base_step_in_common_with_fine_tuning_by_sigmoids() -> None:
    method, sigmoids = method_of("lwf_mc"), params_of("method=finetune", "method.loss=bce").method
    common = MethodParams.model_fields.keys() - {"name"}
    assert method.model_dump(include=common) == sigmoids.model_dump(include=common)


def test_dkd_has_the_papers_weights_for_voc_and_its_memory_the_papers_annotation() -> None:
    params = params_of("scenario=voc_15-1", "method=dkd", "memory=appended")
    method, memory = params.method, params.memory
    assert (method.loss, method.positive_weight, method.unknown, method.activation) == ("class_bce", 2, True, "sigmoid")
    assert method.constant_background
    own = {"positive_weight": 1, "distillation": 5, "decomposed": 5, "other_decay": 0, "memory_threshold": 0.9}
    assert method.own.model_dump() == own
    assert method.selection == "last"
    assert not any(method.published_bugs.model_dump().values())
    assert (memory.annotation, memory.placement, memory.strategy) == ("step", "append", "class_balanced")


def test_ssul_has_every_part_on_and_published_ssul_every_bug_too() -> None:
    right, published = method_of("ssul"), method_of("ssul_published")
    own = right.own.model_dump()
    assert all(own[switch] for switch in ("freeze", "freeze_norm", "weight_transfer"))
    assert (right.loss, right.unknown, right.memory_threshold, right.selection) == ("bce", True, 0.7, "last")
    assert not any(right.published_bugs.model_dump().values())
    assert all(published.published_bugs.model_dump().values())
    assert published.selection == "published"
    assert published.model_copy(update={"published_bugs": right.published_bugs, "selection": right.selection}) == right


@pytest.mark.parametrize(
    ("recipe", "base", "increment", "crop"),
    [
        ("voc", (50, 32, 0.01, 0.1, "poly"), (50, 32, 0.01, 0.1, "poly"), 513),
        ("ade", (100, 24, 0.01, 0.1, "warm_poly"), (100, 24, 0.05, 0.1, "warm_poly"), 513),
        ("mib_plop_published", (30, 24, 0.01, 1.0, "poly"), (30, 24, 0.001, 1.0, "poly"), 512),
        ("mib_plop_published_ade", (60, 24, 0.01, 1.0, "poly"), (60, 24, 0.001, 1.0, "poly"), 512),
        ("dkd_published", (60, 32, 0.01, 0.1, "poly"), (60, 32, 0.001, 0.1, "poly"), 512),
        ("star_published", (60, 24, 0.01, 0.1, "poly"), (60, 24, 0.001, 0.1, "poly"), 512),
        ("dkd_star_published_ade", (100, 24, 0.025, 0.1, "warm_poly"), (100, 24, 0.0025, 0.1, "warm_poly"), 512),
    ],
)
def test_each_papers_recipe_has_its_settings(recipe: str, base: object, increment: object, crop: int) -> None:
    found = params_of("scenario=voc_15-1", f"recipe={recipe}").recipe
    assert (found.crop, found.scale) == (crop, (0.5, 2.0))
    for one, expected in ((found.base, base), (found.increment, increment)):
        assert (one.epochs, one.batch, one.lr, one.backbone_lr_ratio, one.schedule) == expected
        assert (one.momentum, one.weight_decay) == (0.9, 1e-4)


def test_no_two_recipes_are_the_same() -> None:
    recipes = [
        yaml.safe_load((CONF / "recipe" / f"{name}.yaml").read_text(encoding="utf-8")) for name in options("recipe")
    ]
    assert all(one != other for one, other in itertools.combinations(recipes, 2))


def names_in(section: object) -> Iterator[str]:
    if isinstance(section, dict):
        for name, value in section.items():
            yield name
            yield from names_in(value)


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_no_parameter_has_a_name_that_dvcs_run_cache_ignores(path: Path) -> None:
    assert not {"size", "nfiles"} & set(names_in(yaml.safe_load(path.read_text(encoding="utf-8"))))
