"""Creates, updates, upserts and deletes of one row, its single properties and its references.

"Create a table row", "Update and delete table rows", "Use Upsert", "Perform conditional operations", "Associate and
disassociate table rows" (Power Apps developer documents).
"""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from crmsync.sandbox.dataverse.alternate_keys import find_by_key, find_id
from crmsync.sandbox.dataverse.columns import Column
from crmsync.sandbox.dataverse.defaults import full_name
from crmsync.sandbox.dataverse.duplicates import check_duplicates
from crmsync.sandbox.dataverse.errors import (
    ODataError,
    already_exists,
    bad_request,
    bad_status,
    key_taken,
    no_property,
    no_row,
    no_row_with_key,
    no_segment,
    payload_error,
    version_mismatch,
)
from crmsync.sandbox.dataverse.field_security import require_write
from crmsync.sandbox.dataverse.messages import Answer, Request
from crmsync.sandbox.dataverse.privileges import privilege
from crmsync.sandbox.dataverse.reading import read_row
from crmsync.sandbox.dataverse.rules import check_link, rules_of
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.store import DataverseStore, Row
from crmsync.sandbox.dataverse.values import Payload, reference
from crmsync.sandbox.dataverse.visibility import business_unit_of, require_row

_NAME_PARTS = {"firstname", "lastname"}


