"""What people do to records on both sides, and the cycles between, as data.

A step names what it is about by a number, taken modulo what there is, so that a shorter list of steps is as good an
example.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.engine.properties.conditions import Side
from tests.engine.properties.hindrances import Trouble


@dataclass(frozen=True)
class Create:
    """A record in Dynamics: ``blocked`` with No in the sync filter; a contact of the account number ``account``."""

    entity: str
    title: str | None = "A"
    blocked: bool = False
    account: int | None = None


@dataclass(frozen=True)
class Edit:
    """A value is written on one side, or on both."""

    who: int
    name: str
    dynamics: tuple[Any, ...] = ()
    marketo: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Delete:
    who: int
    side: Side


@dataclass(frozen=True)
class MergeInMarketo:
    winner: int
    loser: int


@dataclass(frozen=True)
class Block:
    """The sync filter becomes No, or Yes."""

    who: int
    blocked: bool


@dataclass(frozen=True)
class Owner:
    who: int
    user: int


@dataclass(frozen=True)
class Parent:
    who: int
    account: int


@dataclass(frozen=True)
class NewAccount:
    pass


@dataclass(frozen=True)
class Join:
    """A person of Marketo is put on the list of those to be made in Dynamics."""

    title: str | None = "A"
    optout: bool = False


@dataclass(frozen=True)
class OpenDeal:
    account: int


@dataclass(frozen=True)
class CloseDeal:
    deal: int
    won: bool


@dataclass(frozen=True)
class DeleteDeal:
    deal: int


@dataclass(frozen=True)
class Cycle:
    """A cycle; with trouble, which it may survive or die of, and a new process after it."""

    trouble: Trouble | None = None


@dataclass(frozen=True)
class Meanwhile:
    """A contact is changed in Marketo, and in Dynamics while a cycle is about to bring that change there."""

    who: int
