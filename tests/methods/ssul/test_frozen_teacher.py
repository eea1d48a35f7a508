"""A frozen network computes what the network computed when it was frozen, with less."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from ssul.labels.space import LabelSpace
from ssul.methods.ssul.frozen_teacher import FrozenTeacher, fold_norms
from ssul.model.deeplab import Architecture, join
from tests.methods.builders import PLUS, SMALL, trained

ARCHITECTURES = {
    "v3": SMALL,
    "v3, conv1x1": replace(SMALL, classifier="conv1x1"),
    "v3+": PLUS,
    "v3, separable": replace(SMALL, separable=True),
    "mobilenet": replace(SMALL, backbone="mobilenet_v2", output_stride=16),
    "v3, read as log-odds": replace(SMALL, log_odds_head=0),
    "v3 whose unknown gives way": replace(SMALL, yielding=(2, 4)),
    "resnet": replace(SMALL, backbone="resnet50", output_stride=16),
}
LABELS = LabelSpace(((3, 1), (5, 2, 4)), unknown=True, activation="sigmoid")


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 49, 65, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
@torch.no_grad()
def test_features_and_logits_are_the_networks(architecture: Architecture, images: Tensor) -> None:
    model = trained(replace(LABELS, unknown=architecture.log_odds_head is None), architecture)
    expected = model.features(images)
    frozen = FrozenTeacher(model)
    features = frozen.features(images)
    torch.testing.assert_close(join(features), join(expected), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(frozen.classify(features), model.classify(expected), rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_it_stays_what_it_was_when_the_network_learns_on(images: Tensor) -> None:
    model = trained(LABELS)
    frozen = FrozenTeacher(model)
    before = frozen.classify(frozen.features(images))
    for parameter in model.parameters():
        parameter.add_(1.0)
    model.train()(images)
    model.grow(2)
    assert torch.equal(frozen.classify(frozen.features(images)), before)


def test_it_leaves_the_network_as_it_is(images: Tensor) -> None:
    model = trained(LABELS)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    FrozenTeacher(model).features(images)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert {name for name, parameter in model.named_parameters() if parameter.requires_grad} == learning


def test_nothing_in_it_learns(images: Tensor) -> None:
    frozen = FrozenTeacher(trained(LABELS))
    features = frozen.features(images)
    assert not features.aspp.requires_grad
    assert not frozen.classify(features).requires_grad


@pytest.mark.parametrize("name", ["v3", "v3+", "mobilenet", "resnet"])
def test_every_norm_behind_a_convolution_is_folded(name: str) -> None:
    model = trained(LABELS, ARCHITECTURES[name])
    fold_norms(model)
    assert not [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def test_a_norm_that_stands_behind_something_else_is_not_folded() -> None:
    body = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)).eval()
    fold_norms(body)
    assert isinstance(body[2], nn.BatchNorm2d)
