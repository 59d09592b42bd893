"""Which path and method is which call, and what it needs: permissions and the kind of its body.

Paths and "Required Permissions": the OpenAPI file of the Lead Database and Bulk APIs. A path that is not here answers
610, also where Marketo has one: pushing leads, forms and cookies, programs, campaigns, named accounts, custom
activities and assets are no part of this sandbox.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from starlette.responses import Response

from crmsync.sandbox.marketo import (
    activity_calls,
    custom_object_calls,
    custom_type_calls,
    describe,
    export_calls,
    field_calls,
    import_calls,
    leads,
    list_calls,
    object_calls,
    partitions,
    record_calls,
    removal,
    usage,
)
from crmsync.sandbox.marketo.call import BODY_BYTES, IMPORT_BYTES, Call
from crmsync.sandbox.marketo.envelope import Answer
from crmsync.sandbox.marketo.objects import COMPANY, SALES_PERSON

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

Handler = Callable[["Marketo", Call], Awaitable[Answer | Response]]
Body = Literal["none", "query", "json", "multipart"]
"""``query`` takes a query as JSON, when a POST says ``_method=GET``."""

READ = ("Read-Only Lead", "Read-Write Lead")
WRITE = ("Read-Write Lead",)
READ_OPPORTUNITY = ("Read-Only Opportunity", "Read-Write Opportunity")
WRITE_OPPORTUNITY = ("Read-Write Opportunity",)
READ_OBJECT = ("Read-Only Custom Object", "Read-Write Custom Object")
WRITE_OBJECT = ("Read-Write Custom Object",)
READ_TYPE = ("Read-Only Custom Object Type", "Read-Write Custom Object Type")
WRITE_TYPE = ("Read-Write Custom Object Type",)
ACTIVITY = ("Read-Only Activity", "Read-Write Activity")
ASSETS = ("Read-Only Assets", "Read-Write Assets")
SCHEMA = (field_calls.STANDARD_PERMISSION, field_calls.CUSTOM_PERMISSION)
CUSTOM_SCHEMA = (field_calls.CUSTOM_PERMISSION,)


@dataclass(frozen=True)
class Endpoint:
    """A call: one of ``permissions`` is needed, unless there is none."""

    handler: Handler
    permissions: tuple[str, ...]
    body: Body = "none"

    @property
    def most_bytes(self) -> int:
        """How long a body may be."""
        return IMPORT_BYTES if self.body == "multipart" else BODY_BYTES


Routes = dict[str, dict[str, Endpoint]]


def _records(path: str, find: record_calls.Finder, read: tuple[str, ...], write: tuple[str, ...]) -> Routes:
    """Query, create and update, delete: alike for opportunities, roles and custom objects."""
    return {
        f"{path}.json": {
            "GET": Endpoint(record_calls.query(find), read, "query"),
            "POST": Endpoint(record_calls.sync(find), write, "json"),
        },
        f"{path}/delete.json": {"POST": Endpoint(record_calls.delete(find), write, "json")},
    }


def _types(path: str) -> Routes:
    """The custom object schema calls."""
    calls = custom_type_calls

    def change(handler: Handler, body: Body = "json") -> dict[str, Endpoint]:
        return {"POST": Endpoint(handler, WRITE_TYPE, body)}

    def read(handler: Handler) -> dict[str, Endpoint]:
        return {"GET": Endpoint(handler, READ_TYPE)}

    return {
        f"{path}.json": read(calls.list_types) | change(calls.sync_type),
        f"{path}/fieldDataTypes.json": read(calls.data_types),
        f"{path}/linkableObjects.json": read(calls.linkable_objects),
        f"{path}/{{type}}/describe.json": read(calls.describe_type),
        f"{path}/{{type}}/dependentAssets.json": read(calls.dependent_assets),
        f"{path}/{{type}}/addField.json": change(calls.on_type(calls.add_fields)),
        f"{path}/{{type}}/{{field}}/updateField.json": change(calls.on_type(calls.update_field)),
        f"{path}/{{type}}/deleteField.json": change(calls.on_type(calls.delete_fields)),
        f"{path}/{{type}}/approve.json": change(calls.on_type(calls.approve), "none"),
        f"{path}/{{type}}/discardDraft.json": change(calls.on_type(calls.discard_draft), "none"),
        f"{path}/{{type}}/delete.json": change(calls.on_type(calls.delete_type), "none"),
    }


def _exports(path: str, kind: str, needed: tuple[str, ...]) -> Routes:
    """The bulk extract calls: reading is all that they need."""
    return {
        f"{path}/export.json": {"GET": Endpoint(export_calls.jobs(kind), needed)},
        f"{path}/export/create.json": {"POST": Endpoint(export_calls.create(kind), needed, "json")},
        f"{path}/export/{{id}}/enqueue.json": {"POST": Endpoint(export_calls.enqueue(kind), needed)},
        f"{path}/export/{{id}}/cancel.json": {"POST": Endpoint(export_calls.cancel(kind), needed)},
        f"{path}/export/{{id}}/status.json": {"GET": Endpoint(export_calls.status(kind), needed)},
        f"{path}/export/{{id}}/file.json": {"GET": Endpoint(export_calls.file(kind), needed)},
    }


ROUTES: Routes = {
    "/rest/v1/lead/{id}.json": {"GET": Endpoint(leads.lead_by_id, READ)},
    "/rest/v1/leads.json": {
        "GET": Endpoint(leads.leads_by_filter, READ),
        "POST": Endpoint(leads.sync_leads, WRITE, "json"),
        "DELETE": Endpoint(leads.delete_leads, WRITE, "json"),
    },
    "/rest/v1/leads/delete.json": {"POST": Endpoint(leads.delete_leads, WRITE, "json")},
    "/rest/v1/leads/partitions.json": {
        "GET": Endpoint(partitions.partitions, READ),
        "POST": Endpoint(partitions.move_to_partition, WRITE, "json"),
    },
    "/rest/v1/leads/{id}/merge.json": {"POST": Endpoint(removal.merge_leads, WRITE)},
    "/rest/v1/leads/{id}/listMembership.json": {"GET": Endpoint(list_calls.lists_of_lead, ASSETS)},
    "/rest/v1/leads/describe.json": {"GET": Endpoint(describe.describe_leads, READ)},
    "/rest/v1/leads/describe2.json": {"GET": Endpoint(describe.describe_leads_2, READ)},
    "/rest/v1/leads/schema/fields.json": {
        "GET": Endpoint(field_calls.field_list("person"), SCHEMA),
        "POST": Endpoint(field_calls.create_fields, CUSTOM_SCHEMA, "json"),
    },
    "/rest/v1/leads/schema/fields/{name}.json": {
        "GET": Endpoint(field_calls.field_by_name("person"), SCHEMA),
        "POST": Endpoint(field_calls.update_field, SCHEMA, "json"),
    },
    "/rest/v1/companies.json": {
        "GET": Endpoint(object_calls.query(COMPANY), COMPANY.read),
        "POST": Endpoint(object_calls.sync(COMPANY), COMPANY.write, "json"),
    },
    "/rest/v1/companies/delete.json": {"POST": Endpoint(object_calls.delete(COMPANY), COMPANY.write, "json")},
    "/rest/v1/companies/describe.json": {"GET": Endpoint(describe.describe_object(COMPANY), COMPANY.read)},
    "/rest/v1/companies/schema/fields.json": {"GET": Endpoint(field_calls.field_list("company"), SCHEMA)},
    "/rest/v1/companies/schema/fields/{name}.json": {"GET": Endpoint(field_calls.field_by_name("company"), SCHEMA)},
    "/rest/v1/salespersons.json": {
        "GET": Endpoint(object_calls.query(SALES_PERSON), SALES_PERSON.read),
        "POST": Endpoint(object_calls.sync(SALES_PERSON), SALES_PERSON.write, "json"),
    },
    "/rest/v1/salespersons/delete.json": {
        "POST": Endpoint(object_calls.delete(SALES_PERSON), SALES_PERSON.write, "json")
    },
    "/rest/v1/salespersons/describe.json": {"GET": Endpoint(describe.describe_object(SALES_PERSON), SALES_PERSON.read)},
    "/rest/v1/opportunities/schema/fields.json": {"GET": Endpoint(field_calls.field_list("opportunity"), SCHEMA)},
    "/rest/v1/opportunities/schema/fields/{name}.json": {
        "GET": Endpoint(field_calls.field_by_name("opportunity"), SCHEMA)
    },
    "/rest/v1/lists.json": {"GET": Endpoint(list_calls.lists, READ)},
    "/rest/v1/lists/{id}.json": {"GET": Endpoint(list_calls.list_by_id, READ)},
    "/rest/v1/list/{id}/leads.json": {"GET": Endpoint(list_calls.list_members, READ)},
    "/rest/v1/lists/{id}/leads.json": {
        "GET": Endpoint(list_calls.list_members, READ),
        "POST": Endpoint(list_calls.add_to_list, WRITE, "json"),
        "DELETE": Endpoint(list_calls.remove_from_list, WRITE, "json"),
    },
    "/rest/v1/lists/{id}/leads/ismember.json": {"GET": Endpoint(list_calls.is_member, WRITE, "query")},
    "/rest/v1/activities/pagingtoken.json": {"GET": Endpoint(activity_calls.paging_token, ACTIVITY)},
    "/rest/v1/activities/types.json": {"GET": Endpoint(activity_calls.activity_types, ACTIVITY)},
    "/rest/v1/activities.json": {"GET": Endpoint(activity_calls.activities, ACTIVITY)},
    "/rest/v1/activities/leadchanges.json": {"GET": Endpoint(activity_calls.lead_changes, ACTIVITY)},
    "/rest/v1/activities/deletedleads.json": {"GET": Endpoint(activity_calls.deleted_leads, ACTIVITY)},
    "/rest/v1/stats/usage.json": {"GET": Endpoint(usage.usage_today, ())},
    "/rest/v1/stats/usage/last7days.json": {"GET": Endpoint(usage.usage_last_days, ())},
    "/rest/v1/stats/errors.json": {"GET": Endpoint(usage.errors_today, ())},
    "/rest/v1/stats/errors/last7days.json": {"GET": Endpoint(usage.errors_last_days, ())},
    "/bulk/v1/leads.json": {"POST": Endpoint(import_calls.create_import, WRITE, "multipart")},
    "/bulk/v1/leads/batch/{id}.json": {"GET": Endpoint(import_calls.import_status, WRITE)},
    "/bulk/v1/leads/batch/{id}/failures.json": {"GET": Endpoint(import_calls.import_file("failures"), WRITE)},
    "/bulk/v1/leads/batch/{id}/warnings.json": {"GET": Endpoint(import_calls.import_file("warnings"), WRITE)},
    "/bulk/v1/customobjects/{type}/import.json": {
        "POST": Endpoint(import_calls.create_object_import, WRITE_OBJECT, "multipart")
    },
    "/bulk/v1/customobjects/{type}/import/{id}/status.json": {
        "GET": Endpoint(import_calls.object_import_status, WRITE_OBJECT)
    },
    "/bulk/v1/customobjects/{type}/import/{id}/failures.json": {
        "GET": Endpoint(import_calls.import_file("failures"), WRITE_OBJECT)
    },
    "/bulk/v1/customobjects/{type}/import/{id}/warnings.json": {
        "GET": Endpoint(import_calls.import_file("warnings"), WRITE_OBJECT)
    },
    "/rest/v1/customobjects.json": {"GET": Endpoint(custom_object_calls.list_custom_objects, READ_OBJECT)},
    "/rest/v1/customobjects/{type}/describe.json": {
        "GET": Endpoint(custom_object_calls.describe_custom_object, READ_OBJECT)
    },
    **_records("/rest/v1/opportunities", record_calls.opportunities, READ_OPPORTUNITY, WRITE_OPPORTUNITY),
    "/rest/v1/opportunities/describe.json": {
        "GET": Endpoint(record_calls.describe(record_calls.opportunities, "Opportunity"), READ_OPPORTUNITY)
    },
    **_records("/rest/v1/opportunities/roles", record_calls.roles, READ_OPPORTUNITY, WRITE_OPPORTUNITY),
    "/rest/v1/opportunities/roles/describe.json": {
        "GET": Endpoint(record_calls.describe(record_calls.roles, "Opportunity Role"), READ_OPPORTUNITY)
    },
    **_types("/rest/v1/customobjects/schema"),
    **_records("/rest/v1/customobjects/{type}", custom_object_calls.custom_object, READ_OBJECT, WRITE_OBJECT),
    **_exports("/bulk/v1/leads", "leads", READ),
    **_exports("/bulk/v1/activities", "activities", ACTIVITY),
    **_exports("/bulk/v1/customobjects/{type}", "customobjects", READ_OBJECT),
}
"""Path template, then method. A placeholder matches one segment."""


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template)))


_PATTERNS = [(_pattern(template), endpoints) for template, endpoints in ROUTES.items() if "{" in template]


def find(path: str) -> tuple[dict[str, Endpoint], dict[str, str]]:
    """The endpoints of a path and what its placeholders match; none for an unknown path."""
    if path in ROUTES:
        return ROUTES[path], {}
    for pattern, endpoints in _PATTERNS:
        if match := pattern.fullmatch(path):
            return endpoints, match.groupdict()
    return {}, {}
