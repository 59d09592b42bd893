"""What the product knows of a subscription's schema: the fields of people, companies and sales persons.

Shapes follow Marketo's "Leads" (describe2), "Lead Database" (describe) and "Lead fields" pages.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

Target = Literal["person", "company", "sales_person"]

CREATABLE_TYPES = frozenset(
    {
        "boolean", "currency", "date", "datetime", "email", "float",
        "integer", "percent", "phone", "score", "string", "url",
    }
)  # fmt: skip
"""Data types that the API can create on people ("Lead fields"); a text area is not among them."""

CREATION_LIMIT = 100
"""Custom fields that may be made over the API, read as a limit of the subscription (marketo-rest-api.md, 8)."""


class Field(BaseModel):
    """One field, by its REST name. ``length`` only on string-like fields; ``text`` comes without one."""

    model_config = ConfigDict(frozen=True)

    name: str
    display_name: str
    data_type: str
    length: int | None = None
    updateable: bool = True
    crm_managed: bool = False


class ObjectSchema(BaseModel):
    """One object as its describe call tells it; ``fields`` by REST name."""

    model_config = ConfigDict(frozen=True)

    name: str
    id_field: str = "id"
    dedupe_fields: tuple[str, ...] = ()
    searchable_fields: tuple[tuple[str, ...], ...] = ()
    fields: dict[str, Field]

    def searchable(self, name: str) -> bool:
        return (name,) in self.searchable_fields


class MarketoSchema(BaseModel):
    """A snapshot of a subscription's schema; ``taken_at`` is UTC.

    ``api_created_fields`` counts the custom person fields that were made over the API: the budget is 100.
    """

    model_config = ConfigDict(frozen=True)

    taken_at: datetime
    person: ObjectSchema
    company: ObjectSchema
    sales_person: ObjectSchema
    api_created_fields: int = 0

    def of(self, target: Target) -> ObjectSchema:
        return {"person": self.person, "company": self.company, "sales_person": self.sales_person}[target]


class NewPersonField(BaseModel):
    """A custom person field to be created over the API. It can never be deleted again, only hidden."""

    model_config = ConfigDict(frozen=True)

    name: str
    display_name: str
    data_type: str
    description: str = ""
