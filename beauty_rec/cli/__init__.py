"""The commands of beauty-rec, and what the terminal shows."""

from beauty_rec.cli import asking, data, forget, given
from beauty_rec.cli.commands import main
from beauty_rec.cli.experiment import commands as experiment
from beauty_rec.cli.inputs import load_settings
from beauty_rec.cli.options import app

__all__ = ["app", "asking", "data", "experiment", "forget", "given", "load_settings", "main"]
