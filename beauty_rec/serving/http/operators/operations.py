"""What an operator sees that no other route says: why a set or a file of rules is refused."""

import time
from datetime import UTC, datetime

from pydantic import BaseModel, Field

from beauty_rec.serving.state.engine import Engine


class RuleState(BaseModel):
    """A rule of the shop."""

    name: str
    do: str
    since: datetime | None = Field(None, description="`from` of the file")
    until: datetime | None = None
    in_time: bool = Field(description="now lies between since and until")


class RulesState(BaseModel):
    """The file of the rules, and the rules that are at work."""

    file: str | None = Field(None, description="its name; none: there are no rules")
    refused: str | None = Field(None, description="why the file is not at work as it is now")
    loads: int = Field(description="changed versions taken since the start")
    refusals: int = Field(description="versions refused since the start")
    rules: list[RuleState]


class SetState(BaseModel):
    """The served set, and the looks for a newer one."""

    version: str
    published_at: datetime
    age_s: float
    switches: int = Field(description="to another set, since the start")
    refused: str | None = Field(None, description="why the newest set is not served")
    refusals: int = Field(description="looks that ended in a refusal, since the start")
    looked_s: float = Field(description="since the last look came back")
    look_every_s: float


class Operations(BaseModel):
    """The state of a server, for who runs it."""

    ready: bool
    reasons: list[str] = Field(description="why it is not ready")
    read_only: bool = Field(description="nothing is kept: events and items are refused")
    database: bool
    items: int
    waiting_items: int = Field(description="given before, their vectors are not made yet")
    set: SetState
    rules: RulesState


def operations_of(engine: Engine) -> Operations:
    """Return the state of a server as it is now."""
    now, rules, shop = datetime.now(UTC), engine.rules, engine.shop
    return Operations(
        ready=not engine.ready,
        reasons=engine.ready,
        read_only=engine.store.read_only,
        database=engine.store.healthy,
        items=len(shop.catalogue),
        waiting_items=engine.waiting_items,
        set=SetState(
            version=shop.manifest.set,
            published_at=datetime.fromisoformat(shop.manifest.created_at),
            age_s=engine.set_age_seconds,
            switches=engine.switches,
            refused=engine.refused,
            refusals=engine.refusals,
            looked_s=time.monotonic() - engine.looked,
            look_every_s=engine.settings.serve.poll_seconds,
        ),
        rules=RulesState(
            file=rules.path.name if rules.path is not None else None,
            refused=rules.refused,
            loads=rules.loads,
            refusals=rules.refusals,
            rules=[
                RuleState(
                    name=rule.name,
                    do=rule.do,
                    since=rule.from_,
                    until=rule.until,
                    in_time=rule.is_in_time(now),
                )
                for rule in rules.rules
            ],
        ),
    )
