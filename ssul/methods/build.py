"""Method name to training objective; imports the one method, so that a stage depends on no other."""

from collections.abc import Mapping

from torch import Tensor

from ssul.config.method import MethodParams, keeps_something, method_module
from ssul.labels.space import LabelSpace
from ssul.model.deeplab import IncrementalDeepLab
from ssul.training.fusion import WeightFusion
from ssul.training.objective import Objective


def build_objective(
    method: MethodParams,
    model: IncrementalDeepLab,
    old: LabelSpace,
    new: tuple[int, ...],
    kept: Mapping[str, Tensor] | None = None,
) -> Objective:
    """Grows the network by the new classes and returns what the method minimises.

    Args:
        method: the parameters.
        model: the network after the previous step; it is changed.
        old: the meaning of its channels.
        new: the dataset ids of the classes to learn.
        kept: what the method keeps of past steps, if it keeps something.
    """
    increment = method_module(method.name, "increment")
    past = {"kept": kept} if keeps_something(method.name) else {}
    fusion = WeightFusion.with_network_before(model, old=old.num_classes, new=len(new)) if method.fuses else None
    objective: Objective = increment.prepare_increment(model, old, new, **method.increment_arguments(), **past)
    if fusion is not None:
        model.freeze_earlier_heads()  # EWF's published commands
        objective.fusion = fusion
    return objective
