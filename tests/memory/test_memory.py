"""The exemplar memory: as full and as balanced as possible, and the selection always ends."""

from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssul.errors import UserError
from ssul.memory.exemplars import Exemplar, add_current_annotation, merge_candidates, read_exemplars, write_exemplars
from ssul.memory.selection import Strategy, choose

CLASSES = (4, 2, 1, 3)  # 5 is not learned yet
seeds = st.integers(0, 2**63 - 1)
capacities = st.integers(0, 30)


def named(shown: list[frozenset[int]]) -> list[Exemplar]:
    return [Exemplar(f"image_{number}", (0,), tuple(sorted(classes))) for number, classes in enumerate(shown)]


candidates_lists = st.lists(st.frozensets(st.integers(1, 5), max_size=4), max_size=25).map(named)
single_class_lists = st.lists(st.integers(1, 5).map(lambda class_id: frozenset({class_id})), max_size=40).map(named)


def showing(exemplars: list[Exemplar], class_id: int) -> int:
    return sum(class_id in exemplar.classes for exemplar in exemplars)


# --- choosing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", get_args(Strategy))
@given(candidates_lists, capacities, seeds)
def test_the_memory_is_full_of_different_candidates_that_show_an_old_class_and_is_seeded(
    strategy: Strategy, candidates: list[Exemplar], capacity: int, seed: int
) -> None:
    before = list(candidates)
    chosen = choose(candidates, CLASSES, capacity, seed, strategy)
    useful = [candidate for candidate in candidates if set(candidate.classes) & set(CLASSES)]
    assert chosen == choose(candidates, CLASSES, capacity, seed, strategy)
    assert candidates == before
    assert len(chosen) == len({exemplar.id for exemplar in chosen}) == min(capacity, len(useful))
    assert all(exemplar in useful for exemplar in chosen)


@given(single_class_lists, capacities, seeds)
def test_classes_differ_by_one_at_most_unless_one_runs_out(
    candidates: list[Exemplar], capacity: int, seed: int
) -> None:
    chosen = choose(candidates, CLASSES, capacity, seed)
    most = max(showing(chosen, class_id) for class_id in CLASSES)
    for class_id in CLASSES:
        assert showing(chosen, class_id) in {most, most - 1, showing(candidates, class_id)}


