"""A network with the meaning of its channels and the class names, as a checkpoint holds them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ssul.errors import UserError
from ssul.labels.space import LabelSpace
from ssul.model.checkpoint import load_checkpoint, read_training, save_checkpoint
from ssul.model.deeplab import Architecture, IncrementalDeepLab


@dataclass(frozen=True)
class TrainedModel:
    """The network after a step.

    Attributes:
        model: the network, on the CPU in evaluation mode.
        labels: the meaning of its channels.
        class_names: of `labels.classes`, in the same order.
        folder: of the checkpoint, if it was loaded.
    """

    model: IncrementalDeepLab
    labels: LabelSpace
    class_names: tuple[str, ...]
    folder: Path = Path()

    @classmethod
    def load(cls, folder: Path) -> "TrainedModel":
        """Opens a checkpoint folder.

        Raises:
            UserError: as `load_checkpoint`; or if the stored label space or class names do not fit the channels.
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
        return cls(model, labels, tuple(names), folder)

    def save(
        self,
        folder: Path,
        *,
        training: Mapping[str, Any] | Path | None = None,
        outputs: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Writes a checkpoint folder, as a whole or not at all.

        Args:
            folder: of the checkpoint.
            training: the record of the training, as JSON, or a checkpoint folder that holds it.
            outputs: what the method left beside the weights.
        """
        how = read_training(training) if isinstance(training, Path) else training
        meaning = {"labels": self.labels.to_dict(), "class_names": list(self.class_names)}
        save_checkpoint(folder, self.model, meaning, how, outputs)

    def require_groups(self, groups: tuple[tuple[int, ...], ...]) -> "TrainedModel":
        """This model, if it learned these classes in this order.

        Raises:
            UserError: if it learned other classes.
        """
        if self.labels.groups != groups:
            raise UserError(
                f"the checkpoint {self.folder} learned the classes {self.labels.groups}, but the split comes after "
                f"{groups}: run `dvc repro`"
            )
        return self

    def require(self, architecture: Architecture, labels: LabelSpace, names: tuple[str, ...]) -> "TrainedModel":
        """This model, if it is the one that the parameters describe; they do not name a variant.

        Raises:
            UserError: naming the difference.
        """
        asked = (architecture, labels, list(names))
        found = (replace(self.model.architecture, variant=None), self.labels, list(self.class_names))
        for what, one, other in zip(("network", "label space", "classes"), asked, found, strict=True):
            if one != other:
                raise UserError(
                    f"recipe.base.checkpoint '{self.folder}' has another {what} than the parameters: {other}, not "
                    f"{one}; choose the scenario, method and model that it was trained with"
                )
        return self
