"""The text of the sandbox's own page: what there is to change, with an example each."""

from __future__ import annotations

from typing import Any

from crmsync.sandbox.core import PERMISSIONS
from crmsync.sandbox.faults import KINDS

EXAMPLES: dict[str, Any] = {
    "faults": {
        "service": "marketo",
        "path": "/rest/v1/leads.json",
        "times": 2,
        "kind": "marketo",
        "code": "606",
    },
    "clock": {"advance_seconds": 3600},
    "switches": {"tenant": "contoso", "native_sync": True},
    "fields": {
        "tenant": "contoso",
        "target": "company",
        "name": "msAccountNumber",
        "display_name": "Microsoft Account Number",
        "type": "string",
    },
    "refusals": {"tenant": "contoso", "service": "marketo", "field": "title", "value": "Chief"},
    "field-types": {"tenant": "contoso", "target": "company", "name": "msAccountNumber", "type": "integer"},
    "list-names": {"name": "Former readers"},
    "lists": {"tenant": "contoso", "name": "Newsletter readers"},
    "deletions": {"tenant": "contoso", "target": "company", "key": "<its externalCompanyId>"},
    "apps": {"tenant": "contoso", "client_id": "<the sync app's>", "secret_expired": True},
}

_PAGES: dict[str, Any] = {
    "POST /faults": {
        "does": "makes matching requests fail: the next 'times' (default 1), or a 'rate' of them (0..1), after "
        "'skip' of them passed. 'service' is dynamics, marketo, entra or any; 'path' is a glob pattern; "
        "'after_execution' executes the request and loses its answer.",
        "kinds": KINDS,
        "example": EXAMPLES["faults"],
    },
    "GET /faults": {"does": "lists the faults: requests that matched ('seen') and that failed ('hits')"},
    "DELETE /faults": {"does": "lifts all faults; DELETE /faults/ID lifts one"},
    "GET /clock": {"does": "tells the sandbox's time, by which tokens, delta links and quotas age"},
    "POST /clock": {"does": "moves it", "examples": [EXAMPLES["clock"], {"now": "2026-03-01T00:00:00Z"}]},
    "GET /switches": {"does": "tells every tenant's Marketo and Dynamics switches and the API role's permissions"},
    "POST /switches": {
        "does": "changes what an administrator changes in Marketo's admin screens: 'native_sync', "
        "'permissions' (the whole list), and any switch that GET /switches shows. Of Dynamics: 'new_user_seconds' that "
        "a new application user is no member yet, 'import_seconds' that a solution's import takes, and the service "
        "protection limits 'requests_in_five_minutes', 'seconds_in_five_minutes', 'concurrent_requests'",
        "permissions": sorted(PERMISSIONS),
        "example": EXAMPLES["switches"],
    },
    "GET /apps": {"does": "lists the app registrations in every tenant's Entra directory"},
    "POST /apps": {
        "does": "changes one (enabled, secret_expired, certificate as PEM, display_name), or makes a new one "
        "when no client_id is given; a new one has no application user in the organization",
        "example": EXAMPLES["apps"],
    },
    "POST /fields": {
        "does": "makes a custom field by hand, as in Marketo's Field Management: company and opportunity "
        "fields and text areas, which the API cannot make. 'target' is person, company or opportunity",
        "example": EXAMPLES["fields"],
    },
    "GET /refusals": {"does": "lists the values that the services refuse"},
    "POST /refusals": {
        "does": "makes a service refuse a value in a field, as a plug-in, a business rule or a validation of its own "
        "does; without 'value' every one. The answer names the field only where 'message' does",
        "example": EXAMPLES["refusals"],
    },
    "DELETE /refusals": {"does": "lets all values pass again"},
    "POST /field-types": {
        "does": "changes the type of a custom field, as in Marketo's Field Management; values that do not fit the new "
        "type are deleted",
        "example": EXAMPLES["field-types"],
    },
    "GET /lists": {"does": "lists every tenant's static lists in Marketo"},
    "POST /lists": {
        "does": "makes a static list by hand, as in Marketo's Database, or in a 'program'; names are unique there",
        "example": EXAMPLES["lists"],
    },
    "POST /deletions": {
        "does": "deletes a company, a sales person, or an opportunity with its roles, also where the API says that it "
        "is in use; who names it names nobody then",
        "example": EXAMPLES["deletions"],
    },
    "POST /lists/TENANT/ID": {"does": "renames a static list", "example": EXAMPLES["list-names"]},
    "DELETE /lists/TENANT/ID": {"does": "deletes a static list; its members stay people"},
    "GET /requests": {
        "does": "counts requests by service, tenant, method and path, and how many could have written something"
    },
    "DELETE /requests": {"does": "sets the counters to zero"},
}


def guide(tenants: list[str]) -> dict[str, Any]:
    """What ``GET {admin_url}/`` answers."""
    return {
        "what": "The administration of a crmsync sandbox. Records and columns are changed through the services' own "
        "public APIs; here is the rest.",
        "tenants": tenants,
        "pages": _PAGES,
    }
