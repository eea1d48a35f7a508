"""The inputs of a stage, as they were when it started.

DVC hashes the dependencies of a stage when the stage has ended. If parameters, data or code are edited meanwhile, the
output would be recorded under contents that it was not made from, and the run cache would restore it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ssul
from ssul.config.dotted import differences
from ssul.config.load import parse_params, read_params
from ssul.config.paths import LAYOUT
from ssul.config.schema import Params
from ssul.config.stages import Stage, read_stages, upstream
from ssul.errors import UserError
from ssul.pipeline.dvc_lock import dvc_at_rest
from ssul.pipeline.made_with import listed_params, note, require_made_with
from ssul.tracking.stage_times import DESCRIPTIONS

_CODE = Path(ssul.__file__).parents[1]


@dataclass(frozen=True)
class Provenance:
    """The inputs of one stage.

    Attributes:
        stage: of dvc.yaml.
        params: all parameters.
        listed: those that dvc.yaml lists for the stage, by dotted name.
        files: the data and the code that dvc.yaml lists for it, by path in the project.
        digests: of the files.
    """

    stage: Stage
    params: Params
    listed: Mapping[str, Any]
    files: Mapping[str, Path]
    digests: Mapping[str, str]

    @classmethod
    def read(cls, script: str, *arguments: str) -> "Provenance":
        """Records the present inputs; a stage does this first, before it reads anything.

        Args:
            script: name of the stage's module.
            arguments: of its command line.

        Raises:
            UserError: if the parameters are wrong, or are not those that made the outputs of the stages before.
        """
        with dvc_at_rest():
            content = read_params(LAYOUT.params)
            params = parse_params(content)
            stages = read_stages(LAYOUT.pipeline, content)
            command = " ".join(["python", "-m", f"stages.{script}", *arguments])
            stage = next((one for one in stages if one.command == command), None)
            if stage is None:
                raise UserError(f"`{command}` is no stage of {LAYOUT.pipeline} with these parameters: `dvc stage list`")
            files = _files(stage)
            digests = _digests(files)
        for before in upstream(stage, stages):
            require_made_with(before, content)
        return cls(stage, params, listed_params(stage, content), files, digests)

    def record(self, way_on: str = "the same command runs again with these") -> None:
        """Notes beside the stage's outputs what made them; a stage does this last, before it puts them in place.

        Args:
            way_on: what happens next, for the message.

        Raises:
            UserError: if an input has changed since `read`, naming it.
        """
        with dvc_at_rest():
            try:
                listed = listed_params(self.stage, read_params(LAYOUT.params))
            except UserError:  # missing, or being written
                listed = {}
            changed = differences({**self.listed, **self.digests}, {**listed, **_digests(self.files)})
        if changed:
            raise UserError(
                f"{self.stage.name}: {', '.join(changed)[:300]} changed while this ran; its results are refused, "
                f"because dvc would record them under the new contents: {way_on}"
            )
        note(self.stage, self.listed)


def _files(stage: Stage) -> dict[str, Path]:
    data = [Path(dep) / DESCRIPTIONS.get(Path(dep).parent.name, "") for dep in stage.data]
    return {str(path): path for path in data} | {str(path.relative_to(_CODE)): path for path in stage.code(_CODE)}


def _digests(files: Mapping[str, Path]) -> dict[str, str]:
    """The SHA-256 of each file; empty if it is missing."""
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "" for name, path in files.items()
    }
