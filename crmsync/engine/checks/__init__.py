"""The checklist: what a sync needs on both sides, line by line, with the remedy for what is red."""

from crmsync.engine.checks.checklist import bound_before, filters_before, selected_before, validate
from crmsync.engine.checks.running import run

__all__ = ["bound_before", "filters_before", "run", "selected_before", "validate"]
