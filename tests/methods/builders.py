"""Networks as after some training, and batches of a step, for every method."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from ssul.labels.ids import VOID
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import Architecture, IncrementalDeepLab
from ssul.training.objective import TeacherStudentObjective
from tests.model.learning import randomise_norms, tensors_changed_by_training

OLD = LabelSpace(((3, 1), (5,)), unknown=False, activation="softmax")
NEW = (2, 4)
SMALL = Architecture("small", "deeplabv3", 8, 16)
PLUS = replace(SMALL, head="deeplabv3plus")
EVERY_ARCHITECTURE = pytest.mark.parametrize(
    "architecture",
    [SMALL, replace(SMALL, classifier="conv1x1"), PLUS, replace(PLUS, classifier="conv1x1")],
    ids=["v3", "v3, conv1x1", "v3+", "v3+, conv1x1"],
)


def trained(
    labels: LabelSpace, architecture: Architecture = SMALL, dtype: torch.dtype = torch.float64, seed: int = 0
) -> IncrementalDeepLab:
    """A network whose norms know their statistics and do something; in evaluation mode."""
    torch.manual_seed(seed)
    architecture = replace(architecture, constant_head=labels.constant_head)
    model = IncrementalDeepLab(architecture, labels.head_sizes).to(dtype)
    randomise_norms(model)
    with torch.no_grad():
        for index, head in enumerate(model.heads):
            if index == labels.constant_head:
                continue
            assert isinstance(head.classifier, nn.Conv2d)
            assert head.classifier.bias is not None
            head.classifier.bias.normal_()
    return model.eval()


def drawn(*channels: int, dtype: torch.dtype = torch.float64, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Images of odd size, and a target with the named channels and void."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, 3, 33, 41, generator=generator).to(dtype)
    values = torch.tensor([*channels, VOID], dtype=torch.uint8)
    return images, values[torch.randint(len(values), (2, 33, 41), generator=generator)]


def assert_only_the_whole_student_learns(objective: TeacherStudentObjective) -> None:
    """Every tensor of the network changes, the teacher does not, and it is neither optimised nor saved."""
    images, target = drawn(0, 4, 5)
    model = objective.train().model
    before = objective.teacher(images)(images)
    assert tensors_changed_by_training(model, lambda: objective(images, target).total) == set(model.state_dict())
    assert torch.equal(objective.teacher(images)(images), before)
    assert {id(p) for p in objective.parameters()} == {id(p) for p in model.parameters()}
    assert {name.removeprefix("model.") for name in objective.state_dict()} == set(model.state_dict())
