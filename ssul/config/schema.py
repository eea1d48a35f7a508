"""The schema of params.yaml: frozen sections; unknown keys and wrong types are refused."""

from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    model_validator,
)

from ssul.config.base import Section
from ssul.config.custom_dataset import Described
from ssul.scenario.scenario import Setting

MOST_PIXELS_A_SIDE = 8192
"""Of crops and drawn pictures: no photograph that is read has a longer shorter side."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Rate = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Scale = Annotated[float, Field(gt=0.0, le=16.0)]
Count = Annotated[int, Field(ge=1)]


class Drawn(Section):
    """How the embedded data set is drawn; only `shapes` is drawn."""

    seed: int
    train: Count
    val: Count
    height: Annotated[int, Field(ge=32, le=MOST_PIXELS_A_SIDE)]
    width: Annotated[int, Field(ge=32, le=MOST_PIXELS_A_SIDE)]


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
    """PLOP's settings, see `ssul.methods.plop.increment`."""

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

    annotation: see `ssul.memory.exemplars.captured_again`.
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
