"""Connections: each is two rows that mirror each other; the roles that a new organization has.

"Connection tables" and the connection table reference (Power Apps developer documents): the row that was made is the
master, the other one has both ends exchanged.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.dataverse.database import quoted
from crmsync.sandbox.dataverse.errors import invalid_argument
from crmsync.sandbox.dataverse.messages import Request
from crmsync.sandbox.dataverse.rules import TableRules
from crmsync.sandbox.dataverse.schema import NAMES

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.store import DataverseStore, Row

_EXCHANGED = {
    "record1id": "record2id",
    "record1idtype": "record2idtype",
    "record1roleid": "record2roleid",
    "record2id": "record1id",
    "record2idtype": "record1idtype",
    "record2roleid": "record1roleid",
}
_SHARED = (
    *("description", "effectivestart", "effectiveend", "statecode", "statuscode", "ownerid", "owneridtype"),
    *("owninguser", "owningteam", "owningbusinessunit", "createdby", "modifiedby", "createdon", "modifiedon"),
)
STAKEHOLDER, SALES_TEAM = 1000, 1001
ROLES = (
    ("Stakeholder", STAKEHOLDER),
    ("Decision Maker", STAKEHOLDER),
    ("Influencer", STAKEHOLDER),
    ("Economic Buyer", STAKEHOLDER),
    ("End User", STAKEHOLDER),
    ("Account Manager", SALES_TEAM),
    ("Sales Professional", SALES_TEAM),
    ("Former Employer", 1),
    ("Spouse/Partner", 2),
    ("Friend", 3),
)


def role_id(name: str) -> str:
    """The id of a connection role, the same in every organization."""
    return str(uuid.uuid5(NAMES, f"connection role {name}"))


def seed_connection_roles(store: DataverseStore) -> None:
    rows = [{"connectionroleid": role_id(name), "name": name, "category": category} for name, category in ROLES]
    store.insert_many("connectionrole", rows)


def mirrored(row: Mapping[str, Any]) -> dict[str, Any]:
    """The other row of a connection."""
    other = {_EXCHANGED[name]: value for name, value in row.items() if name in _EXCHANGED}
    return other | {name: row[name] for name in _SHARED if name in row}


class ConnectionRules(TableRules):
    """Keeps both rows of a connection alike."""

    def before_create(self, store: DataverseStore, request: Request, values: Row) -> None:
        if not values.get("record1id") or not values.get("record2id"):
            raise invalid_argument("A connection needs record1id and record2id.")
        values |= {"name": _name(store, values, "record2id"), "ismaster": 1}

    def after_create(self, store: DataverseStore, request: Request, values: Row) -> None:
        table = store.schema.tables["connection"]
        made = store.get(table, values["connectionid"]) or values
        other = {**mirrored(made), "connectionid": str(uuid.uuid4()), "ismaster": 0}
        other |= {"name": _name(store, other, "record2id"), "relatedconnectionid": made["connectionid"]}
        other_id = store.insert(table, other)
        store.update(table, made["connectionid"], {"relatedconnectionid": other_id})

    def after_update(self, store: DataverseStore, request: Request, current: Row, changes: Row) -> None:
        table = store.schema.tables["connection"]
        row = {**current, **changes}
        if changes.keys() & {"record1id", "record2id"}:
            store.update(table, row["connectionid"], {"name": _name(store, row, "record2id")})
        other = row.get("relatedconnectionid")
        if other and store.get(table, other):
            changed = mirrored(changes)
            if "record2id" in changed:
                changed["name"] = _name(store, changed, "record2id")
            store.update(table, other, changed)

    def delete(self, store: DataverseStore, request: Request, current: Row) -> bool:
        other = current.get("relatedconnectionid")
        if other:
            store.delete(store.schema.tables["connection"], other)
        return False


def _name(store: DataverseStore, row: Row, end: str) -> str | None:
    """A connection has the name of what it leads to."""
    table = store.schema.tables.get(str(row.get(f"{end}type") or ""))
    if table is None:
        return None
    sql = f"SELECT {quoted(table.primary_name)} FROM {quoted(table.name)} WHERE {quoted(table.primary_id)} = ?"
    found = store.database.look(sql, (row[end],))
    return str(found[0][0])[:500] if found and found[0][0] else None
