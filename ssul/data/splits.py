"""What a step's split file holds: the classes it learns and the ids of its training images."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ssul.atomic import write_text
from ssul.errors import UserError


@dataclass(frozen=True)
class Split:
    """The training data of one step.

    No scenario name and nothing of later steps stands here: 15-1 and 15-5 share step 0 byte for byte, and with it,
    through DVC's run cache, the trained base.

    Attributes:
        step: its index.
        groups: the class ids that each step up to this one learned, in learning order.
        class_names: the names of these classes, in the same order, flat.
        images: ids of the training images.
    """

    step: int
    groups: tuple[tuple[int, ...], ...]
    class_names: tuple[str, ...]
    images: tuple[str, ...]

    @property
    def new(self) -> tuple[int, ...]:
        """The classes that this step learns."""
        return self.groups[-1]

    @property
    def old(self) -> tuple[int, ...]:
        """The classes learned before, in learning order."""
        return tuple(class_id for group in self.groups[:-1] for class_id in group)

    def write(self, path: Path) -> None:
        """Writes the split as JSON, byte-identical for the same content."""
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in asdict(self).items())
        write_text(path, f"{{\n{lines}\n}}\n")

    @classmethod
    def read(cls, path: Path) -> "Split":
        """Reads what `write` wrote.

        Raises:
            UserError: if the file is missing.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"the split {path} is missing: run `dvc repro splits`") from None
        return cls(
            step=content["step"],
            groups=tuple(tuple(group) for group in content["groups"]),
            class_names=tuple(content["class_names"]),
            images=tuple(content["images"]),
        )
