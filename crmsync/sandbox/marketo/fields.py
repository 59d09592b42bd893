"""The fields of one object: what they are, how they check values, and how new ones come to be.

Standard fields come from ``standard``; everything is kept in the database, so that it survives a restart.

"Leads" (Describe, Query Fields, Create Fields) and "Companies" give the members; a standard field that is no custom
field may be looked up only when "Leads" lists it, a custom one when its type is string, email or integer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from functools import cached_property

import orjson

from crmsync.sandbox.marketo.database import Database
from crmsync.sandbox.marketo.standard import FIELDS
from crmsync.sandbox.marketo.switches import Switches
from crmsync.sandbox.marketo.values import Check, json_check, text_check

SEARCHABLE_TYPES = frozenset({"string", "email", "integer"})
LENGTH = 255
LENGTH_TYPES = frozenset({"string", "email", "phone", "url"})


@dataclass
class Field:
    """One field; ``id`` is what describe calls by that name."""

    id: int
    name: str
    display_name: str
    data_type: str
    length: int | None = None
    updateable: bool = True
    standard_key: bool = False
    company: bool = False
    crm: bool = False
    soap: bool = True
    custom: bool = False
    api_created: bool = False
    description: str | None = None
    hidden: bool = False
    html_encoding: bool = True
    sensitive: bool = False
    switches: Switches | None = field(default=None, repr=False)

    @property
    def searchable(self) -> bool:
        """Whether it may be a ``lookupField`` or a ``filterType``."""
        return self.standard_key or (self.custom and self.data_type in SEARCHABLE_TYPES)

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers."""
        return self.data_type == "integer"

    @cached_property
    def from_json(self) -> Check:
        """The check for values from JSON."""
        return json_check(self.data_type, self.length, self._cuts)

    @cached_property
    def from_text(self) -> Check:
        """The check for values from a file."""
        return text_check(self.data_type, self.length, self._cuts)

    def _cuts(self) -> bool:
        return self.switches is not None and self.switches.on("long_strings", "cut")


class FieldTable:
    """The fields of people, of companies or of sales persons, by REST name and in a stable order."""

    def __init__(self, database: Database, target: str, switches: Switches) -> None:
        self._database = database
        self._target = target
        self._switches = switches
        self._by_name: dict[str, Field] = {}
        rows = self._read()
        if not rows:
            self._fill()
            rows = self._read()
        for number, definition in rows:
            self._keep(Field(id=number, switches=switches, **orjson.loads(definition)))

    def __iter__(self) -> Iterator[Field]:
        return iter(self._by_name.values())

    def get(self, name: str) -> Field | None:
        """The field of that REST name, which is compared exactly, as far as it may be used."""
        found = self._by_name.get(name)
        hidden = found is not None and found.hidden and self._switches.on("hidden_field", "unknown")
        return None if hidden else found

    def defined(self, name: str) -> Field | None:
        """The same, also where it is hidden."""
        return self._by_name.get(name)

    def display_names(self) -> set[str]:
        """Every display name, in lower case."""
        return {each.display_name.lower() for each in self}

    def names(self) -> set[str]:
        """Every REST name, in lower case."""
        return {name.lower() for name in self._by_name}

    def add(self, definition: Field) -> Field:
        """A new field; whoever calls has checked the rules."""
        with self._database.transaction():
            definition.id = self._insert(definition)
        definition.switches = self._switches
        self._keep(definition)
        return definition

    def save(self, changed: Field) -> None:
        """Keep what was changed on a field."""
        self._database.connection.execute(
            "UPDATE fields SET definition = ? WHERE id = ?", (_definition(changed), changed.id)
        )

    def _read(self) -> list[tuple[int, str]]:
        statement = "SELECT id, definition FROM fields WHERE target = ? ORDER BY id"
        return self._database.connection.execute(statement, (self._target,)).fetchall()

    def _fill(self) -> None:
        with self._database.transaction():
            for line in FIELDS[self._target].strip().splitlines():
                self._insert(_standard(line))

    def _insert(self, definition: Field) -> int:
        number = self._database.take_numbers("fields", 1)[0]
        row = (number, self._target, definition.name, _definition(definition))
        self._database.connection.execute("INSERT INTO fields VALUES (?, ?, ?, ?)", row)
        return number

    def _keep(self, definition: Field) -> None:
        self._by_name[definition.name] = definition


def new_field(name: str, display_name: str, data_type: str, **more: object) -> Field:
    """A field with what its type implies: a length, or none; encoded in e-mails, or not."""
    texts = data_type in LENGTH_TYPES or data_type == "text"
    length = LENGTH if data_type in LENGTH_TYPES else None
    values = {"length": length, "html_encoding": texts, "custom": True, **more}
    return Field(0, name, display_name, data_type, **values)  # type: ignore[arg-type]


def _standard(line: str) -> Field:
    name, display_name, kind, marks = line.split("|")
    data_type, _, length = kind.partition(":")
    made = new_field(name, display_name, data_type, custom="a" in marks)
    made.length = int(length) if length else made.length
    made.updateable = "r" not in marks
    made.standard_key, made.company, made.crm = "k" in marks, "c" in marks, "m" in marks
    made.soap = "s" not in marks
    return made


def _definition(definition: Field) -> str:
    members = {each.name: getattr(definition, each.name) for each in dataclass_fields(definition)}
    return orjson.dumps({k: v for k, v in members.items() if k not in ("id", "switches")}).decode()
