"""The loop: how long it runs, what it yields, how rates fall, and that it learns."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import v2

from ssul.labels.space import LabelSpace
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.model.normalisation import Normalisation
from ssul.training.loop import DivergedError, TrainingProgress, iteration_count, learn_step
from ssul.training.objective import Loss, Supervised
from ssul.training.state import LastFiniteWeights

BRIGHT_OR_DARK = LabelSpace(((1,),), unknown=False, activation="softmax")


class Scripted(nn.Module):
    """An objective with given losses, plus its parameters: every gradient is 1."""

    def __init__(self, *losses: float) -> None:
        super().__init__()
        self.losses = list(losses)
        self.backbone, self.head = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
        self.inputs: list[Tensor] = []
        self.modes: list[bool] = []

    def forward(self, images: Tensor, target: Tensor) -> Loss:
        self.inputs.append(images)
        self.modes.append(self.training)
        ones = self.backbone + self.head
        total = ones - ones.detach() + self.losses[len(self.inputs) - 1]
        return Loss(total, {"share": torch.tensor(0.25), "pixels": target.numel() * torch.ones(())})

    def groups(self, backbone_lr: float = 0.1, head_lr: float = 0.5) -> list[dict[str, Any]]:
        return [
            {"name": "backbone", "params": [self.backbone], "lr": backbone_lr},
            {"name": "heads", "params": [self.head], "lr": head_lr},
        ]


def batches(count: int, *, size: int = 2, side: int = 8) -> Iterator[tuple[Tensor, Tensor]]:
    """Images whose quarters are dark or bright, at random; bright pixels belong to the class."""
    generator = torch.Generator().manual_seed(4)
    for _ in range(count):
        quarters = torch.randint(2, (size, 1, 2, 2), generator=generator).float()
        target = functional.interpolate(quarters, size=(side, side))[:, 0].to(torch.uint8)
        noise = torch.randint(60, (size, 3, side, side), generator=generator, dtype=torch.uint8)
        yield 180 * target[:, None] + noise, target


def iterate(
    objective: nn.Module, groups: list[dict[str, Any]], iterations: int, **settings: Any
) -> Iterator[TrainingProgress]:
    settings = {"momentum": 0.0, "weight_decay": 0.0, "schedule": "poly", "batches": batches(iterations), **settings}
    settings.setdefault("normalisation", Normalisation())
    fabric = Fabric(accelerator="cpu", devices=1)
    return learn_step(objective, groups=groups, fabric=fabric, iterations=iterations, **settings)


def run(objective: nn.Module, *settings: Any, **more: Any) -> list[TrainingProgress]:
    return list(iterate(objective, *settings, **more))


@pytest.mark.parametrize(
    ("images", "epochs", "batch", "iterations"),
    [
        (32, 2, 16, 4),
        (33, 2, 16, 6),
        (10, 3, 4, 9),
        (16, 1, 16, 1),
        (3, 5, 32, 5),
        (1, 1, 32, 1),
        (10582, 50, 32, 16550),
    ],
)
def test_an_epoch_is_as_many_batches_as_hold_every_image(images: int, epochs: int, batch: int, iterations: int) -> None:
    assert iteration_count(images, epochs=epochs, batch=batch) == iterations


@pytest.mark.parametrize(("images", "iterations"), [(32, 4), (33, 4), (47, 4), (3, 2)])
def test_as_published_an_epoch_drops_the_images_that_fill_no_batch_but_a_step_still_trains(
    images: int, iterations: int
) -> None:
    assert iteration_count(images, epochs=2, batch=16, drop_last=True) == iterations


def test_it_draws_no_more_batches_than_it_needs() -> None:
    source = batches(5)
    objective = Scripted(1, 1, 1)
    assert len(run(objective, objective.groups(), 3, batches=source)) == 3
    assert len(list(source)) == 2


def test_it_yields_each_iteration_with_its_loss_and_parts_before_the_next_begins() -> None:
    objective = Scripted(3.0, 2.0, 1.0)
    states = []
    for state in iterate(objective, objective.groups(), 3):
        states.append(state)
        assert len(objective.inputs) == len(states)
    assert [(state.iteration, state.iterations, state.loss) for state in states] == [
        (1, 3, 3.0),
        (2, 3, 2.0),
        (3, 3, 1.0),
    ]
    assert all(state.parts == {"share": 0.25, "pixels": 128.0} for state in states)
    assert all(state.images_per_second > 0 for state in states)


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("poly", [(1 - i / 3) ** 0.9 for i in range(3)]),
        ("warm_poly", [0.001, (2 / 3) ** 0.9, (1 / 3) ** 0.9]),
        ("step", [1.0, 1.0, 1.0]),
    ],
)
def test_each_group_moves_at_its_own_scheduled_rate_and_the_yielded_one_is_the_heads(
    schedule: str, factors: list[float]
) -> None:
    objective = Scripted(1, 1, 1)
    states = run(objective, objective.groups(backbone_lr=0.1, head_lr=0.5), 3, schedule=schedule)
    assert [state.lr for state in states] == pytest.approx([0.5 * factor for factor in factors])
    assert objective.backbone.item() == pytest.approx(-0.1 * sum(factors))  # every gradient is 1
    assert objective.head.item() == pytest.approx(-0.5 * sum(factors))


def test_momentum_is_nesterovs() -> None:
    objective = Scripted(1, 1)
    run(objective, objective.groups(head_lr=0.5), 2, momentum=0.9)
    first, second = 1 + 0.9, 1 + 0.9 * (0.9 + 1)
    assert objective.head.item() == pytest.approx(-0.5 * (first + 0.5**0.9 * second))


def test_weights_decay() -> None:
    objective = Scripted(1)
    objective.head.data.fill_(2.0)
    run(objective, objective.groups(head_lr=0.5), 1, weight_decay=0.1)
    assert objective.head.item() == pytest.approx(2.0 - 0.5 * (1 + 0.1 * 2.0))


def test_the_objective_is_in_training_mode_and_gets_images_normalised_as_torchvision_does() -> None:
    objective = Scripted(1)
    objective.eval()
    run(objective, objective.groups(), 1)
    ((image, _),) = batches(1)
    to_float = v2.Compose(
        [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    )
    assert objective.modes == [True]
    torch.testing.assert_close(objective.inputs[0], to_float(image), check_stride=False)


def network() -> Supervised:
    torch.manual_seed(0)
    labels = BRIGHT_OR_DARK
    return Supervised(IncrementalDeepLab(Architecture("small", "deeplabv3", 8, 16), labels.head_sizes), labels, "ce")


def test_a_network_learns_the_same_from_the_same_seed() -> None:
    losses, weights = [], []
    for _ in range(2):
        objective = network()
        groups = objective.model.parameter_groups(0.1, backbone_ratio=1.0, low_lr_head=None, low_lr_ratio=1.0)
        states = run(objective, groups, 12, momentum=0.9, weight_decay=1e-4, batches=batches(12, size=4, side=32))
        losses.append([state.loss for state in states])
        weights.append(objective.model.state_dict())
    assert sum(losses[0][-3:]) < 0.7 * sum(losses[0][:3])
    assert losses[0] == losses[1]
    assert all(torch.equal(weights[1][name], tensor) for name, tensor in weights[0].items())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_not_finite_is_refused_and_leaves_the_weights_before_it(value: float) -> None:
    objective, undisturbed = Scripted(1.0, 1.0, value, 1.0, 1.0), Scripted(1.0, 1.0)
    with pytest.raises(
        DivergedError, match=rf"{value} at iteration 3 of 5 with rates 0\.1, 0\.5: .*recipe.*lr"
    ) as refused:
        run(objective, objective.groups(backbone_lr=0.1, head_lr=0.5), 5, schedule="step")
    assert refused.value.iteration == 2
    assert len(objective.inputs) == 3
    run(undisturbed, undisturbed.groups(backbone_lr=0.1, head_lr=0.5), 2, schedule="step")
    assert objective.head.item() == undisturbed.head.item()
    assert objective.backbone.item() == undisturbed.backbone.item()


def test_a_snapshot_restores_weights_and_statistics() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    snapshot = LastFiniteWeights(model, every=2)
    states = []
    for iteration in range(1, 6):
        model(torch.randn(2, 3, 4, 4))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 1.0
        snapshot.take(iteration)
        states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
    snapshot.restore()
    assert snapshot.iteration == 4
    assert all(torch.equal(tensor, states[3][name]) for name, tensor in model.state_dict().items())


def test_the_first_snapshot_is_the_start() -> None:
    model = nn.Conv2d(3, 2, 1)
    before = model.weight.clone()
    snapshot = LastFiniteWeights(model)
    nn.init.constant_(model.weight, 9)
    for iteration in range(1, 100):
        snapshot.take(iteration)
    snapshot.restore()
    assert snapshot.iteration == 0
    assert torch.equal(model.weight, before)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_not_taken(broken: float) -> None:
    """A finite loss may have an infinite gradient, so weights break before the loss does."""
    model = nn.Conv2d(3, 2, 1)
    snapshot = LastFiniteWeights(model, every=1)
    snapshot.take(1)
    with torch.no_grad():
        model.weight[0, 0] = broken
    snapshot.take(2)
    snapshot.restore()
    assert snapshot.iteration == 1
    assert model.weight.isfinite().all()
