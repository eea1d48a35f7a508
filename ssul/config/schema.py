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
    """Of the drawing; not the run's."""
    train: PositiveInt
    """Number of training images."""
    val: PositiveInt
    """Number of validation images."""
    height: Annotated[int, Field(ge=32, le=MAX_SIDE)]
    """Pixels."""
    width: Annotated[int, Field(ge=32, le=MAX_SIDE)]
    """Pixels."""


class DataParams(StrictModel):
    """The dataset."""

    name: str
    """Of the dataset: one of the catalog, or the name that its description in `conf/data/` gives it."""
    root: str | None
    """Its folder, absolute or relative to the project; null: the drawn dataset."""
    download: bool
    """Whether what is missing below root is downloaded."""
    mirror: str | None
    """The address or folder of the archives, in place of the published addresses."""
    on_error: Literal["refuse", "skip"]
    """What happens to images that cannot be used: all are named and nothing runs, or they are left out and counted."""
    saliency: Literal["maps", "none"]
    """What tells unknown from background: saliency maps, or nothing, so that the whole background is unknown."""
    holdout: Annotated[float, Field(ge=0.0, lt=1.0)]
    """The probability, for each training image independently, that no step trains on it. Choices are made on these
    images, never on validation images."""
    holdout_seed: int
    """Decides which images are held out; not the run's seed, so that all runs hold out the same."""
    rehearsal_capacity: Annotated[int, Field(ge=0)]
    """How many exemplars `memory=rehearsal` and `memory=appended` keep on this dataset."""
    shapes: ShapesParams | None
    """How a drawn dataset is drawn; null for all others."""
    custom: CustomDataset | None
    """The description of your own dataset; null for those of the catalog."""

    @model_validator(mode="after")
    def _consistent(self) -> "DataParams":
        if self.shapes is not None and self.custom is not None:
            raise ValueError(
                "shapes and custom exclude each other, because a described dataset is not drawn: set shapes to null "
                "and root to the folder of the described dataset"
            )
        return self


class ScenarioParams(StrictModel):
    """Which classes are learned when: the arithmetic over the class order."""

    name: str
    """Of the scenario, for tables."""
    base_classes: PositiveInt
    """Classes of the base step."""
    increment: PositiveInt
    """Classes of each later step; the last takes what is left."""
    order: str | list[int | str]
    """The classes in the order in which they are learned: the name of a published order, or a list of names or ids.
    Those that a list leaves out are never learned."""
    steps: dict[str, dict[str, int]]
    """Follows from the others, and shapes the pipeline."""
    last: Annotated[int, Field(ge=0)]
    """The last step; follows from the others."""


def _known_backbone(name: str) -> str:
    """Refuses a name that cannot be a backbone's; whether timm has it shows where it is built."""
    if name not in BACKBONES and not re.fullmatch(r"timm:[\w.-]+", name):
        raise ValueError(f"choose {', '.join(BACKBONES)}, or timm:NAME for a network of timm")
    return name


class ModelParams(StrictModel):
    """The network."""

    backbone: Annotated[str, AfterValidator(_known_backbone)]
    """`small`, `mobilenet_v2`, `resnet50`, `resnet101`, or `timm:NAME` for any network of timm."""
    head: Literal["deeplabv3", "deeplabv3plus"]
    """DeepLabV3, or V3+ with its low-level features."""
    classifier: Literal["conv3x3", "conv1x1", "shared_conv1x1"]
    """Of each head: a 3x3 convolution of its own (SSUL's published code), a 1x1 alone (the papers' text), or a 1x1
    behind one 3x3 convolution of all heads (DKD, STAR)."""
    separable: bool
    """Whether the 3x3 convolutions of ASPP and heads are depthwise separable."""
    output_stride: Literal[8, 16]
    """Pixels of the image for each cell of the backbone's last features."""
    weights: str
    """`imagenet` (torchvision's or timm's), `pretrained` (the small backbone's own), `none`, or the file of a state
    dict of the backbone."""
    width: Annotated[int, Field(ge=8, le=8192)]
    """Channels of the ASPP's output and inside the heads."""


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
    """The exemplar memory. Never call a parameter `size`: DVC's run cache ignores it."""

    capacity: Annotated[int, Field(ge=0)]
    """Images that are kept; 0: there is no memory."""
    strategy: Literal["class_balanced", "random"]
    """Which images are kept."""
    annotation: Literal["present", "captured", "step"]
    """Which classes are annotated in an exemplar: those of the steps that captured it, and of this one if it is among
    its images (`present`); of the steps that captured it (`captured`); of this step alone (`step`)."""
    placement: Literal["share", "append"]
    """Exemplars take a share of each batch, or join the step's new images (DKD-M and STAR-M)."""
    batch_share: Annotated[float, Field(gt=0.0, lt=1.0)]
    """The share of each batch that is exemplars, with placement `share`."""
    epoch: Literal["images", "iterations"]
    """One pass over a step's images, or as many iterations as without a memory (SSUL's published code), which show only
    a part of them."""


