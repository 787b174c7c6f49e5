"""What every group of settings is."""

from pydantic import BaseModel, ConfigDict


class Group(BaseModel):
    """A group of settings: unknown names are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
