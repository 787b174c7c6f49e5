"""Dagster's code location: `dagster dev` and the daemons load `defs` from here."""

from beauty_rec.orchestration.code_location import build_definitions
from beauty_rec.orchestration.storage.dagster_home import refuse_other_records
from beauty_rec.settings import Settings

settings = Settings()
refuse_other_records(settings)
defs = build_definitions(settings)
