"""Finds which fields of a refused record are refused, so that the others are written: a field is the unit of refusal.

A service refuses a record as a whole, and seldom says for which field. The record is sent again in parts: its opt-outs
first, alone; then the rest in halves, until what is refused is single fields. A refusal that names a field needs no
search. Pure: who sends asks for the next part, and says what became of it.

Design, "The data path" (a field is the unit of refusal, consent goes first) and invariant 12.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import Generic, TypeVar

Reason = TypeVar("Reason")

MOST_PARTS = 60
"""Parts in which one record is sent before the rest of its fields count as refused: twice log2 of 1,000 fields, for
three bad ones."""


class Isolation(Generic[Reason]):
    """The search in one record, after it was refused as a whole for ``reason``.

    ``first`` are the fields to send before the others, ``named`` those that the refusal names; ``bare`` lets a record
    be sent without any field, to see whether the record itself is at fault. ``accepted`` are the fields that were
    written, ``refused`` those that were not, with the reason of each.
    """

    def __init__(
        self,
        fields: Sequence[str],
        reason: Reason,
        *,
        first: Collection[str] = (),
        named: Collection[str] = (),
        bare: bool = True,
    ) -> None:
        self.accepted: set[str] = set()
        self.refused: dict[str, Reason] = dict.fromkeys([field for field in fields if field in named], reason)
        self._last = reason
        self._companions: set[str] = set()
        self._sent = 0
        rest = [field for field in fields if field not in self.refused]
        opt_outs = [field for field in rest if field in first]
        others = [field for field in rest if field not in first]
        parts = [opt_outs, others] if self.refused else [opt_outs, *_halves(others)]
        # A refusal that names no field may be the record's own: the opt-outs, or the key alone, will tell.
        self._parts = deque(part for part in parts if part or (part is opt_outs and bare and not self.refused))
        if not bare and len(fields) == 1:
            self.give_up(reason)

    @property
    def part(self) -> tuple[str, ...] | None:
        """The fields to send next; None when all is known. An empty part is the key alone."""
        if not self._parts:
            return None
        if self._sent >= MOST_PARTS:
            self.refused |= {field: self._last for part in self._parts for field in part}
            self._parts.clear()
            return None
        return tuple(dict.fromkeys([*self._parts[0], *self._companions]))

    def took(self) -> None:
        """The part was written."""
        self._sent += 1
        self.accepted |= {*self._parts.popleft(), *self._companions}

    def refuse(self, reason: Reason, named: Collection[str] = ()) -> None:
        """The part was refused; ``named`` are the fields that the refusal names."""
        self._sent += 1
        self._last = reason
        part = self._parts.popleft()
        if missing := self._missing(part, named):
            # The service wants a field beside the others, which is no fault of theirs.
            self._companions |= missing
            self._parts.appendleft(part)
            return
        if found := [field for field in part if field in named]:
            self.refused |= dict.fromkeys(found, reason)
            self._put([field for field in part if field not in named])
        elif not part:
            self.refused |= dict.fromkeys((field for other in self._parts for field in other), reason)
            self._parts.clear()  # refused for the key alone: the record itself is at fault
        elif len(part) == 1:
            self.refused[part[0]] = reason
        else:
            for half in reversed(_halves(part)):
                self._parts.appendleft(half)

    def give_up(self, reason: Reason) -> None:
        """The record itself is at fault, or gone: what was not written is refused."""
        self.refused |= dict.fromkeys((field for part in self._parts for field in part), reason)
        self._parts.clear()

    def _put(self, part: list[str]) -> None:
        if part:
            self._parts.appendleft(part)

    def _missing(self, part: Iterable[str], named: Collection[str]) -> set[str]:
        """Fields that the refusal names and the part did not have, though the record does."""
        known = self.accepted.union(*self._parts)
        return {field for field in named if field in known and field not in part} - self._companions


def _halves(part: Sequence[str]) -> list[list[str]]:
    middle = (len(part) + 1) // 2
    return [list(half) for half in (part[:middle], part[middle:]) if half]
