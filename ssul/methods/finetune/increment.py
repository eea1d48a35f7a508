"""Fine-tuning's increments: plain sequential training on a step's annotation, the lower bound of every paper."""

from ssul.labels.space import LabelSpace
from ssul.model.deeplab import IncrementalDeepLab
from ssul.training.objective import LossName, Supervised


def prepare_increment(
    model: IncrementalDeepLab, old: LabelSpace, new: tuple[int, ...], *, loss: LossName, freeze_norm: bool
) -> Supervised:
    """Grows a network by a step's classes and returns what this step minimises.

    Args:
        model: the network after the previous step; it is changed.
        old: the meaning of its channels.
        new: the dataset ids of the classes to learn.
        loss: of the pixels.
        freeze_norm: no BatchNorm learns or adapts.
    """
    model.grow(len(new))
    if freeze_norm:
        model.freeze_norms()
    return Supervised(model, old.with_step(new), loss)
