"""The client of one Dynamics organization: who we are, what there is, what changed, and writes.

Facts: "Web API functions", "Use Web API actions", WhoAmI, RetrieveUserPrivileges, "Organization table reference"
(Microsoft's documents). What a request goes through is in ``crmsync.dynamics.channel``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msal

from crmsync.dynamics import definition_changes, metadata, rows, tracking
from crmsync.dynamics.answers import CURRENT_ORGANIZATION, ORGANIZATIONS, PRIVILEGES, USER, WHO_AM_I, done
from crmsync.dynamics.auth import Credential
from crmsync.dynamics.channel import Channel, url
from crmsync.dynamics.pacing import Sleep, together
from crmsync.dynamics.schema import DynamicsSchema, Entity
from crmsync.dynamics.tracking import ChangePage, Glance, Modified
from crmsync.dynamics.write_batch import Write, write_batch
from crmsync.errors import CrmsyncError, OperatorMustAct, PermissionMissing
from crmsync.tenants import DynamicsConnection

log = logging.getLogger("crmsync.dynamics")

DEPTHS = ("Basic", "Local", "Deep", "Global")
"""How far a privilege reaches, from the user's own records to the whole organization."""


@dataclass(frozen=True)
class WhoAmI:
    """Whom the organization takes us for."""

    user_id: str
    business_unit_id: str
    organization_id: str


@dataclass(frozen=True)
class Organization:
    """The organization's own row."""

    id: str
    name: str
    language_code: int | None
    change_tracking_expires_in_days: int | None


@dataclass(frozen=True)
class SystemUser:
    """A user; application users have an ``application_id``."""

    id: str
    full_name: str
    email: str | None
    is_disabled: bool
    application_id: str | None


