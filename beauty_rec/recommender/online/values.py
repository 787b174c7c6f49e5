"""Values that requests, filters and rules are made of."""

from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from beauty_rec.corpus.ids import PLAIN, checked_id

MAX_UNKNOWN = 20
"""Unknown fields of an object that are named one by one."""
MAX_FAULTS = 1_000
"""Faults of a body that are told one by one."""

Id = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=PLAIN),
    AfterValidator(checked_id),
]


Label = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=PLAIN)
]


Price = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


Number = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]


class Model(BaseModel):
    """Unknown fields are errors: a misspelt filter must not be a filter that is not there."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _in_measure(cls, value: Any) -> Any:
        """Refuse an object of unknown fields without number by one fault, not by one for each."""
        most = len(cls.model_fields) + MAX_UNKNOWN
        if isinstance(value, dict) and len(value) > most:
            raise PydanticCustomError("too_large", "more than {most} fields", {"most": most})
        return value


class Body(Model):
    """The whole of a request's body: what is wrong in it without measure is told by one fault."""

    @model_validator(mode="wrap")
    @classmethod
    def _few_faults(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as error:
            if error.error_count() <= MAX_FAULTS:
                raise
        # Thousands of faults take longer to be told than any answer takes.
        raise PydanticCustomError(
            "too_wrong", "more than {most} values are not valid", {"most": MAX_FAULTS}
        )
