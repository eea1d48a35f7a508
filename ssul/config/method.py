"""What all methods have in common, and which there are: every folder of `ssul/methods` with a `parameters.py`."""

from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from ssul.config.base import StrictModel

PARAMETERS = "parameters.py"
"""The file that makes a folder below `ssul/methods` a method; it defines the class `Method`."""


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


def registered_methods() -> dict[str, type[MethodParams]]:
    """Every method's parameters by its name, which is its folder's, in alphabetical order.

    They are imported by name, because methods lie above the configuration; their `parameters.py` imports no torch.
    """
    folders = sorted(path.parent.name for path in (Path(__file__).parents[1] / "methods").glob(f"*/{PARAMETERS}"))
    return {name: import_module(f"ssul.methods.{name}.parameters").Method for name in folders}