@given(candidates_lists, capacities, seeds)
def test_every_class_has_its_share_or_all_that_there_is_of_it(
    candidates: list[Exemplar], capacity: int, seed: int
) -> None:
    chosen = choose(candidates, CLASSES, capacity, seed)
    for class_id in CLASSES:
        assert showing(chosen, class_id) >= min(showing(candidates, class_id), capacity // len(CLASSES))


def many() -> list[Exemplar]:
    return named([frozenset({1 + number % 4}) for number in range(200)])


def test_another_seed_chooses_other_images() -> None:
    assert {one.id for one in choose(many(), CLASSES, 20, 1)} != {one.id for one in choose(many(), CLASSES, 20, 2)}


def test_every_candidate_may_be_chosen() -> None:
    times = Counter(one.id for seed in range(200) for one in choose(many(), CLASSES, 20, seed))
    assert len(times) == 200
    assert max(times.values()) < 50  # expected 20 of 200


def test_no_class_always_comes_first() -> None:
    first = Counter(choose(many(), CLASSES, 1, seed)[0].classes for seed in range(100))
    assert set(first) == {(class_id,) for class_id in CLASSES}
    assert max(first.values()) < 50  # expected 25


def test_a_rare_class_is_not_crowded_out() -> None:
    candidates = named([frozenset({1})] * 100 + [frozenset({2})] * 2)
    chosen = choose(candidates, (1, 2), capacity=10, seed=0)
    assert (showing(chosen, 1), showing(chosen, 2)) == (8, 2)


@pytest.mark.parametrize(("classes", "capacity"), [((), 10), (CLASSES, 0), ((9,), 10)])
def test_nothing_is_chosen_where_there_is_nothing_to_choose(classes: tuple[int, ...], capacity: int) -> None:
    assert choose(many(), classes, capacity, seed=0) == []


def test_a_random_memory_follows_the_frequencies_of_its_candidates() -> None:
    candidates = named([frozenset({4})] * 95 + [frozenset({2})] * 5)
    kept = sum(showing(choose(candidates, CLASSES, 10, seed, "random"), 2) for seed in range(200)) / 200
    assert kept == pytest.approx(0.5, abs=0.2)  # 10 of 100, of which 5 show the rare class
    assert showing(choose(candidates, CLASSES, 10, 0), 2) == 5  # class-balanced takes all of them


# --- candidates -------------------------------------------------------------------------------------------------------


def test_an_image_in_memory_and_among_the_new_ones_is_one_candidate_with_both_annotations() -> None:
    memory = [Exemplar("a", (0,), (1, 2)), Exemplar("b", (0, 1), (1,))]
    merged = [Exemplar("a", (0, 2), ()), Exemplar("b", (0, 1), ()), Exemplar("c", (2,), ())]
    assert merge_candidates(memory, ["c", "a"], step=2) == merged
    assert merge_candidates([], ["b", "a"], step=0) == [Exemplar("b", (0,), ()), Exemplar("a", (0,), ())]


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_no_image_is_lost_or_doubled_by_merging(remembered: set[int], learned: set[int]) -> None:
    memory = [Exemplar(str(number), (0,), (1,)) for number in remembered]
    merged = merge_candidates(memory, [str(number) for number in learned], step=1)
    assert {int(one.id): one.annotated_steps for one in merged} == {
        number: (0,) * (number in remembered) + (1,) * (number in learned) for number in remembered | learned
    }
    assert len(merged) == len(remembered | learned)


def test_the_classes_of_the_annotated_steps_are_annotated_and_no_others() -> None:
    """The published code annotates all classes up to the present step, whatever was known when the image was chosen."""
    groups = ((3, 1), (4,), (2, 5))
    assert Exemplar("a", (0,), ()).annotated(groups) == (3, 1)
    assert Exemplar("a", (1,), (1, 2, 3, 4)).annotated(groups) == (4,)
    assert Exemplar("a", (0, 2), ()).annotated(groups) == (3, 1, 2, 5)


def test_an_exemplar_among_a_steps_own_images_carries_its_annotation_too() -> None:
    groups = ((3, 1), (4,), (2, 5))
    memory = [Exemplar("both", (0,), (1,)), Exemplar("memory only", (0, 1), (3, 4))]
    rehearsed = add_current_annotation(memory, ("both", "new only"), 2)
    assert [exemplar.annotated(groups) for exemplar in rehearsed] == [(3, 1, 2, 5), (3, 1, 4)]
    assert memory[0].annotated_steps == (0,)  # the memory itself is unchanged


# --- the file ---------------------------------------------------------------------------------------------------------


@given(candidates=candidates_lists)
def test_a_memory_survives_its_file(tmp_path_factory: pytest.TempPathFactory, candidates: list[Exemplar]) -> None:
    one, two = (tmp_path_factory.getbasetemp() / "memory" / name for name in ("one.json", "two.json"))
    write_exemplars(one, candidates)
    assert read_exemplars(one) == candidates
    write_exemplars(two, read_exemplars(one))
    assert one.read_bytes() == two.read_bytes()


def test_a_memory_has_a_line_for_each_exemplar(tmp_path: Path) -> None:
    write_exemplars(tmp_path / "step_1.json", [Exemplar("a", (0, 1), (3, 4)), Exemplar("b", (1,), ())])
    assert (tmp_path / "step_1.json").read_text(encoding="utf-8").splitlines() == [
        "[",
        '{"id": "a", "annotated_steps": [0, 1], "classes": [3, 4]},',
        '{"id": "b", "annotated_steps": [1], "classes": []}',
        "]",
    ]


def test_a_missing_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"step_1\.json is missing: run `dvc repro`"):
        read_exemplars(tmp_path / "step_1.json")
