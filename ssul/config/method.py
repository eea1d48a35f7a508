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
    """Known bugs of SSUL's published code, to measure their cost."""

    memory_labels: bool
    """Exemplars are not shifted by the unknown channel."""
    memory_annotation: bool
    """Exemplars are annotated with all classes up to the present step."""
    padding: bool
    """The padding of a crop is black, centred and labelled background."""
    drop_last: bool
    """An epoch leaves out the images that do not fill a batch."""


class MethodParams(StrictModel):
    """The parameters of all methods. Each method also has a section of its own with the name of the method.

    All but `published_bugs.memory_*` decide the base step too.
    """

    name: str
    """Of the method; `-S method=NAME` brings all parameters of this section."""
    loss: Literal["bce", "ce", "focal", "class_bce"]
    """A sigmoid for each class (`bce`, `focal`), a softmax (`ce`), or sigmoids of the step's own classes beside a
    constant background (`class_bce`: DKD, STAR)."""
    positive_weight: PositiveRate
    """Of a class's own pixels in loss `class_bce`."""
    unknown: bool
    """Whether there is a channel for what is salient and not annotated."""
    selection: Literal["last", "holdout", "published"]
    """Which weights a step saves: the last, the best on held-out training images, or the best on validation images (a
    bug of SSUL's published code)."""
    published_bugs: PublishedBugs
    """Known bugs of SSUL's published code."""

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

    @property
    def adds_pseudo_labels(self) -> bool:
        """Whether its increments train on pseudo-labels beside the annotation, which their `completed` adds."""
        return False

    def increment_arguments(self) -> dict[str, Any]:
        """The arguments of `ssul.methods.NAME.increment.prepare_increment` besides the network and the classes."""
        return self.own.model_dump()


class FusibleMethod(MethodParams):
    """The parameters of a method whose whole network learns."""

    fusion: bool
    """Whether each increment ends with a fusion of the weights with those before it (EWF)."""


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
