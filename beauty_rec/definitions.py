"""Dagster's code location: `dagster dev` and the daemons load `defs` from here."""

from beauty_rec.orchestration.code_location import build_definitions
from beauty_rec.settings import Settings

defs = build_definitions(Settings())
