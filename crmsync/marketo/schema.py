"""What the product knows of a subscription's schema: the fields of people, companies and sales persons.

Shapes follow Marketo's "Leads" (describe2), "Lead Database" (describe) and "Lead fields" pages.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

Target = Literal["person", "company", "sales_person", "opportunity", "custom_object"]

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


class CustomObjectType(BaseModel):
    """A custom object type as it would be once its draft, if there is one, is approved. ``links`` are the object and
    the field, in lower case, that each link field leads to."""

    model_config = ConfigDict(frozen=True)

    name: str
    display_name: str
    is_approved: bool
    has_draft: bool
    dedupe_fields: tuple[str, ...] = ()
    fields: dict[str, Field] = {}
    links: dict[str, tuple[str, str]] = {}


class CustomObjects(BaseModel):
    """The subscription's custom object types by API name in lower case, and what a new one may link to: by object, the
    name to give for a field by each name that it has, in lower case."""

    model_config = ConfigDict(frozen=True)

    types: dict[str, CustomObjectType] = {}
    linkable: dict[str, dict[str, str]] = {}


class MarketoSchema(BaseModel):
    """A snapshot of a subscription's schema; ``taken_at`` is UTC.

    ``api_created_fields`` counts the custom person fields that were made over the API: the budget is 100. An object
    that the subscription does not have, or does not show, is None; ``left_out`` says why.
    """

    model_config = ConfigDict(frozen=True)

    taken_at: datetime
    person: ObjectSchema
    company: ObjectSchema
    sales_person: ObjectSchema
    opportunity: ObjectSchema | None = None
    opportunity_role: ObjectSchema | None = None
    custom_objects: CustomObjects | None = None
    left_out: dict[str, str] = {}
    api_created_fields: int = 0

    def of(self, target: Target) -> ObjectSchema:
        """The object, which must be there."""
        found: ObjectSchema | None = getattr(self, target)
        assert found is not None, target  # what is left out is not selected
        return found

    def without(self, field: str) -> MarketoSchema:
        """The same without this field, which describe, kept for a while, may still show."""
        kept = {
            name: found.model_copy(update={"fields": {key: one for key, one in found.fields.items() if key != field}})
            for name in ("person", "company", "opportunity")
            if (found := getattr(self, name)) is not None
        }
        return self.model_copy(update=kept)


class NewPersonField(BaseModel):
    """A custom person field to be created over the API. It can never be deleted again, only hidden."""

    model_config = ConfigDict(frozen=True)

    name: str
    display_name: str
    data_type: str
    description: str = ""


class NewObjectField(BaseModel):
    """A field of a custom object type to be made; ``related`` are object and field of a link. Once approved, links and
    dedupe fields stay as they are for ever."""

    model_config = ConfigDict(frozen=True)

    name: str
    display_name: str
    data_type: str
    is_dedupe: bool = False
    related: tuple[str, str] | None = None


class NewCustomObject(BaseModel):
    """A custom object type to be made, or fields to be added to one that is there."""

    model_config = ConfigDict(frozen=True)

    name: str
    display_name: str
    plural_name: str
    fields: tuple[NewObjectField, ...]
