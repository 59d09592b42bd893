"""What Microsoft's documents leave open or what takes hours to reach: each with its default, and what else may be set.

An administrator puts another answer into ``Organization.switches``; it holds from the next request on.
"""

from __future__ import annotations

from typing import cast

from crmsync.sandbox.core import Organization

SWITCHES: dict[str, tuple[object, ...]] = {
    "new_user_seconds": (0, 30),
    "import_seconds": (1, 60),
    "requests_in_five_minutes": (6000, 10),
    "seconds_in_five_minutes": (1200, 1),
    "concurrent_requests": (52, 1),
    "deleted_column_in_a_link": ("0x80060888", "0x80044352"),
}
"""Name of a switch, then its answers; the first one is the default. Numbers take any whole number."""


def number(org: Organization, name: str) -> int:
    """The answer of a switch that is a number."""
    return cast(int, org.switches.get(name, SWITCHES[name][0]))


def choice(org: Organization, name: str) -> object:
    """The answer of a switch that is one of a few."""
    return org.switches.get(name, SWITCHES[name][0])
