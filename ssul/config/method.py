"""What all methods have in common, and which there are: every folder of `ssul/methods` with a `parameters.py`."""

from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from ssul.config.base import PositiveRate, StrictModel

PARAMETERS = "parameters.py"
"""The file that makes a folder below `ssul/methods` a method; it defines the class `Method`."""
_METHODS = Path(__file__).parents[1] / "methods"


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

    loss, positive_weight, unknown, selection, published_bugs.padding and published_bugs.drop_last also decide the base
    step. loss: class_bce is a binary cross-entropy of the step's own classes beside a constant background (DKD, STAR);
    positive_weight is that of a class's own pixels in it. selection: which weights a step saves: the `last`, the best
    on held-out training images (`holdout`), or the best on validation images (`published`, a bug of SSUL's published
    code).
    """

    name: str
    loss: Literal["bce", "ce", "focal", "class_bce"]
    positive_weight: PositiveRate
    unknown: bool
    selection: Literal["last", "holdout", "published"]
    published_bugs: PublishedBugs

    @property
    def activation(self) -> Literal["sigmoid", "softmax"]:
        """How logits become scores under this loss."""
        return "sigmoid" if self.loss in ("bce", "class_bce") else "softmax"

    @property
    def constant_background(self) -> bool:
        """Whether the background does not learn, see `ssul.labels.space.LabelSpace`."""
        return self.loss == "class_bce"

    @model_validator(mode="after")
    def _weight_has_a_loss(self) -> "MethodParams":
        if self.positive_weight != 1 and self.loss != "class_bce":
            raise ValueError("positive_weight belongs to loss class_bce: leave it at 1")
        return self

    @property
    def own(self) -> StrictModel:
        """The method's own section."""
        section: StrictModel = getattr(self, self.name)
        return section

    @property
    def fuses(self) -> bool:
        """Whether a step's weights are fused with those before it, see `FusibleMethod`."""
        return getattr(self, "fusion", False)

    @property
    def freezes_features(self) -> bool:
        """Whether backbone and ASPP are frozen in increments, and `Objective.fixed_part` is what they compute."""
        return False

    @property
    def sums_over_batch(self) -> bool:
        """Whether the increments' loss is no mean over samples or pixels, so that it needs the whole batch at once."""
        return False

    @property
    def memory_threshold(self) -> float | None:
        """The previous network's score from which a candidate for the memory shows a class that is not annotated.

        None: candidates show what is annotated in them, and nothing else.
        """
        return None

    def increment_arguments(self) -> dict[str, Any]:
        """The arguments of `ssul.methods.NAME.increment.prepare_increment` besides the network and the classes."""
        return self.own.model_dump()


class FusibleMethod(MethodParams):
    """The parameters of a method whose whole network learns.

    fusion: whether each increment ends with a fusion of the weights, see `ssul.training.fusion` (EWF).
    """

    fusion: bool


def registered_methods() -> dict[str, type[MethodParams]]:
    """Every method's parameters by its name, which is its folder's, in alphabetical order.

    Their `parameters.py` imports no torch.
    """
    folders = sorted(path.parent.name for path in _METHODS.glob(f"*/{PARAMETERS}"))
    return {name: method_module(name, "parameters").Method for name in folders}


def method_module(name: str, part: str) -> Any:
    """The module `ssul.methods.NAME.PART`; imported by name, because methods lie above the configuration.

    Args:
        name: of a folder below ssul/methods.
        part: parameters, increment or remember.
    """
    return import_module(f"ssul.methods.{name}.{part}")


def keeps_something(name: str) -> bool:
    """Whether a method keeps something of past steps beside exemplars, see `ssul.methods.remember`."""
    return (_METHODS / name / "remember.py").exists()
