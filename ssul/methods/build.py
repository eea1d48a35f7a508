"""MethodParams name to training objective."""

from ssul.config.schema import MethodParams
from ssul.labels.space import LabelSpace
from ssul.methods.mib import increment as mib
from ssul.methods.plop import increment as plop
from ssul.methods.ssul import increment as ssul
from ssul.model.deeplab import IncrementalDeepLab
from ssul.training.objective import Objective


def build_objective(
    method: MethodParams, model: IncrementalDeepLab, old: LabelSpace, new: tuple[int, ...]
) -> Objective:
    """Grows the network by the new classes and returns what the method minimises.

    Args:
        method: the parameters.
        model: the network after the step before; it is changed.
        old: the meaning of its channels.
        new: the data set ids of the classes to learn.
    """
    of_mib, of_plop = method.mib, method.plop
    if method.name == "mib" and of_mib is not None:
        return mib.prepare_increment(model, old, new, distillation=of_mib.distillation, freeze_norm=method.freeze_norm)
    if method.name == "plop" and of_plop is not None:
        return plop.prepare_increment(model, old, new, **of_plop.model_dump(), freeze_norm=method.freeze_norm)
    return ssul.prepare_increment(
        model,
        old,
        new,
        weight_transfer=method.weight_transfer,
        freeze=method.freeze,
        freeze_norm=method.freeze_norm,
        pseudo_threshold=method.pseudo_threshold if method.pseudo_labels else None,
        loss=method.loss,
    )
