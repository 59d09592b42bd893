"""``RetrieveMetadataChanges``: the definitions that match a query, or only what changed since a stamp.

"Query schema definitions" (Power Apps developer documents) and the RetrieveMetadataChanges function reference. A stamp
looks as a delta token does; it expires with the organization's ``expiresubscriptionsindays``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import orjson

from crmsync.sandbox.dataverse.columns import Column
from crmsync.sandbox.dataverse.errors import bad_request
from crmsync.sandbox.dataverse.history import KINDS
from crmsync.sandbox.dataverse.messages import Answer, Request, parse_parameters
from crmsync.sandbox.dataverse.metadata import option_set_of
from crmsync.sandbox.dataverse.metadata_json import NAMESPACE, attribute_json, class_name, entity_json, specific_json
from crmsync.sandbox.dataverse.paging import read_delta_token, write_delta_token
from crmsync.sandbox.dataverse.relationships import many_to_many, many_to_one, one_to_many
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.store import DataverseStore

Object = dict[str, Any]
Matches = Callable[[Object], bool]
_ENUM = re.compile(r"Microsoft\.Dynamics\.CRM\.DeletedMetadataFilters'([\w, ]+)'")
_MASKS = {"Default": 1, "All": 31} | {kind: 1 << bit for bit, kind in enumerate(KINDS)}
_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "NotEquals": operator.ne,
    "GreaterThan": lambda value, given: value is not None and value > given,
    "LessThan": lambda value, given: value is not None and value < given,
    "In": lambda value, given: value in given,
    "NotIn": lambda value, given: value not in given,
}


def retrieve_metadata_changes(store: DataverseStore, request: Request) -> Answer:
    """The function's answer."""
    request.caller.require("prvReadEntity", "entity", 9800)
    given = parse_parameters(request, request.segments[0].key)
    query = _json(given.get("Query"), "Query") or {}
    since = _since(store, given.get("ClientVersionStamp"))
    body: Object = {
        "@odata.context": f"{request.root}$metadata#{NAMESPACE}RetrieveMetadataChangesResponse",
        "EntityMetadata": Changes(store, query, since).entities(),
        "ServerVersionStamp": write_delta_token(store.schema.stamp, store.org.clock.now()),
    }
    deleted = _deleted(store, since, given.get("DeletedMetadataFilters")) if since is not None else {}
    body["DeletedMetadata"] = {
        "Count": len(deleted),
        "IsReadOnly": False,
        "Keys": list(deleted),
        "Values": [{"Items": ids} for ids in deleted.values()],
    }
    return Answer.json(body)


def _json(text: str | None, name: str) -> Any:
    if text is None or text == "null":
        return None
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise bad_request(f"The parameter '{name}' is malformed.") from None
    if not isinstance(data, dict):
        raise bad_request(f"The parameter '{name}' must be an object.")
    return data


def _since(store: DataverseStore, given: str | None) -> int | None:
    stamp = (given or "").strip("'\"")
    if not stamp or stamp == "null":
        return None
    days = int(store.database.look("SELECT expiresubscriptionsindays FROM organization")[0][0])
    return read_delta_token(stamp, store.org.clock.now(), store.schema.stamp, days)


def _deleted(store: DataverseStore, since: int, given: str | None) -> dict[str, list[str]]:
    """The ids of deleted definitions by kind, of the kinds that were asked for."""
    match = _ENUM.fullmatch(given or "")
    names = match[1].split(",") if match else [given.strip("'")] if given and given != "null" else ["Default"]
    mask = 0
    for name in names:
        if name.strip() not in _MASKS and not name.strip().isdigit():
            raise bad_request(f"'{name}' is not one of DeletedMetadataFilters.")
        mask |= int(name) if name.strip().isdigit() else _MASKS[name.strip()]
    found: dict[str, list[str]] = {}
    for metadata_id, (kind, stamp) in store.schema.history.deleted.items():
        if stamp > since and mask & _MASKS[kind]:
            found.setdefault(kind, []).append(metadata_id)
    return found


