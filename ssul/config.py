"""params.yaml, frozen and validated: unknown keys and wrong types are refused before anything runs."""

import difflib
import reprlib
import unicodedata
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, get_origin

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ssul.errors import UserError
from ssul.files import VOID
from ssul.scenario import Setting

MOST_PIXELS_A_SIDE = 8192
"""Of crops and drawn pictures: no photograph that is read has a longer shorter side."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Rate = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Scale = Annotated[float, Field(gt=0.0, le=16.0)]
Count = Annotated[int, Field(ge=1)]
Byte = Annotated[int, Field(ge=0, le=255)]
MOST_CLASSES = VOID - 2
"""Targets are bytes: the values below void, less background and unknown."""


def _is_template(template: str) -> str:
    if template.count("{id}") != 1:
        raise ValueError("a file template must hold {id} once, as in masks/{id}.png")
    if PurePosixPath(template).is_absolute() or ".." in PurePosixPath(template).parts:
        raise ValueError("a file template must stay below data.root")
    return PurePosixPath(template).as_posix()  # one writing for one place: ./masks/{id}.png is masks/{id}.png


Template = Annotated[str, AfterValidator(_is_template)]


def _is_name(name: str) -> str:
    kinds = {unicodedata.category(character) for character in name}
    if not name.strip() or kinds & {"Cc", "Cs", "Zl", "Zp"}:
        raise ValueError("a name must be one line of text")
    return name


Name = Annotated[str, AfterValidator(_is_name)]


class Section(BaseModel):
    """A part of params.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses true where 1 is meant: pydantic, which is to make numbers of text like 1e-5, would make 1 of true."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if kind is not bool and get_origin(kind) is not Literal and _holds_truth(value):
            raise ValueError("true and false are no numbers or names")
        return value


def _holds_truth(value: Any, depth: int = 2) -> bool:
    """As deep as parameters are nested, a palette the deepest: YAML's aliases nest without end."""
    inner = value if isinstance(value, list) and depth else []
    return isinstance(value, bool) or any(_holds_truth(one, depth - 1) for one in inner)


class Drawn(Section):
    """How the embedded data set is drawn; only `shapes` is drawn."""

    seed: int
    train: Count
    val: Count
    height: Annotated[int, Field(ge=32, le=MOST_PIXELS_A_SIDE)]
    width: Annotated[int, Field(ge=32, le=MOST_PIXELS_A_SIDE)]


class Place(Section):
    """Where the files of a split of an own data set lie below its root: templates with `{id}`, and an image list."""

    image: Template
    mask: Template
    saliency: Template | None = None
    list: str | None = None


class Described(Section):
    """An own data set, in place of an entry of the catalog. See `ssul.files` and `ssul.catalog.DataSet`.

    classes: names, in the order of their values in the masks. palette: a colour for the background and for each class;
    null takes Pascal VOC's. Either `val` says where the validation split lies, or `val_share` how much of the training
    split is drawn for it.
    """

    classes: Annotated[list[Name], Field(min_length=1, max_length=MOST_CLASSES)]
    palette: list[tuple[Byte, Byte, Byte]] | None = None
    background: bool = True
    first_value: Byte = 1
    void: Byte | None = VOID
    train: Place
    val: Place | None = None
    val_share: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    val_seed: int = 0

    @model_validator(mode="after")
    def _hangs_together(self) -> "Described":
        names = ["background", *self.classes]
        twice = sorted(name for name, times in Counter(names).items() if times > 1)
        values = [*([0] if self.background else []), *range(self.first_value, self.first_value + len(self.classes))]
        faults = {
            f"classes are named twice, or like the background: {', '.join(twice)}": bool(twice),
            f"palette has {len(self.palette or [])} colours, not {len(names)} (background and each class)": (
                self.palette is not None and len(self.palette) != len(names)
            ),
            "choose either val (where the validation split lies) or val_share (how much is drawn for it)": (
                (self.val is None) == (self.val_share is None)
            ),
            f"the values 0 (background) and {self.first_value}.. (classes) overlap: first_value must be 1 or more": (
                self.background and self.first_value == 0
            ),
            f"the classes take the values up to {values[-1]}, a mask holds 0..255": values[-1] > 255,
            f"void is {self.void}, which is also the value of the background or of a class": self.void in values,
        }
        wrong = [fault for fault, holds in faults.items() if holds]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


class Data(Section):
    """Which data set, and where: `root` is absolute or relative to the project; null means the drawn one.

    download: whether what is missing below root is downloaded. mirror: the address or folder of the archives, in place
    of the published addresses. on_error: what becomes of images that cannot be used. holdout: the probability of each
    training image, drawn by itself with holdout_seed, that no step trains on it, for choices that must not look at the
    validation images.
    """

    name: str
    root: str | None
    download: bool
    mirror: str | None
    on_error: Literal["refuse", "skip"]
    saliency: Literal["maps", "none"]
    holdout: Annotated[float, Field(ge=0.0, lt=1.0)]
    holdout_seed: int
    rehearsal_capacity: Annotated[int, Field(ge=0)]
    drawn: Drawn | None
    described: Described | None

    @model_validator(mode="after")
    def _hangs_together(self) -> "Data":
        if self.drawn is not None and self.described is not None:
            raise ValueError(
                "drawn and described exclude each other, for only shapes is drawn: set drawn to null and root to the "
                "folder of the described data set"
            )
        return self


class ScenarioSettings(Section):
    """The arithmetic over the class order; `steps` and `last` follow from it and only shape the pipeline."""

    name: str
    base_classes: Count
    increment: Count
    order: str | list[int | str]
    steps: dict[str, dict[str, int]]
    last: Annotated[int, Field(ge=0)]


