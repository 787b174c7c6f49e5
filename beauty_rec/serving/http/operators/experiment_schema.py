"""What ``/v1/experiment`` gives."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class VariantFigures(BaseModel):
    """A variant and what came of it; rates are null while nothing was shown."""

    name: str
    share: float
    set: str = Field(description="that answers for it")
    settings: dict[str, Any] = Field(description="what differs from what is served")
    users: int
    answers: int
    shown: int = Field(description="items of recommendations and batches")
    clicks: int = Field(description="shown items that were clicked, put into the cart or bought")
    purchases: int
    ctr: float | None
    ctr_low: float | None
    ctr_high: float | None
    conversion: float | None
    conversion_low: float | None
    conversion_high: float | None


class Comparison(BaseModel):
    """A variant against the control: valid whenever it is looked at."""

    variant: str
    control: str
    metric: Literal["ctr", "conversion"]
    difference: float | None
    lift: float | None = Field(description="relative to the control")
    low: float | None = Field(description="of the difference; null while nothing is decided")
    high: float | None
    p: float
    significant: bool


class ShadowFigures(BaseModel):
    """A shadow of this server, since it began."""

    name: str
    set: str
    answered: int
    dropped: int = Field(description="for want of room, or of a pause")
    failed: int
    overlap_at_10: float | None = Field(description="share of the first ten that it shows, too")
    seconds: float | None = Field(description="an answer, on average")


class ServedSet(BaseModel):
    """What is served to everybody."""

    set: str
    settings: dict[str, Any] = Field(description="that were promoted")
    why: str
    since: str
    pinned: bool


class KnownSet(BaseModel):
    """A published set that is kept."""

    set: str
    published_at: str
    is_served: bool
    is_latest: bool
    is_loaded: bool


class ExperimentState(BaseModel):
    """The experiment, its figures, and the sets that there are."""

    state: Literal["none", "running", "refused"]
    refused: str | None = Field(description="why the file is not at work as it is now")
    name: str | None
    metric: Literal["ctr", "conversion"] | None
    alpha: float | None
    control: str | None
    started_at: str | None
    counted_at: str | None
    variants: list[VariantFigures]
    comparisons: list[Comparison]
    better: str | None = Field(description="the variant that the test has found best")
    verdict: str
    shadow: ShadowFigures | None
    served: ServedSet
    sets: list[KnownSet]
