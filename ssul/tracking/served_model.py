"""The code of the model that MLflow serves: it runs this file beside the checkpoint, and no module imports it.

MLflow keeps a copy of it with each run's checkpoint. So it uses nothing but what `import ssul` promises.
"""

import base64
import binascii
import io
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
from pandas import DataFrame

import ssul

Answer = dict[str, Any]


class ServedModel(PythonModel):
    """Answers each image with its mask and the shares of its classes."""

    def load_context(self, context: Any) -> None:
        """Opens the checkpoint."""
        self.model = ssul.load(context.artifacts["checkpoint"])

    def predict(self, context: Any, model_input: DataFrame, params: dict[str, Any] | None = None) -> list[Answer]:
        """Predicts images.

        Args:
            context: unused.
            model_input: a table whose column `image` holds JPEG or PNG files in base64.
            params: `unknown`, whether the unknown class is shown.

        Returns:
            For each image `mask`, a palette PNG of ids in base64, and `classes`, the share of each class in 0..1; with
            `unknown` also `unknown`, a grey PNG of its score.
        """
        del context
        unknown = bool((params or {}).get("unknown"))
        return [self._answer(image, unknown=unknown) for image in model_input["image"]]

    def _answer(self, image: str, *, unknown: bool) -> Answer:
        try:
            result = self.model.predict(base64.b64decode(image, validate=True), unknown=unknown)
        except (ssul.UserError, binascii.Error) as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        answer: Answer = {"mask": _png(result.mask_image()), "classes": result.classes}
        if unknown:
            answer["unknown"] = _png(result.unknown_image())
        return answer


def _png(image: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


set_model(ServedModel())
