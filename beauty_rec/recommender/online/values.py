"""Values that requests, filters and rules are made of."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from beauty_rec.corpus.ids import PLAIN, checked_id

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
