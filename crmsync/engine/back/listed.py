"""The static list whose members are created in Dynamics: found by its name, and remembered by its id.

Activities tell of a list by its id, and an administrator may delete it and make it anew, rename it, or make another one
of its name in a program. So it is looked for at the beginning of every run that has anything to do, and every hour. A
list that is another than before is read as a whole, once; one that is not there is looked for in every cycle.

"Static Lists" (Marketo REST API).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from crmsync.engine.back.streams import LIST, known_list, list_name
from crmsync.engine.destination import PERSON_KEY
from crmsync.engine.session import Session
from crmsync.errors import RecordMissing
from crmsync.marketo.client import MarketoClient
from crmsync.marketo.lists import StaticList
from crmsync.state.inbox import Creation, Watermark

NONE = 0
"""Instead of a list's id: there is none, or it is not known which."""


async def find(marketo: MarketoClient, name: str, known: int = NONE) -> tuple[int, str | None]:
    """The id of the list of this name, and what an administrator should know; ``known`` is the id that it had. Two
    lists of the name are one only for who knows the id."""
    alike = await marketo.static_lists(name=name)
    found = [one for one in alike if one.name == name]
    if len(found) > 1:
        where = " and ".join(map(str, found))
        remedy = f"Give all but one of them another name in Marketo, or name another list under {_SETTING}."
        if any(one.id == known for one in found):
            return known, f"Several static lists in Marketo are called '{name}' ({where}); {known} is read. {remedy}"
        return NONE, f"Several static lists in Marketo are called '{name}' ({where}): {_NOBODY}. {remedy}"
    if found:
        new = found[0].id
        again = f"The static list '{name}' was made anew in Marketo: {new} is read instead of {known}"
        return new, again if known not in (NONE, new) else None
    if known and (renamed := await marketo.static_lists(id=known)):
        now = renamed[0].name
        return (
            known,
            f"The static list '{name}' is called '{now}' in Marketo now, and is read. Name it so under {_SETTING}.",
        )
    return NONE, f"There is no static list '{name}' in Marketo: {_NOBODY}. {_remedy(alike)}"


_NOBODY = "nobody is created in Dynamics"
_SETTING = "'create_in_dynamics' in the tenant file"


def _remedy(alike: list[StaticList]) -> str:
    if alike:
        return f"Did you mean '{alike[0].name}'? Correct the name under {_SETTING}."
    return f"Make it in Marketo, or correct the name under {_SETTING}."


class WatchedList:
    """The list of one run, looked for once. ``tell`` takes what an administrator should know."""

    def __init__(self, session: Session, tell: Callable[[str], None]) -> None:
        self._session = session
        self._tell = tell
        self._number: int | None = None

    async def number(self) -> int:
        """The list's id. One that is new here is read as a whole."""
        if self._number is None:
            self._number = await self._find()
        return self._number

    async def _find(self) -> int:
        wanted, name = self._session.tenant.create_in_dynamics, list_name(self._session)
        if wanted is None:
            return NONE
        marks = await self._session.store.inbox.watermarks(self._session.name)
        known = known_list(self._session, marks)
        number, note = await find(self._session.marketo, wanted.list, known)
        if note is not None:
            self._tell(note)
        people: list[int] = []
        if number not in (NONE, known):
            try:
                async for page in self._session.marketo.list_members(number, ["id", PERSON_KEY]):
                    people += [int(row["id"]) for row in page if not row.get(PERSON_KEY)]
            except RecordMissing:
                number = NONE  # deleted just now: it is looked for again in the next cycle
        mark = Watermark(stream=LIST, token=f"{number} {name}", moved_at=self._session.clock())
        await self._session.store.inbox.move(self._session.name, mark, listed=self.creations(people))
        return number

    def creations(self, people: Iterable[int]) -> list[Creation]:
        """What becomes of people who were put on the list."""
        wanted = self._session.tenant.create_in_dynamics
        return [Creation(person, wanted.as_, None) for person in dict.fromkeys(people)] if wanted else []
