"""Custom object types: what they are, their draft and their approved version, and how records see the approved one.

A type is a draft, approved, or approved with a draft; only the draft changes. It is kept as JSON. "Custom Objects"
(Custom Object Types, Custom Object Fields): limits, what cannot change once a type was approved, who may link to whom.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Literal

import orjson

from crmsync.sandbox.marketo.database import Database
from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.fields import Field, new_field
from crmsync.sandbox.marketo.record_kinds import GUID, SYSTEM, Link, RecordKind
from crmsync.sandbox.marketo.switches import Switches

TEXT_LENGTH = 2000
STANDARD_PARENTS = ("lead", "company")

State = Literal["draft", "approved", "approvedWithDraft"]


@dataclass
class TypeField:
    """A field of a type; a link names its parent (``lead``, ``company`` or a type) and the field there."""

    name: str
    display_name: str
    data_type: str
    description: str | None = None
    dedupe: bool = False
    parent: str | None = None
    parent_field: str | None = None
    link_type: str | None = None

    @property
    def is_link(self) -> bool:
        """Whether it points to a parent."""
        return self.parent is not None

    def as_field(self, switches: Switches | None) -> Field:
        """The same for records: a link has its parent field's type."""
        made = new_field(self.name, self.display_name, self.link_type or self.data_type)
        made.length = TEXT_LENGTH if made.data_type == "text" else made.length
        made.description, made.switches = self.description, switches
        return made


@dataclass
class Version:
    """The draft or the approved version of a type."""

    display_name: str
    plural_name: str | None = None
    description: str | None = None
    show_in_lead_detail: bool = False
    fields: list[TypeField] = field(default_factory=list)

    def field(self, name: str) -> TypeField | None:
        """The field of that name, whatever its case."""
        return next((each for each in self.fields if each.name.lower() == name.lower()), None)

    @property
    def links(self) -> list[TypeField]:
        """Its link fields."""
        return [each for each in self.fields if each.is_link]

    @property
    def key(self) -> tuple[str, ...]:
        """Its dedupe fields."""
        return tuple(each.name for each in self.fields if each.dedupe)

    def copy(self) -> Version:
        """A draft to change."""
        return _version(orjson.loads(orjson.dumps(asdict(self))))


@dataclass
class CustomType:
    """A type with its versions; ``added`` counts the fields added since it was first approved."""

    id: int
    name: str
    created_at: str
    updated_at: str
    draft: Version | None = None
    approved: Version | None = None
    added: int = 0

    @property
    def state(self) -> State:
        """draft, approved, or approvedWithDraft."""
        if self.approved is None:
            return "draft"
        return "approved" if self.draft is None else "approvedWithDraft"

    def editable(self) -> Version:
        """The draft; made from the approved version when there is none."""
        if self.draft is None:
            assert self.approved is not None
            self.draft = self.approved.copy()
        return self.draft