class Changes:
    """One query; ``since`` None means everything."""

    def __init__(self, store: DataverseStore, query: Object, since: int | None) -> None:
        self._store, self._schema, self._since = store, store.schema, since
        self._matches = _criteria(query.get("Criteria"))
        self._properties = _Properties(query.get("Properties"))
        attributes, relationships = query.get("AttributeQuery") or {}, query.get("RelationshipQuery") or {}
        self._attribute_matches = _criteria(attributes.get("Criteria"))
        self._attribute_properties = _Properties(attributes.get("Properties"))
        self._relationship_matches = _criteria(relationships.get("Criteria"))
        self._relationship_properties = _Properties(relationships.get("Properties"))

    def _changed(self, metadata_id: str) -> bool:
        return self._since is None or self._schema.history.since(metadata_id, self._since)

    def entities(self) -> list[Object]:
        found = []
        for table in self._schema.tables.values():
            full = entity_json(table)
            if not self._matches(full):
                continue
            one = self._properties.pick(full, "MetadataId", "LogicalName", "HasChanged")
            own = self._changed(table.definition.metadata_id)
            one["HasChanged"] = None if self._since is None else own
            below = self._below(table)
            one |= below
            if self._since is None or own or any(below.values()):
                found.append(one)
        return found

    def _below(self, table: LiveTable) -> dict[str, list[Object]]:
        """The collections of a table that were asked for."""
        makers: dict[str, Callable[[], list[Object]]] = {
            "Attributes": lambda: self._attributes(table),
            "ManyToOneRelationships": lambda: self._relationships(many_to_one(self._schema, table)),
            "OneToManyRelationships": lambda: self._relationships(one_to_many(self._schema, table)),
            "ManyToManyRelationships": lambda: self._relationships(many_to_many(self._schema, table)),
        }
        return {name: make() for name, make in makers.items() if self._properties.includes(name)}

    def _attributes(self, table: LiveTable) -> list[Object]:
        found = []
        for column in table.columns.values():
            if not self._changed(column.metadata_id):
                continue
            full = self._attribute(table, column)
            if self._attribute_matches(full):
                found.append(self._attribute_properties.pick(full, "@odata.type", "MetadataId", "LogicalName"))
        return found

    def _attribute(self, table: LiveTable, column: Column) -> Object:
        typed = {"@odata.type": f"#{NAMESPACE}Complex{class_name(column)}"}
        full = typed | attribute_json(table, column) | specific_json(column)
        if column.options and self._attribute_properties.includes("OptionSet"):
            full["OptionSet"] = option_set_of(table, column)
        return full

    def _relationships(self, all_of_them: list[Object]) -> list[Object]:
        return [
            self._relationship_properties.pick(one, "@odata.type", "MetadataId", "SchemaName")
            for one in all_of_them
            if self._changed(one["MetadataId"]) and self._relationship_matches(one)
        ]


class _Properties:
    """A MetadataPropertiesExpression."""

    def __init__(self, given: Object | None) -> None:
        given = given or {}
        self._names = given.get("PropertyNames") or []
        self._all = bool(given.get("AllProperties", False))

    def includes(self, name: str) -> bool:
        return self._all or name in self._names

    def pick(self, full: Object, *always: str) -> Object:
        if self._all:
            return dict(full)
        return {name: full[name] for name in dict.fromkeys([*always, *self._names]) if name in full}


def _criteria(given: Object | None) -> Matches:
    """The predicate of a MetadataFilterExpression."""
    if not given:
        return lambda _: True
    tests = [_condition(one) for one in given.get("Conditions") or []]
    tests += [_criteria(one) for one in given.get("Filters") or []]
    if not tests:
        return lambda _: True
    if given.get("FilterOperator", "And") == "Or":
        return lambda one: any(test(one) for test in tests)
    return lambda one: all(test(one) for test in tests)


def _condition(given: Object) -> Matches:
    name, how = str(given.get("PropertyName")), str(given.get("ConditionOperator"))
    if how not in _TESTS:
        raise bad_request(f"The condition operator '{how}' is not supported.")
    test, wanted = _TESTS[how], _value(given.get("Value"))
    if how in {"In", "NotIn"} and not isinstance(wanted, list):
        wanted = [wanted]

    def matches(one: Object) -> bool:
        if name not in one:
            raise bad_request(f"Could not find a property named '{name}' on type '{NAMESPACE}EntityMetadata'.")
        value = one[name]
        plain = value.get("Value") if isinstance(value, dict) and "Value" in value else value
        return test(plain, wanted)

    return matches


def _value(given: Any) -> Any:
    """``{"Type": "System.String", "Value": "lead"}`` as a value; lists come as they are or as JSON text."""
    if not isinstance(given, dict):
        return given
    value, kind = given.get("Value"), str(given.get("Type") or "")
    if kind.endswith("[]") and isinstance(value, str):
        return orjson.loads(value)
    if kind == "System.Boolean":
        return str(value).lower() == "true"
    if kind in {"System.Int32", "System.Int64"}:
        return int(str(value))
    return value
