"""Habits of storing: what Marketo may make of a value that it takes, though no document says that it does.

"Field types" says nothing of white space, line ends, emoji or the case of an address, so the sandbox keeps what it
gets; each habit is a switch. They hold for people, whatever writes them.
"""

from __future__ import annotations

import re
from typing import Any

from crmsync.sandbox.marketo.switches import Switches
from crmsync.sandbox.marketo.values import FLOAT_TYPES, STRING_TYPES

HABITS = ("emoji", "outer_space", "line_ends", "email_case", "phone_numbers", "urls", "decimals")

_BEYOND_THE_BMP = re.compile("[\U00010000-\U0010ffff]")


def habits_of(switches: Switches) -> frozenset[str]:
    """Those that are on."""
    return frozenset(name for name in HABITS if not switches.on(name, "keep"))


def stored(value: Any, data_type: str, habits: frozenset[str]) -> Any:
    """What is stored of a value of a field of this type; None where nothing is left."""
    if value.__class__ is float and data_type in FLOAT_TYPES and "decimals" in habits:
        return round(value, 2)
    if value.__class__ is not str or data_type not in STRING_TYPES:
        return value
    if "emoji" in habits and (found := _BEYOND_THE_BMP.search(value)):
        value = value[: found.start()]
    if "line_ends" in habits:
        value = value.replace("\r\n", "\n")
    if "outer_space" in habits:
        value = value.strip()
    if "email_case" in habits and data_type == "email":
        value = value.lower()
    if "phone_numbers" in habits and data_type == "phone":
        value = re.sub(r"[^0-9+]", "", value)
    if "urls" in habits and data_type == "url":
        value = value.lower().rstrip("/")
    return value or None
