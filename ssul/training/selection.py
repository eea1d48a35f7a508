"""Which weights of a step are kept: the last, or the best on some images (`method.selection`)."""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from ssul.config.paths import Layout, data_root
from ssul.config.schema import Params
from ssul.data.dataset import SegmentationDataset
from ssul.data.index import ImageIndex
from ssul.errors import UserError
from ssul.inference.confusion import ConfusionMatrix
from ssul.inference.predict import predict, predict_images
from ssul.labels.ids import BACKGROUND_ID
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import IncrementalDeepLab
from ssul.scenario.scenario import Step, belongs
from ssul.scenario.splits import Split


class BestWeights:
    """Remembers the weights of the best score.

    Args:
        model: the network that learns.
        compute_score: its present score.
        every: iterations between two scores.
        include_initial: whether the weights before the first score count, below all others. Then a training without a
            score leaves the network as it was (as in the published code). Otherwise the last weights get a score too.
    """

    def __init__(
        self, model: nn.Module, compute_score: Callable[[], float], *, every: int, include_initial: bool
    ) -> None:
        self.model, self.compute_score, self.every, self.include_initial = model, compute_score, every, include_initial
        self.score = -1.0
        self.state = _copy_of(model) if include_initial else None

    def update(self, iteration: int) -> None:
        """Computes the score where it is due, after an iteration (from 1)."""
        if iteration % self.every == 0:
            self._compare()

    def restore(self) -> None:
        """Gives the network the best weights, at the end of the training."""
        if not self.include_initial:
            self._compare()
        assert self.state is not None
        self.model.load_state_dict(self.state)

    def __str__(self) -> str:
        if self.score < 0:
            return f"no score was computed in fewer than {self.every} iterations: the initial weights are kept"
        return f"the weights with the best score, {100 * self.score:.1f}, are kept"

    def _compare(self) -> None:
        score = self.compute_score()
        if score > self.score:
            self.score, self.state = score, _copy_of(self.model)


def select_weights(
    params: Params, split: Split, model: IncrementalDeepLab, labels: LabelSpace, *, layout: Layout
) -> Callable[[int], BestWeights] | None:
    """Makes what selects the best weights, for a number of iterations; None if the last ones are kept.

    Args:
        params: all parameters.
        split: the step.
        model: the network that learns.
        labels: the meaning of its channels.
        layout: where indexes and images are.

    Raises:
        UserError: if there is no image to select on.
    """
    how = params.method.selection
    if how == "last":
        return None
    published = how == "published"
    index = ImageIndex.read(layout.index("val" if published else "train"))
    saliency = not published and params.data.saliency == "maps"
    dataset = SegmentationDataset.of(index, data_root(params.data.root, layout), saliency=saliency)
    step, present = Step(split.step, split.new, split.old), index.present
    candidates = present if published else split.holdout
    ids = [image_id for image_id in candidates if belongs(present[image_id], step, "overlapped")]
    if not ids:
        raise UserError(
            f"method.selection is {how}, but step {split.step} has no image to choose on: "
            "hold some out with -S data.holdout=0.1, or keep the last weights with -S method.selection=last"
        )
    background, base = index.values.background, split.step == 0
    score = partial(step_miou, model, labels, dataset, ids, new=split.new, background=background, base=base)

    def select(iterations: int) -> BestWeights:
        every = published_interval(iterations) if published else max(1, iterations // 10)
        return BestWeights(model, score, every=every, include_initial=published)

    return select


def published_interval(iterations: int) -> int:
    """Iterations between two scores in the published code."""
    return max(100, iterations // 100)


def step_miou(
    model: IncrementalDeepLab,
    labels: LabelSpace,
    dataset: SegmentationDataset,
    ids: Sequence[str],
    *,
    new: Sequence[int],
    background: bool,
    base: bool,
) -> float:
    """The mean IoU of a step's classes, every other class counting as background (the published criterion).

    In data without a background none is predicted, and classes that are not learned yet are left out, as in the
    evaluation.

    Args:
        model: the network, on its device; left in training mode.
        labels: the meaning of its channels.
        dataset, ids: which images.
        new: the step's dataset ids.
        background: whether the data have a background.
        base: whether it is the base step, whose mean holds the background's IoU too.

    Returns:
        0..1; an absent class counts as 0.
    """
    device = next(model.parameters()).device
    counts = ConfusionMatrix.empty(labels.num_classes)
    model.eval()
    for image, inputs, low_res in predict_images(model, map(dataset.read, ids), device):
        corners = model.align_corners
        prediction = predict(labels, low_res, inputs, background=background, align_corners=corners)[0]
        mask = image.mask.to(device)
        truth = labels.encode_step_ground_truth(mask, new) if background else labels.encode_ground_truth(mask)
        confusion = ConfusionMatrix.of(truth, prediction, labels.num_classes)
        counts = confusion + counts  # in this order: they stay on the device
    model.train()
    iou = counts.iou()
    wanted = [labels.class_index(one) for one in (*((BACKGROUND_ID,) if base and background else ()), *new)]
    return sum(iou[index] or 0.0 for index in wanted) / len(wanted)


def _copy_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
