"""Static lists and who is in them. The API fills lists; it is administrators who make them.

Every subscription starts with three, made by hand as any real one's are; ``Marketo.add_list`` makes another. A name is
unique in its program, or outside of programs; a list that is deleted takes its members' membership along, of which
activities tell nothing, and one that is made anew under its name has another id ("Static Lists", delete).

"List Membership (Static Lists)": a person counts once.
"""

# ruff: noqa: S608 (only question marks are put into the statements)
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crmsync.sandbox.marketo.activities import Activities
from crmsync.sandbox.marketo.activity_types import ADD_TO_LIST, REMOVE_FROM_LIST
from crmsync.sandbox.marketo.database import Database, marks

MADE_AT = "2015-05-11T17:11:32Z"
FIRST_ID = 1001
BY_HAND = ("Newsletter", "Customers", "Event attendees")


@dataclass(frozen=True)
class StaticList:
    """A list as an administrator made it."""

    id: int
    name: str
    description: str | None
    created_at: str
    updated_at: str
    program: str | None = None

    def as_json(self) -> dict[str, object]:
        """As the list calls answer it."""
        members: dict[str, object] = {"id": self.id, "name": self.name}
        if self.description:
            members["description"] = self.description
        if self.program:
            members["programName"] = self.program
        return members | {"workspaceName": "Default", "createdAt": self.created_at, "updatedAt": self.updated_at}


class Lists:
    """All static lists of the subscription."""

    def __init__(self, database: Database, activities: Activities) -> None:
        self._database = database
        self._connection = database.connection
        self._activities = activities
        if not self.all():
            for name in BY_HAND:
                self.add(name, None, MADE_AT)

    def all(self) -> list[StaticList]:
        """By id."""
        return [StaticList(*row) for row in self._connection.execute("SELECT * FROM lists ORDER BY id")]

    def by_id(self, number: int) -> StaticList | None:
        """The list of that id."""
        row = self._connection.execute("SELECT * FROM lists WHERE id = ?", (number,)).fetchone()
        return StaticList(*row) if row else None

    def by_name(self, name: str) -> StaticList | None:
        """The list of that name."""
        row = self._connection.execute("SELECT * FROM lists WHERE name = ?", (name,)).fetchone()
        return StaticList(*row) if row else None

    def add(self, name: str, description: str | None, moment: str, program: str | None = None) -> StaticList:
        """A new list; whoever calls has seen that the name is free."""
        with self._database.transaction():
            number = self._database.take_numbers("lists", 1, first=FIRST_ID)[0]
            row = (number, name, description, moment, moment, program)
            self._connection.execute("INSERT INTO lists VALUES (?, ?, ?, ?, ?, ?)", row)
        return StaticList(*row)

    def rename(self, number: int, name: str, moment: str) -> StaticList:
        """The list under another name."""
        with self._database.transaction():
            values = (name, moment, number)
            self._connection.execute("UPDATE lists SET name = ?, updated_at = ? WHERE id = ?", values)
        found = self.by_id(number)
        assert found is not None  # whoever calls has seen it
        return found

    def delete(self, number: int) -> None:
        """The list is gone; its members stay people."""
        with self._database.transaction():
            self._connection.execute("DELETE FROM members WHERE list = ?", (number,))
            self._connection.execute("DELETE FROM lists WHERE id = ?", (number,))

    def size(self, number: int) -> int:
        """How many people are in a list."""
        statement = "SELECT count(*) FROM members WHERE list = ?"
        return int(self._connection.execute(statement, (number,)).fetchone()[0])

    def members_after(self, number: int, lead: int, most: int) -> list[int]:
        """The next people in a list, by id."""
        statement = "SELECT lead FROM members WHERE list = ? AND lead > ? ORDER BY lead LIMIT ?"
        return [found for (found,) in self._connection.execute(statement, (number, lead, most))]

    def of_lead(self, lead: int) -> list[StaticList]:
        """The lists a person is in."""
        statement = "SELECT lists.* FROM lists JOIN members ON lists.id = members.list WHERE lead = ? ORDER BY lists.id"
        return [StaticList(*row) for row in self._connection.execute(statement, (lead,))]

    def members(self, number: int, leads: Sequence[int]) -> set[int]:
        """Which of these people are in a list."""
        statement = f"SELECT lead FROM members WHERE list = ? AND lead IN ({marks(leads)})"
        return {found for (found,) in self._connection.execute(statement, (number, *leads))}

    def put(self, number: int, leads: Sequence[int]) -> None:
        """Add people, who all exist, and log it; who is in already stays; inside a transaction."""
        wanted = dict.fromkeys(leads)
        new = [lead for lead in wanted if lead not in self.members(number, list(wanted))]
        self._connection.executemany("INSERT INTO members VALUES (?, ?)", [(number, lead) for lead in new])
        self._activities.add([(ADD_TO_LIST, lead, str(number)) for lead in new])

    def take(self, number: int, leads: Sequence[int]) -> set[int]:
        """Remove people and log it; who was in is returned; inside a transaction."""
        there = self.members(number, leads)
        rows = [(number, lead) for lead in there]
        self._connection.executemany("DELETE FROM members WHERE list = ? AND lead = ?", rows)
        self._activities.add([(REMOVE_FROM_LIST, lead, str(number)) for lead in sorted(there)])
        return there

    def move(self, losers: Sequence[int], winner: int) -> None:
        """A merge puts the winner where the losers were; inside a transaction."""
        statement = f"INSERT OR IGNORE INTO members SELECT list, ? FROM members WHERE lead IN ({marks(losers)})"
        self._connection.execute(statement, (winner, *losers))

    def forget(self, leads: Sequence[int]) -> None:
        """Who is deleted is in no list; inside a transaction."""
        self._connection.executemany("DELETE FROM members WHERE lead = ?", [(lead,) for lead in leads])
