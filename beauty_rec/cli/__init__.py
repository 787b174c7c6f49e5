"""The commands of beauty-rec, and what the terminal shows."""

from beauty_rec.cli import given
from beauty_rec.cli.commands import app, load_settings, main

__all__ = ["app", "given", "load_settings", "main"]
