"""Under which conditions an example plays: what the services refuse, how Marketo stores, which options a choice has.

Pure, but for what the steps of ``hardships`` put in: the model asks what a value may have become.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

Side = Literal["dynamics", "marketo"]
Refusal = tuple[Side, str, Any]
"""Who refuses, which field, and which value of it; None stands for any."""

_BEYOND_THE_BMP = re.compile("[\U00010000-\U0010ffff].*", re.DOTALL)

HABITS = {"emoji": "cut", "outer_space": "trim", "phone_numbers": "digits"}
"""The sandbox's switches of storing, and the answer that costs something."""


@dataclass
class Conditions:
    """``habits`` and ``refused`` are all that were in force since the example began, ``refusing`` what is now."""

    habits: set[str] = field(default_factory=set)
    refusing: set[Refusal] = field(default_factory=set)
    refused: set[Refusal] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    """Fields whose columns the sync user may not read; with the sync filter's, nothing of a record moves."""

    def forms(self, name: str, value: Any) -> set[Any]:
        """What Marketo may hold of a value that Dynamics has: the value itself, or what a habit made of it."""
        found = {value}
        if value.__class__ is not str or name == "source":
            return found
        habits = sorted(self.habits if name == "mobile" else self.habits - {"phone_numbers"})
        return found | {
            _stored(value, some) for number in range(len(habits)) for some in combinations(habits, number + 1)
        }

    def refuses(self, side: Side, name: str, value: Any) -> bool:
        """Whether this side takes the value from nobody now."""
        return value is not None and not self.refusing.isdisjoint({(side, name, value), (side, name, None)})

    def has_refused(self, side: Side, name: str, value: Any) -> bool:
        """Whether it did not take it at some time."""
        return value is not None and not self.refused.isdisjoint({(side, name, value), (side, name, None)})


def _stored(value: str, habits: tuple[str, ...]) -> str | None:
    if "emoji" in habits:
        value = _BEYOND_THE_BMP.sub("", value)
    if "outer_space" in habits:
        value = value.strip()
    if "phone_numbers" in habits:
        value = re.sub(r"[^0-9+]", "", value)
    return value or None


class Options:
    """The options of the leads' source: a number in Dynamics, and in Marketo the label that it had when it was sent."""

    def __init__(self, labels: Mapping[int, str]) -> None:
        self._labels = dict(labels)
        self._numbers = {label: number for number, label in labels.items()}

    def label(self, number: int | None) -> str | None:
        """The label of today."""
        return None if number is None else self._labels[number]

    def number(self, label: str | None) -> int | str | None:
        """What is meant by a label that the option has or had; of another text, the text."""
        return label and self._numbers.get(label, label)

    def put(self, number: int, label: str) -> None:
        """The option is new, or renamed."""
        self._labels[number] = label
        self._numbers[label] = number

    @property
    def newest(self) -> int:
        return max(self._labels)
