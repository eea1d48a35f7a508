"""The classes and the images of each step."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssul.errors import UserError
from ssul.scenario.class_orders import published_orders
from ssul.scenario.order import ScenarioName, learning_order
from ssul.scenario.scenario import SETTINGS, Scenario, belongs, partition, pipeline_steps, step_images

Present = dict[str, frozenset[int]]


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    order = draw(st.integers(1, 60).flatmap(lambda count: st.permutations(range(1, count + 1))))
    base = draw(st.integers(1, len(order)))
    return Scenario(tuple(order), base, draw(st.integers(1, max(1, len(order) - base))))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Scenario, Present]:
    """A scenario and what each of some images shows, sometimes nothing."""
    scenario = draw(scenarios())
    shown = draw(st.lists(st.frozensets(st.sampled_from(scenario.order), max_size=5), max_size=12))
    return scenario, {f"image_{number}": classes for number, classes in enumerate(shown)}


def learned_at(scenario: Scenario, class_id: int) -> int:
    """The step that learns a class, by division instead of slices."""
    return max(0, -((scenario.base_classes - 1 - scenario.order.index(class_id)) // scenario.increment))


def images_of_steps(scenario: Scenario, present: Present, setting: str, seed: int = 0) -> list[list[str]]:
    return [step_images(present, step, setting, seed) for step in scenario.steps]  # type: ignore[arg-type]


# --- the order --------------------------------------------------------------------------------------------------------

NAMES = ("ball", "star", "house", "fish")


def ordered(order: str | list[int | str]) -> tuple[int, ...]:
    return learning_order(order, dataset="ade", names=NAMES)


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("natural", (1, 2, 3, 4)),
        ("b", published_orders("ade")["b"]),
        ([3, 1, 4, 2], (3, 1, 4, 2)),
        (["house", "ball", "fish", "star"], (3, 1, 4, 2)),
        (["house", 1, "fish", 2], (3, 1, 4, 2)),
    ],
)
def test_an_order_is_natural_or_a_published_letter_or_a_list_of_ids_and_names(
    order: str | list[int | str], ids: tuple[int, ...]
) -> None:
    assert ordered(order) == ids


@given(st.data())
def test_names_mean_the_ids_that_they_stand_for(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.text(min_size=1), min_size=1, max_size=60, unique=True))
    ids = data.draw(st.permutations(range(1, len(names) + 1)))
    listed = [names[class_id - 1] if data.draw(st.booleans()) else class_id for class_id in ids]
    assert learning_order(listed, dataset="toy", names=names) == tuple(ids)


def test_classes_that_a_list_leaves_out_are_never_learned_and_count_as_later_ones() -> None:
    order = ordered(["fish", 1])
    assert order == (4, 1)
    base, increment = Scenario(order, base_classes=1, increment=1).steps
    assert (base.new, increment.new) == ((4,), (1,))
    assert belongs([1, 2], increment, "overlapped")
    assert not belongs([1, 2], increment, "disjoint")


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (
            "q",
            "scenario.order is 'q', which the dataset does not have: choose natural, b, c, or list classes by name",
        ),
        (["ball", "star", "hose", "fish"], "the class 'hose', which the dataset does not have (did you mean 'house'?)"),
        (["ball", "star", "zzz", "fish"], "the class 'zzz', which the dataset does not have: ball, star, house, fish"),
        ([1, 2, 3, 4, "fish"], "by id 1..4, each at most once: unknown [], repeated [4]"),
        ([0, 1, 2, 3, 4], "by id 1..4, each at most once: unknown [0], repeated []"),
        ([3, 3, "star", 9, -1], "by id 1..4, each at most once: unknown [-1, 9], repeated [3]"),
        ([], "by id 1..4, each at most once: unknown [], repeated []"),
        ([0, 1, 2, 3], "An id is a place in the dataset's list of classes (1 is ball), not a value in the mask files"),
    ],
)
def test_any_other_order_is_refused_with_all_its_errors(order: str | list[int | str], words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)) as refused:
        ordered(order)
    assert "\n" not in str(refused.value)


# --- the name ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("voc_15-1", ScenarioName("voc", 15, 1, "natural")),
        ("voc_15-1_b", ScenarioName("voc", 15, 1, "b")),
        ("ade_100-50", ScenarioName("ade", 100, 50, "natural")),
        ("voc_offline", ScenarioName("voc", None, None, "natural")),
        ("ade_offline_c", ScenarioName("ade", None, None, "c")),
        ("my_town_3-2", ScenarioName("my_town", 3, 2, "natural")),
        ("voc_15-0", ScenarioName("voc", 15, 0, "natural")),
    ],
)
def test_a_name_says_dataset_sizes_and_order(name: str, parsed: ScenarioName) -> None:
    assert ScenarioName.parse(name) == parsed


@pytest.mark.parametrize(
    "name", ["", "voc", "15-1", "voc_15", "voc_15-1-1", "voc_15-1_B", "voc-15-1", "_15-1", "voc_15-1_", "voc_15-1\n"]
)
def test_a_name_that_is_not_a_scenarios_is_refused_with_examples(name: str) -> None:
    with pytest.raises(
        UserError, match=r"is not the name of a scenario: .*voc_15-1, voc_15-1_b, ade_100-50, voc_offline"
    ):
        ScenarioName.parse(name)


def test_a_named_scenario_cuts_any_order() -> None:
    assert ScenarioName.parse("toy_2-1").scenario((4, 2, 3, 1)) == Scenario((4, 2, 3, 1), 2, 1)
    assert len(ScenarioName.parse("toy_offline").scenario((4, 2, 3, 1)).steps) == 1
    with pytest.raises(UserError, match=r"scenario\.increment is 3\b.*choose 1\.\.2"):
        ScenarioName.parse("toy_2-3").scenario((1, 2, 3, 4))


# --- classes ----------------------------------------------------------------------------------------------------------


@given(scenarios())
def test_the_steps_cut_the_order_into_new_classes_and_know_all_before(scenario: Scenario) -> None:
    steps = scenario.steps
    assert tuple(class_id for step in steps for class_id in step.new) == scenario.order
    assert steps[0].old == ()
    assert steps[-1].seen == scenario.order
    for index, step in enumerate(steps):
        assert step.index == index
        assert {learned_at(scenario, class_id) for class_id in step.new} == {index}
        assert step.seen == step.old + step.new
    for step, following in itertools.pairwise(steps):
        assert following.old == step.seen


@given(scenarios())
def test_every_increment_is_full_but_the_last_takes_the_rest(scenario: Scenario) -> None:
    base, *increments = (len(step.new) for step in scenario.steps)
    rest = len(scenario.order) - scenario.base_classes
    assert base == scenario.base_classes
    assert len(increments) == math.ceil(rest / scenario.increment)
    assert all(size == scenario.increment for size in increments[:-1])
    assert not increments or increments[-1] == rest - scenario.increment * (len(increments) - 1)


@given(scenarios())
def test_only_what_does_not_divide_is_reported(scenario: Scenario) -> None:
    rest = len(scenario.order) - scenario.base_classes
    if rest % scenario.increment == 0:
        assert scenario.remainder is None
    else:
        assert scenario.remainder is not None
        assert f"the last step learns the remaining {rest % scenario.increment}" in scenario.remainder


def test_sizes_that_do_not_divide_by_hand() -> None:
    uneven = Scenario(tuple(range(1, 21)), 10, 4)
    assert [len(step.new) for step in uneven.steps] == [10, 4, 4, 2]
    assert uneven.remainder == (
        "10 classes after the base do not divide by increment=4: the last step learns the remaining 2"
    )
    assert Scenario(tuple(range(1, 21)), 15, 1).remainder is None
    assert Scenario(tuple(range(1, 21)), 20, 3).remainder is None


@pytest.mark.parametrize(
    ("classes", "base", "increment", "count"),
    [
        *((20, *sizes) for sizes in [(19, 1, 2), (15, 5, 2), (15, 1, 6), (10, 1, 11), (5, 5, 4), (5, 3, 6)]),
        *((20, *sizes) for sizes in [(5, 1, 16), (2, 2, 10), (2, 1, 19)]),
        *((150, *sizes) for sizes in [(100, 50, 2), (100, 10, 6), (100, 5, 11), (50, 50, 3), (50, 20, 6)]),
    ],
)
def test_the_scenarios_of_voc_and_ade20k_have_their_published_number_of_steps(
    classes: int, base: int, increment: int, count: int
) -> None:
    assert len(Scenario(tuple(range(1, classes + 1)), base, increment).steps) == count


def test_a_scenario_by_hand() -> None:
    base, first, last = Scenario((4, 2, 5, 1, 3), base_classes=2, increment=2).steps
    assert (base.new, base.old) == ((4, 2), ())
    assert (first.new, first.old) == ((5, 1), (4, 2))
    assert (last.new, last.old, last.seen) == ((3,), (4, 2, 5, 1), (4, 2, 5, 1, 3))


@pytest.mark.parametrize("increment", [0, 1, 99])
def test_the_increment_does_not_matter_when_the_base_step_learns_all(increment: int) -> None:
    (only,) = Scenario((1, 2, 3), base_classes=3, increment=increment).steps
    assert only.new == (1, 2, 3)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "base", "increment", "words"),
    [
        *((range(1, 11), base, 1, rf"scenario\.base_classes is {base}\b.*choose 1\.\.10") for base in (-1, 0, 11)),
        *((range(1, 11), 6, size, rf"\.increment is {size}\b.*choose 1\.\.4.*base_classes=10") for size in (-1, 0, 5)),
        *((order, 1, 1, r"scenario\.order") for order in ((1, 2, 2), (0, 1, 2), (-1, 1, 2))),
        ((), 0, 1, r"scenario\.base_classes is 0"),
    ],
)
def test_a_scenario_that_does_not_work_out_is_refused(
    order: Iterable[int], base: int, increment: int, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        Scenario(tuple(order), base, increment)


# --- images -----------------------------------------------------------------------------------------------------------


@given(worlds())
def test_an_image_is_overlapped_where_a_step_learns_a_class_and_disjoint_where_the_last_of_its_classes_is_learned(
    world: tuple[Scenario, Present],
) -> None:
    """Whatever the order: the published code compares class numbers instead, wrong for a re-ordered scenario."""
    scenario, present = world
    learned = {name: {learned_at(scenario, class_id) for class_id in shown} for name, shown in present.items()}
    overlapped, disjoint = (images_of_steps(scenario, present, setting) for setting in ("overlapped", "disjoint"))
    for index in range(len(scenario.steps)):
        assert overlapped[index] == [name for name, steps in learned.items() if index in steps]
        assert disjoint[index] == [name for name, steps in learned.items() if steps and max(steps) == index]
        assert set(disjoint[index]) <= set(overlapped[index])


def test_a_reordered_disjoint_step_by_hand() -> None:
    _, step, _ = Scenario((3, 1, 2), base_classes=1, increment=1).steps  # learns 1, knows 3, 2 comes later
    assert belongs({1, 3}, step, "disjoint")
    assert not belongs({1, 2}, step, "disjoint")
    assert belongs({1, 2}, step, "overlapped")
    assert not belongs({3}, step, "overlapped")
    assert not belongs(set(), step, "overlapped")


@given(worlds(), st.integers())
def test_partitioned_steps_share_out_the_images_that_show_a_class(world: tuple[Scenario, Present], seed: int) -> None:
    scenario, present = world
    steps = images_of_steps(scenario, present, "partitioned", seed)
    times = Counter(name for images in steps for name in images)
    assert times == Counter({name: 1 for name, shown in present.items() if shown})
    for step, images in zip(scenario.steps, steps, strict=True):
        assert images == [name for name in present if name in images]  # in the order of the dataset
        for name in images:
            assert present[name] & set(step.new)


@given(worlds(), st.integers(), st.data())
def test_which_class_an_image_stands_for_does_not_depend_on_the_scenario(
    world: tuple[Scenario, Present], seed: int, data: st.DataObject
) -> None:
    one, present = world
    base = data.draw(st.integers(1, len(one.order)))
    increment = data.draw(st.integers(1, max(1, len(one.order) - base)))
    other = Scenario(tuple(data.draw(st.permutations(one.order))), base, increment)
    assigned = partition(present, seed)
    for scenario in (one, other):
        found = {name: learned_at(scenario, class_id) for name, class_id in assigned.items()}
        for step, images in enumerate(images_of_steps(scenario, present, "partitioned", seed)):
            assert images == [name for name in present if found.get(name) == step]


@given(worlds(), st.integers(), st.data())
def test_the_base_step_does_not_depend_on_the_increment(
    world: tuple[Scenario, Present], seed: int, data: st.DataObject
) -> None:
    scenario, present = world
    rest = len(scenario.order) - scenario.base_classes
    other = Scenario(scenario.order, scenario.base_classes, data.draw(st.integers(1, max(1, rest))))
    for setting in ("overlapped", "partitioned"):
        assert images_of_steps(scenario, present, setting, seed)[0] == images_of_steps(other, present, setting, seed)[0]


def many_images() -> Present:
    return {f"{number:04d}": frozenset({1 + number % 20, 1 + (7 * number) % 20}) for number in range(600)}


@pytest.mark.parametrize("setting", SETTINGS)
def test_15_1_and_15_5_share_their_base_step(setting: str) -> None:
    order = tuple(range(1, 21))
    one, five = (images_of_steps(Scenario(order, 15, size), many_images(), setting, seed=3)[0] for size in (1, 5))
    assert one
    assert one == five


def test_the_partition_depends_on_the_image_its_classes_and_the_seed_alone() -> None:
    whole = partition(many_images(), seed=1)
    alone = [partition({name: shown}, seed=1) for name, shown in many_images().items()]
    assert {name: class_id for assigned in alone for name, class_id in assigned.items()} == whole
    assert whole != partition(many_images(), seed=2)
    for number in range(20):
        assert partition({str(number): [3, 1, 2, 1]}, seed=0) == partition({str(number): {1, 2, 3}}, seed=0)


def test_the_partition_favours_no_class() -> None:
    times = Counter(partition({str(number): (1, 2) for number in range(2000)}, seed=0).values())
    assert abs(times[1] - 1000) < 5 * math.sqrt(2000 / 4)  # five standard deviations


# --- pipeline ---------------------------------------------------------------------------------------------------------


@given(scenarios())
def test_the_pipeline_has_a_stage_for_each_increment(scenario: Scenario) -> None:
    """`foreach` in dvc.yaml needs string keys."""
    steps = pipeline_steps(scenario)
    assert list(steps) == [str(index) for index in range(1, len(scenario.steps))]
    assert all(item == {"prev": int(key) - 1} for key, item in steps.items())


def test_a_scenario_of_one_step_has_no_increments() -> None:
    assert pipeline_steps(Scenario((1, 2), base_classes=2, increment=1)) == {}
