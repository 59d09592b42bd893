"""Every call that crmsync makes to Marketo, as data: path, permission, time-out, and when it may be repeated.

Permissions are those of the OpenAPI file's descriptions, by their names in Marketo's role editor. Time-outs are the
service's own ("Performance": 30 s unless it says otherwise), to which the client adds a margin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from urllib.parse import quote

from crmsync.marketo import answers
from crmsync.shapes import Shape


class Known(IntEnum):
    """What is known of a call that did not succeed, from nothing to everything."""

    NOTHING = 0
    """No whole answer came: it may have been executed, or may still be running."""
    ENDED = 1
    """Marketo answered, so it is not running any more, but it may have been executed."""
    NOT_EXECUTED = 2
    """It was not sent at all, or Marketo says that it executed nothing."""


READ_WRITE_LEAD = "Read-Write Lead"
READ_WRITE_COMPANY = "Read-Write Company"
READ_WRITE_SALES_PERSON = "Read-Write Sales Person"
READ_WRITE_OPPORTUNITY = "Read-Write Opportunity"
READ_WRITE_FIELDS = "Read-Write Schema Custom Field"
READ_ACTIVITY = "Read-Only Activity"
READ_WRITE_CUSTOM_OBJECT = "Read-Write Custom Object"
READ_WRITE_CUSTOM_OBJECT_TYPE = "Read-Write Custom Object Type"
NEEDED_PERMISSIONS = (
    READ_WRITE_LEAD,
    READ_WRITE_COMPANY,
    READ_WRITE_SALES_PERSON,
    READ_WRITE_OPPORTUNITY,
    READ_WRITE_FIELDS,
    READ_ACTIVITY,
)
CUSTOM_OBJECT_PERMISSIONS = (READ_WRITE_CUSTOM_OBJECT, READ_WRITE_CUSTOM_OBJECT_TYPE)
"""Needed beside those where custom entities are synced."""


@dataclass(frozen=True)
class Call:
    """One call. ``repeat_if`` is the least that must be known of a failure before it may be sent again, ``result`` the
    shape of what it answers with; ``tokens``: every answer has a token, on the last page too.

    Reading, and deleting by id, may always be repeated. An upsert by key only once the first is surely over, because
    two that overlap make a duplicate; what creates without a key only when nothing was executed.
    """

    method: str
    path: str
    permission: str | None
    seconds: float = 30
    repeat_if: Known = Known.NOTHING
    result: Shape = answers.NO_RESULT
    tokens: bool = False

    @property
    def writes(self) -> bool:
        return self.repeat_if > Known.NOTHING

    @property
    def is_file(self) -> bool:
        """Whether it answers with a file: a job's failures or warnings."""
        return self.path.endswith(("/failures.json", "/warnings.json"))

    def at(self, **parts: object) -> Call:
        """The call with the placeholders of its path filled in."""
        return replace(self, path=self.path.format(**{name: quote(str(part), safe="") for name, part in parts.items()}))

    def as_form(self) -> Call:
        """The same reading as a POST, for what would not fit into a URI."""
        return replace(self, method="POST")

    def never_twice(self) -> Call:
        """The same write for an action without a key: repeated only when nothing was executed."""
        return replace(self, repeat_if=Known.NOT_EXECUTED)


_ENDED, _NOT_EXECUTED = Known.ENDED, Known.NOT_EXECUTED

DESCRIBE_PEOPLE = Call("GET", "/rest/v1/leads/describe2.json", READ_WRITE_LEAD, result=answers.DESCRIPTION)
QUERY_PEOPLE = Call("GET", "/rest/v1/leads.json", READ_WRITE_LEAD, 60, result=answers.records)
SYNC_PEOPLE = Call("POST", "/rest/v1/leads.json", READ_WRITE_LEAD, 90, _ENDED, result=answers.lead_outcomes)
DELETE_PEOPLE = Call(
    "POST", "/rest/v1/leads/delete.json", READ_WRITE_LEAD, result=answers.outcomes
)  # by id: what is gone stays gone
MERGE_PEOPLE = Call("POST", "/rest/v1/leads/{winner}/merge.json", READ_WRITE_LEAD, 180, _NOT_EXECUTED)

