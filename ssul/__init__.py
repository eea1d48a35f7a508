"""ssul: class-incremental semantic segmentation with unknown labels (SSUL, NeurIPS 2021).

What this module names is for users, and stays; docs/python.md describes it. All else may change.

    import ssul

    model = ssul.load("data/checkpoints/step_2")
    result = model.predict("photo.jpg")
    result.classes, result.mask, result.overlay()

Nothing is imported before it is used, because every stage of the pipeline imports this module.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssul.errors import UserError
    from ssul.extension import extend
    from ssul.prediction.model import Model, load
    from ssul.prediction.result import Prediction

__all__ = ["Model", "Prediction", "UserError", "extend", "load"]


def __getattr__(name: str) -> Any:
    if name == "UserError":
        from ssul.errors import UserError

        return UserError
    if name == "extend":
        from ssul.extension import extend

        return extend
    if name in ("Model", "load"):
        from ssul.prediction import model

        return getattr(model, name)
    if name == "Prediction":
        from ssul.prediction.result import Prediction

        return Prediction
    raise AttributeError(f"module 'ssul' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
