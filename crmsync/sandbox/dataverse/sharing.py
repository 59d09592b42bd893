"""Sharing of single rows with users and teams: ``GrantAccess``, ``ModifyAccess``, ``RevokeAccess``.

"GrantAccess Action", "RevokeAccess Action" (Dataverse Web API reference), "Security concepts: record sharing".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crmsync.sandbox.dataverse.errors import bad_request, no_row
from crmsync.sandbox.dataverse.messages import Answer, Request, parse_guid
from crmsync.sandbox.dataverse.metadata_json import NAMESPACE
from crmsync.sandbox.dataverse.privileges import RIGHTS, privilege
from crmsync.sandbox.dataverse.visibility import require_row

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.schema import LiveTable
    from crmsync.sandbox.dataverse.store import DataverseStore

_PRINCIPALS = {"systemuser": "systemuserid", "team": "teamid"}


def grant_access(store: DataverseStore, request: Request) -> Answer:
    """Let a user or a team do with one row what ``AccessMask`` says: ``ReadAccess,WriteAccess``."""
    body = request.json()
    table, row_id = _target(store, request, body)
    access = body.get("PrincipalAccess") or {}
    rights = [one.strip() for one in str(access.get("AccessMask", "")).split(",")]
    if not set(rights) <= {f"{right}Access" for right in RIGHTS}:
        raise bad_request(f"The access mask '{access.get('AccessMask')}' is not valid.")
    row = (table.name, row_id, _principal(access.get("Principal")), ",".join(rights))
    store.database.write("INSERT OR REPLACE INTO _shared VALUES (?, ?, ?, ?)", row)
    return Answer()


def revoke_access(store: DataverseStore, request: Request) -> Answer:
    """Share one row with this user or team no more."""
    body = request.json()
    table, row_id = _target(store, request, body)
    row = (table.name, row_id, _principal(body.get("Revokee")))
    store.database.write("DELETE FROM _shared WHERE entity = ? AND id = ? AND principalid = ?", row)
    return Answer()


def _target(store: DataverseStore, request: Request, body: dict[str, Any]) -> tuple[LiveTable, str]:
    """The row, which the caller may share."""
    target = body.get("Target") or {}
    table = store.schema.tables.get(str(target.get("@odata.type", "")).rpartition(".")[2])
    if table is None or "ownerid" not in table.stored or table.primary_id not in target:
        raise bad_request("The required parameter 'Target' is missing, or cannot be shared.")
    row_id = parse_guid(str(target[table.primary_id]))
    name = privilege("Share", table.definition.schema_name)
    request.caller.require(name, table.name, table.definition.type_code)
    if store.get(table, row_id) is None:
        raise no_row(table.name, row_id)
    require_row(store, request.caller, table, row_id, "Share")
    return table, row_id


def _principal(given: dict[str, Any] | None) -> str:
    kind = str((given or {}).get("@odata.type", "")).removeprefix("#").removeprefix(NAMESPACE)
    if given is None or kind not in _PRINCIPALS or _PRINCIPALS[kind] not in given:
        raise bad_request("A principal is a systemuser or a team, with its id.")
    return parse_guid(str(given[_PRINCIPALS[kind]]))
