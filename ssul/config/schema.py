"""The schema of params.yaml: frozen sections; unknown keys and wrong types are refused."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from ssul.config.base import StrictModel
from ssul.config.custom_dataset import CustomDataset
from ssul.labels.background import Future, Unknown

MAX_SIDE = 8192
"""Pixels, of crops and drawn images. The shorter side of an image that is read is no longer than this."""
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveRate = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Scale = Annotated[float, Field(gt=0.0, le=16.0)]
PositiveInt = Annotated[int, Field(ge=1)]


class ShapesParams(StrictModel):
    """How a drawn dataset (`shapes`, `silhouettes`) is drawn."""

    seed: int
    train: PositiveInt
    val: PositiveInt
    height: Annotated[int, Field(ge=32, le=MAX_SIDE)]
    width: Annotated[int, Field(ge=32, le=MAX_SIDE)]


class DataParams(StrictModel):
    """The dataset. `root` is absolute or relative to the project; null means the drawn dataset.

    download: whether what is missing below root is downloaded. mirror: the address or folder of the archives, in place
    of the published addresses. on_error: what happens to images that cannot be used. holdout: the probability, for each
    training image independently (holdout_seed), that no step trains on it. Choices that must not look at the validation
    images use these images.
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
                "shapes and custom exclude each other, because a described dataset is not drawn: set shapes to null "
                "and root to the folder of the described dataset"
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
    """The network.

    weights: imagenet (torchvision's), pretrained (the small backbone's), none, or a file of the backbone's state dict.
    """

    backbone: Literal["small", "mobilenet_v2", "resnet50", "resnet101"]
    head: Literal["deeplabv3", "deeplabv3plus"]
    classifier: Literal["conv3x3", "conv1x1"]
    separable: bool
    output_stride: Literal[8, 16]
    weights: str
    width: Annotated[int, Field(ge=8, le=8192)]


class SsulParams(StrictModel):
    """SSUL's parts; each can be switched off. They act from step 1 on.

    pseudo_threshold: the previous network labels background where a score reaches it; null: no pseudo-labels. freeze:
    only the newest, the unknown and the background head learn. weight_transfer: a new head starts as a copy of the
    unknown head. background_lr_ratio: the background head's rate is lr * ratio, with freeze and unknown.
    """

    pseudo_threshold: Fraction | None
    freeze: bool
    freeze_norm: bool
    weight_transfer: bool
    background_lr_ratio: PositiveRate


class FinetuneParams(StrictModel):
    """Fine-tuning's settings. freeze_norm: no BatchNorm learns or adapts in an increment."""

    freeze_norm: bool


class MibParams(StrictModel):
    """MiB's settings.

    distillation: the weight of the unbiased distillation. void: whether an increment trains pixels that are not
    annotated as background, as the published code does on VOC, or ignores them. freeze_norm: as for fine-tuning.
    """

    void: Literal["background", "ignore"]
    distillation: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    freeze_norm: bool


class PlopParams(StrictModel):
    """PLOP's settings, see `ssul.methods.plop.increment`."""

    pod: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    pod_logits: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    entropy: Literal["exact", "published"]
    freeze_norm: bool


class PublishedBugs(StrictModel):
    """Known bugs of SSUL's published code, to measure their cost.

    memory_labels: memory images are not shifted by the unknown channel. memory_annotation: they are annotated with all
    classes up to the present step. padding: the padding of a crop is black, centred and labelled background. drop_last:
    an epoch leaves out the images that do not fill a batch.
    """

    memory_labels: bool
    memory_annotation: bool
    padding: bool
    drop_last: bool


class MethodParams(StrictModel):
    """The parameters of all methods. Each method also has a section of its own with the name of the method.

    loss, unknown, selection, published_bugs.padding and published_bugs.drop_last also decide the base step.
    selection: which weights a step saves: the `last`, the best on held-out training images (`holdout`), or the best
    on validation images (`published`, a bug of SSUL's published code).
    """

    name: str
    loss: Literal["bce", "ce", "focal"]
    unknown: bool
    selection: Literal["last", "holdout", "published"]
    published_bugs: PublishedBugs

    @property
    def activation(self) -> Literal["sigmoid", "softmax"]:
        """How logits become scores under this loss."""
        return "sigmoid" if self.loss == "bce" else "softmax"

    @property
    def own(self) -> StrictModel:
        """The method's own section."""
        section: StrictModel = getattr(self, self.name)
        return section

    @property
    def pseudo_threshold(self) -> float | None:
        """The score from which SSUL's previous network labels background; None without pseudo-labels."""
        return getattr(self.own, "pseudo_threshold", None)

    def increment_arguments(self) -> dict[str, Any]:
        """The arguments of `ssul.methods.NAME.increment.prepare_increment` besides the network and the classes."""
        return self.own.model_dump()


