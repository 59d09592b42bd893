"""Fixtures of the flows' tests."""

from tests.flows.sandboxes import contoso

__all__ = ["contoso"]
