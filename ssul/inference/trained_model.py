"""A checkpoint with its meaning: the network, what its channels score, and the class names."""

from dataclasses import dataclass
from pathlib import Path

from ssul.errors import UserError
from ssul.labels.space import LabelSpace
from ssul.model.checkpoint import load_checkpoint
from ssul.model.deeplab import IncrementalDeepLab


@dataclass(frozen=True)
class TrainedModel:
    """The network after a step.

    Attributes:
        model: the network, on the CPU in evaluation mode.
        labels: the meaning of its channels.
        class_names: of `labels.classes`, in the same order.
    """

    model: IncrementalDeepLab
    labels: LabelSpace
    class_names: tuple[str, ...]

    @classmethod
    def load(cls, folder: Path) -> "TrainedModel":
        """Opens a checkpoint folder.

        Raises:
            UserError: as `load_checkpoint`; or if the stored meaning does not fit the channels, because their scores
            would count for other classes.
        """
        model, meaning = load_checkpoint(folder)
        labels = LabelSpace.from_dict(meaning.get("labels"))
        names = meaning.get("class_names")
        if model.head_sizes != labels.head_sizes:
            raise UserError(
                f"the checkpoint {folder} has heads of {list(model.head_sizes)} channels, but its label space has "
                f"{list(labels.head_sizes)}: bring the folder whole from where it was made"
            )
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UserError(f"the checkpoint {folder} does not name its classes: bring it from where it was made")
        if len(set(names)) < len(names) or len(names) != len(labels.classes):
            raise UserError(
                f"the checkpoint {folder} has {len(labels.classes)} classes, but {len(set(names))} names for them: "
                "bring the folder whole from where it was made"
            )
        return cls(model, labels, tuple(names))
