"""The commands of beauty-rec, and what the terminal shows."""

from beauty_rec.cli import feeds, forget, given
from beauty_rec.cli.commands import app, main
from beauty_rec.cli.inputs import load_settings

__all__ = ["app", "feeds", "forget", "given", "load_settings", "main"]
