"""Changes to tables: the filter column ``new_synctomkto``, and change tracking.

"Create and update column definitions using the Web API", "Create and update table definitions using the Web API",
"Use change tracking to synchronize data with external systems" (Microsoft's documents); "Create a Custom Dynamics Sync
Filter" (Marketo's documents) for the column's name and for No as its default.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crmsync.dynamics.answers import DEFINITION, METADATA_IDS, READ_PRIVILEGE, TRACKED, done
from crmsync.dynamics.channel import Channel, url
from crmsync.dynamics.metadata import ENGLISH, STRONG, label
from crmsync.errors import ChangeTrackingOff, EntityMissing

FILTER_COLUMN = "new_synctomkto"
_FILTER_SCHEMA_NAME = "new_SyncToMkto"
_TYPE = "Microsoft.Dynamics.CRM."
MERGE_LABELS = {"MSCRM.MergeLabels": "true"}


@dataclass(frozen=True)
class Tracking:
    """Whether an entity is tracked, and whether it could be."""

    entity: str
    name: str
    on: bool
    possible: bool


async def filter_column(channel: Channel, entity: str) -> str | None:
    """The metadata id of the filter column, where the entity has it."""
    wanted = url(f"{_entity(entity)}/Attributes", select="MetadataId", filter=f"LogicalName eq '{FILTER_COLUMN}'")
    found = (await channel.get(wanted, METADATA_IDS, entity=entity, headers=STRONG))["value"]
    return str(found[0]["MetadataId"]).lower() if found else None


async def create_filter_column(channel: Channel, entity: str, *, headers: Mapping[str, str]) -> None:
    """Make the column. New records get No, as Marketo recommends; those that exist stay empty, which means Yes."""
    definition = {
        "@odata.type": f"{_TYPE}BooleanAttributeMetadata",
        "AttributeType": "Boolean",
        "AttributeTypeName": {"Value": "BooleanType"},
        "SchemaName": _FILTER_SCHEMA_NAME,
        "DefaultValue": False,
        "RequiredLevel": {
            "Value": "None",
            "CanBeChanged": True,
            "ManagedPropertyLogicalName": "canmodifyrequirementlevelsettings",
        },
        "DisplayName": _label("Sync to Marketo"),
        "Description": _label("No keeps the record out of Marketo."),
        "OptionSet": {
            "@odata.type": f"{_TYPE}BooleanOptionSetMetadata",
            "OptionSetType": "Boolean",
            "TrueOption": {"Value": 1, "Label": _label("Yes")},
            "FalseOption": {"Value": 0, "Label": _label("No")},
        },
    }
    path = f"{_entity(entity)}/Attributes"
    await channel.send("POST", path, entity=entity, headers=headers, json=definition, repeatable=False, read=done)


async def tracking(channel: Channel, entity: str) -> Tracking:
    """How change tracking stands for an entity."""
    wanted = "LogicalName,DisplayName,ChangeTrackingEnabled,CanChangeTrackingBeEnabled"
    row = await channel.get(url(_entity(entity), select=wanted), TRACKED, entity=entity, headers=STRONG)
    possible = bool((row.get("CanChangeTrackingBeEnabled") or {}).get("Value"))
    return Tracking(entity, label(row.get("DisplayName")) or entity, bool(row.get("ChangeTrackingEnabled")), possible)


async def tracking_of(channel: Channel, entities: Sequence[str], *, optional: Container[str] = ()) -> list[Tracking]:
    """How change tracking stands for these entities, without optional ones that the organization does not have."""
    found = []
    for entity in entities:
        try:
            found.append(await tracking(channel, entity))
        except EntityMissing:
            if entity not in optional:
                raise
    return found


async def read_privilege(channel: Channel, entity: str) -> str | None:
    """The name of the privilege to read the rows of a table, as its definition tells it; raises ``EntityMissing``."""
    row = await channel.get(url(_entity(entity), select="Privileges"), READ_PRIVILEGE, entity=entity)
    return next((one["Name"] for one in row.get("Privileges") or [] if one.get("PrivilegeType") == "Read"), None)


async def enable_tracking(channel: Channel, found: Tracking) -> None:
    """Enable change tracking, for ever: Dataverse does not let it be switched off again."""
    if not found.possible:
        raise ChangeTrackingOff(
            f"The organization does not let change tracking be enabled for {found.entity}",
            remedy="Ask whoever owns the managed solution of this table to allow it (managed property 'Can change "
            "tracking be enabled').",
            tenant=channel.tenant,
            entity=found.entity,
        )
    path = _entity(found.entity)
    definition: dict[str, Any] = await channel.get(path, DEFINITION, entity=found.entity, headers=STRONG)
    # What a PUT leaves out is reset, so the whole definition goes back with one member changed.
    whole = {name: value for name, value in definition.items() if name != "@odata.context"}
    whole |= {"@odata.type": f"{_TYPE}EntityMetadata", "ChangeTrackingEnabled": True}
    await channel.send("PUT", path, entity=found.entity, headers=MERGE_LABELS, json=whole, read=done)


def _entity(name: str) -> str:
    return f"EntityDefinitions(LogicalName='{name}')"


def _label(text: str) -> dict[str, Any]:
    return {
        "@odata.type": f"{_TYPE}Label",
        "LocalizedLabels": [{"@odata.type": f"{_TYPE}LocalizedLabel", "Label": text, "LanguageCode": ENGLISH}],
    }
