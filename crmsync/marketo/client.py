"""The client of one Marketo subscription: people, companies, owners, opportunities, imports, schema, checks.

Each method is one thing to do, whatever number of calls it takes; the calls share one budget, one token and one
connection pool. Methods raise the errors of ``crmsync.errors``; what a single record did wrong is in its ``Outcome``.

Source: Marketo's "REST API" pages; which page stands behind a method is told in the module that it hands over to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import SecretStr

from crmsync.marketo import activities, checks, custom_types, fields, lists, objects, people
from crmsync.marketo.activities import ActivityPage
from crmsync.marketo.auth import USER_AGENT, MarketoAuth
from crmsync.marketo.bulk import Imports
from crmsync.marketo.outcomes import Outcome
from crmsync.marketo.quota import Budget
from crmsync.marketo.rest import Rest
from crmsync.marketo.schema import CustomObjects, MarketoSchema, NewCustomObject, NewPersonField
from crmsync.tenants import MarketoConnection, Quota
from crmsync.trust import trusted


class MarketoClient:
    """One subscription, seen through one API user. Use it as an async context manager.

    ``clock`` gives seconds since the epoch, for tokens and quotas; ``transport`` and ``sleep`` are seams for tests.
    Every request passes ``clearance`` right before it is sent.
    """

    def __init__(
        self,
        connection: MarketoConnection,
        secret: SecretStr,
        *,
        tenant: str,
        quota: Quota,
        ca_path: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
        clearance: Callable[[httpx.Request], Awaitable[None]] | None = None,
    ) -> None:
        self._clock = clock
        self._budget = Budget(
            quota.marketo_calls_per_20_seconds,
            quota.marketo_concurrent_calls,
            quota.marketo_calls_per_day,
            clock=clock,
            sleep=sleep,
            tenant=tenant,
        )
        self._auth = auth = MarketoAuth(connection.base_url, connection.client_id, secret, tenant=tenant, clock=clock)
        self._http = httpx.AsyncClient(
            base_url=connection.base_url,
            auth=auth,
            headers={"User-Agent": USER_AGENT},
            transport=transport,
            event_hooks={"request": [clearance] if clearance else []},
            verify=trusted(ca_path, tenant) if transport is None else True,
            limits=httpx.Limits(max_connections=quota.marketo_concurrent_calls + 1),
        )
        self._rest = Rest(self._http, auth, self._budget, tenant=tenant, sleep=sleep)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    @property
    def budget(self) -> Budget:
        """What is left of our share of the day (``left_today``, ``day_ends``)."""
        return self._budget

    # Who and what

    def address_is_proven(self) -> None:
        """The tenant is bound to what answers here, so that another answer is not its address's fault."""
        self._auth.answered = True

    async def identity(self) -> str:
        """The API user's e-mail, which proves the credentials. Costs no call."""
        return await self._rest.identity()

    @property
    def server_time(self) -> datetime | None:
        """The identity service's own clock at its last answer (UTC)."""
        return self._auth.server_time

    @property
    def time(self) -> datetime | None:
        """What Marketo's clock shows now (UTC), by the ``Date`` of its last answer; None before the first."""
        return self._rest.time

    async def usage_today(self) -> int:
        """Calls that this API user has made today (US Central), by Marketo's own statistics."""
        return await self._rest.used_today()

    async def permissions(self, *, custom_objects: bool = False) -> dict[str, bool]:
        """Each permission that crmsync needs, for custom objects too, and whether the API user has it; writes
        nothing."""
        return await checks.permissions(self._rest, custom_objects=custom_objects)

    async def native_sync_is_on(self) -> bool:
        """Whether Marketo's own CRM sync is on, beside which crmsync cannot work; writes nothing."""
        return await checks.native_sync_is_on(self._rest)

    # Schema

    async def schema(self) -> MarketoSchema:
        """A snapshot of the fields of people, companies, sales persons and, where they are there, opportunities."""
        return await fields.read_schema(self._rest, now=self._clock())

    async def create_person_fields(self, new: Sequence[NewPersonField]) -> dict[str, Outcome]:
        """Create custom person fields, which can never be deleted again; the outcome of each by its name."""
        return await fields.create_person_fields(self._rest, new)

    # People

    async def sync_people(
        self,
        records: Sequence[Mapping[str, Any]],
        *,
        action: str = "createOrUpdate",
        lookup_field: str = "dynamicsId",
    ) -> list[Outcome]:
        """Write people by ``lookup_field``; an outcome for each record, in order.

        ``TransportFailed`` means that an answer was lost and the write may still be executed: settle the records before
        any of their keys is sent again.
        """
        return await people.sync_people(self._rest, records, action=action, lookup_field=lookup_field)

    async def people(self, filter_type: str, values: Sequence[str], fields: Sequence[str]) -> list[dict[str, Any]]:
        """The people whose ``filter_type`` has one of ``values``: any number of them."""
        return await people.find_people(self._rest, filter_type, values, fields)

    async def delete_people(self, marketo_ids: Sequence[int]) -> list[Outcome]:
        """Delete people by Marketo's id; one who is gone already counts as deleted."""
        return await people.delete_people(self._rest, marketo_ids)

    async def merge_people(self, winner: int, losers: Sequence[int]) -> None:
        """Merge people into one, which cannot be undone. Raises ``RecordMissing`` when one of them is not there, and
        ``TransportFailed`` when nobody knows whether it was done."""
        await people.merge_people(self._rest, winner, losers)

    # What happened to people, and lists

    async def paging_token(self, since: datetime) -> str:
        """The token from which activities since this moment are read."""
        return await activities.paging_token(self._rest, since)

    def lead_changes(
        self, token: str, fields: Sequence[str], *, seen: Sequence[str] = ()
    ) -> AsyncGenerator[ActivityPage, None]:
        """Pages of changes of these fields since ``token``, without those ``seen``; raises ``PagingTokenRefused``."""
        return activities.lead_changes(self._rest, token, fields, seen=seen)

    def deletions(self, token: str, *, seen: Sequence[str] = ()) -> AsyncGenerator[ActivityPage, None]:
        """Pages of people deleted since ``token``; raises ``PagingTokenRefused``."""
        return activities.deletions(self._rest, token, seen=seen)

    def activities(
        self, token: str, types: Sequence[int], *, seen: Sequence[str] = ()
    ) -> AsyncGenerator[ActivityPage, None]:
        """Pages of activities of these types since ``token``; raises ``PagingTokenRefused``."""
        return activities.activities(self._rest, token, types, seen=seen)

    async def static_lists(self, **by: str | int) -> list[lists.StaticList]:
        """The static lists of this ``name``, however it is capitalized, or of this ``id``."""
        return await lists.static_lists(self._rest, {key: str(value) for key, value in by.items()})

    def list_members(self, number: int, fields: Sequence[str]) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Pages of a static list's members."""
        return lists.members(self._rest, number, fields)

    # Companies and sales persons

    async def sync_companies(
        self, records: Sequence[Mapping[str, Any]], *, action: str = "createOrUpdate"
    ) -> list[Outcome]:
        """Write companies by ``externalCompanyId``; as ``sync_people``."""
        return await objects.sync_objects(self._rest, objects.COMPANIES, records, action=action)

    async def companies(self, filter_type: str, values: Sequence[str], fields: Sequence[str]) -> list[dict[str, Any]]:
        """The companies whose ``filter_type`` has one of ``values``."""
        return await objects.find_objects(self._rest, objects.COMPANIES, filter_type, values, fields)

    async def sync_sales_persons(
        self, records: Sequence[Mapping[str, Any]], *, action: str = "createOrUpdate"
    ) -> list[Outcome]:
        """Write sales persons by ``externalSalesPersonId``; as ``sync_people``."""
        return await objects.sync_objects(self._rest, objects.SALES_PERSONS, records, action=action)

    async def sales_persons(
        self, filter_type: str, values: Sequence[str], fields: Sequence[str]
    ) -> list[dict[str, Any]]:
        """The sales persons whose ``filter_type`` has one of ``values``."""
        return await objects.find_objects(self._rest, objects.SALES_PERSONS, filter_type, values, fields)

    # Opportunities and their roles

    async def sync_opportunities(
        self, records: Sequence[Mapping[str, Any]], *, action: str = "createOrUpdate"
    ) -> list[Outcome]:
        """Write opportunities by ``externalOpportunityId``; as ``sync_people``."""
        return await objects.sync_objects(self._rest, objects.OPPORTUNITIES, records, action=action)

    async def opportunities(
        self, filter_type: str, values: Sequence[str], fields: Sequence[str]
    ) -> list[dict[str, Any]]:
        """The opportunities whose ``filter_type`` has one of ``values``."""
        return await objects.find_objects(self._rest, objects.OPPORTUNITIES, filter_type, values, fields)

    async def delete_opportunities(self, ids: Sequence[str]) -> list[Outcome]:
        """Delete opportunities by ``externalOpportunityId``; one that has roles stays (1022)."""
        keys = [{"externalOpportunityId": one} for one in ids]
        return await objects.delete_objects(self._rest, objects.OPPORTUNITIES, keys)

    async def sync_roles(
        self, records: Sequence[Mapping[str, Any]], *, action: str = "createOrUpdate"
    ) -> list[Outcome]:
        """Write roles by opportunity, person (Marketo's id) and role name; as ``sync_people``."""
        return await objects.sync_objects(self._rest, objects.ROLES, records, action=action)

    async def roles(self, filter_type: str, values: Sequence[str], fields: Sequence[str]) -> list[dict[str, Any]]:
        """The roles whose ``filter_type`` (``externalOpportunityId``, ``leadId``) has one of ``values``."""
        return await objects.find_objects(self._rest, objects.ROLES, filter_type, values, fields)

    async def roles_by_key(self, keys: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> list[dict[str, Any]]:
        """The roles that have one of these keys (``externalOpportunityId``, ``leadId``, ``role``)."""
        return await objects.find_by_key(self._rest, objects.ROLES, keys, fields)

    async def delete_roles(self, keys: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        """Delete roles by their key; one that is gone already counts as deleted."""
        return await objects.delete_objects(self._rest, objects.ROLES, keys)

    # Custom objects

    async def custom_object_types(self) -> CustomObjects:
        """The custom object types, and what a new one may link to. Raises ``FeatureMissing``, ``PermissionMissing``."""
        return await custom_types.read_types(self._rest)

    async def make_custom_object(self, new: NewCustomObject) -> None:
        """Make and approve a custom object type, or the fields that it lacks; safe to repeat."""
        await custom_types.make_type(self._rest, new)

    async def sync_custom_objects(
        self, name: str, key: str, records: Sequence[Mapping[str, Any]], *, action: str = "createOrUpdate"
    ) -> list[Outcome]:
        """Write custom objects of the type ``name`` by its dedupe field ``key``; as ``sync_people``."""
        return await objects.sync_objects(self._rest, objects.custom_objects(name, key), records, action=action)

    async def custom_objects(
        self, name: str, filter_type: str, values: Sequence[str], fields: Sequence[str]
    ) -> list[dict[str, Any]]:
        """The custom objects whose ``filter_type`` has one of ``values``."""
        calls = objects.custom_objects(name, filter_type)
        return await objects.find_objects(self._rest, calls, filter_type, values, fields)

    async def delete_custom_objects(self, name: str, key: str, values: Sequence[str]) -> list[Outcome]:
        """Delete custom objects by their dedupe field; one that is gone already counts as deleted."""
        keys = [{key: one} for one in values]
        return await objects.delete_objects(self._rest, objects.custom_objects(name, key), keys)

    # Bulk import

    def imports(self, custom_object: str | None = None) -> Imports:
        """Imports of people, or of the custom objects of the type with this API name."""
        return Imports(self._rest, custom_object)
