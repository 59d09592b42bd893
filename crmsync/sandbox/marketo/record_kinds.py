"""What tells opportunities, opportunity roles and the custom object types apart, for the calls that they share.

All have a ``marketoGUID`` that Marketo gives, and a key of one to three fields that is set once ("Opportunities",
"Opportunity Roles", "Custom Objects").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from crmsync.sandbox.marketo.fields import Field

OPPORTUNITY = "opportunity"
ROLE = "opportunityRole"
GUID = "marketoGUID"
SYSTEM = (GUID, "createdAt", "updatedAt")
SEPARATOR = "\x1f"


class Fields(Protocol):
    """The fields of one kind."""

    def __iter__(self) -> Iterator[Field]: ...

    def get(self, name: str) -> Field | None:
        """The field of that REST name."""


@dataclass(frozen=True)
class Link:
    """A field whose value names another record: by ``to_field`` of ``to`` (lead, company, salesPerson, or a kind)."""

    field: str
    to: str
    to_field: str


@dataclass(frozen=True)
class RecordKind:
    """One kind of records; ``store`` is the name it is stored under, ``default_fields`` None means all that is set."""

    store: str
    name: str
    fields: Fields
    key: tuple[str, ...]
    searchable: tuple[tuple[str, ...], ...]
    required: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    default_fields: tuple[str, ...] | None = None
    key_updateable: bool = False

    def key_of(self, values: Mapping[str, Any]) -> str:
        """The key as it is stored and compared."""
        return SEPARATOR.join(str(values[name]) for name in self.key)

    def field(self, name: str) -> Field | None:
        """A field by its name; Adobe's samples also write ``marketoGuid``."""
        return self.fields.get(GUID if name.lower() == GUID.lower() else name)


def opportunity_kind(fields: Fields) -> RecordKind:
    """Opportunities: searchable by key, by id and by an administrator's own fields of type string and integer."""
    custom = (field.name for field in fields if field.custom and field.data_type in ("string", "integer"))
    return RecordKind(
        OPPORTUNITY,
        "opportunity",
        fields,
        ("externalOpportunityId",),
        (("externalOpportunityId",), (GUID,), *((name,) for name in custom)),
        required=("name",),
        links=(
            Link("externalCompanyId", "company", "externalCompanyId"),
            Link("externalSalesPersonId", "salesPerson", "externalSalesPersonId"),
        ),
    )


def role_kind(fields: Fields) -> RecordKind:
    """Opportunity roles: what joins a person to an opportunity."""
    key = ("externalOpportunityId", "leadId", "role")
    return RecordKind(
        ROLE,
        "opportunityRole",
        fields,
        key,
        (key, (GUID,), ("leadId",), ("externalOpportunityId",)),
        links=(Link("leadId", "lead", "id"), Link("externalOpportunityId", OPPORTUNITY, "externalOpportunityId")),
    )
