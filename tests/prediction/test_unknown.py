"""The unknown is shown where it is learned, and only there."""

import pytest
import torch

from ssul.errors import UserError
from ssul.labels.space import LabelSpace
from ssul.prediction.unknown import is_unknown, require_unknown, unknown_score

SSUL = LabelSpace(((1, 2),), unknown=True, activation="sigmoid")
SIZE = torch.zeros(1, 3, 1, 4)
# unknown, background, two classes: a class wins; the unknown does; the background does; both together do
SCORES = torch.tensor([[0.1, 0.1, 0.9, 0.1], [0.8, 0.1, 0.2, 0.1], [0.2, 0.7, 0.2, 0.1], [0.4, 0.3, 0.6, 0.1]])
LOGITS = SCORES.logit().T[None, :, None]


def test_it_is_marked_where_no_class_wins_and_it_beats_the_background() -> None:
    assert is_unknown(SSUL, LOGITS, SIZE).tolist() == [[[False, True, False, True]]]


def test_its_score_is_its_sigmoid_or_its_share_of_the_softmax() -> None:
    assert torch.allclose(unknown_score(SSUL, LOGITS, SIZE)[0, 0], SCORES[:, 0])
    softmax = LabelSpace(((1, 2),), unknown=True, activation="softmax")
    assert torch.allclose(unknown_score(softmax, LOGITS, SIZE)[0, 0], LOGITS.softmax(dim=1)[0, 0, 0])


def test_methods_without_an_unknown_class_are_refused_with_the_reason() -> None:
    require_unknown(SSUL)
    with pytest.raises(UserError, match="its method does not learn one"):
        require_unknown(LabelSpace(((1,),), unknown=False, activation="softmax"))
    with pytest.raises(UserError, match="auxiliary class"):
        require_unknown(LabelSpace(((1,),), unknown=True, activation="sigmoid", constant_background=True))
    with pytest.raises(UserError, match="its method does not learn one"):  # STAR
        require_unknown(LabelSpace(((1,),), unknown=False, activation="sigmoid", constant_background=True))