class Writer:
    """Writes to one table on behalf of one request."""

    def __init__(self, store: DataverseStore, table: LiveTable, request: Request) -> None:
        self._store, self._table, self._request = store, table, request

    # Operations

    def create(self, row_id: str | None = None) -> Answer:
        """``POST leads``, and the creating half of an upsert."""
        return self._written(self.create_row(self._request.json(), row_id), created=True)

    def create_row(self, body: dict[str, Any], row_id: str | None = None, key: Row | None = None) -> str:
        """A new row; ``key`` are the values of the alternate key that it is created by."""
        self._require("Create")
        values = self._payload(body, creating=True).values
        if key is not None:
            if repeated := key.keys() & values.keys():
                raise payload_error(self._table.name, f"The key attribute '{min(repeated)}' is in the payload too.")
            values |= key
        new_id = row_id or values.get(self._table.primary_id) or str(uuid.uuid4())
        values[self._table.primary_id] = new_id
        if self._store.get(self._table, new_id):
            raise already_exists()
        rules = rules_of(self._table.name)
        rules.before_create(self._store, self._request, values)
        if "createdby" in self._table.stored:
            values |= {"createdby": self._request.caller.user_id, "modifiedby": self._request.caller.user_id}
        if "ownerid" in self._table.stored:
            values.setdefault("ownerid", self._request.caller.user_id)
            values["owningbusinessunit"] = business_unit_of(self._store, values["ownerid"])
        if values.get("statuscode") is not None:
            self._match_state(values, {"statecode": 0})
        check_duplicates(self._store, self._request, self._table, values)
        with self._unique():
            self._store.insert(self._table, values)
        rules.after_create(self._store, self._request, values)
        return str(new_id)

    def change_by_key(self, key: Row, text: str) -> Answer:
        """``PATCH leads(new_ext='A-17')``: the same, found or made by an alternate key."""
        row_id = find_by_key(self._store, self._table, key)
        if row_id is None and self._request.headers.get("if-match") is not None:
            raise no_row_with_key()
        created = row_id is None
        if row_id is None:
            row_id = self.create_row(self._request.json(), key=key)
        else:
            self._change_row(row_id, self._existing(row_id))
        return self._written(row_id, created=created, named=text)

    def upsert_row(self, body: dict[str, Any], row_id: str | None, key: Row | None) -> None:
        """One target of ``UpsertMultiple``."""
        if row_id is None and key is not None:
            row_id = find_by_key(self._store, self._table, key)
        current = self._store.get(self._table, row_id) if row_id else None
        if current is None or row_id is None:
            self.create_row(body, row_id, key)
        else:
            self._update(row_id, current, body)

    def update_row(self, row_id: str, body: dict[str, Any]) -> None:
        """One target of ``UpdateMultiple``."""
        self._update(row_id, self._existing(row_id), body)

    @contextmanager
    def _unique(self) -> Iterator[None]:
        """What breaks an alternate key is told as the service tells it."""
        try:
            yield
        except sqlite3.IntegrityError as error:
            names = re.findall(rf"{self._table.name}\.(\w+)", str(error))
            raise key_taken(", ".join(names)) from None

    def change(self, row_id: str) -> Answer:
        """``PATCH leads(<guid>)``: an update with ``If-Match``, else an upsert."""
        current = self._store.get(self._table, row_id)
        expected = self._request.headers.get("if-match")
        if current is None:
            if expected is not None:
                raise no_row(self._table.name, row_id)
            return self.create(row_id)
        self._change_row(row_id, current)
        return self._written(row_id, created=False)

    def _change_row(self, row_id: str, current: Row) -> None:
        if self._request.headers.get("if-none-match") == "*":
            raise already_exists()
        self._check_version(current)
        self._update(row_id, current, self._request.json())

    def delete(self, row_id: str) -> Answer:
        """``DELETE leads(<guid>)``."""
        self._require("Delete")
        current = self._existing(row_id)
        self._check_version(current)
        self.delete_row(current)
        return Answer()

    def delete_row(self, current: Row) -> None:
        """An existing row goes, unless it is out of reach."""
        require_row(self._store, self._request.caller, self._table, current, "Delete")
        if not rules_of(self._table.name).delete(self._store, self._request, current):
            self._store.delete(self._table, current[self._table.primary_id])

    def set_property(self, row_id: str, name: str) -> Answer:
        """``PUT leads(<guid>)/subject`` with ``{"value": ...}``."""
        self._property(name)
        body = self._request.json()
        if "value" not in body:
            raise bad_request("The payload must have a property named 'value'.")
        self._update(row_id, self._existing(row_id), {name: body["value"]})
        return Answer()

    def clear_property(self, row_id: str, name: str) -> Answer:
        """``DELETE leads(<guid>)/subject``."""
        self._property(name)
        self._update(row_id, self._existing(row_id), {name: None})
        return Answer()

    def link(self, row_id: str, name: str) -> Answer:
        """``POST`` or ``PUT .../<navigation property>/$ref``."""
        target = str(self._request.json().get("@odata.id", ""))
        if name in self._table.navigations:
            self._update(row_id, self._existing(row_id), {f"{name}@odata.bind": target})
        else:
            self._associate(row_id, name, target, linked=True)
        return Answer()

    def unlink(self, row_id: str, name: str) -> Answer:
        """``DELETE .../<navigation property>/$ref``, with ``$id`` (or a key) for a collection."""
        if name in self._table.navigations:
            self._update(row_id, self._existing(row_id), {f"{name}@odata.bind": None})
        else:
            self._associate(row_id, name, self._request.query.get("$id", ""), linked=False)
        return Answer()

    # Steps

    def _require(self, right: str, table: LiveTable | None = None) -> None:
        wanted = table or self._table
        name = privilege(right, wanted.definition.schema_name)
        self._request.caller.require(name, wanted.name, wanted.definition.type_code)

    def _payload(self, body: dict[str, Any], *, creating: bool) -> Payload:
        payload = Payload(self._store.schema, self._table, body, self._find, creating=creating)
        if payload.bound:
            self._require("Append")
        for name in payload.bound:
            self._require("AppendTo", self._store.schema.tables[name])
        require_write(self._request.caller, self._table, payload.values, creating=creating)
        for refusal in self._store.org.refusals:
            if refusal.concerns(payload.values):
                raise ODataError(400, refusal.code, refusal.message)
        return payload

    def _find(self, set_name: str, key: str) -> str:
        table = self._store.schema.sets.get(set_name)
        if table is None:
            raise no_segment(set_name)
        row_id = find_id(self._store, table, key)
        if self._store.get(table, row_id) is None:
            raise no_row(table.name, row_id)
        return row_id

    def _existing(self, row_id: str) -> Row:
        current = self._store.get(self._table, row_id)
        if current is None:
            raise no_row(self._table.name, row_id)
        return current

    def _check_version(self, current: Row) -> None:
        expected = self._request.headers.get("if-match", "*").strip()
        if expected != "*" and expected != f'W/"{current["versionnumber"]}"':
            raise version_mismatch()

    def _property(self, name: str) -> Column:
        column = self._table.properties.get(name)
        if column is None:
            raise no_property(name, self._table.name)
        return column

    def _update(self, row_id: str, current: Row, body: dict[str, Any]) -> None:
        self._require("Write")
        require_row(self._store, self._request.caller, self._table, current, "Write")
        changes = self._payload(body, creating=False).values
        rules_of(self._table.name).before_update(self._store, self._request, current, changes)
        if "statecode" in self._table.stored and changes.keys() & {"statecode", "statuscode"}:
            self._match_state(changes, current)
        if "fullname" in self._table.stored and changes.keys() & _NAME_PARTS:
            changes["fullname"] = full_name({**current, **changes})
        if changes.get("ownerid"):
            team = changes.get("owneridtype") == "team"
            changes |= {"owningteam": changes["ownerid"] if team else None}
            changes |= {"owninguser": None if team else changes["ownerid"]}
            changes |= {"owningbusinessunit": business_unit_of(self._store, changes["ownerid"])}
        self._store.defaults(self._table).changed_money(current, changes)
        if "modifiedby" in self._table.stored:
            changes["modifiedby"] = self._request.caller.user_id
        check_duplicates(self._store, self._request, self._table, changes, current)
        with self._unique():
            self._store.update(self._table, row_id, changes)
        rules_of(self._table.name).after_update(self._store, self._request, current, changes)

    def _match_state(self, changes: Row, current: Row) -> None:
        """A status reason must belong to its state; a state alone brings its default status reason."""
        states = {option.value: option for option in self._table.stored["statecode"].options}
        reasons = {option.value: option for option in self._table.stored["statuscode"].options}
        state: int = changes["statecode"] if "statecode" in changes else current["statecode"]
        reason = changes.get("statuscode")
        if reason is None:
            changes["statuscode"] = states[state].default_status
        elif reasons[reason].state != state:
            raise bad_status(self._table.name, reason, state)

    def _associate(self, row_id: str, name: str, target: str, *, linked: bool) -> None:
        collection = self._store.schema.collections(self._table.name).get(name)
        if collection is None:
            raise no_segment(name)
        self._existing(row_id)
        set_name, key = reference(target)
        other = self._store.schema.tables[collection.target]
        if self._store.schema.sets.get(set_name) is not other:
            raise bad_request(f"Invalid reference '{target}' for the property '{name}'.")
        if collection.link:
            self._require("Append")
            self._require("AppendTo", other)
            # A reference to a row that does not exist is 0x80060888 here, unlike in a payload.
            other_id = find_id(self._store, other, key)
            if self._store.get(other, other_id) is None:
                raise bad_request(f"{other.name} With Id = {other_id} Does Not Exist")
            check_link(self._store, self._request, name, {self._table.name: row_id, other.name: other_id})
            self._write_link(collection.link, (row_id, other_id), linked=linked)
            return
        navigation = next(
            one for one in other.navigations.values() if one.schema_name == name and one.target == self._table.name
        )
        writer = Writer(self._store, other, self._request)
        other_id = self._find(set_name, key)
        bound = f"/{self._table.set_name}({row_id})" if linked else None
        writer._update(other_id, writer._existing(other_id), {f"{navigation.name}@odata.bind": bound})

    def _write_link(self, link: tuple[str, str, str], ids: tuple[str, str], *, linked: bool) -> None:
        table, own, other = link
        if linked:
            self._store.database.write(f"INSERT OR IGNORE INTO {table} ({own}, {other}) VALUES (?, ?)", ids)
        else:
            self._store.database.write(f"DELETE FROM {table} WHERE {own} = ? AND {other} = ?", ids)

    def _written(self, row_id: str, *, created: bool, named: str | None = None) -> Answer:
        """The answer; ``named`` is the alternate key that the client used instead of the id."""
        entity_id = f"{self._request.root}{self._table.set_name}({named or row_id})"
        if not self._request.prefer.representation:
            return Answer(204, {"OData-EntityId": entity_id})
        return read_row(self._store, self._table, row_id, self._request, 201 if created else 200)
