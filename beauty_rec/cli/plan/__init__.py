"""`beauty-rec plan`: steps, tokens, hours, memory and disk of a run, from rates measured here."""

from beauty_rec.cli.plan.make import Plan, make_plan
from beauty_rec.cli.plan.view import plan_lines

__all__ = ["Plan", "make_plan", "plan_lines"]
