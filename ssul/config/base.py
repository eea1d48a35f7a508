"""What all sections of params.yaml share."""

from typing import Any, Literal, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationInfo,
    field_validator,
)


class StrictModel(BaseModel):
    """A part of params.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _reject_bool_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses true where 1 is meant: pydantic, which is to make numbers of text like 1e-5, would make 1 of true."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if kind is not bool and get_origin(kind) is not Literal and _holds_truth(value):
            raise ValueError("true and false are no numbers or names")
        return value


def _holds_truth(value: Any, depth: int = 2) -> bool:
    """As deep as parameters are nested, a palette the deepest: YAML's aliases nest without end."""
    inner = value if isinstance(value, list) and depth else []
    return isinstance(value, bool) or any(_holds_truth(one, depth - 1) for one in inner)
