"""params.yaml, frozen and validated: unknown keys and wrong types are refused before anything runs."""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ssul.errors import UserError
from ssul.scenario import Setting

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Rate = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A part of params.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Drawn(Section):
    """How the embedded data set is drawn; only `shapes` is drawn."""

    seed: int
    train: Count
    val: Count
    height: Annotated[int, Field(ge=32)]
    width: Annotated[int, Field(ge=32)]


class Data(Section):
    """Which data set, and where: `root` is absolute or relative to the project; null means the drawn one."""

    name: str
    root: str | None
    saliency: Literal["maps", "none"]
    rehearsal_capacity: Annotated[int, Field(ge=0)]
    drawn: Drawn | None


class ScenarioSettings(Section):
    """The arithmetic over the class order; `steps` and `last` follow from it and only shape the pipeline."""

    name: str
    base_classes: Count
    increment: Count
    order: str | list[int]
    steps: dict[str, dict[str, int]]
    last: Annotated[int, Field(ge=0)]


class Model(Section):
    """The network. `weights`: imagenet (torchvision's), none, or a file with the trunk's torchvision state dict."""

    trunk: Literal["small", "mobilenet_v2", "resnet50", "resnet101"]
    head: Literal["deeplabv3"]
    output_stride: Literal[8, 16]
    weights: str
    width: Annotated[int, Field(ge=8)]


class Method(Section):
    """SSUL's parts as switches; fine-tuning is all of them off with loss ce.

    loss and unknown also decide the base step; the rest acts from step 1 on.
    """

    name: Literal["ssul", "finetune"]
    loss: Literal["bce", "ce"]
    unknown: bool
    pseudo_labels: bool
    pseudo_threshold: Share
    freeze: bool
    freeze_norm: bool
    weight_transfer: bool
    background_lr_ratio: Rate

    @property
    def activation(self) -> Literal["sigmoid", "softmax"]:
        """How logits become scores under this loss."""
        return "sigmoid" if self.loss == "bce" else "softmax"


class Memory(Section):
    """The exemplar memory; capacity 0 is none. (Never call a parameter `size`: DVC's run cache overlooks it).

    annotation: see `ssul.data.exemplars.captured_again`.
    """

    capacity: Annotated[int, Field(ge=0)]
    strategy: Literal["class_balanced", "random"]
    annotation: Literal["present", "captured"]


class Learning(Section):
    """The optimiser's settings of the base step or of the increments. lr is the heads' rate, the trunk's is a ratio."""

    epochs: Count
    batch: Annotated[int, Field(ge=2)]
    lr: Rate
    trunk_lr_ratio: Rate
    momentum: Share
    weight_decay: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class Recipe(Section):
    """How it is trained: crop in pixels, scale the range of random resizing, precision of the arithmetic."""

    crop: Annotated[int, Field(ge=32)]
    scale: tuple[Rate, Rate]
    precision: Annotated[Literal["32", "bf16"], BeforeValidator(str)]
    base: Learning
    increment: Learning


class Evaluation(Section):
    """How predictions are scored and how many are kept as pictures."""

    future: Literal["ignore", "background"]
    pictures: Annotated[int, Field(ge=0)]


class Settings(Section):
    """All of params.yaml."""

    seed: int
    setting: Setting
    data: Data
    scenario: ScenarioSettings
    model: Model
    method: Method
    memory: Memory
    recipe: Recipe
    evaluation: Evaluation


def parse(params: Any) -> Settings:
    """Validates composed parameters.

    Raises:
        UserError: one line that names every wrong parameter, what is allowed and where to change it.
    """
    if not isinstance(params, dict):
        raise UserError("params.yaml holds no parameters: restore it with `git checkout params.yaml`")
    try:
        return Settings.model_validate(params)
    except ValidationError as error:
        faults = "; ".join(dict.fromkeys(_fault(detail, params) for detail in error.errors()))
        raise UserError(f"{faults}. Set parameters with `dvc exp run -S NAME=VALUE` or in conf/.") from None


def load(path: Path) -> Settings:
    """Reads and validates a params.yaml.

    Raises:
        UserError: if it is missing, is not YAML, or does not validate.
    """
    try:
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: restore it with `git checkout {path}`, or let `dvc exp run` compose it"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    return parse(params)


def _fault(detail: Any, params: dict[str, Any]) -> str:
    if detail["loc"][:2] == ("scenario", "order"):  # a union: pydantic tells a fault for each of its members
        order = params["scenario"]["order"]
        return f"parameter scenario.order is {order!r}: choose natural, a published letter, or a list of class ids"
    name = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "missing":
        return f"parameter {name} is missing"
    if detail["type"] == "extra_forbidden":
        return f"unknown parameter {name}{_nearest(detail['loc'])}"
    return f"parameter {name} is {detail['input']!r}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _nearest(location: tuple[Any, ...]) -> str:
    section: Any = Settings
    for part in location[:-1]:
        annotation = section.model_fields[part].annotation
        section = next(
            kind for kind in (annotation, *getattr(annotation, "__args__", ())) if hasattr(kind, "model_fields")
        )
    valid = list(section.model_fields)
    close = difflib.get_close_matches(str(location[-1]), valid, n=1)
    guess = f" (did you mean {'.'.join(map(str, (*location[:-1], close[0])))}?)" if close else ""
    return f"{guess}, valid here: {', '.join(valid)}"
