"""What a custom object type may be: names, numbers of fields, links, keys, and what stays once it was approved.

"Custom Objects": 10 types, 50 fields, 20 more after the first approval, one to three dedupe fields; after it, display
name, links and dedupe fields stay. A type may not link to one that has a link itself, so there are two levels at most.
Codes are assumed: 1003 for what is not allowed, 709 for an approval that is not possible.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.marketo.custom_types import STANDARD_PARENTS, CustomType, TypeField, Version
from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.fields import Field
from crmsync.sandbox.marketo.record_kinds import GUID, SYSTEM

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

MOST_TYPES = 10
MOST_FIELDS = 50
MOST_ADDED = 20
MOST_KEYS = 3
MOST_LINKS = 2
DATA_TYPES = (
    "string", "boolean", "integer", "float", "link", "email", "currency", "date", "datetime", "phone", "text",
)  # fmt: skip
RESERVED = frozenset({*(name.lower() for name in SYSTEM), "lead", "company"})

_NAME = re.compile(r"[A-Za-z0-9_]{1,255}")
_DISPLAY_NAME = re.compile(r"(?=.*[^\W_])[\w ]{1,255}")


def text(members: dict[str, Any], name: str, *, required: bool = False) -> str | None:
    """A text member; 1002 when it is needed and missing, 1001 when it is none."""
    value = members.get(name)
    if value is None or value == "":
        if required:
            raise MarketoError(1002, name)
        return None
    if not isinstance(value, str):
        raise MarketoError(1001, value, "string")
    return value


def flag(members: dict[str, Any], name: str) -> bool:
    """A boolean member, false unless given."""
    value = members.get(name, False)
    if not isinstance(value, bool):
        raise MarketoError(1001, value, "boolean")
    return value


def check_type_names(marketo: Marketo, name: str, display_name: str, *, own: CustomType | None) -> None:
    """Names in form and not taken by another type."""
    if not _NAME.fullmatch(name) or name.lower() in RESERVED:
        raise MarketoError(1003, f"Invalid apiName '{name}'")
    if not _DISPLAY_NAME.fullmatch(display_name):
        raise MarketoError(1003, f"Invalid displayName '{display_name}'")
    for each in marketo.custom_types:
        names = {version.display_name.lower() for version in (each.draft, each.approved) if version}
        if each is not own and display_name.lower() in names:
            raise MarketoError(1003, f"displayName '{display_name}' already exists")
    if own is None and len(marketo.custom_types) >= MOST_TYPES:
        raise MarketoError(1003, f"At most {MOST_TYPES} custom object types are allowed")


def new_type_field(marketo: Marketo, found: CustomType, draft: Version, members: Any) -> TypeField:
    """A field that may be added to a draft."""
    if not isinstance(members, dict):
        raise MarketoError(1003, "Invalid data")
    name, display_name = str(text(members, "name", required=True)), str(text(members, "displayName", required=True))
    data_type = str(text(members, "dataType", required=True))
    if not _NAME.fullmatch(name) or name.lower() in RESERVED:
        raise MarketoError(1003, f"Invalid name '{name}'")
    if draft.field(name) is not None:
        raise MarketoError(1003, f"Field '{name}' already exists")
    made = TypeField(name, display_name, data_type, text(members, "description"), flag(members, "isDedupeField"))
    check_display_name(draft, made, display_name)
    check_data_type(data_type)
    _link(marketo, found, made, members.get("relatedTo"))
    check_numbers(found, draft, made)
    return made


def check_display_name(draft: Version, own: TypeField, display_name: str) -> None:
    """A display name in form and not taken by another field."""
    taken = {each.display_name.lower() for each in draft.fields if each.name != own.name}
    if not _DISPLAY_NAME.fullmatch(display_name):
        raise MarketoError(1003, f"Invalid displayName '{display_name}'")
    if display_name.lower() in taken:
        raise MarketoError(1003, f"displayName '{display_name}' already exists")


def check_data_type(data_type: str) -> None:
    """One of those that ``fieldDataTypes.json`` lists."""
    if data_type not in DATA_TYPES:
        raise MarketoError(1003, f"Invalid value '{data_type}' for dataType")


def check_numbers(found: CustomType, draft: Version, made: TypeField) -> None:
    """Limits, and what may not be added after the first approval."""
    if found.approved is not None and (made.dedupe or made.is_link):
        raise MarketoError(1003, "Link fields and dedupe fields cannot be added to an approved type")
    if found.approved is not None and found.added >= MOST_ADDED:
        raise MarketoError(1003, f"At most {MOST_ADDED} fields may be added to an approved type")
    if len(draft.fields) >= MOST_FIELDS:
        raise MarketoError(1003, f"At most {MOST_FIELDS} fields are allowed")
    check_keys_and_links([*draft.fields, made])


def check_keys_and_links(fields: list[TypeField]) -> None:
    """At most three dedupe fields, and two links of which one is to a type."""
    if sum(each.dedupe for each in fields) > MOST_KEYS:
        raise MarketoError(1003, f"At most {MOST_KEYS} dedupe fields are allowed")
    parents = [each.parent for each in fields if each.is_link]
    if len(parents) > MOST_LINKS or sum(parent in STANDARD_PARENTS for parent in parents) > 1:
        raise MarketoError(1003, "A type may have one link to a lead or company, and one to a custom object")


def check_approvable(found: CustomType) -> Version:
    """The draft that may be approved; 709 when it may not."""
    if found.draft is None:
        raise MarketoError(709, f"custom object type '{found.name}' has no draft")
    if not found.draft.key:
        raise MarketoError(709, f"custom object type '{found.name}' has no dedupe field")
    return found.draft


def linkable(marketo: Marketo, parent: str) -> list[Field]:
    """The fields of a parent that may be linked to, as ``linkableObjects.json`` lists them."""
    if parent == "lead":
        fields = marketo.person_fields
        kinds = ("string", "integer", "email")
        return [f for f in fields if f.name in ("id", "email") or (f.custom and f.data_type in kinds)]
    if parent == "company":
        return [field for field in marketo.fields["company"] if field.name == "id"]
    found = marketo.custom_types.get(parent)
    if found is None or found.approved is None or found.approved.links:
        return []
    kind = marketo.custom_types.kind(parent)
    return [field for field in kind.fields if field.name in (GUID, *kind.key)]


def _link(marketo: Marketo, found: CustomType, made: TypeField, related: Any) -> None:
    if made.data_type != "link":
        if related is not None:
            raise MarketoError(1003, "relatedTo is for fields of type 'link'")
        return
    if not isinstance(related, dict):
        raise MarketoError(1002, "relatedTo")
    parent, at = str(text(related, "name", required=True)), str(text(related, "field", required=True))
    known = marketo.custom_types.get(parent)
    parent = known.name if known is not None else parent.lower()
    if parent == found.name:
        raise MarketoError(1003, "A type cannot link to itself")
    names = {field.name.lower(): field for field in linkable(marketo, parent)}
    shown = {field.display_name.lower(): field for field in names.values()}
    field = names.get(at.lower()) or shown.get(at.lower())
    if field is None:
        raise MarketoError(1003, f"'{parent}.{at}' cannot be linked to")
    made.parent, made.parent_field, made.link_type = parent, field.name, field.data_type


def check_unused(marketo: Marketo, found: CustomType) -> None:
    """1022 for a type that another one links to."""
    if next(marketo.custom_types.dependents(found.name), None) is not None:
        raise MarketoError(1022)
