"""Which classes and which images belong to which step."""

import dataclasses
import itertools
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssul.errors import UserError
from ssul.scenario import SETTINGS, Scenario, belongs, partition, pipeline_steps, step_images

Present = dict[str, frozenset[int]]


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    order = draw(st.integers(1, 20).flatmap(lambda count: st.permutations(range(1, count + 1))))
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


# --- classes ----------------------------------------------------------------------------------------------------------


@given(scenarios())
def test_the_new_classes_of_all_steps_are_the_order(scenario: Scenario) -> None:
    assert tuple(class_id for step in scenario.steps for class_id in step.new) == scenario.order


@given(scenarios())
def test_seen_is_old_and_new_and_is_old_at_the_next_step(scenario: Scenario) -> None:
    steps = scenario.steps
    assert steps[0].old == ()
    assert steps[-1].seen == scenario.order
    for step in steps:
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
def test_steps_are_numbered_from_zero_and_learn_their_classes(scenario: Scenario) -> None:
    assert [step.index for step in scenario.steps] == list(range(len(scenario.steps)))
    for step in scenario.steps:
        assert {learned_at(scenario, class_id) for class_id in step.new} == {step.index}


@pytest.mark.parametrize(
    ("base", "increment", "count"),
    [(19, 1, 2), (15, 5, 2), (15, 1, 6), (10, 1, 11), (5, 5, 4), (5, 3, 6), (5, 1, 16), (2, 2, 10), (2, 1, 19)],
)
def test_published_scenarios_have_their_published_number_of_steps(base: int, increment: int, count: int) -> None:
    assert len(Scenario(tuple(range(1, 21)), base, increment).steps) == count


def test_a_scenario_by_hand() -> None:
    base, first, last = Scenario((4, 2, 5, 1, 3), base_classes=2, increment=2).steps
    assert (base.new, base.old) == ((4, 2), ())
    assert (first.new, first.old) == ((5, 1), (4, 2))
    assert (last.new, last.old, last.seen) == ((3,), (4, 2, 5, 1), (4, 2, 5, 1, 3))


@pytest.mark.parametrize("increment", [0, 1, 99])
def test_the_increment_does_not_matter_when_the_base_step_learns_all(increment: int) -> None:
    (only,) = Scenario((1, 2, 3), base_classes=3, increment=increment).steps
    assert only.new == (1, 2, 3)


def test_a_scenario_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Scenario((1, 2), 1, 1).increment = 2  # type: ignore[misc]


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [-1, 0, 11])
def test_a_base_step_of_too_few_or_too_many_classes_is_refused(base: int) -> None:
    with pytest.raises(UserError, match=rf"scenario\.base_classes is {base}\b.*choose 1\.\.10"):
        Scenario(tuple(range(1, 11)), base, 1)


@pytest.mark.parametrize("increment", [-1, 0, 5])
def test_an_increment_beyond_the_rest_is_refused(increment: int) -> None:
    with pytest.raises(UserError, match=rf"scenario\.increment is {increment}\b.*choose 1\.\.4.*base_classes=10"):
        Scenario(tuple(range(1, 11)), 6, increment)


@pytest.mark.parametrize("order", [(1, 2, 2), (0, 1, 2), (-1, 1, 2)])
def test_an_order_with_a_repeated_class_or_the_background_is_refused(order: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"scenario\.order"):
        Scenario(order, 1, 1)


def test_an_order_without_classes_is_refused() -> None:
    with pytest.raises(UserError):
        Scenario((), 0, 1)


# --- images -----------------------------------------------------------------------------------------------------------


@given(worlds())
def test_overlapped_images_show_a_class_that_the_step_learns(world: tuple[Scenario, Present]) -> None:
    scenario, present = world
    for index, images in enumerate(images_of_steps(scenario, present, "overlapped")):
        assert images == [
            name
            for name, shown in present.items()
            if any(learned_at(scenario, class_id) == index for class_id in shown)
        ]


@given(worlds())
def test_a_disjoint_image_belongs_to_the_step_that_learns_the_last_of_its_classes(
    world: tuple[Scenario, Present],
) -> None:
    """Whatever the order: the published code compares class numbers instead, wrong for each re-ordered scenario."""
    scenario, present = world
    for index, images in enumerate(images_of_steps(scenario, present, "disjoint")):
        assert images == [
            name
            for name, shown in present.items()
            if shown and max(learned_at(scenario, class_id) for class_id in shown) == index
        ]


@given(worlds())
def test_disjoint_images_are_overlapped_images(world: tuple[Scenario, Present]) -> None:
    scenario, present = world
    disjoint, overlapped = (images_of_steps(scenario, present, setting) for setting in ("disjoint", "overlapped"))
    for few, many in zip(disjoint, overlapped, strict=True):
        assert set(few) <= set(many)


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
        assert images == [name for name in present if name in images]  # in the order of the data set
        for name in images:
            assert present[name] & set(step.new)


@given(worlds(), st.integers(), st.data())
def test_the_base_step_does_not_depend_on_the_increment(
    world: tuple[Scenario, Present], seed: int, data: st.DataObject
) -> None:
    scenario, present = world
    rest = len(scenario.order) - scenario.base_classes
    other = Scenario(scenario.order, scenario.base_classes, data.draw(st.integers(1, max(1, rest))))
    for setting in SETTINGS[::2]:  # in the overlapped setting the base step is shared too
        assert images_of_steps(scenario, present, setting, seed)[0] == images_of_steps(other, present, setting, seed)[0]


def many_images() -> Present:
    return {f"{number:04d}": frozenset({1 + number % 20, 1 + (7 * number) % 20}) for number in range(600)}


@pytest.mark.parametrize("setting", SETTINGS)
def test_15_1_and_15_5_share_their_base_step(setting: str) -> None:
    order = tuple(range(1, 21))
    one, five = (images_of_steps(Scenario(order, 15, size), many_images(), setting, seed=3)[0] for size in (1, 5))
    assert one
    assert one == five


def test_the_partition_of_an_image_does_not_depend_on_other_images() -> None:
    whole = partition(many_images(), seed=1)
    alone = [partition({name: shown}, seed=1) for name, shown in many_images().items()]
    assert {name: class_id for assigned in alone for name, class_id in assigned.items()} == whole


def test_the_partition_does_not_depend_on_how_classes_are_listed() -> None:
    for number in range(20):
        assert partition({str(number): [3, 1, 2, 1]}, seed=0) == partition({str(number): {1, 2, 3}}, seed=0)


def test_another_seed_is_another_partition() -> None:
    assert partition(many_images(), seed=1) != partition(many_images(), seed=2)


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
