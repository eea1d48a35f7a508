"""Label spaces for the tests: three by hand, and any."""

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from ssul.labels.ids import VOID
from ssul.labels.space import Activation, LabelSpace

# [unknown][background][3][1] and, after a step, [2]
BASE = LabelSpace(((3, 1),), unknown=True, activation="sigmoid")
GROWN = BASE.with_step((2,))
PLAIN = LabelSpace(((3, 1), (2,)), unknown=False, activation="softmax")


@st.composite
def label_spaces(draw: st.DrawFn, unknown: bool | None = None) -> LabelSpace:
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    ids = iter(draw(st.permutations(range(1, sum(sizes) + 3))))  # two of them are never learned
    groups = tuple(tuple(next(ids) for _ in range(size)) for size in sizes)
    has_unknown = draw(st.booleans()) if unknown is None else unknown
    activation: Activation = draw(st.sampled_from(["sigmoid", "softmax"]))
    labels = LabelSpace(groups, has_unknown, activation, activation == "sigmoid" and draw(st.booleans()))
    return labels.as_base(labels.classes).with_step((200,)) if draw(st.booleans()) else labels


def masks() -> st.SearchStrategy[Tensor]:
    values = st.one_of(st.integers(0, 20), st.just(VOID))
    return arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=values).map(
        torch.from_numpy
    )
