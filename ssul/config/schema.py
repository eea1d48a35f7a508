"""The schema of params.yaml: frozen sections; unknown keys and wrong types are refused.

The methods bring their own sections, see `ssul.config.method`.
"""

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from ssul.config.base import Fraction, PositiveInt, PositiveRate, StrictModel, Weight
from ssul.config.custom_dataset import CustomDataset
from ssul.config.method import MethodParams, registered_methods
from ssul.labels.background import Future, Unknown

MAX_SIDE = 8192
"""Pixels, of crops and drawn images. The shorter side of an image that is read is no longer than this."""
Scale = Annotated[float, Field(gt=0.0, le=16.0)]
BACKBONES = ("small", "mobilenet_v2", "resnet50", "resnet101")
Images = Literal["all", "seen"]
"""Which validation images are scored: all, or those whose ground truth shows a class that is learned by then."""


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


def _known_backbone(name: str) -> str:
    """Refuses a name that cannot be a backbone's; whether timm has it shows where it is built."""
    if name not in BACKBONES and not re.fullmatch(r"timm:[\w.-]+", name):
        raise ValueError(f"choose {', '.join(BACKBONES)}, or timm:NAME for a network of timm")
    return name


class ModelParams(StrictModel):
    """The network.

    backbone: one of BACKBONES, or timm:NAME. weights: imagenet (torchvision's or timm's), pretrained (the small
    backbone's), none, or a file of the backbone's state dict.
    """

    backbone: Annotated[str, AfterValidator(_known_backbone)]
    head: Literal["deeplabv3", "deeplabv3plus"]
    classifier: Literal["conv3x3", "conv1x1", "shared_conv1x1"]
    separable: bool
    output_stride: Literal[8, 16]
    weights: str
    width: Annotated[int, Field(ge=8, le=8192)]


METHODS = registered_methods()


def method_name(value: Any) -> Any:
    """The name in a method's parameters; None where they have none.

    (Pydantic's discriminator by field name does not accept a field that `StrictModel` validates before.)
    """
    return value.get("name") if isinstance(value, dict) else getattr(value, "name", None)


if TYPE_CHECKING:
    AnyMethod = MethodParams
else:
    AnyMethod = Annotated[
        Union[tuple(Annotated[method, Tag(name)] for name, method in METHODS.items())],  # noqa: UP007 (of a tuple)
        Discriminator(method_name),
    ]


class MemoryParams(StrictModel):
    """The exemplar memory; with capacity 0 there is none.

    annotation: see `ssul.memory.rehearsal`. placement: exemplars take a share of each batch (`share`; batch_share says
    which), or join the step's new images (`append`, DKD-M and STAR-M). epoch: one pass over a step's images (`images`),
    or as many iterations as without a memory (`iterations`, as SSUL's published code), which show only a part of them.
    (Never call a parameter `size`: DVC's run cache ignores it.)
    """

    capacity: Annotated[int, Field(ge=0)]
    strategy: Literal["class_balanced", "random"]
    annotation: Literal["present", "captured", "step"]
    placement: Literal["share", "append"]
    batch_share: Annotated[float, Field(gt=0.0, lt=1.0)]
    epoch: Literal["images", "iterations"]


class Optimisation(StrictModel):
    """The optimiser's settings of the base step or of the increments. lr is the heads' rate, the backbone's is a ratio.

    schedule: see `ssul.training.schedule`. accumulate: in how many parts, one after the other, a batch is computed.
    """

    epochs: PositiveInt
    batch: Annotated[int, Field(ge=2, le=65536)]
    accumulate: PositiveInt
    schedule: Literal["poly", "warm_poly", "step"]
    lr: PositiveRate
    backbone_lr_ratio: PositiveRate
    momentum: Fraction
    weight_decay: Weight

    @model_validator(mode="after")
    def _parts_are_even(self) -> "Optimisation":
        if self.accumulate > 1 and (self.batch % self.accumulate or self.batch == self.accumulate):
            raise ValueError(
                f"a batch of {self.batch} has no {self.accumulate} equal parts of at least 2 images: let accumulate "
                "divide batch"
            )
        return self


class BaseOptimisation(Optimisation):
    """The settings of the base step. checkpoint: a folder to start the scenario from instead of training; or null."""

    checkpoint: str | None


class IncrementOptimisation(Optimisation):
    """The settings of the increments.

    views: how many augmentations each image has, whose features are computed once, see `ssul.training.views`; null: a
    new one in each pass.
    """

    views: PositiveInt | None


class RecipeParams(StrictModel):
    """Training. crop: pixels. precision: of the arithmetic.

    augmentation: `scale_pad`, random resizing by a factor of the range `scale`, then a crop that is padded where the
    image is smaller; or `resized_crop`, a rectangle whose share of the image's area is of the range `scale`, resized to
    the crop (MiB and PLOP).
    """

    crop: Annotated[int, Field(ge=32, le=MAX_SIDE)]
    augmentation: Literal["scale_pad", "resized_crop"]
    scale: tuple[Scale, Scale]
    precision: Annotated[Literal["32", "bf16", "16"], BeforeValidator(str)]
    base: BaseOptimisation
    increment: IncrementOptimisation


class EvaluationParams(StrictModel):
    """How predictions are scored, and how many are saved as images.

    protocol: `full` scores images at their full size. `crop`, the papers' protocol, resizes the short side to `crop`
    pixels and takes the central square, of the ground truth too. images: see `Images`. future, unknown: see
    `ssul.labels.background`.
    """

    protocol: Literal["full", "crop"]
    crop: Annotated[int, Field(ge=32, le=MAX_SIDE)]
    images: Images
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

    @model_validator(mode="after")
    def _increment_suits_method(self) -> "Params":
        increment, method = self.recipe.increment, self.method
        if increment.views is not None and not method.freezes_features:
            raise ValueError(
                f"recipe.increment.views is {increment.views}, but with these settings of the method {method.name} the "
                "backbone learns, so that no features stay as they are: set it to null, or take method=ssul with "
                "method.ssul.freeze=true"
            )
        if increment.accumulate > 1 and method.sums_over_batch:
            raise ValueError(
                f"recipe.increment.accumulate is {increment.accumulate}, but the loss of {method.name} needs the whole "
                "batch at once: set it to 1"
            )
        return self
