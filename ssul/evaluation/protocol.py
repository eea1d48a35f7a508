"""How images are evaluated."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from lightning_fabric import Fabric

from ssul.config.schema import EvaluationParams, Images
from ssul.errors import UserError
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
        images: which validation images are scored.
    """

    fabric: Fabric
    future: Future
    unknown: Unknown
    crop: int | None
    images: Images

    @classmethod
    def of(cls, asked: EvaluationParams, fabric: Fabric) -> "Protocol":
        """What the parameters ask for, on a device."""
        crop = asked.crop  # read always, because dvc.yaml lists it
        return cls(fabric, asked.future, asked.unknown, crop if asked.protocol == "crop" else None, asked.images)

    def background(self, labels: LabelSpace, *, in_data: bool, classes: int) -> Background:
        """The background's part in the evaluation of a network.

        Args:
            labels: the classes that it learned.
            in_data: whether the dataset has a background.
            classes: the number of classes of the dataset.
        """
        left = classes - len(labels.classes)
        return Background.of(in_data=in_data, classes_left=left, future=self.future, unknown=self.unknown)

    def scored(self, present: Mapping[str, Collection[int]], labels: LabelSpace) -> list[str]:
        """The validation images that are scored after a step, in their order.

        Whole masks decide, also where only a central square is evaluated.

        Args:
            present: image id -> ids of the classes that its mask shows, without the background.
            labels: the classes that are learned.

        Raises:
            UserError: if there is none.
        """
        if self.images == "all":
            return list(present)
        learned = set(labels.classes)
        scored = [image_id for image_id, shown in present.items() if not learned.isdisjoint(shown)]
        if not scored:
            raise UserError(
                f"none of the {len(present)} validation images shows one of the {len(learned)} classes that are "
                "learned by now, and evaluation.images=seen scores no other: score all of them with "
                "-S evaluation.images=all (nothing is trained again), or `ssul evaluate --images all`"
            )
        return scored
