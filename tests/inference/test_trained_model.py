"""A trained network as the base of a scenario."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ssul.errors import UserError
from ssul.inference.trained_model import TrainedModel
from ssul.labels.scores import predict
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import Architecture, IncrementalDeepLab

NETWORK = Architecture("small", "deeplabv3", 16, 8)
NAMES = ("tree", "car", "road")
ASKED: dict[str, Any] = {name: value for name, value in asdict(NETWORK).items() if not name.endswith("_head")}
SSUL = LabelSpace(((1, 2, 3),), unknown=True, activation="sigmoid")
SOFTMAX = LabelSpace(((1, 2, 3),), unknown=False, activation="softmax")


def trained(labels: LabelSpace) -> TrainedModel:
    torch.manual_seed(0)
    return TrainedModel(IncrementalDeepLab(NETWORK, labels.head_sizes).eval(), labels, NAMES)


def test_a_network_that_learned_its_classes_in_two_steps_under_other_ids_is_a_base_with_the_same_predictions() -> None:
    model = trained(LabelSpace(((9, 4), (6,)), unknown=True, activation="sigmoid"))
    base = model.as_base(ASKED, SSUL, NAMES)
    assert (base.labels.groups, base.labels.head_sizes) == (SSUL.groups, model.model.head_sizes)
    images = torch.randn(1, 3, 40, 40)
    logits = model.model(images)
    assert torch.equal(predict(base.labels, base.model(images)), predict(model.labels, logits))


def test_a_method_of_sigmoids_reads_the_probabilities_of_a_softmax_network_as_log_odds(tmp_path: Path) -> None:
    images = torch.randn(1, 3, 40, 40)
    model = trained(SOFTMAX)
    probabilities = model.model.forward_low_res(images).softmax(1)
    base = model.as_base(ASKED, replace(SOFTMAX, activation="sigmoid"), NAMES)
    torch.testing.assert_close(base.model.forward_low_res(images).sigmoid(), probabilities)
    base.save(tmp_path / "step_0")
    again = TrainedModel.load(tmp_path / "step_0")
    assert torch.equal(again.model(images), base.model(images))


def test_a_class_that_a_softmax_network_learns_later_is_no_longer_its_background() -> None:
    images = torch.randn(1, 3, 40, 40)
    base = trained(SOFTMAX).as_base(ASKED, replace(SOFTMAX, activation="sigmoid"), NAMES).model
    before = base.forward_low_res(images).sigmoid()
    base.grow(1)
    after = base.eval().forward_low_res(images).sigmoid()
    torch.testing.assert_close(after[:, :1], before[:, :1] * (1 - after[:, -1:]))
    assert torch.equal(after[:, 1:-1], before[:, 1:])


def test_a_network_without_an_unknown_class_is_refused_for_a_method_that_has_one_with_the_ways_out() -> None:
    with pytest.raises(UserError, match=r"has no unknown class: choose -S method.unknown=false .* -S method=mib"):
        trained(SOFTMAX).as_base(ASKED, SSUL, NAMES)


@pytest.mark.parametrize(
    ("asked", "labels", "names", "what"),
    [
        (ASKED | {"width": 16}, SSUL, NAMES, "network"),
        (ASKED, SOFTMAX, NAMES, "label space"),
        (ASKED, replace(SSUL, activation="softmax"), NAMES, "label space"),
        (ASKED, replace(SSUL, constant_background=True), NAMES, "label space"),
        (ASKED, SSUL, ("tree", "road", "car"), "classes"),
    ],
)
def test_another_network_is_refused_with_the_difference(
    asked: dict[str, Any], labels: LabelSpace, names: tuple[str, ...], what: str
) -> None:
    with pytest.raises(UserError, match=f"has another {what} than the parameters: .* choose the scenario, method and"):
        trained(SSUL).as_base(asked, labels, names)
