"""Creating, updating and deleting one company or one sales person by the rules of its call.

"Lead Database": statuses, ``seq``, null and "" are stored as null, the dedupe field is set once. Same key twice in one
call: 1036 in "Error Codes", for companies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crmsync.sandbox.marketo.activities import changed
from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.objects import Kind, Stored
from crmsync.sandbox.marketo.people import OWNER_KEY
from crmsync.sandbox.marketo.record_kinds import OPPORTUNITY
from crmsync.sandbox.marketo.values import INT64

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo


class ObjectWriter:
    """Writes the records of one call, in order; inside a transaction."""

    def __init__(self, marketo: Marketo, kind: Kind, *, action: str, by_id: bool) -> None:
        self._store = marketo.objects[kind.target]
        self._fields = marketo.fields[kind.target]
        self._owners = marketo.sales_persons
        self._switches = marketo.switches
        self._kind = kind
        self._action = action
        self._by_id = by_id
        self._moment = marketo.moment()
        self._seen: set[str] = set()
        self.changes: list[tuple[str, dict[str, Any], dict[str, Any]]] = []

    def write(self, seq: int, record: Any) -> dict[str, Any]:
        """The result of one record."""
        try:
            if not isinstance(record, dict):
                raise MarketoError(1003, "Invalid data")
            status, stored = self._write(record)
        except MarketoError as error:
            return {"seq": seq, "status": "skipped", "reasons": [error.as_dict()]}
        return {"seq": seq, "id": stored.id, "status": status}

    def _write(self, record: dict[str, Any]) -> tuple[str, Stored]:
        stored = self._find(record)
        values = self._values(record, stored)
        if stored is not None:
            if self._action == "createOnly":
                raise MarketoError(1017)
            self._update(stored, values)
            return "updated", stored
        if self._action == "updateOnly" or self._by_id:
            raise MarketoError(1013, "Record not found")
        body = {name: value for name, value in values.items() if value is not None}
        return "created", self._store.insert(self._moment, body)

    def _find(self, record: dict[str, Any]) -> Stored | None:
        name = "id" if self._by_id else self._kind.key
        value = record.get(name)
        if value is None or value == "":
            raise MarketoError(1002, name)
        if self._by_id:
            return self._store.by_ids([_whole(value)]).get(value)
        key = self._key(value)
        if self._kind.duplicates_refused and key.lower() in self._seen:
            raise MarketoError(1036)
        self._seen.add(key.lower())
        return self._store.by_keys([key]).get(key.lower())

    def _key(self, value: Any) -> str:
        field = self._fields.get(self._kind.key)
        return str(field.from_json(value)) if field is not None else str(value)

    def _values(self, record: dict[str, Any], stored: Stored | None) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, value in record.items():
            field = self._fields.get(name)
            if field is None:
                raise MarketoError(1006, name)
            if name == self._kind.key:
                values |= self._key_value(value, stored)
            elif name == "id" and self._by_id:
                continue
            elif not field.updateable:
                raise MarketoError(1003, f"Field '{name}' is read-only")
            else:
                values[name] = None if value is None or value == "" else field.from_json(value)
        self._switches.check(values)
        self._check_owner(values)
        return values

    def _key_value(self, value: Any, stored: Stored | None) -> dict[str, Any]:
        """The key of a new record; an old one keeps its own."""
        key = self._key(value)
        if stored is None:
            return {self._kind.key: key}
        if key.lower() != stored.key.lower():
            raise MarketoError(1003, f"Field '{self._kind.key}' cannot be changed")
        return {}

    def _check_owner(self, values: dict[str, Any]) -> None:
        owner = values.get(OWNER_KEY)
        if self._kind.key != OWNER_KEY and owner is not None and not self._owners.by_keys([owner]):
            raise MarketoError(1013, f"{OWNER_KEY} '{owner}' not found")

    def _update(self, stored: Stored, values: dict[str, Any]) -> None:
        new = {name: value for name, value in values.items() if stored.body.get(name) != value}
        if not new:
            return
        self.changes.append((stored.key, dict(stored.body), new))
        stored.body = {n: v for n, v in (stored.body | new).items() if v is not None}
        stored.updated_at = self._moment
        self._store.update(stored)


def log_company_changes(marketo: Marketo, writer: ObjectWriter) -> None:
    """Changes of a company's fields are logged on its people; inside a transaction."""
    for key, before, after in writer.changes:
        fields = [field for name in after if (field := marketo.person_fields.get(name)) and field.company]
        changes = [(field.id, before.get(field.name), after[field.name]) for field in fields]
        if changes:
            marketo.activities.add([changed(lead, changes) for lead in marketo.people.of_company(key)])


def _whole(value: Any) -> int:
    if value.__class__ is not int or not -INT64 <= value < INT64:
        raise MarketoError(1001, value, "integer")
    return int(value)


def delete_one(marketo: Marketo, kind: Kind, stored: Stored) -> None:
    """Delete it unless it is in use: 1022. "Sales Persons" counts a deleted company among the users."""
    if kind.key == OWNER_KEY:
        if _owner_in_use(marketo, stored.key):
            raise MarketoError(1022)
    else:
        refuses = marketo.switches.on("company_with_people", "refuse")
        if refuses and marketo.people.anyone_with(kind.key, stored.key):
            raise MarketoError(1022)
        if marketo.records.any_with(OPPORTUNITY, kind.key, stored.key):
            raise MarketoError(1022)
        _remember_owner(marketo, stored)
    marketo.objects[kind.target].delete(stored)


def _owner_in_use(marketo: Marketo, key: str) -> bool:
    statement = "SELECT 1 FROM owners_of_deleted_companies WHERE key = ?"
    return (
        marketo.people.anyone_with(OWNER_KEY, key)
        or marketo.companies.any_with(OWNER_KEY, key)
        or marketo.records.any_with(OPPORTUNITY, OWNER_KEY, key)
        or marketo.database.connection.execute(statement, (key,)).fetchone() is not None
    )


def _remember_owner(marketo: Marketo, company: Stored) -> None:
    if owner := company.body.get(OWNER_KEY):
        statement = "INSERT OR IGNORE INTO owners_of_deleted_companies VALUES (?)"
        marketo.database.connection.execute(statement, (owner,))