class DynamicsClient:
    """An async context manager over one organization. Raises the errors of ``crmsync.errors`` only. Every request but
    a sign-in passes ``clearance`` right before it is sent."""

    def __init__(
        self,
        connection: DynamicsConnection,
        credential: Credential,
        *,
        tenant: str,
        ca_path: Path | None = None,
        concurrent: int = 8,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
        token_cache: msal.TokenCache | None = None,
        clearance: Callable[[httpx.Request], Awaitable[None]] | None = None,
    ) -> None:
        self._channel = Channel(
            connection,
            credential,
            tenant=tenant,
            ca_path=ca_path,
            concurrent=concurrent,
            transport=transport,
            sleep=sleep,
            token_cache=token_cache,
            clearance=clearance,
        )

    @property
    def channel(self) -> Channel:
        """For the calls of an administrator's set-up and of the checklist (``setup_...``, ``column_security``)."""
        return self._channel

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.aclose()

    def address_is_proven(self) -> None:
        """The tenant is bound to what answers here, so that another answer is not its address's fault."""
        self._channel.address_is_proven()

    async def sign_in(self) -> None:
        """Get a token from Entra ID; the organization is not asked."""
        await self._channel.sign_in()

    async def who_am_i(self) -> WhoAmI:
        """Proves that the organization answers and has an application user for us."""
        body = await self._channel.get("WhoAmI", WHO_AM_I)
        return WhoAmI(*(str(body[name]).lower() for name in ("UserId", "BusinessUnitId", "OrganizationId")))

    async def organization(self) -> Organization:
        """The organization's row."""
        wanted = "organizationid,name,languagecode,expirechangetrackingindays"
        path = url("organizations", select=wanted)
        found: list[dict[str, Any]] = []
        for _ in range(2):  # one empty answer may be anybody's
            found = found or (await self._channel.get(path, ORGANIZATIONS, entity="organization"))["value"]
        if not found:
            raise PermissionMissing(
                "The organization's own row cannot be read",
                remedy="Give the application user's security role the privilege prvReadOrganization.",
                tenant=self._channel.tenant,
                entity="organization",
            )
        row = found[0]
        return Organization(
            id=row["organizationid"].lower(),
            name=row["name"],
            language_code=row.get("languagecode"),
            change_tracking_expires_in_days=row.get("expirechangetrackingindays"),
        )

    async def friendly_name(self) -> str:
        """The organization's name as its administrators know it; the row's own ``name`` may be a made-up unique one.
        Empty where it is not told: nothing depends on it."""
        access = "AccessType=Microsoft.Dynamics.CRM.EndpointAccessType'Default'"
        path = f"RetrieveCurrentOrganization({access})"
        try:
            body = await self._channel.get(path, CURRENT_ORGANIZATION, entity="organization")
        except CrmsyncError as error:
            log.info("%s: the organization's friendly name is not known: %s", self._channel.tenant, error.message)
            return ""
        detail: dict[str, Any] = body["Detail"]
        return str(detail.get("FriendlyName") or detail.get("UniqueName") or "")

    async def user(self, user_id: str) -> SystemUser:
        """A user by id; raises ``RecordMissing``."""
        wanted = "systemuserid,fullname,internalemailaddress,isdisabled,applicationid"
        row = await self._channel.get(url(f"systemusers({user_id})", select=wanted), USER, entity="systemuser")
        return SystemUser(
            id=row["systemuserid"].lower(),
            full_name=row.get("fullname") or "",
            email=row.get("internalemailaddress"),
            is_disabled=bool(row.get("isdisabled")),
            application_id=row.get("applicationid"),
        )

    async def privilege_depths(self, user_id: str) -> dict[str, str]:
        """How far each of the user's privileges reaches (``DEPTHS``), through all roles and teams."""
        path = f"systemusers({user_id})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges"
        body = await self._channel.get(path, PRIVILEGES, entity="systemuser")
        depths: dict[str, str] = {}
        for row in body["RolePrivileges"]:
            name, depth = row["PrivilegeName"], row["Depth"]
            if name not in depths or DEPTHS.index(depth) > DEPTHS.index(depths[name]):
                depths[name] = depth
        return depths

    async def privileges(self, user_id: str) -> frozenset[str]:
        """The privileges that the user has in the whole organization, for example ``prvReadLead``."""
        return frozenset(name for name, depth in (await self.privilege_depths(user_id)).items() if depth == "Global")

    async def entity(self, logical_name: str) -> Entity:
        """An entity's definition with all its attributes; raises ``EntityMissing``."""
        return await metadata.read_entity(self._channel, logical_name)

    async def schema(self, logical_names: Iterable[str]) -> DynamicsSchema:
        """A snapshot of these entities."""
        entities = await together(self.entity(name) for name in logical_names)
        return DynamicsSchema(taken_at=datetime.now(UTC), entities={one.logical_name: one for one in entities})

    async def record_counts(self, logical_names: Iterable[str]) -> dict[str, int]:
        """Records per entity: a snapshot up to a day old, good for progress only."""
        return await rows.record_counts(self._channel, logical_names)

    async def glance(
        self,
        links: Mapping[str, str],
        lookup_types: Container[str] = (),
        *,
        stamp: str | None = None,
        also: Iterable[str] = (),
        modified: Sequence[Modified] = (),
    ) -> Glance:
        """Whether anything changed behind these delta links (by entity), in one request, and whether definitions, those
        of the entities in ``also`` as well, have changed since ``stamp``. Rows of the entities in ``lookup_types`` tell
        what their lookups lead to. Also the rows that were ``modified`` in small tables."""
        return await tracking.glance(self._channel, links, lookup_types, stamp=stamp, also=also, modified=modified)

    async def definitions_stamp(self, logical_names: Iterable[str]) -> str | None:
        """The stamp of these entities' definitions as they are now, for ``glance``; None where there is none."""
        try:
            body = await self._channel.get(definition_changes.question(logical_names, None), definition_changes.SHAPE)
        except OperatorMustAct:
            return None
        return str(body["ServerVersionStamp"])

    def changes(
        self,
        entity: Entity,
        select: Sequence[str],
        *,
        link: str | None = None,
        page_size: int = 5000,
        first: ChangePage | None = None,
        lookup_types: bool = False,
    ) -> AsyncGenerator[ChangePage, None]:
        """Pages of changes from ``link`` (a next or delta link), or of everything when it is None. ``first`` is the
        page behind ``link`` when a glance has read it. With ``lookup_types`` rows tell what their lookups lead to
        (``crmsync.dynamics.rows.lookup``).

        Raises ``ChangeTrackingExpired`` when a new first read is needed, ``ColumnMissing`` when a selected column is
        gone, ``ChangeTrackingOff`` when the entity is not tracked.
        """
        return tracking.changes(
            self._channel, entity, select, link=link, page_size=page_size, first=first, lookup_types=lookup_types
        )

    def read(
        self,
        entity: Entity,
        select: Sequence[str],
        *,
        filter: str | None = None,
        orderby: str | None = None,
        page_size: int = 5000,
        lookup_types: bool = False,
    ) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Pages of an ordinary read."""
        return rows.read(
            self._channel,
            entity,
            select,
            filter=filter,
            orderby=orderby,
            page_size=page_size,
            lookup_types=lookup_types,
        )

    async def read_by_ids(
        self,
        entity: Entity,
        select: Sequence[str],
        ids: Sequence[str],
        *,
        by: str | None = None,
        lookup_types: bool = False,
    ) -> list[dict[str, Any]]:
        """The records that have one of these ids, in no particular order: their own, or in a lookup's column ``by``."""
        return await rows.read_by_ids(self._channel, entity, select, ids, by=by, lookup_types=lookup_types)

    async def missing(self, entity: Entity, ids: Sequence[str]) -> list[str]:
        """Those of these records that do not exist, as the service says of each by its id. Raises
        ``PermissionMissing`` for one that the user may not read."""
        return await rows.missing(self._channel, entity, ids)

    async def create(self, entity_set: str, record: dict[str, Any]) -> str:
        """Create a record and return its id (lower case)."""
        return await rows.create(self._channel, entity_set, record)

    async def update(self, entity_set: str, record_id: str, changes: dict[str, Any]) -> None:
        """Change a record that exists; raises ``RecordMissing``."""
        await rows.update(self._channel, entity_set, record_id, changes)

    async def upsert(self, entity_set: str, record_id: str, record: dict[str, Any]) -> None:
        """Change a record, or create it with this id."""
        await rows.upsert(self._channel, entity_set, record_id, record)

    async def write_many(
        self, writes: Sequence[Write], *, entity: str, detect_duplicates: bool = False
    ) -> list[CrmsyncError | None]:
        """Write many rows, each on its own: None or the error of each, in order."""
        return await write_batch(self._channel, writes, entity=entity, detect_duplicates=detect_duplicates)

    async def delete(self, entity_set: str, record_id: str) -> None:
        """Delete a record; raises ``RecordMissing``."""
        await rows.delete(self._channel, entity_set, record_id)

    async def create_attribute(self, entity_logical_name: str, definition: dict[str, Any]) -> None:
        """Create a column. Data reads may not know it for some seconds."""
        path = f"EntityDefinitions(LogicalName='{entity_logical_name}')/Attributes"
        await self._channel.send("POST", path, entity=entity_logical_name, json=definition, repeatable=False, read=done)

    async def delete_attribute(self, entity_logical_name: str, attribute: str) -> None:
        """Delete a column, with everything in it."""
        path = f"EntityDefinitions(LogicalName='{entity_logical_name}')/Attributes(LogicalName='{attribute}')"
        await self._channel.send("DELETE", path, entity=entity_logical_name, read=done)
