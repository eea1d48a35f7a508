"""What the candidates for the memory show: annotated classes, and what the network is sure of elsewhere."""

from typing import Any

import pytest
from lightning_fabric import Fabric

from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.memory.candidates import with_annotated_classes, with_pseudo_classes
from ssul.memory.exemplars import Exemplar

LABELS = LabelSpace(((4, 1), (6,)), unknown=True, activation="sigmoid")
SEES = {0: 1, 9: 0, 4: 2, 1: 3, 6: 4}  # 9 looks unknown


@pytest.fixture
def classes_found(cpu: Fabric, dataset_of: Any, sees_red: Any) -> Any:
    """The classes of one candidate after looking at an image that shows `seen` and has the mask."""

    def found(
        seen: Any, mask: Any, classes: tuple[int, ...] = (), *, logit: float = 5.0, salient: bool = False
    ) -> tuple[int, ...]:
        candidate, network = Exemplar("a", (1,), classes), sees_red(SEES, LABELS.num_channels, logit)
        dataset = dataset_of({"a": (seen, mask)}, salient)
        (row,) = with_pseudo_classes([candidate], network, LABELS, dataset, fabric=cpu, threshold=0.7)
        assert (row.id, row.annotated_steps) == ("a", (1,))
        return row.classes

    return found


def test_annotated_classes_are_those_of_the_annotated_steps_that_the_mask_shows() -> None:
    present = {"a": (1, 4, 6, 8), "b": (6,), "c": (1, 6)}
    candidates = [Exemplar("a", (0,), ()), Exemplar("b", (0,), ()), Exemplar("c", (0, 1), ())]
    assert [row.classes for row in with_annotated_classes(candidates, present, LABELS.groups)] == [(1, 4), (), (1, 6)]


@pytest.mark.parametrize(
    ("seen", "mask", "classes", "expected"),
    [
        pytest.param([[6, 6, 1]], [[6, 6, 0]], (6,), (1, 6), id="a class seen where nothing is annotated is added"),
        pytest.param([[4, 1, 0]], [[6, 6, 0]], (6,), (6,), id="a class seen where another is annotated is not added"),
        pytest.param([[6, 1]], [[6, 4]], (6,), (1, 6), id="a class of the mask that is not annotated may be seen"),
        pytest.param([[4, 6]], [[VOID, 6]], (6,), (6,), id="nothing is added from void pixels"),
        pytest.param([[0, 9]], [[0, 0]], (), (), id="background and unknown are not classes"),
    ],
)
def test_classes_are_added_where_nothing_is_annotated(
    classes_found: Any, seen: Any, mask: Any, classes: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert classes_found(seen, mask, classes) == expected


@pytest.mark.parametrize("salient", [True, False])
def test_a_class_is_added_from_salient_and_from_plain_background(classes_found: Any, salient: bool) -> None:
    assert classes_found([[4, 0]], [[0, 0]], salient=salient) == (4,)


@pytest.mark.parametrize(("logit", "classes"), [(0.84, ()), (0.85, (4,))])  # sigmoid scores 0.698 and 0.701
def test_only_what_the_network_is_sure_of_is_added(classes_found: Any, logit: float, classes: tuple[int, ...]) -> None:
    assert classes_found([[4]], [[0]], logit=logit) == classes


def test_each_candidate_is_looked_at_with_its_own_annotation(cpu: Fabric, dataset_of: Any, sees_red: Any) -> None:
    dataset = dataset_of({"a": ([[4, 6]], [[4, 6]]), "b": ([[4, 6]], [[4, 6]])})
    candidates = [Exemplar("a", (0,), (4,)), Exemplar("b", (0, 1), (4, 6))]
    network = sees_red({4: 3, 6: 3}, LABELS.num_channels)  # takes everything for class 1
    rows = with_pseudo_classes(candidates, network, LABELS, dataset, fabric=cpu, threshold=0.7)
    assert [row.classes for row in rows] == [(1, 4), (4, 6)]


@pytest.mark.parametrize("class_id", [4, 1, 6])
def test_beside_a_constant_background_each_class_is_itself(
    cpu: Fabric, dataset_of: Any, sees_red: Any, class_id: int
) -> None:
    """STAR-M's published code leaves out channel 0 as if it were auxiliary, and is wrong by one class."""
    labels = LabelSpace(((4, 1), (6,)), unknown=False, activation="sigmoid", constant_background=True)
    dataset, network = dataset_of({"a": ([[class_id]], [[0]])}), sees_red({4: 1, 1: 2, 6: 3}, labels.num_channels)
    rows = with_pseudo_classes([Exemplar("a", (1,), ())], network, labels, dataset, fabric=cpu, threshold=0.9)
    assert [row.classes for row in rows] == [(class_id,)]
