"""Solution files for tests: small zips with the two documents of an export, and one like Marketo's.

Marketo's own solution is downloaded by its customers and not public; ``marketo_solution`` has what its set-up guide
names: the role "Marketo Sync User", the table "Marketo Config", plug-in steps on leads, contacts, accounts and so on.
"""

from __future__ import annotations

import base64
import io
import uuid
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from crmsync.sandbox.dataverse.plugin_steps import message_id
from crmsync.sandbox.dataverse.privileges import SYNC_ROLE_PRIVILEGES

MARKETO_SOLUTION = "MarketoLeadManagement"
MARKETO_TABLES = ("lead", "contact", "account", "opportunity", "systemuser")
MARKETO_MESSAGES = ("Create", "Update", "Delete")
SYNC_PRIVILEGES = (*SYNC_ROLE_PRIVILEGES, "prvReadmkt_Config", "prvAppendTomkt_Config")


@dataclass(frozen=True)
class Step:
    """A plug-in step to register."""

    message: str
    table: str
    disabled: bool = False

    @property
    def name(self) -> str:
        return f"Marketo.Plugins: {self.message} of {self.table}"

    def xml(self) -> str:
        return (
            f"<SdkMessageProcessingStep Name={quoteattr(self.name)} "
            f"SdkMessageProcessingStepId='{{{fixed_id(self.name)}}}'>"
            f"<SdkMessageId>{message_id(self.message)}</SdkMessageId><PrimaryEntity>{self.table}</PrimaryEntity>"
            f"<Stage>40</Stage><Mode>1</Mode><Rank>1</Rank><StateCode>{int(self.disabled)}</StateCode>"
            "</SdkMessageProcessingStep>"
        )


def fixed_id(name: str) -> str:
    """The same id in every version of a solution."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def solution_zip(
    unique_name: str = "Small",
    version: str = "1.0.0.0",
    *,
    managed: bool = True,
    needs: Iterable[str] = (),
    customizations: str = "",
) -> bytes:
    """A solution's file. ``needs`` are tables that must be there before."""
    required = "".join(
        f"<MissingDependency><Required type='1' schemaName='{name}' displayName='{name}' solution='Other (1.0)'/>"
        "</MissingDependency>"
        for name in needs
    )
    manifest = (
        "<ImportExportXml version='9.2'><SolutionManifest>"
        f"<UniqueName>{unique_name}</UniqueName>"
        f"<LocalizedNames><LocalizedName description='{unique_name}' languagecode='1033'/></LocalizedNames>"
        f"<Version>{version}</Version><Managed>{int(managed)}</Managed>"
        "<Publisher><UniqueName>Marketo</UniqueName><CustomizationPrefix>mkt</CustomizationPrefix>"
        "<CustomizationOptionValuePrefix>30000</CustomizationOptionValuePrefix></Publisher>"
        f"<MissingDependencies>{required}</MissingDependencies></SolutionManifest></ImportExportXml>"
    )
    brought = f"<ImportExportXml>{customizations}</ImportExportXml>"
    return zipped({"solution.xml": manifest, "customizations.xml": brought})


def zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def base64_of(data: bytes) -> str:
    """As ``CustomizationFile`` takes it."""
    return base64.b64encode(data).decode()


def marketo_solution(
    version: str = "5.0.2.1", *, disabled: Sequence[str] = (), tables: Sequence[str] = MARKETO_TABLES
) -> bytes:
    """A solution like Marketo's. The steps on the tables in ``disabled`` come switched off."""
    steps = [Step(message, table, table in disabled) for table in tables for message in MARKETO_MESSAGES]
    held = "".join(f"<RolePrivilege name='{name}' level='Global'/>" for name in SYNC_PRIVILEGES)
    role = f"<Role id='{{{fixed_id('role')}}}' name='Marketo Sync User'><RolePrivileges>{held}</RolePrivileges></Role>"
    parts = (
        f"<Entities>{_CONFIG}</Entities><EntityRelationships>{_CONFIG_USER}</EntityRelationships>"
        f"<Roles>{role}</Roles>"
        f"<SdkMessageProcessingSteps>{''.join(step.xml() for step in steps)}</SdkMessageProcessingSteps>"
    )
    return solution_zip(MARKETO_SOLUTION, version, customizations=parts)


_CONFIG = (
    "<Entity><Name LocalizedName='Marketo Config'>mkt_Config</Name><EntityInfo><entity Name='mkt_Config'>"
    "<LocalizedNames><LocalizedName description='Marketo Config' languagecode='1033'/></LocalizedNames>"
    "<LocalizedCollectionNames><LocalizedCollectionName description='Marketo Configs' languagecode='1033'/>"
    "</LocalizedCollectionNames><attributes>"
    "<attribute PhysicalName='mkt_Name'><Type>nvarchar</Type><Length>100</Length><DisplayMask>PrimaryName</DisplayMask>"
    "<displaynames><displayname description='Name' languagecode='1033'/></displaynames></attribute>"
    "</attributes><EntitySetName>mkt_configs</EntitySetName><OwnershipTypeMask>UserOwned</OwnershipTypeMask>"
    "</entity></EntityInfo></Entity>"
)
_CONFIG_USER = (
    "<EntityRelationship Name='mkt_systemuser_mkt_config_MarketoUser'>"
    "<EntityRelationshipType>OneToMany</EntityRelationshipType><ReferencingEntityName>mkt_Config</ReferencingEntityName>"
    "<ReferencedEntityName>SystemUser</ReferencedEntityName>"
    "<ReferencingAttributeName>mkt_MarketoUser</ReferencingAttributeName>"
    "<RelationshipDescription><Descriptions><Description description='Marketo User' languagecode='1033'/>"
    "</Descriptions></RelationshipDescription></EntityRelationship>"
)
