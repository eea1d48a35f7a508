"""What a checkpoint says of its network, read without torch, because parameters are composed from it."""

from dataclasses import dataclass
from typing import Any

from ssul.config.paths import LAYOUT, given_checkpoint
from ssul.environment import project_root
from ssul.errors import UserError
from ssul.io.strict_json import check_consistent, read_json


@dataclass(frozen=True)
class KnownNetwork:
    """A network that knows classes already.

    Attributes:
        class_names: in the order in which it learned them.
        architecture: as JSON, see `ssul.model.deeplab.Architecture`.
    """

    class_names: tuple[str, ...]
    architecture: dict[str, Any]

    @classmethod
    def read(cls, checkpoint: str) -> "KnownNetwork":
        """Reads the description in a checkpoint folder.

        Args:
            checkpoint: the folder (`data.custom.extends`), absolute or relative to the project.

        Raises:
            UserError: if it is not a checkpoint folder, or lies where the pipeline writes its own.
        """
        folder, written = given_checkpoint(checkpoint), project_root() / LAYOUT.checkpoint(0).parent
        assert folder is not None
        if folder.resolve().is_relative_to(written.resolve()):
            raise UserError(
                f"data.custom.extends is {checkpoint}, which the next run overwrites: copy it first "
                f"(cp -rL {checkpoint} data/known), and name the copy"
            )
        context = {"what": "data.custom.extends: the description", "way_out": "name the folder of a checkpoint"}
        path = folder / "model.json"
        content = read_json(path, dict[str, Any], **context)
        meaning, architecture = content.get("meaning"), content.get("architecture")
        names = meaning.get("class_names") if isinstance(meaning, dict) else None
        named = isinstance(names, list) and all(isinstance(name, str) for name in names)
        faults = {
            "it names no classes": not named,
            "it describes no network, or is of format 1": not isinstance(architecture, dict)
            or "backbone" not in architecture,
        }
        check_consistent(path, faults, **context)
        return cls(tuple(names or ()), dict(architecture or {}))
