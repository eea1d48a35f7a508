"""Which weights a step leaves: those with the best score, and how the score is taken."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from ssul.labels.space import LabelSpace
from ssul.training.selection import BestWeights, published_interval, step_miou


def learned(best: BestWeights, model: nn.Linear, iterations: int) -> float:
    """Trains a weight that counts the iterations, and says which of its values was kept."""
    for iteration in range(1, iterations + 1):
        with torch.no_grad():
            model.weight.fill_(iteration)
        best.update(iteration)
    best.restore()
    return model.weight.item()


def counter() -> nn.Linear:
    model = nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(0)
    return model


def scripted(*scores: float) -> Callable[[], float]:
    told: Iterator[float] = iter(scores)
    return lambda: next(told)


def test_the_best_of_several_is_kept() -> None:
    model = counter()
    best = BestWeights(model, scripted(0.1, 0.4, 0.3), every=2, include_initial=True)
    assert learned(best, model, 7) == 4.0  # judged after 2, 4 and 6
    assert best.score == 0.4


def test_of_equals_the_first_is_kept() -> None:
    model = counter()
    assert learned(BestWeights(model, scripted(0.4, 0.4, 0.1), every=1, include_initial=True), model, 3) == 1.0


def test_a_training_that_is_never_judged_keeps_the_untrained_weights() -> None:
    model = counter()
    best = BestWeights(model, scripted(), every=100, include_initial=True)
    assert str(best) == "none were judged in fewer than 100 iterations: the include_initial weights are kept"
    assert learned(best, model, 99) == 0.0


def test_the_worst_score_is_better_than_none() -> None:
    model = counter()
    assert learned(BestWeights(model, scripted(0.0), every=5, include_initial=True), model, 9) == 5.0


@pytest.mark.parametrize(("last", "kept"), [(0.5, 7.0), (0.2, 3.0)])
def test_without_the_untrained_ones_the_last_weights_are_judged_too(last: float, kept: float) -> None:
    model = counter()
    assert learned(BestWeights(model, scripted(0.3, 0.1, last), every=3, include_initial=False), model, 7) == kept


def test_without_the_untrained_ones_something_trained_is_always_kept() -> None:
    model = counter()
    assert learned(BestWeights(model, scripted(0.0), every=100, include_initial=False), model, 7) == 7.0


def test_statistics_are_kept_with_the_weights() -> None:
    model = nn.BatchNorm1d(1)
    best = BestWeights(model, scripted(0.5, 0.1), every=1, include_initial=True)
    model(torch.tensor([[1.0], [3.0]]))
    best.update(1)
    mean = model.running_mean.clone()  # type: ignore[union-attr]
    model(torch.tensor([[5.0], [9.0]]))
    best.update(2)
    best.restore()
    assert torch.equal(model.running_mean, mean)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("iterations", "every"), [(1, 100), (99, 100), (9_999, 100), (10_100, 101), (16_550, 165), (20_000, 200)]
)
def test_the_published_code_judges_every_hundredth_of_the_iterations_but_at_least_each_100(
    iterations: int, every: int
) -> None:
    assert published_interval(iterations) == every


# ---- the score ------------------------------------------------------------------------------------------------------

LABELS = LabelSpace(((3,), (1, 2)), unknown=True, activation="sigmoid")  # channels [unknown][background][3][1][2]
CHANNELS = {0: 1, 3: 2, 1: 3, 2: 4}


class WithWeights(nn.Module):
    """A network of a test, with a parameter that says on which device it is."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.weight = inner, nn.Parameter(torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.inner(images)
        return logits

    def forward_low_res(self, images: torch.Tensor) -> torch.Tensor:
        return self(images)


def judged(pictures: type, sees_red: type, content: dict[str, object], **choices: object) -> float:
    model = WithWeights(sees_red(CHANNELS, 5)).train()
    score = step_miou(model, LABELS, pictures(content), list(content), **choices)  # type: ignore[arg-type]
    assert model.training
    return score


def test_a_step_is_judged_by_hand(pictures: type, sees_red: type) -> None:
    content = {
        # seen, and the mask: an old class (3) and one not learned yet (7) count as background; void does not count
        "a": ([[1, 1, 0, 0, 2, 2]], [[1, 3, 0, 7, 2, 255]]),
        "b": ([[1, 0]], [[1, 1]]),
    }
    of_1, of_2 = 2 / 4, 1 / 1  # 1: two hits, one on what is an old class, one missed
    background = 2 / 4  # two hits, one seen as class 1, one of class 1 seen as background
    for_step = judged(pictures, sees_red, content, new=(1, 2), with_background=False)
    assert for_step == pytest.approx((of_1 + of_2) / 2)
    with_background = judged(pictures, sees_red, content, new=(1, 2), with_background=True)
    assert with_background == pytest.approx((background + of_1 + of_2) / 3)


def test_an_old_class_that_is_seen_takes_pixels_of_the_background(pictures: type, sees_red: type) -> None:
    content = {"a": ([[3, 0, 1]], [[3, 0, 1]])}
    assert judged(pictures, sees_red, content, new=(1,), with_background=True) == pytest.approx((1 / 2 + 1) / 2)


def test_a_class_that_is_nowhere_counts_as_0(pictures: type, sees_red: type) -> None:
    content = {"a": ([[1, 0]], [[1, 0]])}
    assert judged(pictures, sees_red, content, new=(1, 2), with_background=False) == pytest.approx(1 / 2)
