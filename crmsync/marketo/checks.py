"""Looks at a subscription without changing it: permissions of the API user, native sync on or off.

Marketo has no call that tells a user's permissions, so each is found by a call that needs it and can write nothing:

- *Read-Write Lead*: Sync Leads with ``updateOnly``, by an e-mail address under ``.invalid``, a top-level domain that
  can never exist (RFC 2606). Nobody has it, so the record is skipped (1004); if somebody had, the record holds nothing
  but the address that is there already.
- *Read-Write Company*, *Read-Write Sales Person*, *Read-Write Opportunity*: the same with an external id that no CRM
  gives out; skipped with 1013, or 1018 while the native sync is on. ``updateOnly`` never creates, and the record is
  only its key.
- *Read-Write Schema Custom Field*: reading one page of the field schema, which needs this permission (or its sister for
  standard fields: a user with that one alone looks better here than it is).
- *Read-Only Activity*: asking for a paging token.
- *Read-Write Custom Object*: an update of a custom object type that does not exist. *Read-Write Custom Object Type*:
  reading the types (with its read-only sister alone a user looks better here than it is). Only where they are needed.

Only 603 means that the permission lacks: every other answer came from behind the permission check.

Source: the OpenAPI file (permission of each call), "Error Codes" (603, 1018), "Companies" (native sync).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from crmsync.errors import (
    CredentialsRefused,
    CrmsyncError,
    NativeSyncOn,
    PermissionMissing,
    TenantFileWrong,
    TryAgainLater,
)
from crmsync.marketo.calls import (
    CUSTOM_OBJECT_PERMISSIONS,
    NEEDED_PERMISSIONS,
    PAGING_TOKEN,
    QUERY_FIELDS,
    QUERY_TYPES,
    SYNC_COMPANIES,
    SYNC_CUSTOM_OBJECTS,
    SYNC_OPPORTUNITIES,
    SYNC_PEOPLE,
    SYNC_SALES_PERSONS,
    Call,
    Known,
)
from crmsync.marketo.rest import Rest

NOBODY = "crmsync-probe@crmsync.invalid"
NO_TYPE = "crmsync_probe_of_no_type"
NO_RECORD = "crmsync-probe-of-a-record-that-does-not-exist"

_BY_DEDUPE_FIELDS = {"action": "updateOnly", "dedupeBy": "dedupeFields"}
COMPANY_PROBE: dict[str, Any] = {**_BY_DEDUPE_FIELDS, "input": [{"externalCompanyId": NO_RECORD}]}
PROBES: tuple[tuple[Call, dict[str, Any]], ...] = (
    (SYNC_PEOPLE, {"action": "updateOnly", "lookupField": "email", "input": [{"email": NOBODY}]}),
    (SYNC_COMPANIES, COMPANY_PROBE),
    (SYNC_SALES_PERSONS, {**_BY_DEDUPE_FIELDS, "input": [{"externalSalesPersonId": NO_RECORD}]}),
    (SYNC_OPPORTUNITIES, {**_BY_DEDUPE_FIELDS, "input": [{"externalOpportunityId": NO_RECORD}]}),
    (QUERY_FIELDS, {"batchSize": "1"}),
    (PAGING_TOKEN, {"sinceDatetime": "2026-01-01T00:00:00Z"}),
)
CUSTOM_OBJECT_PROBES: tuple[tuple[Call, dict[str, Any]], ...] = (
    (SYNC_CUSTOM_OBJECTS.at(name=NO_TYPE), {**_BY_DEDUPE_FIELDS, "input": [{"dynamicsId": NO_RECORD}]}),
    (QUERY_TYPES, {"names": NO_TYPE}),
)
"""A call, and its body when it is a POST, or its parameters when it is a GET."""


async def permissions(rest: Rest, *, custom_objects: bool = False) -> dict[str, bool]:
    """Each permission that crmsync needs, by its name in Marketo's role editor, and whether the API user has it."""
    probes = PROBES + (CUSTOM_OBJECT_PROBES if custom_objects else ())
    names = NEEDED_PERMISSIONS + (CUSTOM_OBJECT_PERMISSIONS if custom_objects else ())
    found = {str(call.permission): await _is_allowed(rest, call, body) for call, body in probes}
    return {name: found[name] for name in names}


async def native_sync_is_on(rest: Rest) -> bool:
    """Whether Marketo's own CRM sync is on: then a company cannot be written (1018)."""
    try:
        answer = await rest.send(_harmless(SYNC_COMPANIES), body=orjson.dumps(COMPANY_PROBE))
    except NativeSyncOn:
        return True
    except CrmsyncError as error:
        if not _came_past_the_door(error):
            raise
        return False
    reasons = [reason for row in answer.result for reason in row.get("reasons") or []]
    return any(str(reason.get("code")) == "1018" for reason in reasons)


async def _is_allowed(rest: Rest, call: Call, body: dict[str, Any]) -> bool:
    try:
        if call.method == "GET":
            await rest.send(call, params=body)
        else:
            await rest.send(_harmless(call), body=orjson.dumps(body))
    except PermissionMissing:
        return False
    except CrmsyncError as error:
        if not _came_past_the_door(error):
            raise
    return True


def _harmless(call: Call) -> Call:
    """A write that cannot write anything, so that it may be repeated whatever became of it."""
    return replace(call, repeat_if=Known.NOTHING)


def _came_past_the_door(error: CrmsyncError) -> bool:
    """Whether an error says something about the record, not about who asks or the way there."""
    return not isinstance(error, TryAgainLater | CredentialsRefused | TenantFileWrong | PermissionMissing)
