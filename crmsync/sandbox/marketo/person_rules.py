"""What Marketo asks of a person's values before it writes them: fields, types, e-mail, and the links' other ends.

"Leads" (Create and Update): ASCII e-mail, ``id`` only with updateOnly. That a link to nothing is 1013 for that record,
and an unknown field 1006 for that record, are assumptions and switches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.fields import Field, FieldTable
from crmsync.sandbox.marketo.habits import habits_of, stored
from crmsync.sandbox.marketo.objects import ObjectStore
from crmsync.sandbox.marketo.people import COMPANY_KEY, OWNER_KEY, Key
from crmsync.sandbox.marketo.switches import Switches
from crmsync.sandbox.marketo.values import INT64


@dataclass(slots=True)
class Prepared:
    """A record that was read: values to set (None clears), the key to find the person by, or why it is refused."""

    values: dict[str, Any]
    key: Key | None = None
    id: int | None = None
    company_fields: bool = False
    refusal: MarketoError | None = None


class PersonRules:
    """Reads records of one call: one action, one lookup field."""

    def __init__(self, fields: FieldTable, switches: Switches, *, action: str, lookup: Field) -> None:
        self._fields = fields
        self._switches = switches
        self._action = action
        self._lookup = lookup
        self._habits = habits_of(switches)

    def read(self, record: Any) -> Prepared:
        """A record of Sync Leads; raises only what refuses the whole call."""
        prepared = Prepared({})
        try:
            self._read(record, prepared)
        except MarketoError as error:
            if error.code == 1006 and self._switches.on("unknown_field", "call"):
                raise
            prepared.refusal = error
        return prepared

    def _read(self, record: Any, prepared: Prepared) -> None:
        if not isinstance(record, dict):
            raise MarketoError(1003, "Invalid data")
        values = prepared.values
        for name, value in record.items():
            field = self._fields.get(name)
            if field is None:
                raise MarketoError(1006, name)
            if name == "id":
                prepared.id = self._id(value)
                continue
            if not field.updateable:
                raise MarketoError(1003, f"Field '{name}' is read-only")
            prepared.company_fields |= field.company
            values[name] = None if value is None or value == "" else field.from_json(value)
        self.finish(prepared)

    def finish(self, prepared: Prepared) -> None:
        """The rules that concern the whole record, the same for a file's row."""
        if self._habits:
            self._store_in_own_way(prepared.values)
        email = prepared.values.get("email")
        if email is not None and not email.isascii():
            raise MarketoError(1001, email, "email")
        self._switches.check(prepared.values)
        if self._action == "createDuplicate" or prepared.id is not None:
            return
        prepared.key = prepared.values.get(self._lookup.name)
        if prepared.key is None and not self._switches.on("missing_lookup_value", "create"):
            raise MarketoError(1003, f"Value for lookup field '{self._lookup.name}' not found")

    def _store_in_own_way(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            field = self._fields.get(name)
            if value is not None and field is not None and name != self._lookup.name:
                values[name] = stored(value, field.data_type, self._habits)

    def _id(self, value: Any) -> int:
        if self._action != "updateOnly":
            raise MarketoError(1003, f"Field 'id' is not allowed with action '{self._action}'")
        if value.__class__ is not int or not 0 <= value < INT64:
            raise MarketoError(1001, value, "integer")
        return int(value)


LINKS = (COMPANY_KEY, OWNER_KEY)


def check_links(prepared: Sequence[Prepared], companies: ObjectStore, owners: ObjectStore, switches: Switches) -> None:
    """Refuse the records that name a company or a sales person that does not exist."""
    for member, store in zip(LINKS, (companies, owners), strict=True):
        named = _named(prepared, member)
        missing = set(named) - set(store.by_keys(sorted(named)))
        if missing and switches.on("missing_link", "call"):
            raise MarketoError(1013, f"{member} '{named[min(missing)]}' not found")
        for each in prepared if missing else ():
            value = each.values.get(member)
            if value is not None and value.lower() in missing and each.refusal is None:
                each.refusal = MarketoError(1013, f"{member} '{value}' not found")


def _named(prepared: Iterable[Prepared], member: str) -> dict[str, str]:
    values = (each.values.get(member) for each in prepared if each.refusal is None)
    return {value.lower(): value for value in values if value is not None}
