"""How images are evaluated."""

from dataclasses import dataclass

from lightning_fabric import Fabric

from ssul.labels.background import Background, Future, Unknown
from ssul.labels.space import LabelSpace


@dataclass(frozen=True)
class Protocol:
    """How images are evaluated.

    Attributes:
        fabric: device and precision.
        future: what pixels of classes that are not learned yet count as.
        unknown: what the unknown becomes in a prediction.
        crop: the side in pixels of the central square that is evaluated (see `ssul.data.transforms.centre_crop`); None
            evaluates whole images at their full size.
    """

    fabric: Fabric
    future: Future
    unknown: Unknown
    crop: int | None

    def background(self, labels: LabelSpace, *, in_data: bool, classes: int) -> Background:
        """The background's part in the evaluation of a network.

        Args:
            labels: the classes that it learned.
            in_data: whether the dataset has a background.
            classes: the number of classes of the dataset.
        """
        left = classes - len(labels.classes)
        return Background.of(in_data=in_data, classes_left=left, future=self.future, unknown=self.unknown)