class Optimisation(StrictModel):
    """The optimiser's settings (SGD) of the base step or of the increments."""

    epochs: PositiveInt
    """Passes over the step's images."""
    batch: Annotated[int, Field(ge=2, le=65536)]
    """Images of an iteration, over all devices."""
    accumulate: PositiveInt
    """In how many parts, one after the other, a batch is computed: less memory, the same losses and gradients."""
    schedule: Literal["poly", "warm_poly", "step"]
    """Of the rate over the iterations, see `ssul/training/schedule.py`."""
    lr: PositiveRate
    """The rate of ASPP and heads at the start."""
    backbone_lr_ratio: PositiveRate
    """The backbone's rate is lr times this."""
    momentum: Fraction
    """Nesterov's."""
    weight_decay: Weight
    """Of all weights that learn."""

    @model_validator(mode="after")
    def _parts_are_even(self) -> "Optimisation":
        if self.accumulate > 1 and (self.batch % self.accumulate or self.batch == self.accumulate):
            raise ValueError(
                f"a batch of {self.batch} has no {self.accumulate} equal parts of at least 2 images: let accumulate "
                "divide batch"
            )
        return self


class BaseOptimisation(Optimisation):
    """The settings of the base step."""

    checkpoint: str | None
    """A folder to start the scenario from instead of training; or null."""


class IncrementOptimisation(Optimisation):
    """The settings of the increments."""

    views: PositiveInt | None
    """How many augmentations each image has, whose features a frozen network computes once (docs/performance.md); null:
    a new one in each pass."""


class RecipeParams(StrictModel):
    """Training."""

    crop: Annotated[int, Field(ge=32, le=MAX_SIDE)]
    """Pixels of each side of a training sample."""
    augmentation: Literal["scale_pad", "resized_crop"]
    """Random resizing by a factor of `scale`, then a crop that is padded where the image is smaller; or a rectangle
    whose share of the image's area is of `scale`, resized to the crop (MiB and PLOP)."""
    scale: tuple[Scale, Scale]
    """The range of the augmentation."""
    precision: Annotated[Literal["32", "bf16", "16"], BeforeValidator(str)]
    """Of the arithmetic."""
    base: BaseOptimisation
    """Step 0."""
    increment: IncrementOptimisation
    """Every later step."""


class EvaluationParams(StrictModel):
    """How predictions are scored, and how many are saved as images."""

    protocol: Literal["full", "crop"]
    """Images at their full size; or the papers': the short side is resized to `crop` pixels, and the central square is
    scored, of the ground truth too."""
    crop: Annotated[int, Field(ge=32, le=MAX_SIDE)]
    """Pixels, with protocol `crop`."""
    images: Images
    """All validation images, or those whose ground truth shows a class that is learned by then."""
    future: Future
    """Pixels of classes that are not learned yet are left out, or count as background."""
    unknown: Unknown
    """Whether unknown counts as background, or neither is predicted; `auto`: the first where the background can be
    right."""
    examples: Annotated[int, Field(ge=0)]
    """Validation images that are kept with their predictions."""


class Params(StrictModel):
    """All of params.yaml."""

    seed: int
    """Decides weights, samples, dropout and random choices of the run."""
    setting: Literal["overlapped", "disjoint", "partitioned"]  # as `ssul.scenario`, which this carrier may not import
    """Which images a step has: all that show its classes; those without later classes; or each image in one step."""
    data: DataParams
    """The dataset."""
    scenario: ScenarioParams
    """Which classes are learned when."""
    model: ModelParams
    """The network."""
    method: AnyMethod
    """What a step minimises, and what learns."""
    memory: MemoryParams
    """The exemplar memory."""
    recipe: RecipeParams
    """How training goes."""
    evaluation: EvaluationParams
    """How predictions are scored."""

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
