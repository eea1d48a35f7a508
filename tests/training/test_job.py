"""The fingerprint and the length of a training."""

from typing import Literal

import pytest
import torch

from ssul.data.sampling import SampleOrder, TrainingItem
from ssul.training.job import fingerprint, iterations_of


def test_a_fingerprint_differs_if_anything_differs() -> None:
    weight = torch.arange(6.0)
    nudged = weight.clone()
    nudged[3] = torch.nextafter(nudged[3], torch.tensor(9.0))
    weights = [{"w": weight}, {"w": nudged}, {"w": weight.reshape(2, 3)}, {"w": weight.double()}, {"v": weight}, {}]
    found = [fingerprint(["bce", 1], one) for one in weights]
    found += [fingerprint(parts, {"w": weight}) for parts in (["bce", 2], ["bce"])]
    assert len(set(found)) == len(found)
    assert all(len(one) == 64 for one in found)


def test_a_fingerprint_depends_neither_on_the_order_of_weights_nor_on_their_layout() -> None:
    weight = torch.randn(2, 3, 4, 4)
    channels_last = weight.contiguous(memory_format=torch.channels_last)
    one = fingerprint([1], {"v": weight, "w": torch.ones(2)})
    assert one == fingerprint([1], {"w": torch.ones(2), "v": channels_last})


@pytest.mark.parametrize(
    ("memory", "epoch", "drop_last", "iterations"),
    [
        (0, "images", False, 2 * 4),  # ceil(50 / 16)
        (0, "iterations", True, 2 * 3),
        (9, "images", False, 2 * 7),  # ceil(50 / 8): half of each batch shows new images
        (9, "images", True, 2 * 6),
        (9, "iterations", False, 2 * 4),
    ],
)
def test_an_epoch_shows_every_new_image_once_also_beside_a_memory_unless_asked_otherwise(
    memory: int, epoch: Literal["images", "iterations"], drop_last: bool, iterations: int
) -> None:
    def items(count: int) -> tuple[TrainingItem, ...]:
        return tuple(TrainingItem(str(number), (1,)) for number in range(count))

    order = SampleOrder(items(50), items(memory), batch=16, seed=0, step=1)
    assert iterations_of(order, 2, epoch, drop_last=drop_last) == iterations


@pytest.mark.parametrize(("epoch", "iterations"), [("images", 2 * 4), ("iterations", 2 * 4), ("images", 2 * 5)])
def test_an_epoch_shows_appended_exemplars_too(epoch: Literal["images", "iterations"], iterations: int) -> None:
    memory = 20 if iterations == 10 else 9  # 50 + 9 fill four batches of 16 as 50 do, 50 + 20 need five
    order = SampleOrder(
        tuple(TrainingItem(str(number), (1,)) for number in range(50)),
        tuple(TrainingItem(str(number), (1,)) for number in range(memory)),
        batch=16,
        seed=0,
        step=1,
        appended=True,
    )
    assert iterations_of(order, 2, epoch, drop_last=False) == iterations
