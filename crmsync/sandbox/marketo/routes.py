"""Which path and method is which call, and what it needs: permissions and the kind of its body.

Paths and "Required Permissions": the OpenAPI file of the Lead Database and Bulk APIs. A path that is not here answers
610, also where Marketo has one: it is not part of this sandbox yet.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from starlette.responses import Response

from crmsync.sandbox.marketo import describe, field_calls, import_calls, leads, object_calls, usage
from crmsync.sandbox.marketo.call import BODY_BYTES, IMPORT_BYTES, Call
from crmsync.sandbox.marketo.envelope import Answer
from crmsync.sandbox.marketo.objects import COMPANY, SALES_PERSON

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

Handler = Callable[["Marketo", Call], Awaitable[Answer | Response]]
Body = Literal["none", "json", "multipart"]

READ = ("Read-Only Lead", "Read-Write Lead")
WRITE = ("Read-Write Lead",)
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


ROUTES: dict[str, dict[str, Endpoint]] = {
    "/rest/v1/lead/{id}.json": {"GET": Endpoint(leads.lead_by_id, READ)},
    "/rest/v1/leads.json": {
        "GET": Endpoint(leads.leads_by_filter, READ),
        "POST": Endpoint(leads.sync_leads, WRITE, "json"),
        "DELETE": Endpoint(leads.delete_leads, WRITE, "json"),
    },
    "/rest/v1/leads/delete.json": {"POST": Endpoint(leads.delete_leads, WRITE, "json")},
    "/rest/v1/leads/partitions.json": {"GET": Endpoint(leads.partitions, READ)},
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
    "/rest/v1/stats/usage.json": {"GET": Endpoint(usage.usage_today, ())},
    "/rest/v1/stats/usage/last7days.json": {"GET": Endpoint(usage.usage_last_days, ())},
    "/rest/v1/stats/errors.json": {"GET": Endpoint(usage.errors_today, ())},
    "/rest/v1/stats/errors/last7days.json": {"GET": Endpoint(usage.errors_last_days, ())},
    "/bulk/v1/leads.json": {"POST": Endpoint(import_calls.create_import, WRITE, "multipart")},
    "/bulk/v1/leads/batch/{id}.json": {"GET": Endpoint(import_calls.import_status, WRITE)},
    "/bulk/v1/leads/batch/{id}/failures.json": {"GET": Endpoint(import_calls.import_file("failures"), WRITE)},
    "/bulk/v1/leads/batch/{id}/warnings.json": {"GET": Endpoint(import_calls.import_file("warnings"), WRITE)},
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