class SsulMethod(MethodParams):
    """SSUL: any loss, with or without the unknown class."""

    name: Literal["ssul"]
    ssul: SsulParams

    def increment_arguments(self) -> dict[str, Any]:
        """See `MethodParams`."""
        return self.own.model_dump() | {"loss": self.loss}


class FinetuneMethod(MethodParams):
    """Fine-tuning: any loss."""

    name: Literal["finetune"]
    finetune: FinetuneParams

    def increment_arguments(self) -> dict[str, Any]:
        """See `MethodParams`."""
        return self.own.model_dump() | {"loss": self.loss}


class MibMethod(MethodParams):
    """MiB: its equations fix cross-entropy and have no unknown class."""

    name: Literal["mib"]
    loss: Literal["ce"]
    unknown: Literal[False]
    mib: MibParams


class PlopMethod(MethodParams):
    """PLOP: its equations fix cross-entropy and have no unknown class."""

    name: Literal["plop"]
    loss: Literal["ce"]
    unknown: Literal[False]
    plop: PlopParams


METHODS = {"ssul": SsulMethod, "finetune": FinetuneMethod, "mib": MibMethod, "plop": PlopMethod}


def method_name(value: Any) -> Any:
    """The name in a method's parameters; None where they have none.

    (Pydantic's discriminator by field name does not accept a field that `StrictModel` validates before.)
    """
    return value.get("name") if isinstance(value, dict) else getattr(value, "name", None)


AnyMethod = Annotated[
    Annotated[SsulMethod, Tag("ssul")]
    | Annotated[FinetuneMethod, Tag("finetune")]
    | Annotated[MibMethod, Tag("mib")]
    | Annotated[PlopMethod, Tag("plop")],
    Discriminator(method_name),
]


class MemoryParams(StrictModel):
    """The exemplar memory; with capacity 0 there is none.

    annotation: see `ssul.memory.exemplars.add_current_annotation`. batch_share: the share of each batch that exemplars
    take. epoch: one pass over a step's new images (`images`), or as many iterations as without a memory (`iterations`,
    as published), which show only 1 - batch_share of a pass. (Never call a parameter `size`: DVC's run cache ignores
    it.)
    """

    capacity: Annotated[int, Field(ge=0)]
    strategy: Literal["class_balanced", "random"]
    annotation: Literal["present", "captured"]
    batch_share: Annotated[float, Field(gt=0.0, lt=1.0)]
    epoch: Literal["images", "iterations"]


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
    """The settings of the base step. checkpoint: a folder to start the scenario from instead of training; or null."""

    checkpoint: str | None


class RecipeParams(StrictModel):
    """Training. crop: pixels. precision: of the arithmetic.

    augmentation: `scale_pad`, random resizing by a factor of the range `scale`, then a crop that is padded where the
    image is smaller; or `resized_crop`, a rectangle whose share of the image's area is of the range `scale`, resized to
    the crop (MiB and PLOP).
    """

    crop: Annotated[int, Field(ge=32, le=MAX_SIDE)]
    augmentation: Literal["scale_pad", "resized_crop"]
    scale: tuple[Scale, Scale]
    precision: Annotated[Literal["32", "bf16"], BeforeValidator(str)]
    base: BaseOptimisation
    increment: Optimisation


class EvaluationParams(StrictModel):
    """How predictions are scored, and how many are saved as images.

    protocol: `full` scores images at their full size. `crop`, the papers' protocol, resizes the short side to `crop`
    pixels and takes the central square, of the ground truth too. future, unknown: see `ssul.labels.background`.
    """

    protocol: Literal["full", "crop"]
    crop: Annotated[int, Field(ge=32, le=MAX_SIDE)]
    future: Future
    unknown: Unknown
    examples: Annotated[int, Field(ge=0)]


class Params(StrictModel):
    """All of params.yaml."""

    seed: int
    setting: Literal["overlapped", "disjoint", "partitioned"]  # as `ssul.scenario`, which this carrier may not import
    data: DataParams
    scenario: ScenarioParams
    model: ModelParams
    method: AnyMethod
    memory: MemoryParams
    recipe: RecipeParams
    evaluation: EvaluationParams
