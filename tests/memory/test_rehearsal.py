"""How exemplars are annotated in a step."""

import pytest

from ssul.config.method import PublishedBugs
from ssul.config.schema import MemoryParams
from ssul.memory.exemplars import Exemplar
from ssul.memory.rehearsal import rehearsed
from ssul.scenario.splits import Split
from tests.project import composed

GROUPS = ((3, 1), (2,), (5,))


@pytest.mark.parametrize(
    ("annotation", "annotated"),
    [("captured", [(3, 1), (2,)]), ("present", [(3, 1, 5), (2,)]), ("step", [(5,), (5,)])],
)
def test_the_annotation_of_exemplars_is_of_their_steps_of_this_one_too_or_of_this_one_alone(
    annotation: str, annotated: list[tuple[int, ...]]
) -> None:
    params = composed("memory=rehearsal", f"memory.annotation={annotation}")
    split = Split(step=2, groups=GROUPS, images=("both", "new"), class_names=("c", "a", "b", "e"), holdout=())
    exemplars = [Exemplar("both", (0,), (3,)), Exemplar("past", (1,), (2,))]
    items = rehearsed(
        exemplars,
        split,
        MemoryParams.model_validate(params["memory"]),
        PublishedBugs.model_validate(params["method"]["published_bugs"]),
    )
    assert [item.annotated for item in items] == annotated
