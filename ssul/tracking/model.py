"""What makes the checkpoint of a run a model that MLflow serves and registers.

The files lie beside the checkpoint's own, so that its weights are stored once. They hold no pickle: MLflow runs a copy
of `served_model.py`, which opens the checkpoint.
"""

import logging
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ssul.tracking.store import explained

_CODE = Path(__file__).with_name("served_model.py")
_EXAMPLE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
"""A PNG of one grey pixel in base64."""


def write_model(folder: Path) -> None:
    """Writes the files that MLflow needs beside those of a checkpoint.

    The signature is: `image`, a JPEG or PNG file in base64; the parameter `unknown`, false by default; and the answer
    of `ServedModel.predict`.

    Args:
        folder: gets them; it must not exist.

    Raises:
        TrackingError: if mlflow is not installed, or raises anything.
    """
    with explained("the files of MLflow's model cannot be written"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of type hints, from which MLflow could guess the signature
        from mlflow.models import Model
        from mlflow.pyfunc import save_model
        from pandas import DataFrame

        logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)
        save_model(
            folder,
            python_model=str(_CODE),
            signature=_signature(),
            input_example=DataFrame({"image": [_EXAMPLE]}),
            pip_requirements=[f"ssul[pipeline]=={version('ssul')}"],  # given, because guessing loads the model
        )
        model = Model.load(folder / "MLmodel")
        model.flavors["python_function"]["artifacts"] = {"checkpoint": {"path": ".", "uri": "."}}
        model.save(folder / "MLmodel")


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Map

    mask, classes = ColSpec(DataType.string, "mask"), ColSpec(Map(DataType.double), "classes")
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "image")]),
        outputs=Schema([mask, classes, ColSpec(DataType.string, "unknown", required=False)]),
        params=ParamSchema([ParamSpec("unknown", DataType.boolean, False)]),
    )