class Model(Section):
    """The network. `weights`: imagenet (torchvision's), none, or a file with the trunk's torchvision state dict."""

    trunk: Literal["small", "mobilenet_v2", "resnet50", "resnet101"]
    head: Literal["deeplabv3", "deeplabv3plus"]
    classifier: Literal["conv3x3", "conv1x1"]
    separable: bool
    output_stride: Literal[8, 16]
    weights: str
    width: Annotated[int, Field(ge=8, le=8192)]


class Mib(Section):
    """MiB's settings. distillation: the weight of the unbiased distillation."""

    distillation: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class Plop(Section):
    """PLOP's settings, see `ssul.methods.plop`."""

    pod: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    pod_logits: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    entropy: Literal["exact", "published"]


class Faults(Section):
    """Known faults of SSUL's published code, to measure what they cost.

    memory_labels: memory images are not shifted by the unknown channel. memory_annotation: they are annotated with all
    classes up to the present step. padding: what pads a crop is labelled background.
    """

    memory_labels: bool
    memory_annotation: bool
    padding: bool


class Method(Section):
    """Which method, and its settings. SSUL's parts are switches; fine-tuning is all of them off with loss ce.

    loss, unknown, selection and faults.padding also decide the base step; the rest acts from step 1 on.
    selection: which weights a step leaves, the `last`, the best on held-out training images (`holdout`), or the best
    on validation images (`published`, a fault).
    """

    name: Literal["ssul", "finetune", "mib", "plop"]
    loss: Literal["bce", "ce", "focal"]
    unknown: bool
    pseudo_labels: bool
    pseudo_threshold: Share
    freeze: bool
    freeze_norm: bool
    weight_transfer: bool
    background_lr_ratio: Rate
    selection: Literal["last", "holdout", "published"]
    mib: Mib | None
    plop: Plop | None
    faults: Faults

    @model_validator(mode="after")
    def _hangs_together(self) -> "Method":
        for name in ("mib", "plop"):
            if self.name == name and (self.unknown or self.loss != "ce" or getattr(self, name) is None):
                raise ValueError(f"{name} needs method.loss=ce, method.unknown=false and method.{name}.*")
        return self

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
    """The optimiser's settings of the base step or of the increments. lr is the heads' rate, the trunk's is a ratio.

    schedule: see `ssul.training.schedule`.
    """

    epochs: Count
    batch: Annotated[int, Field(ge=2, le=65536)]
    schedule: Literal["poly", "warm_poly", "step"]
    lr: Rate
    trunk_lr_ratio: Rate
    momentum: Share
    weight_decay: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class BaseLearning(Learning):
    """The base step's. checkpoint: a checkpoint folder to start the scenario from, in place of training; or null."""

    checkpoint: str | None


class Recipe(Section):
    """How it is trained: crop in pixels, scale the range of random resizing, precision of the arithmetic."""

    crop: Annotated[int, Field(ge=32, le=MOST_PIXELS_A_SIDE)]
    scale: tuple[Scale, Scale]
    precision: Annotated[Literal["32", "bf16"], BeforeValidator(str)]
    base: BaseLearning
    increment: Learning


class Evaluation(Section):
    """How predictions are scored and how many are kept as pictures.

    protocol: `full`, images at their full size, or `crop`, the papers': the short side resized to `crop` pixels and the
    central square of that side, the truth too.
    """

    protocol: Literal["full", "crop"]
    crop: Annotated[int, Field(ge=32, le=MOST_PIXELS_A_SIDE)]
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


def parse_described(described: Any) -> Described | None:
    """Validates the description of an own data set (`data.described`).

    Raises:
        UserError: one line that names every wrong parameter.
    """
    if described is None:
        return None
    try:
        return Described.model_validate(described)
    except ValidationError as error:
        faults = "; ".join(dict.fromkeys(_fault(detail, described, ("data", "described")) for detail in error.errors()))
        raise UserError(f"{faults}. Change it in conf/data/") from None


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
    # PyYAML's own errors are not all: a date that is none is a ValueError
    except (yaml.YAMLError, ValueError, TypeError, LookupError, OSError) as error:
        raise UserError(f"{path} cannot be read as YAML: {' '.join(str(error).split())[:500]}") from None
    except RecursionError:
        raise UserError(f"{path} cannot be read as YAML: it is nested too deeply") from None
    return parse(params)


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlist, _SHORT.maxtuple = 3, 200, 200, 12, 12


def _fault(detail: Any, params: dict[str, Any], inside: tuple[str, ...] = ()) -> str:
    location = (*inside, *detail["loc"])
    name = ".".join(_named(part) for part in location)
    if detail["type"] == "missing":
        return f"parameter {name} is missing"
    if location[:2] == ("scenario", "order"):  # a union: pydantic tells a fault for each of its members
        order = _brief(params["scenario"]["order"])
        return f"parameter scenario.order is {order}: choose natural, a published letter, or a list of names or ids"
    if detail["type"] == "extra_forbidden":
        return f"unknown parameter {name}{_nearest(location)}"
    told = " ".join(detail["msg"].removeprefix("Value error, ").split())
    told = f"{told[:1].lower()}{told[1:]}"
    if isinstance(detail["input"], dict):  # of a whole section
        return f"parameter {name}: {told}"
    return f"parameter {name} is {_brief(detail['input'])}: {told}"


def _brief(value: Any) -> str:
    told = _SHORT.repr(value)  # never the whole: an alias that holds aliases is short in YAML and endless in words
    return told if len(told) <= 200 else f"{told[:200]}..."


def _named(part: Any) -> str:
    """A name in a message of one line, whatever somebody has written there."""
    name = str(part)
    return name if name.isprintable() and len(name) <= 80 else _brief(name)


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
