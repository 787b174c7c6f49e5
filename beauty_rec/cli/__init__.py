"""The commands of beauty-rec, and what the terminal shows."""

from beauty_rec.cli import feeds, given
from beauty_rec.cli.commands import app, main
from beauty_rec.cli.inputs import load_settings

__all__ = ["app", "feeds", "given", "load_settings", "main"]
