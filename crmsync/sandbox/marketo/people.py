"""People as they are stored: lookups by any key, reading with what they inherit from their company, writing.

``touched_at`` is the last change of any field, which bulk extract asks for; ``updated_at`` moves on standard fields
only. A person linked to a company has the company's values in the company's fields: "Companies", first paragraph. Keys
are compared without regard to case, which is an assumption and a switch.
"""

# ruff: noqa: S608 (tables and columns are names of this program and of checked fields, values are bound)
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from crmsync.sandbox.marketo.database import Database, marks
from crmsync.sandbox.marketo.fields import Field, FieldTable
from crmsync.sandbox.marketo.objects import ObjectStore
from crmsync.sandbox.marketo.switches import Switches

CHUNK = 300
PARTITION = 1
PARTITION_FIELD = "leadPartitionId"
COMPANY_KEY = "externalCompanyId"
OWNER_KEY = "externalSalesPersonId"

Key = str | int


@dataclass(slots=True)
class Person:
    """A row of people; ``body`` holds what is not null."""

    id: int
    created_at: str
    updated_at: str
    body: dict[str, Any]
    new: bool = False
    changed: bool = False


class People:
    """All people of the subscription."""

    def __init__(self, database: Database, fields: FieldTable, companies: ObjectStore, switches: Switches) -> None:
        self._database = database
        self._connection = database.connection
        self._companies = companies
        self._switches = switches
        self.fields = fields

    def folding(self) -> Callable[[Key], Key]:
        """What brings a key into the form in which keys are compared now."""
        return _same if self._switches.on("key_case", "sensitive") else _lower

    def find(self, lookup: Field, keys: Sequence[Key]) -> dict[Key, list[int]]:
        """Ids by folded key; a key that nobody has is absent."""
        found: dict[Key, list[int]] = {}
        fold = self.folding()
        for start in range(0, len(keys), CHUNK):
            chunk = keys[start : start + CHUNK]
            column = self._column(lookup)
            statement = f"SELECT {column}, id FROM people WHERE {column} IN ({marks(chunk)}) ORDER BY id"
            wanted = {fold(key) for key in chunk}
            for key, number in self._connection.execute(statement, tuple(chunk)):
                if (folded := fold(key)) in wanted:
                    found.setdefault(folded, []).append(number)
        return found

    def in_partition(self, numbers: Sequence[int], most: int) -> list[int]:
        """The first people of those partitions."""
        column = f"coalesce(json_extract(body, '$.{PARTITION_FIELD}'), {PARTITION})"
        statement = f"SELECT id FROM people WHERE {column} IN ({marks(numbers)}) ORDER BY id LIMIT ?"
        return [number for (number,) in self._connection.execute(statement, (*numbers, most))]

    def load(self, ids: Iterable[int]) -> dict[int, Person]:
        """People by id; who does not exist is absent."""
        wanted = list(ids)
        people: dict[int, Person] = {}
        for start in range(0, len(wanted), CHUNK):
            chunk = wanted[start : start + CHUNK]
            statement = f"SELECT id, created_at, updated_at, body FROM people WHERE id IN ({marks(chunk)})"
            for row in self._connection.execute(statement, chunk):
                people[row[0]] = Person(row[0], row[1], row[2], orjson.loads(row[3]))
        return people

    def answer(self, ids: Sequence[int], names: Sequence[str]) -> list[dict[str, Any]]:
        """The id and the fields ``names`` of people, in the order of ``ids``; null where a person has nothing."""
        people = self.load(ids)
        wanted = [self.fields.get(name) for name in names]
        inherited = self._inherited(people.values()) if any(each and each.company for each in wanted) else {}
        no = False if self._switches.on("unset_boolean", "false") else None
        empty = {each.name: no if each.data_type == "boolean" else None for each in wanted if each}
        return [_answer(people[number], empty, inherited, self.fields) for number in ids if number in people]

    def create_ids(self, count: int) -> range:
        """Ids for new people; inside a transaction."""
        return self._database.take_numbers("people", count)

    def save(self, people: Iterable[Person], moment: str) -> None:
        """Write what is new or changed, and that it was touched now; inside a transaction."""
        new, changed = [], []
        for person in people:
            if person.new:
                body = orjson.dumps(person.body).decode()
                new.append((person.id, person.created_at, person.updated_at, body, moment))
            elif person.changed:
                changed.append((person.updated_at, orjson.dumps(person.body).decode(), moment, person.id))
        self._connection.executemany("INSERT INTO people VALUES (?, ?, ?, ?, ?)", new)
        statement = "UPDATE people SET updated_at = ?, body = ?, touched_at = ? WHERE id = ?"
        self._connection.executemany(statement, changed)

    def page(self, condition: str, values: Sequence[Any], after: int, most: int) -> list[int]:
        """The next people, by id, for whom an SQL condition holds."""
        statement = f"SELECT id FROM people WHERE id > ? AND ({condition}) ORDER BY id LIMIT ?"
        return [number for (number,) in self._connection.execute(statement, (after, *values, most))]

    def of_company(self, key: str) -> list[int]:
        """Who is in the company of that key."""
        column = self._database.indexed("people", COMPANY_KEY)
        rows = self._connection.execute(f"SELECT id FROM people WHERE {column} = ? ORDER BY id", (key,))
        return [number for (number,) in rows]

    def delete(self, ids: Iterable[int]) -> None:
        """Delete for good; the ids are never given again."""
        self._connection.executemany("DELETE FROM people WHERE id = ?", [(number,) for number in ids])

    def anyone_with(self, member: str, value: str) -> bool:
        """Whether a person names ``value`` in ``member`` (a company's or a sales person's key)."""
        column = self._database.indexed("people", member)
        statement = f"SELECT 1 FROM people WHERE {column} = ? LIMIT 1"
        return self._connection.execute(statement, (value,)).fetchone() is not None

    def _column(self, lookup: Field) -> str:
        return "id" if lookup.name == "id" else self._database.indexed("people", lookup.name)

    def _inherited(self, people: Iterable[Person]) -> dict[str, dict[str, Any]]:
        keys = {person.body[COMPANY_KEY].lower() for person in people if COMPANY_KEY in person.body}
        return {key: company.body for key, company in self._companies.by_keys(sorted(keys)).items()}


def _same(key: Key) -> Key:
    return key


def _lower(key: Key) -> Key:
    return key.lower() if isinstance(key, str) else key


def _answer(
    person: Person, empty: dict[str, Any], inherited: dict[str, dict[str, Any]], fields: FieldTable
) -> dict[str, Any]:
    body = person.body
    own = {"id": person.id, "createdAt": person.created_at, "updatedAt": person.updated_at}
    own[PARTITION_FIELD] = body.get(PARTITION_FIELD, PARTITION)
    company = inherited.get(str(body.get(COMPANY_KEY)).lower(), {}) if COMPANY_KEY in body else None
    record: dict[str, Any] = {"id": person.id}
    for name, nothing in empty.items():
        field = fields.get(name)
        if name in own:
            record[name] = own[name]
        elif company is not None and field is not None and field.company:
            record[name] = company.get(name, nothing)
        else:
            record[name] = body.get(name, nothing)
    return record
