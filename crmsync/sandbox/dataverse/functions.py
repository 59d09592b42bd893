"""Functions and actions: WhoAmI, RetrieveVersion, RetrieveCurrentOrganization, record counts, privileges, publishing.

"Use Web API functions" and "Use Web API actions" (Power Apps developer documents).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import orjson

from crmsync.sandbox.dataverse.database import quoted
from crmsync.sandbox.dataverse.errors import ODataError, bad_request, no_row
from crmsync.sandbox.dataverse.messages import Answer, Request, parse_guid, parse_parameters
from crmsync.sandbox.dataverse.privileges import DEPTHS, privileges_of
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.store import DataverseStore

VERSION = "9.2.24051.00123"
Unbound = Callable[[DataverseStore, Request], Answer]
Bound = Callable[[DataverseStore, LiveTable, str, Request], Answer]


def _response(request: Request, name: str, data: dict[str, Any]) -> Answer:
    return Answer.json({"@odata.context": f"{request.root}$metadata#Microsoft.Dynamics.CRM.{name}", **data})


def who_am_i(store: DataverseStore, request: Request) -> Answer:
    ids = {
        "BusinessUnitId": _business_unit(store, request.caller.user_id),
        "UserId": request.caller.user_id,
        "OrganizationId": store.org.organization_id,
    }
    return _response(request, "WhoAmIResponse", ids)


def _business_unit(store: DataverseStore, user_id: str) -> str:
    found = store.database.look("SELECT businessunitid FROM systemuser WHERE systemuserid = ?", (user_id,))
    return str(found[0][0])


def retrieve_version(store: DataverseStore, request: Request) -> Answer:
    return _response(request, "RetrieveVersionResponse", {"Version": VERSION})


def retrieve_current_organization(store: DataverseStore, request: Request) -> Answer:
    if "AccessType" not in parse_parameters(request, request.segments[0].key):
        raise bad_request("The required parameter 'AccessType' is missing.")
    org = store.org
    detail = {
        "OrganizationId": org.organization_id,
        "FriendlyName": org.friendly_name,
        "OrganizationVersion": VERSION,
        "EnvironmentId": str(uuid.uuid5(uuid.NAMESPACE_URL, org.organization_id)),
        "DatacenterId": "00000000-0000-0000-0000-000000000000",
        "Geo": "NA",
        "TenantId": org.directory.tenant_id,
        "UrlName": org.name,
        "UniqueName": org.name,
        "State": "Enabled",
        "Endpoints": {
            "Count": 3,
            "IsReadOnly": False,
            "Keys": ["WebApplication", "OrganizationService", "OrganizationDataService"],
            "Values": [
                f"{org.url}/",
                f"{org.url}/XRMServices/2011/Organization.svc",
                f"{org.url}/XRMServices/2011/OrganizationData.svc",
            ],
        },
    }
    return _response(request, "RetrieveCurrentOrganizationResponse", {"Detail": detail})


def retrieve_total_record_count(store: DataverseStore, request: Request) -> Answer:
    text = parse_parameters(request, request.segments[0].key).get("EntityNames") or request.query.get("@p1", "")
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise bad_request("The parameter 'EntityNames' must be a collection of strings.") from None
    for name in names:
        if name not in store.schema.tables:
            raise ODataError(
                404, "0x80060888", f"The entity with a name = '{name}' was not found in the MetadataCache."
            )
    counts = [store.database.read(f"SELECT count(*) FROM {quoted(name)}")[0][0] for name in names]
    collection = {"Count": len(names), "IsReadOnly": False, "Keys": names, "Values": counts}
    return _response(request, "RetrieveTotalRecordCountResponse", {"EntityRecordCountCollection": collection})


def retrieve_user_privileges(store: DataverseStore, table: LiveTable, row_id: str, request: Request) -> Answer:
    """Every privilege of a user through its roles, with its depth."""
    if store.get(table, row_id) is None:
        raise no_row(table.name, row_id)
    held = privileges_of(store, row_id)
    ids = dict(store.database.look("SELECT name, privilegeid FROM privilege"))
    unit = _business_unit(store, row_id)
    rows = [
        {"Depth": depth, "PrivilegeId": ids[name], "BusinessUnitId": unit, "PrivilegeName": name}
        for name, depth in held.items()
    ]
    return _response(request, "RetrieveUserPrivilegesResponse", {"RolePrivileges": rows})


def add_privileges_role(store: DataverseStore, table: LiveTable, row_id: str, request: Request) -> Answer:
    """Give privileges to a role, or make them deeper."""
    _change_role(store, table, row_id, request)
    return Answer()


def replace_privileges_role(store: DataverseStore, table: LiveTable, row_id: str, request: Request) -> Answer:
    """Give a role these privileges and no others."""
    _change_role(store, table, row_id, request, replace=True)
    return Answer()


def _change_role(
    store: DataverseStore, table: LiveTable, row_id: str, request: Request, *, replace: bool = False
) -> None:
    request.caller.require("prvWriteRole", table.name, table.definition.type_code)
    if store.get(table, row_id) is None:
        raise no_row(table.name, row_id)
    known = {row[0] for row in store.database.look("SELECT privilegeid FROM privilege")}
    held = []
    for one in request.json().get("Privileges", []):
        privilege, depth = parse_guid(str(one.get("PrivilegeId", ""))), one.get("Depth")
        if privilege not in known:
            raise no_row("privilege", privilege)
        if depth not in DEPTHS:
            raise bad_request(f"The depth '{depth}' is not one of {', '.join(DEPTHS)}.")
        held.append((row_id, privilege, depth))
    with store.transaction():
        if replace:
            store.database.write("DELETE FROM _role_privilege WHERE roleid = ?", (row_id,))
        store.database.writer.executemany("INSERT OR REPLACE INTO _role_privilege VALUES (?, ?, ?)", held)


def publish(store: DataverseStore, request: Request) -> Answer:
    """Publishing changes nothing here: columns are published when they are made."""
    request.caller.require("prvPublishCustomization", "organization", 1019)
    return Answer()


FUNCTIONS: dict[str, Unbound] = {
    "WhoAmI": who_am_i,
    "RetrieveVersion": retrieve_version,
    "RetrieveCurrentOrganization": retrieve_current_organization,
    "RetrieveTotalRecordCount": retrieve_total_record_count,
}
ACTIONS: dict[str, Unbound] = {"PublishXml": publish, "PublishAllXml": publish}
BOUND_FUNCTIONS: dict[tuple[str, str], Bound] = {("systemuser", "RetrieveUserPrivileges"): retrieve_user_privileges}
BOUND_ACTIONS: dict[tuple[str, str], Bound] = {
    ("role", "AddPrivilegesRole"): add_privileges_role,
    ("role", "ReplacePrivilegesRole"): replace_privileges_role,
}
