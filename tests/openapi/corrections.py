"""Where Adobe's OpenAPI files are wrong, as one table: each row says what holds instead, and who says so.

``26.n`` is a point of the reference's list of errors in the files; ``6.1`` and the like are its sections on the API,
which follow Adobe's prose where prose and file differ; ``sample`` is one of Adobe's own samples on its pages. 26.10
(lists repeated or comma-joined) is a rule of the checker; 26.11 and 26.12 concern nothing that is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Schema = Mapping[str, Any]

ANYTHING: Schema = {}
TEXT: Schema = {"type": "string"}
DAY: Schema = {"type": "string", "format": "date"}
REASONS: Schema = {"type": "array", "items": {"$ref": "#/definitions/Reason"}}
RESULT_STATUS: Schema = {"type": "string", "enum": ["created", "updated", "deleted", "skipped"]}


@dataclass(frozen=True)
class Correction:
    """What holds of a definition (a glob pattern of names) instead of what the file says."""

    source: str
    definition: str
    optional: tuple[str, ...] = ()
    """Called required, but left out by real answers or requests."""
    nullable: tuple[str, ...] = ()
    """May be null."""
    members: Mapping[str, Schema] = field(default_factory=dict)
    """Properties that are missing in the file, or of another type in reality."""
    is_open: bool = False
    """Carries the fields of the subscription's schema, whatever they are called; not in the answer to a write."""


CORRECTIONS: tuple[Correction, ...] = (
    Correction("26.2", "ResponseOf*", optional=("errors", "warnings", "result")),
    Correction("26.3", "Lead", is_open=True, members={"reasons": REASONS}),
    Correction(
        "26.4",
        "ExportLeadFilter",
        optional=("createdAt", "updatedAt", "smartListId", "smartListName", "staticListId", "staticListName"),
    ),
    Correction(
        "26.4",
        "ExportCustomObjectFilter",
        optional=("updatedAt", "smartListId", "smartListName", "staticListId", "staticListName"),
    ),
    Correction("26.5", "ImportLeadResponse", optional=("numOfLeadsProcessed",)),
    Correction("26.5", "ImportCustomObjectResponse", optional=("operation",)),
    Correction("26.6", "ObjectMetaData", optional=("status", "apiName"), members={"name": TEXT}),
    Correction("26.7", "CustomObject", optional=("marketoGUID", "seq")),
    Correction("26.9", "ResponseOf*", members={"warnings": {"type": "array", "items": ANYTHING}}),
    Correction("26.13", "LeadField", optional=("isApiCreated",)),
    Correction("26.13", "UsageData", members={"date": DAY}),
    Correction("20", "ErrorsData", members={"date": DAY}),
    Correction("6.2", "CompanyResponse", is_open=True),
    Correction("6.2", "SalesPerson", is_open=True),
    Correction("6.2", "CustomObject", is_open=True),
    Correction("6.2", "Company", is_open=True),
    Correction("6.2", "ResponseOfCompany", members={"moreResult": {"type": "boolean"}}),
    Correction("6.4", "CompanyResponse", optional=("id",)),
    Correction("6.4", "CustomObject", members={"status": RESULT_STATUS}),
    Correction("6.1", "ObjectMetaData", optional=("pluralName", "version", "relationships", "description")),
    Correction("13", "ObjectMetaData", optional=("fields",), nullable=("description",)),
    Correction("14 sample", "ObjectMetaData", nullable=("idField", "createdAt", "updatedAt")),
    Correction("8", "LeadField", nullable=("description",)),
    Correction("18.2", "Activity", optional=("id",)),
    Correction("18.2 sample", "Attribute", members={"value": ANYTHING}),
    Correction("18.2 sample", "LeadChangeField", nullable=("newValue", "oldValue")),
)


PERMISSIONS: Mapping[str, str] = {"Read-Write Named Opportunity": "Read-Write Opportunity"}
"""26.11: permissions that have another name in the files."""


@dataclass(frozen=True)
class MoreOperation:
    """An operation that the files lack, and the one that it is like."""

    source: str
    method: str
    path: str
    like: tuple[str, str]


MORE_OPERATIONS: tuple[MoreOperation, ...] = (
    MoreOperation("27", "delete", "/rest/v1/leads.json", ("post", "/rest/v1/leads/delete.json")),
)

STATUSES: Mapping[int, str] = {206: "file", 401: "oauth", 404: "text", 413: "text", 414: "text", 416: "text"}
"""26.1: the files know no status but 200. What the body is with another one; a gateway's own pages are HTML."""

METHOD_OVERRIDE = "_method"
"""6.3, 26.8: the parameter by which a POST is a GET whose parameters stand in the body."""
