"""The application user that stands for an app registration in an organization, and Marketo's record that names it.

"Manage application users in the Power Platform admin center", systemuser table reference (Microsoft's documents);
"Step 2 of 3: Set up Sync User" (Marketo's documents) for the table "Marketo Config". Its schema names are not public,
so it is found by its label and the lookup by where it leads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crmsync.dynamics import rows
from crmsync.dynamics.channel import Channel, url
from crmsync.dynamics.metadata import STRONG, label
from crmsync.dynamics.setup_answers import RELATIONSHIPS, TABLES, USERS, keyed

CONFIG_LABEL = "Marketo Config"
NON_INTERACTIVE = 4

_USER = "systemuserid,fullname,internalemailaddress,isdisabled,deletedstate,_businessunitid_value"


@dataclass(frozen=True)
class ApplicationUser:
    """An application user. A ``deleted`` one is gone for people, but its client id is still taken."""

    id: str
    name: str
    email: str
    disabled: bool
    deleted: bool
    unit_id: str


@dataclass(frozen=True)
class ConfigTable:
    """Marketo's table that names the sync user: what the Web API calls it and its lookup."""

    logical_name: str
    schema_name: str
    entity_set: str
    key: str
    lookup: str
    navigation: str


@dataclass(frozen=True)
class ConfigRecord:
    """The one record of that table: the id of the user that it names."""

    table: ConfigTable
    id: str
    user_id: str | None


async def find_user(channel: Channel, client_id: str) -> ApplicationUser | None:
    """The application user of a client id, also one that is deleted but not purged."""
    path = url("systemusers", select=_USER, filter=f"applicationid eq {client_id}")
    found = (await channel.get(path, USERS, entity="systemuser"))["value"]
    return _user(found[0]) if found else None


def _user(row: dict[str, Any]) -> ApplicationUser:
    return ApplicationUser(
        id=str(row["systemuserid"]).lower(),
        name=row.get("fullname") or "",
        email=row.get("internalemailaddress") or "",
        disabled=bool(row.get("isdisabled")),
        deleted=bool(row.get("deletedstate")),
        unit_id=str(row["_businessunitid_value"]).lower(),
    )


async def create_user(channel: Channel, client_id: str, unit_id: str) -> str:
    """An application user; Dataverse takes its names from Entra ID."""
    body = {
        "applicationid": client_id,
        "accessmode": NON_INTERACTIVE,
        "isdisabled": False,
        "businessunitid@odata.bind": f"/businessunits({unit_id})",
    }
    return await rows.create(channel, "systemusers", body)


async def enable_user(channel: Channel, user_id: str) -> None:
    """Enable a user that is disabled."""
    await rows.update(channel, "systemusers", user_id, {"isdisabled": False})


async def move_user(channel: Channel, user_id: str, unit_id: str) -> None:
    """Move a user to another business unit; it loses its roles, which belong to the unit."""
    body = {"businessunitid@odata.bind": f"/businessunits({unit_id})"}
    await rows.update(channel, "systemusers", user_id, body)


async def delete_user(channel: Channel, user_id: str) -> None:
    """Delete a user; for one that is deleted already, for good."""
    await rows.delete(channel, "systemusers", user_id)


async def find_config(channel: Channel) -> ConfigTable | None:
    """Marketo's table, where its solution is installed."""
    path = url(
        "EntityDefinitions",
        select="LogicalName,SchemaName,EntitySetName,PrimaryIdAttribute,DisplayName",
        filter="IsCustomEntity eq true",
    )
    tables = (await channel.get(path, TABLES, headers=STRONG))["value"]
    table = next((row for row in tables if label(row.get("DisplayName")) == CONFIG_LABEL), None)
    if table is None:
        return None
    below = f"EntityDefinitions(LogicalName='{table['LogicalName']}')/ManyToOneRelationships"
    path = url(
        below,
        select="ReferencingAttribute,ReferencingEntityNavigationPropertyName",
        filter="ReferencedEntity eq 'systemuser' and IsCustomRelationship eq true",
    )
    links = (await channel.get(path, RELATIONSHIPS, headers=STRONG))["value"]
    if not links:
        return None
    return ConfigTable(
        logical_name=table["LogicalName"],
        schema_name=table["SchemaName"],
        entity_set=table["EntitySetName"],
        key=table["PrimaryIdAttribute"],
        lookup=f"_{links[0]['ReferencingAttribute']}_value",
        navigation=links[0]["ReferencingEntityNavigationPropertyName"],
    )


async def read_config(channel: Channel, table: ConfigTable) -> ConfigRecord | None:
    """The table's record."""
    path = url(table.entity_set, select=table.lookup, orderby="createdon asc")
    found = (await channel.get(path, keyed(table.key), entity=table.logical_name))["value"]
    if not found:
        return None
    named = found[0].get(table.lookup)
    return ConfigRecord(table, found[0][table.key], str(named).lower() if named else None)


async def name_user(channel: Channel, record: ConfigRecord, user_id: str | None) -> None:
    """Let the record name this user, or none."""
    value = f"/systemusers({user_id})" if user_id else None
    body = {f"{record.table.navigation}@odata.bind": value}
    await rows.update(channel, record.table.entity_set, record.id, body)