QUERY_FIELDS = Call("GET", "/rest/v1/leads/schema/fields.json", READ_WRITE_FIELDS, result=answers.FIELD_SCHEMAS)
CREATE_FIELDS = Call(
    "POST", "/rest/v1/leads/schema/fields.json", READ_WRITE_FIELDS, 30, _NOT_EXECUTED, result=answers.outcomes
)

DESCRIBE_COMPANIES = Call("GET", "/rest/v1/companies/describe.json", READ_WRITE_COMPANY, result=answers.DESCRIPTION)
QUERY_COMPANIES = Call("GET", "/rest/v1/companies.json", READ_WRITE_COMPANY, result=answers.records)
SYNC_COMPANIES = Call("POST", "/rest/v1/companies.json", READ_WRITE_COMPANY, 60, _ENDED, result=answers.outcomes)

DESCRIBE_SALES_PERSONS = Call(
    "GET", "/rest/v1/salespersons/describe.json", READ_WRITE_SALES_PERSON, result=answers.DESCRIPTION
)
QUERY_SALES_PERSONS = Call("GET", "/rest/v1/salespersons.json", READ_WRITE_SALES_PERSON, result=answers.records)
SYNC_SALES_PERSONS = Call(
    "POST", "/rest/v1/salespersons.json", READ_WRITE_SALES_PERSON, 60, _ENDED, result=answers.outcomes
)

DESCRIBE_OPPORTUNITIES = Call(
    "GET", "/rest/v1/opportunities/describe.json", READ_WRITE_OPPORTUNITY, result=answers.DESCRIPTION
)
QUERY_OPPORTUNITIES = Call("GET", "/rest/v1/opportunities.json", READ_WRITE_OPPORTUNITY, result=answers.records)
SYNC_OPPORTUNITIES = Call(
    "POST", "/rest/v1/opportunities.json", READ_WRITE_OPPORTUNITY, 60, _ENDED, result=answers.outcomes
)
DELETE_OPPORTUNITIES = Call(
    "POST", "/rest/v1/opportunities/delete.json", READ_WRITE_OPPORTUNITY, 60, result=answers.outcomes
)

DESCRIBE_ROLES = Call(
    "GET", "/rest/v1/opportunities/roles/describe.json", READ_WRITE_OPPORTUNITY, result=answers.DESCRIPTION
)
QUERY_ROLES = Call("GET", "/rest/v1/opportunities/roles.json", READ_WRITE_OPPORTUNITY, result=answers.records)
SYNC_ROLES = Call(
    "POST", "/rest/v1/opportunities/roles.json", READ_WRITE_OPPORTUNITY, 60, _ENDED, result=answers.outcomes
)
DELETE_ROLES = Call(
    "POST", "/rest/v1/opportunities/roles/delete.json", READ_WRITE_OPPORTUNITY, 60, result=answers.outcomes
)

