"""Fine-tuning against the textbook: one more head, and cross-entropy on what is annotated."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ssul.labels.ids import VOID
from ssul.methods.finetune.increment import prepare_increment
from ssul.model.deeplab import IncrementalDeepLab
from tests.methods.builders import NEW, OLD, drawn, trained


def descend(model: IncrementalDeepLab, loss_of: Callable[[], Tensor]) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for iteration in range(3):
        torch.manual_seed(100 + iteration)  # of the dropout
        optimizer.zero_grad()
        loss_of().backward()
        optimizer.step()


def test_a_step_is_the_textbooks() -> None:
    images, target = drawn(0, 4, 5)
    model = trained(OLD)
    plain = copy.deepcopy(model)
    torch.manual_seed(9)
    objective = prepare_increment(model, OLD, NEW, loss="ce", freeze_norm=False).train()
    torch.manual_seed(9)
    plain.grow(len(NEW))
    plain.train()
    assert objective.labels == OLD.with_step(NEW)
    descend(plain, lambda: functional.cross_entropy(plain(images), target.long(), ignore_index=VOID))
    descend(model, lambda: objective(images, target).total)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, rtol=1e-9, atol=1e-9, msg=name)
