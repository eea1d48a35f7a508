"""The base class of all sections of params.yaml, and the kinds of numbers in them."""

from typing import Annotated, Any, Literal, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveRate = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
PositiveInt = Annotated[int, Field(ge=1)]


class StrictModel(BaseModel):
    """A part of params.yaml. `ssul parameters` prints the text below each parameter."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _reject_bool_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses true where a number is expected: pydantic, which converts text like 1e-5, would make it 1."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if kind is not bool and get_origin(kind) is not Literal and _contains_bool(value):
            raise ValueError("true and false are not numbers or names")
        return value


def _contains_bool(value: Any, depth: int = 2) -> bool:
    """Looks as deep as parameters are nested (a palette is the deepest), because YAML's aliases nest without end."""
    inner = value if isinstance(value, list) and depth else []
    return isinstance(value, bool) or any(_contains_bool(one, depth - 1) for one in inner)