QUERY_TYPES = Call("GET", "/rest/v1/customobjects/schema.json", READ_WRITE_CUSTOM_OBJECT_TYPE, result=answers.TYPES)
LINKABLE_OBJECTS = Call(
    "GET", "/rest/v1/customobjects/schema/linkableObjects.json", READ_WRITE_CUSTOM_OBJECT_TYPE, result=answers.LINKABLES
)
CREATE_TYPE = Call("POST", "/rest/v1/customobjects/schema.json", READ_WRITE_CUSTOM_OBJECT_TYPE, 30, _NOT_EXECUTED)
ADD_TYPE_FIELDS = Call(
    "POST", "/rest/v1/customobjects/schema/{name}/addField.json", READ_WRITE_CUSTOM_OBJECT_TYPE, 30, _NOT_EXECUTED
)
APPROVE_TYPE = Call(
    "POST", "/rest/v1/customobjects/schema/{name}/approve.json", READ_WRITE_CUSTOM_OBJECT_TYPE, 60, _NOT_EXECUTED
)
QUERY_CUSTOM_OBJECTS = Call(
    "GET", "/rest/v1/customobjects/{name}.json", READ_WRITE_CUSTOM_OBJECT, result=answers.records
)
SYNC_CUSTOM_OBJECTS = Call(
    "POST", "/rest/v1/customobjects/{name}.json", READ_WRITE_CUSTOM_OBJECT, 120, _ENDED, result=answers.outcomes
)
DELETE_CUSTOM_OBJECTS = Call(
    "POST", "/rest/v1/customobjects/{name}/delete.json", READ_WRITE_CUSTOM_OBJECT, 60, result=answers.outcomes
)

START_IMPORT = Call("POST", "/bulk/v1/leads.json", READ_WRITE_LEAD, 60, _NOT_EXECUTED, result=answers.IMPORT_STARTED)
IMPORT_STATUS = Call("GET", "/bulk/v1/leads/batch/{batch_id}.json", READ_WRITE_LEAD, result=answers.IMPORT_STATUSES)
IMPORT_FAILURES = Call("GET", "/bulk/v1/leads/batch/{batch_id}/failures.json", READ_WRITE_LEAD, 60)
IMPORT_WARNINGS = Call("GET", "/bulk/v1/leads/batch/{batch_id}/warnings.json", READ_WRITE_LEAD, 60)
START_OBJECT_IMPORT = Call(
    "POST",
    "/bulk/v1/customobjects/{name}/import.json",
    READ_WRITE_CUSTOM_OBJECT,
    60,
    _NOT_EXECUTED,
    result=answers.IMPORT_STARTED,
)
_OBJECT_IMPORT = "/bulk/v1/customobjects/{name}/import/{batch_id}"
OBJECT_IMPORT_STATUS = Call(
    "GET", f"{_OBJECT_IMPORT}/status.json", READ_WRITE_CUSTOM_OBJECT, result=answers.IMPORT_STATUSES
)
OBJECT_IMPORT_FAILURES = Call("GET", f"{_OBJECT_IMPORT}/failures.json", READ_WRITE_CUSTOM_OBJECT, 60)
OBJECT_IMPORT_WARNINGS = Call("GET", f"{_OBJECT_IMPORT}/warnings.json", READ_WRITE_CUSTOM_OBJECT, 60)

PAGING_TOKEN = Call("GET", "/rest/v1/activities/pagingtoken.json", READ_ACTIVITY, tokens=True)
ACTIVITIES = Call("GET", "/rest/v1/activities.json", READ_ACTIVITY, 60, result=answers.activities, tokens=True)
LEAD_CHANGES = Call(
    "GET", "/rest/v1/activities/leadchanges.json", READ_ACTIVITY, 60, result=answers.lead_changes, tokens=True
)
DELETED_LEADS = Call(
    "GET", "/rest/v1/activities/deletedleads.json", READ_ACTIVITY, 60, result=answers.activities, tokens=True
)
GLANCES = frozenset({ACTIVITIES, LEAD_CHANGES, DELETED_LEADS})
"""The calls of an idle cycle: the day's usage is asked for when something is to be done."""

LISTS = Call("GET", "/rest/v1/lists.json", READ_WRITE_LEAD, result=answers.LISTS)
LIST_MEMBERS = Call("GET", "/rest/v1/lists/{list_id}/leads.json", READ_WRITE_LEAD, 60, result=answers.records)

USAGE = Call("GET", "/rest/v1/stats/usage.json", None, result=answers.USAGES)

CALLS: tuple[Call, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Call))
