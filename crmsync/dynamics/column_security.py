"""What only the checks look at in an organization's schema: secured columns, who may read them, and English labels.

A secured column without permission reads as empty, without an error, so it must be known before. "Column-level security
with code", fieldpermission table reference, "Query schema definitions" (Microsoft's documents).
"""

from __future__ import annotations

from crmsync.dynamics.answers import LABELLED, SECURED
from crmsync.dynamics.channel import Channel, url
from crmsync.dynamics.metadata import ENGLISH, STRONG
from crmsync.dynamics.setup_answers import FIELD_PERMISSIONS, PROFILES


async def secured_columns(channel: Channel, entity: str) -> frozenset[str]:
    """The columns of an entity that column security protects."""
    path = url(
        f"EntityDefinitions(LogicalName='{entity}')/Attributes",
        select="LogicalName,IsSecured",
        filter="IsSecured eq true",
    )
    body = await channel.get(path, SECURED, entity=entity, headers=STRONG)
    return frozenset(row["LogicalName"] for row in body["value"] if row.get("IsSecured"))


async def readable_secured(channel: Channel, user_id: str) -> frozenset[tuple[str, str]]:
    """Entity and column of each secured column that the user's column security profiles let it read."""
    path = url(f"systemusers({user_id})/systemuserprofiles_association", select="fieldsecurityprofileid")
    profiles = (await channel.get(path, PROFILES, entity="fieldsecurityprofile"))["value"]
    if not profiles:
        return frozenset()
    wanted = " or ".join(f"_fieldsecurityprofileid_value eq {one['fieldsecurityprofileid']}" for one in profiles)
    path = url("fieldpermissions", select="entityname,attributelogicalname,canread", filter=wanted)
    body = await channel.get(path, FIELD_PERMISSIONS, entity="fieldpermission")
    return frozenset((row["entityname"], row["attributelogicalname"]) for row in body["value"] if row.get("canread"))


async def has_english_labels(channel: Channel, entity: str) -> bool:
    """Whether an entity's own name is there in English."""
    path = url(f"EntityDefinitions(LogicalName='{entity}')", select="DisplayName")
    row = await channel.get(path, LABELLED, entity=entity)
    texts = (row.get("DisplayName") or {}).get("LocalizedLabels") or ()
    return any(text.get("LanguageCode") == ENGLISH for text in texts)
