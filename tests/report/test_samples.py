"""The samples that a person looks at are those that the training consumes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from ssul.labels.space import LabelSpace
from ssul.methods.plop import increment as plop
from ssul.methods.ssul import increment as ssul
from ssul.report.samples import first_samples
from ssul.training.job import TrainingJob
from ssul.training.objective import Objective, Supervised
from ssul.training.resume import StateFile
from ssul.training.session import TrainingSession
from tests.methods.builders import trained

SIGMOIDS = LabelSpace(((1, 2),), unknown=True, activation="sigmoid")
SOFTMAX = LabelSpace(((1, 2),), unknown=False, activation="softmax")
SHOWN = 10  # of three batches of four


def ssul_step(*, freeze: bool) -> Objective:
    parts = {"weight_transfer": True, "freeze": freeze, "freeze_norm": True, "pseudo_threshold": 0.5}
    model = trained(SIGMOIDS, dtype=torch.float32, seed=5)
    return ssul.prepare_increment(model, SIGMOIDS, (3,), loss="bce", **parts)  # type: ignore[arg-type]


def plop_step() -> Objective:
    model = trained(SOFTMAX, dtype=torch.float32)
    return plop.prepare_increment(model, SOFTMAX, (3,), pod=0.01, pod_logits=0.0005, entropy="exact")


def session_of(job: TrainingJob, fabric: Fabric, folder: Path) -> TrainingSession:
    """A session whose method has looked at the step's images."""
    session = TrainingSession(job, fabric, 0, 1, StateFile(folder, "one"), print)
    assert list(session.calibrate()) == list(session.calibrate())
    return session


@pytest.mark.parametrize(
    "make",
    [partial(ssul_step, freeze=True), partial(ssul_step, freeze=False), plop_step],
    ids=["frozen", "ssul", "plop"],
)
def test_the_samples_and_pseudo_labels_are_those_of_the_first_iterations_to_the_pixel(
    make: Callable[[], Objective],
    increment: Callable[[Objective], TrainingJob],
    cpu: Fabric,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs, targets, completed = [], [], []
    trained_job, statistics, label = increment(make()), ssul.label_statistics, plop.PlopIncrement._label

    def note(_: object, batch: tuple[Tensor, Tensor]) -> None:
        inputs.extend(batch[0])
        targets.extend(batch[1])

    def note_ssul(target: Tensor, with_pseudo: Tensor, labels: LabelSpace) -> dict[str, Tensor]:
        completed.extend(with_pseudo)
        return statistics(target, with_pseudo, labels)

    def note_plop(self: Any, *arguments: Tensor) -> tuple[Tensor, Tensor]:
        labelled = label(self, *arguments)
        completed.extend(labelled[0])
        return labelled

    trained_job.objective.register_forward_pre_hook(note)
    with monkeypatch.context() as patch:
        patch.setattr(ssul, "label_statistics", note_ssul)
        patch.setattr(plop.PlopIncrement, "_label", note_plop)
        for _ in session_of(trained_job, cpu, tmp_path).start():
            pass

    job = increment(make())
    samples = list(first_samples(session_of(job, cpu, tmp_path).job, SHOWN, cpu))
    assert len(samples) == SHOWN < len(completed)
    network_input = job.objective.model.normalisation.network_input
    for iteration in range(3):
        ours = [one for one in samples if one.iteration == iteration]
        place = slice(4 * iteration, 4 * iteration + len(ours))
        assert torch.equal(network_input(torch.stack([one.image for one in ours])), torch.stack(inputs[place]))
        assert torch.equal(torch.stack([one.target for one in ours]), torch.stack(targets[place]))
        found = [one.completed for one in ours if one.completed is not None]
        assert torch.equal(torch.stack(found), torch.stack(completed[place]))
    assert any(not torch.equal(one.target, one.completed) for one in samples if one.completed is not None)
    assert [one.exemplar for one in samples] == [False, False, True, True] * 2 + [False, False]
    assert {one.item.id for one in samples if one.exemplar} == {"d", "e"}


def test_a_method_without_pseudo_labels_has_the_annotation_alone(
    increment: Callable[[Objective], TrainingJob], cpu: Fabric
) -> None:
    model = trained(LabelSpace(((1, 2), (3,)), unknown=False, activation="softmax"), dtype=torch.float32)
    job = increment(Supervised(model, LabelSpace(((1, 2), (3,)), unknown=False, activation="softmax"), "ce"))
    assert [one.completed for one in first_samples(job, 2, cpu)] == [None, None]
