"""Functions and actions: WhoAmI, RetrieveVersion, RetrieveCurrentOrganization, record counts, privileges, publishing.

"Use Web API functions" and "Use Web API actions" (Power Apps developer documents).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import orjson

from crmsync.sandbox.dataverse import (
    bulk,
    business,
    duplicates,
    merging,
    metadata_changes,
    roles,
    sharing,
    solution_actions,
)
from crmsync.sandbox.dataverse.database import quoted
from crmsync.sandbox.dataverse.errors import ODataError, bad_request
from crmsync.sandbox.dataverse.messages import Answer, Request, parse_parameters
from crmsync.sandbox.dataverse.privileges import privilege
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
    text = parse_parameters(request, request.segments[0].key).get("EntityNames", "")
    try:
        names = orjson.loads(text if '"' in text else text.replace("'", '"'))
    except orjson.JSONDecodeError:
        raise bad_request("The parameter 'EntityNames' must be a collection of strings.") from None
    for name in names:
        if name not in store.schema.tables:
            raise ODataError(
                404, "0x80060888", f"The entity with a name = '{name}' was not found in the MetadataCache."
            )
        table = store.schema.tables[name]
        read = privilege("Read", table.definition.schema_name)
        request.caller.require(read, name, table.definition.type_code, depth="Global")
    counts = [store.database.read(f"SELECT count(*) FROM {quoted(name)}")[0][0] for name in names]
    collection = {"Count": len(names), "IsReadOnly": False, "Keys": names, "Values": counts}
    return _response(request, "RetrieveTotalRecordCountResponse", {"EntityRecordCountCollection": collection})


FUNCTIONS: dict[str, Unbound] = {
    "WhoAmI": who_am_i,
    "RetrieveVersion": retrieve_version,
    "RetrieveCurrentOrganization": retrieve_current_organization,
    "RetrieveTotalRecordCount": retrieve_total_record_count,
    "RetrieveMetadataChanges": metadata_changes.retrieve_metadata_changes,
    "RetrieveRolePrivilegesRole": roles.retrieve_role_privileges_role,
    "RetrieveSolutionImportResult": solution_actions.retrieve_import_result,
}
ACTIONS: dict[str, Unbound] = {
    "BulkDelete": bulk.bulk_delete,
    "GrantAccess": sharing.grant_access,
    "ModifyAccess": sharing.grant_access,
    "RevokeAccess": sharing.revoke_access,
    "Merge": merging.merge,
    "WinOpportunity": business.win_opportunity,
    "LoseOpportunity": business.lose_opportunity,
    "UnpublishDuplicateRule": duplicates.unpublish_rule,
    "PublishXml": solution_actions.publish,
    "PublishAllXml": solution_actions.publish,
    "StageSolution": solution_actions.stage_solution,
    "ImportSolutionAsync": solution_actions.import_solution_async,
    "AddSolutionComponent": solution_actions.add_solution_component,
}
BOUND_FUNCTIONS: dict[tuple[str, str], Bound] = {
    ("systemuser", "RetrieveUserPrivileges"): roles.retrieve_user_privileges
}
BOUND_ACTIONS: dict[tuple[str, str], Bound] = {
    ("lead", "QualifyLead"): business.qualify_lead,
    ("duplicaterule", "PublishDuplicateRule"): duplicates.publish_rule,
    ("role", "AddPrivilegesRole"): roles.add_privileges_role,
    ("role", "ReplacePrivilegesRole"): roles.replace_privileges_role,
    ("role", "RemovePrivilegeRole"): roles.remove_privilege_role,
}
