"""Which weights of a step are kept: the last, or the best on some images."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from ssul.data.dataset import SegmentationDataset
from ssul.inference.confusion import ConfusionMatrix
from ssul.inference.predict import predict, predict_images
from ssul.labels.ids import BACKGROUND_ID
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import IncrementalDeepLab


class LastFiniteWeights:
    """The weights of a while ago, from when all was well.

    Attributes:
        iteration: after how many iterations it was taken; None if all was never well.
    """

    def __init__(self, model: nn.Module, iteration: int = 0, *, every: int = 100) -> None:
        """Takes the network, after how many iterations it is as it is, and how many lie between two snapshots."""
        self.model, self.every = model, every
        self.iteration: int | None = None
        self._take(iteration)

    def take(self, iteration: int) -> None:
        """Takes a snapshot after an iteration where it is due, unless the weights are no longer finite."""
        if iteration % self.every == 0:
            self._take(iteration)

    def _take(self, iteration: int) -> None:
        state = self.model.state_dict()
        if all(bool(tensor.isfinite().all()) for tensor in state.values()):
            self.iteration = iteration
            self._state = {name: tensor.detach().clone() for name, tensor in state.items()}

    def restore(self) -> None:
        """Gives the network the weights of the snapshot."""
        self.model.load_state_dict(self._state)


class BestWeights:
    """Remembers the weights of the best score, and brings them back.

    Args:
        model: the network that learns.
        judge: its score now.
        every: iterations between two judgements.
        include_initial: whether the weights before the first judgement count, with a score below all others: so a
            training that is never judged leaves the network as it was (the published code's way). Without, the last
            weights are judged too.
    """

    def __init__(self, model: nn.Module, judge: Callable[[], float], *, every: int, include_initial: bool) -> None:
        self.model, self.judge, self.every, self.include_initial = model, judge, every, include_initial
        self.score = -1.0
        self.state = _copied(model) if include_initial else None

    def update(self, iteration: int) -> None:
        """Judges the network where it is due, after an iteration (from 1)."""
        if iteration % self.every == 0:
            self._judge()

    def restore(self) -> None:
        """Gives the network the best weights, at the end of the training."""
        if not self.include_initial:
            self._judge()
        assert self.state is not None
        self.model.load_state_dict(self.state)

    def __str__(self) -> str:
        if self.score < 0:
            return f"none were judged in fewer than {self.every} iterations: the include_initial weights are kept"
        return f"the weights with the best score, {100 * self.score:.1f}, are kept"

    def _judge(self) -> None:
        score = self.judge()
        if score > self.score:
            self.score, self.state = score, _copied(self.model)


def published_interval(iterations: int) -> int:
    """Iterations between two judgements in the published code."""
    return max(100, iterations // 100)


def step_miou(
    model: IncrementalDeepLab,
    labels: LabelSpace,
    dataset: SegmentationDataset,
    ids: Sequence[str],
    *,
    new: Sequence[int],
    with_background: bool,
) -> float:
    """The mean IoU of a step's classes, every other class counting as background (the published criterion).

    Args:
        model: the network, on its device; left in training mode.
        labels: the meaning of its channels.
        dataset, ids: which images.
        new: the step's dataset ids.
        with_background: whether the background's IoU is in the mean, as at the base step.

    Returns:
        0..1; an absent class counts as 0.
    """
    device = next(model.parameters()).device
    counts = ConfusionMatrix.empty(labels.num_classes)
    model.eval()
    for image, inputs, low_res in predict_images(model, map(dataset.read, ids), device):
        prediction = predict(labels, low_res, inputs)[0]
        truth = labels.encode_step_ground_truth(image.mask.to(device), new)
        confusion = ConfusionMatrix.of(truth, prediction, labels.num_classes)
        counts = confusion + counts  # in this order: they stay on the device
    model.train()
    iou = counts.iou()
    wanted = [labels.class_index(one) for one in (*((BACKGROUND_ID,) if with_background else ()), *new)]
    return sum(iou[index] or 0.0 for index in wanted) / len(wanted)


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
