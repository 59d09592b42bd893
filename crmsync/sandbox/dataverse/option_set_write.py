"""Option sets: global ones created, changed and deleted; options inserted, renamed and removed.

"Create and update choices (option sets) using the Web API"; the InsertOptionValue, UpdateOptionValue and
DeleteOptionValue action references (Power Apps developer documents).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from crmsync.sandbox.dataverse.attribute_definitions import check_schema_name, listed_options, text_of
from crmsync.sandbox.dataverse.columns import Column, OptionSet
from crmsync.sandbox.dataverse.errors import ODataError, bad_request, invalid_argument, not_allowed
from crmsync.sandbox.dataverse.messages import GUID, Answer, Request, Segment
from crmsync.sandbox.dataverse.options import Option
from crmsync.sandbox.dataverse.schema import LiveTable, Schema
from crmsync.sandbox.dataverse.schema_changes import SchemaChanges
from crmsync.sandbox.dataverse.store import DataverseStore

OPTION_ACTIONS = ("InsertOptionValue", "UpdateOptionValue", "DeleteOptionValue", "InsertStatusValue")
Options = tuple[Option, ...]


def find_option_set(schema: Schema, key: str) -> OptionSet:
    """A global option set by ``Name='...'`` or by MetadataId."""
    named = re.fullmatch(r"\s*Name\s*=\s*'([^']*)'\s*", key)
    wanted = key.strip("{}").lower() if GUID.match(key) else None
    for one in schema.option_sets.values():
        if (named and one.name == named[1]) or one.metadata_id == wanted:
            return one
    raise ODataError(404, "0x80060888", f"Could not find an option set with the specified name: {key}.")


class OptionSetWriter:
    """Answers one change of an option set."""

    def __init__(self, store: DataverseStore, request: Request) -> None:
        self._store, self._request = store, request
        self._changes = SchemaChanges(store)

    def answer(self, first: Segment) -> Answer:
        method = self._request.method
        self._request.caller.require("prvWriteAttribute", "attribute", 9808, depth="Global")
        if first.name in OPTION_ACTIONS:
            return self._options_action(first.name)
        if method == "POST" and first.key is None:
            return self._create()
        if first.key is not None and method in {"PUT", "DELETE"}:
            one = find_option_set(self._store.schema, first.key)
            return self._put(one) if method == "PUT" else self._delete(one)
        raise not_allowed("Operation not supported on OptionSetMetadataBase")

    def _create(self) -> Answer:
        body = self._request.json()
        name = check_schema_name(str(body.get("Name") or ""))
        if name.lower() in {one.lower() for one in self._store.schema.option_sets}:
            raise bad_request(f"An option set with the specified name {name} already exists.", "0x80047013")
        one = OptionSet(name, text_of(body.get("DisplayName")) or name, listed_options(body), str(uuid.uuid4()))
        self._changes.put_option_set(one)
        where = f"{self._request.root}GlobalOptionSetDefinitions({one.metadata_id})"
        return Answer(204, {"OData-EntityId": where})

    def _put(self, one: OptionSet) -> Answer:
        body = self._request.json()
        if body.get("Name", one.name) != one.name:
            raise bad_request("The name of an option set cannot be changed.")
        options = listed_options(body) if "Options" in body else one.options
        changed = replace(one, label=text_of(body.get("DisplayName")) or one.label, options=options)
        self._changes.put_option_set(changed)
        return Answer()

    def _delete(self, one: OptionSet) -> Answer:
        for table in self._store.schema.tables.values():
            for column in table.definition.columns:
                if column.global_options == one.name:
                    message = f"The option set {one.name} cannot be deleted because {table.name}.{column.name} uses it."
                    raise bad_request(message, "0x8004F01F")
        self._changes.drop_option_set(one)
        return Answer()

    # The actions on one option

    def _options_action(self, action: str) -> Answer:
        body = self._request.json()
        change, value = _change(action, body)
        if body.get("OptionSetName"):
            one = find_option_set(self._store.schema, f"Name='{body['OptionSetName']}'")
            self._changes.put_option_set(replace(one, options=change(one.options)))
        else:
            table, column = self._column(body)
            self._changes.change_column(table, replace(column, options=change(column.options)))
        if not action.startswith("Insert"):
            return Answer()
        context = f"{self._request.root}$metadata#Microsoft.Dynamics.CRM.{action}Response"
        return Answer.json({"@odata.context": context, "NewOptionValue": value(self._now(body))})

    def _now(self, body: dict[str, Any]) -> Options:
        if body.get("OptionSetName"):
            return self._store.schema.option_sets[str(body["OptionSetName"])].options
        return self._column(body)[1].options

    def _column(self, body: dict[str, Any]) -> tuple[LiveTable, Column]:
        table = self._store.schema.tables.get(str(body.get("EntityLogicalName")))
        column = table.columns.get(str(body.get("AttributeLogicalName"))) if table else None
        if table is None or column is None or not column.options:
            raise bad_request("EntityLogicalName and AttributeLogicalName must name a choice column.")
        if column.global_options:
            raise bad_request(f"The column {column.name} uses the option set {column.global_options}; change that.")
        return table, column


def _change(action: str, body: dict[str, Any]) -> tuple[Callable[[Options], Options], Callable[[Options], int]]:
    """How an action changes options, and the value of a new one afterwards."""
    given, label = body.get("Value"), text_of(body.get("Label"))

    def insert(options: Options) -> Options:
        value = max([99_999_999, *(one.value for one in options)]) + 1 if given is None else int(given)
        if value in {one.value for one in options}:
            raise invalid_argument(f"The option value {value} is there already.")
        return (*options, Option(value, label or "", state=body.get("StateCode")))

    def update(options: Options) -> Options:
        _require(options, given)
        return tuple(replace(one, label=label or one.label) if one.value == given else one for one in options)

    def delete(options: Options) -> Options:
        _require(options, given)
        return tuple(one for one in options if one.value != given)

    changes = {"UpdateOptionValue": update, "DeleteOptionValue": delete}
    return changes.get(action, insert), lambda options: options[-1].value


def _require(options: Options, value: Any) -> None:
    if value not in {one.value for one in options}:
        raise invalid_argument(f"The option value {value} does not exist.")
