"""The schema of params.yaml: frozen sections; unknown keys and wrong types are refused."""

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    model_validator,
)

from ssul.config.base import StrictModel
from ssul.config.custom_dataset import CustomDataset

MAX_SIDE = 8192
"""Of crops and drawn pictures: no photograph that is read has a longer shorter side."""
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveRate = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Scale = Annotated[float, Field(gt=0.0, le=16.0)]
PositiveInt = Annotated[int, Field(ge=1)]


class ShapesParams(StrictModel):
    """How the embedded dataset is drawn; only `shapes` is drawn."""

    seed: int
    train: PositiveInt
    val: PositiveInt
    height: Annotated[int, Field(ge=32, le=MAX_SIDE)]
    width: Annotated[int, Field(ge=32, le=MAX_SIDE)]


class DataParams(StrictModel):
    """Which dataset, and where: `root` is absolute or relative to the project; null means the drawn one.

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
    shapes: ShapesParams | None
    custom: CustomDataset | None

    @model_validator(mode="after")
    def _consistent(self) -> "DataParams":
        if self.shapes is not None and self.custom is not None:
            raise ValueError(
                "shapes and custom exclude each other, for only shapes is drawn: set shapes to null and root to the "
                "folder of the described dataset"
            )
        return self


class ScenarioParams(StrictModel):
    """The arithmetic over the class order; `steps` and `last` follow from it and only shape the pipeline."""

    name: str
    base_classes: PositiveInt
    increment: PositiveInt
    order: str | list[int | str]
    steps: dict[str, dict[str, int]]
    last: Annotated[int, Field(ge=0)]


class ModelParams(StrictModel):
    """The network. `weights`: imagenet (torchvision's), none, or a file with the backbone's torchvision state dict."""

    backbone: Literal["small", "mobilenet_v2", "resnet50", "resnet101"]
    head: Literal["deeplabv3", "deeplabv3plus"]
    classifier: Literal["conv3x3", "conv1x1"]
    separable: bool
    output_stride: Literal[8, 16]
    weights: str
    width: Annotated[int, Field(ge=8, le=8192)]


class MibParams(StrictModel):
    """MiB's settings. distillation: the weight of the unbiased distillation."""

    distillation: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class PlopParams(StrictModel):
    """PLOP's settings, see `ssul.methods.plop.increment`."""

    pod: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    pod_logits: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    entropy: Literal["exact", "published"]


class PublishedBugs(StrictModel):
    """Known faults of SSUL's published code, to measure what they cost.

    memory_labels: memory images are not shifted by the unknown channel. memory_annotation: they are annotated with all
    classes up to the present step. padding: what pads a crop is labelled background.
    """

    memory_labels: bool
    memory_annotation: bool
    padding: bool


class MethodParams(StrictModel):
    """Which method, and its settings. SSUL's parts are switches; fine-tuning is all of them off with loss ce.

    loss, unknown, selection and published_bugs.padding also decide the base step; the rest acts from step 1 on.
    selection: which weights a step leaves, the `last`, the best on held-out training images (`holdout`), or the best
    on validation images (`published`, a fault).
    """

    name: Literal["ssul", "finetune", "mib", "plop"]
    loss: Literal["bce", "ce", "focal"]
    unknown: bool
    pseudo_labels: bool
    pseudo_threshold: Fraction
    freeze: bool
    freeze_norm: bool
    weight_transfer: bool
    background_lr_ratio: PositiveRate
    selection: Literal["last", "holdout", "published"]
    mib: MibParams | None
    plop: PlopParams | None
    published_bugs: PublishedBugs

    @model_validator(mode="after")
    def _consistent(self) -> "MethodParams":
        for name in ("mib", "plop"):
            if self.name == name and (self.unknown or self.loss != "ce" or getattr(self, name) is None):
                raise ValueError(f"{name} needs method.loss=ce, method.unknown=false and method.{name}.*")
        switches = ("pseudo_labels", "freeze", "weight_transfer")
        if self.name != "ssul" and (on := [name for name in switches if getattr(self, name)]):
            raise ValueError(f"{self.name} has no switch {', '.join(on)}: only method=ssul has")
        return self

    @property
    def activation(self) -> Literal["sigmoid", "softmax"]:
        """How logits become scores under this loss."""
        return "sigmoid" if self.loss == "bce" else "softmax"

    def increment_arguments(self) -> dict[str, Any]:
        """What `ssul.methods.NAME.increment.prepare_increment` takes beside the network and the classes."""
        section = self.mib or self.plop
        own: dict[str, Any] = {"freeze_norm": self.freeze_norm}
        if section is not None:
            return own | section.model_dump()
        own["loss"] = self.loss
        if self.name == "ssul":
            own |= {"weight_transfer": self.weight_transfer, "freeze": self.freeze}
            own["pseudo_threshold"] = self.pseudo_threshold if self.pseudo_labels else None
        return own


class MemoryParams(StrictModel):
    """The exemplar memory; capacity 0 is none. (Never call a parameter `size`: DVC's run cache overlooks it).

    annotation: see `ssul.memory.exemplars.add_current_annotation`.
    """

    capacity: Annotated[int, Field(ge=0)]
    strategy: Literal["class_balanced", "random"]
    annotation: Literal["present", "captured"]


class Optimisation(StrictModel):
    """The optimiser's settings of the base step or of the increments. lr is the heads' rate, the backbone's is a ratio.

    schedule: see `ssul.training.schedule`.
    """

    epochs: PositiveInt
    batch: Annotated[int, Field(ge=2, le=65536)]
    schedule: Literal["poly", "warm_poly", "step"]
    lr: PositiveRate
    backbone_lr_ratio: PositiveRate
    momentum: Fraction
    weight_decay: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class BaseOptimisation(Optimisation):
    """The base step's. checkpoint: a checkpoint folder to start the scenario from, in place of training; or null."""

    checkpoint: str | None


class RecipeParams(StrictModel):
    """How it is trained: crop in pixels, scale the range of random resizing, precision of the arithmetic."""

    crop: Annotated[int, Field(ge=32, le=MAX_SIDE)]
    scale: tuple[Scale, Scale]
    precision: Annotated[Literal["32", "bf16"], BeforeValidator(str)]
    base: BaseOptimisation
    increment: Optimisation


class EvaluationParams(StrictModel):
    """How predictions are scored and how many are kept as pictures.

    protocol: `full`, images at their full size, or `crop`, the papers': the short side resized to `crop` pixels and the
    central square of that side, the truth too.
    """

    protocol: Literal["full", "crop"]
    crop: Annotated[int, Field(ge=32, le=MAX_SIDE)]
    future: Literal["ignore", "background"]
    examples: Annotated[int, Field(ge=0)]


class Params(StrictModel):
    """All of params.yaml."""

    seed: int
    setting: Literal["overlapped", "disjoint", "partitioned"]  # as `ssul.scenario`, which this carrier may not import
    data: DataParams
    scenario: ScenarioParams
    model: ModelParams
    method: MethodParams
    memory: MemoryParams
    recipe: RecipeParams
    evaluation: EvaluationParams