class CustomTypes:
    """All types of the subscription."""

    def __init__(self, database: Database, switches: Switches) -> None:
        self._database = database
        self._connection = database.connection
        self._switches = switches
        self._types: dict[str, CustomType] = {}
        for number, name, definition in self._connection.execute("SELECT * FROM custom_types ORDER BY id").fetchall():
            self._types[name.lower()] = _read(number, name, orjson.loads(definition))
        self._kinds: dict[str, RecordKind] = {}

    def __iter__(self) -> Iterator[CustomType]:
        return iter(self._types.values())

    def __len__(self) -> int:
        return len(self._types)

    def get(self, name: str) -> CustomType | None:
        """The type of that API name."""
        return self._types.get(name.lower())

    def named(self, name: str) -> CustomType:
        """The type of that API name; 1013 when there is none."""
        found = self.get(name)
        if found is None:
            raise MarketoError(1013, f"Custom object type '{name}' not found")
        return found

    def kind(self, name: str) -> RecordKind:
        """An approved type as records see it; 1013 when there is none."""
        found = self.get(name)
        if found is None or found.approved is None:
            raise MarketoError(1013, f"Custom object '{name}' not found")
        if found.name not in self._kinds:
            self._kinds[found.name] = _kind(found.name, found.approved, self._switches)
        return self._kinds[found.name]

    def links_to(self, store: str) -> Iterator[tuple[str, Link]]:
        """Where records of other types name records that are stored as ``store``."""
        for each in self:
            if each.approved is not None:
                kind = self.kind(each.name)
                yield from ((kind.store, link) for link in kind.links if link.to == store)

    def dependents(self, name: str) -> Iterator[tuple[CustomType, list[str]]]:
        """The types whose draft or approved version links to a type, and with which fields."""
        for each in self:
            versions = [version for version in (each.approved, each.draft) if version is not None]
            links = [link.name for version in versions for link in version.links if link.parent == name]
            if links:
                yield each, list(dict.fromkeys(links))

    def add(self, name: str, version: Version, moment: str) -> CustomType:
        """A new type, as a draft."""
        with self._database.transaction():
            number = self._database.take_numbers("custom_types", 1, first=101)[0]
            made = CustomType(number, name, moment, moment, draft=version)
            self._types[name.lower()] = made
            self._connection.execute("INSERT INTO custom_types VALUES (?, ?, ?)", (number, name, _written(made)))
        return made

    def save(self, changed: CustomType, moment: str) -> None:
        """Keep what was changed on a type."""
        changed.updated_at = moment
        self._kinds.pop(changed.name, None)
        row = (_written(changed), changed.id)
        self._connection.execute("UPDATE custom_types SET definition = ? WHERE id = ?", row)

    def remove(self, gone: CustomType) -> None:
        """Delete a type; whoever calls has deleted its records."""
        del self._types[gone.name.lower()]
        self._kinds.pop(gone.name, None)
        self._connection.execute("DELETE FROM custom_types WHERE id = ?", (gone.id,))


class VersionFields:
    """The fields of a version as records see them, the system's first."""

    def __init__(self, version: Version, switches: Switches | None) -> None:
        fields = [*_system_fields(), *(each.as_field(switches) for each in version.fields)]
        self._by_name = {each.name: each for each in fields}

    def __iter__(self) -> Iterator[Field]:
        return iter(self._by_name.values())

    def get(self, name: str) -> Field | None:
        """The field of that API name, which is compared exactly."""
        return self._by_name.get(name)


def searchable(version: Version) -> tuple[tuple[str, ...], ...]:
    """What records of a version may be searched by: the key, the id, each link."""
    names = [version.key, (GUID,), *((link.name,) for link in version.links)]
    return tuple(dict.fromkeys(names))


def store_name(name: str) -> str:
    """What the records of a type are stored under."""
    return f"custom/{name}"


def _kind(name: str, version: Version, switches: Switches) -> RecordKind:
    links = tuple(
        Link(
            each.name,
            str(each.parent) if each.parent in STANDARD_PARENTS else store_name(str(each.parent)),
            str(each.parent_field),
        )
        for each in version.links
    )
    return RecordKind(
        store_name(name),
        name,
        VersionFields(version, switches),
        version.key,
        searchable(version),
        links=links,
        default_fields=(*version.key, "createdAt", "updatedAt"),
    )


def _system_fields() -> Iterator[Field]:
    shown = zip(SYSTEM, ("Marketo GUID", "Created At", "Updated At"), ("string", "datetime", "datetime"), strict=True)
    for name, display_name, data_type in shown:
        made = new_field(name, display_name, data_type, updateable=False)
        made.length = 36 if name == GUID else None
        yield made


def _written(each: CustomType) -> str:
    members = asdict(each)
    return orjson.dumps({name: value for name, value in members.items() if name not in ("id", "name")}).decode()


def _read(number: int, name: str, members: dict[str, object]) -> CustomType:
    versions = {which: _version(members[which]) if members[which] else None for which in ("draft", "approved")}
    return CustomType(number, name, **(members | versions))  # type: ignore[arg-type]


def _version(members: object) -> Version:
    assert isinstance(members, dict)
    fields = [TypeField(**each) for each in members["fields"]]
    return Version(**(members | {"fields": fields}))
