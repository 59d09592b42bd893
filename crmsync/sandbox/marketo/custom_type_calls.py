"""The custom object schema calls: create, change, approve and delete types and their fields, and read them.

"Custom Objects" (Custom Object Types, Custom Object Fields). Changes answer an empty result. A subscription of another
type answers 616: a switch. Reading with ``state`` gives the version asked for; without it the approved one, or else the
draft.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.marketo.call import Call
from crmsync.sandbox.marketo.custom_type_rules import (
    DATA_TYPES,
    check_approvable,
    check_data_type,
    check_display_name,
    check_keys_and_links,
    check_type_names,
    check_unused,
    flag,
    linkable,
    new_type_field,
    text,
)
from crmsync.sandbox.marketo.custom_types import STANDARD_PARENTS, CustomType, TypeField, Version, store_name
from crmsync.sandbox.marketo.describe import type_shape
from crmsync.sandbox.marketo.envelope import Answer
from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.object_calls import ACTIONS, choice

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

Handler = Callable[["Marketo", Call], Awaitable[Answer]]
STATES = ("draft", "approved", "approvedWithDraft")


def on_type(change: Callable[[Marketo, CustomType, Call], None]) -> Handler:
    """A call that changes the type in its path."""

    async def handler(marketo: Marketo, call: Call) -> Answer:
        _check_subscription(marketo)
        await marketo.work("write")
        change(marketo, marketo.custom_types.named(call.path["type"]), call)
        return Answer([])

    return handler


async def sync_type(marketo: Marketo, call: Call) -> Answer:
    """``POST /rest/v1/customobjects/schema.json``."""
    _check_subscription(marketo)
    members = call.json()
    action = choice(members, "action", ACTIONS)
    name = str(text(members, "apiName", required=True))
    found = marketo.custom_types.get(name)
    await marketo.work("write")
    if found is not None:
        if action == "createOnly":
            raise MarketoError(1017)
        _update(marketo, found, members)
    elif action == "updateOnly":
        raise MarketoError(1013, f"Custom object type '{name}' not found")
    else:
        display_name = str(text(members, "displayName", required=True))
        check_type_names(marketo, name, display_name, own=None)
        version = Version(display_name)
        _apply(version, members)
        marketo.custom_types.add(name, version, marketo.moment())
    return Answer([])


def _update(marketo: Marketo, found: CustomType, members: dict[str, Any]) -> None:
    current = found.draft or found.approved
    assert current is not None
    display_name = text(members, "displayName") or current.display_name
    if found.approved is not None and display_name != current.display_name:
        raise MarketoError(1003, "displayName of an approved type cannot be changed")
    check_type_names(marketo, found.name, display_name, own=found)
    draft = found.editable()
    draft.display_name = display_name
    _apply(draft, members)
    marketo.custom_types.save(found, marketo.moment())


def _apply(version: Version, members: dict[str, Any]) -> None:
    version.plural_name = text(members, "pluralName") or version.plural_name
    version.description = text(members, "description") or version.description
    if "showInLeadDetail" in members:
        version.show_in_lead_detail = flag(members, "showInLeadDetail")


def add_fields(marketo: Marketo, found: CustomType, call: Call) -> None:
    """``POST …/addField.json``: all of them, or none and why."""
    draft, added = (found.draft or _approved(found)).copy(), found.added
    try:
        for members in call.input(call.json()):
            draft.fields.append(new_type_field(marketo, found, draft, members))
            found.added += found.approved is not None
    except MarketoError:
        found.added = added
        raise
    found.draft = draft
    marketo.custom_types.save(found, marketo.moment())


def update_field(marketo: Marketo, found: CustomType, call: Call) -> None:
    """``POST …/{field}/updateField.json``: a field of the draft."""
    members = call.json()
    draft = (found.draft or _approved(found)).copy()
    field = _field(draft, call.path["field"])
    _check_kept(found, field, members)
    if (display_name := text(members, "displayName")) is not None:
        check_display_name(draft, field, display_name)
        field.display_name = display_name
    if (data_type := text(members, "dataType")) is not None:
        check_data_type(data_type)
        if (data_type == "link") != field.is_link:
            raise MarketoError(1003, "A link field cannot become another, nor another a link field")
        field.data_type = data_type
    field.description = text(members, "description") or field.description
    if "isDedupeField" in members:
        field.dedupe = flag(members, "isDedupeField")
    check_keys_and_links(draft.fields)
    found.draft = draft
    marketo.custom_types.save(found, marketo.moment())


def _check_kept(found: CustomType, field: TypeField, members: dict[str, Any]) -> None:
    """What a field keeps once it was approved; its name it always keeps."""
    if members.get("name", field.name) != field.name:
        raise MarketoError(1003, "The name of a field cannot be changed")
    if found.approved is None:
        return
    if "isDedupeField" in members and members["isDedupeField"] != field.dedupe:
        raise MarketoError(1003, "Dedupe fields of an approved type cannot be added or removed")
    approved = found.approved.field(field.name) is not None
    if approved and members.get("dataType", field.data_type) != field.data_type:
        raise MarketoError(1003, "dataType of an approved field cannot be changed")


def delete_fields(marketo: Marketo, found: CustomType, call: Call) -> None:
    """``POST …/deleteField.json``: all of them, or none and why."""
    draft = (found.draft or _approved(found)).copy()
    for members in call.input(call.json()):
        field = _field(draft, str(text(members if isinstance(members, dict) else {}, "name", required=True)))
        if found.approved is not None and (field.dedupe or field.is_link):
            raise MarketoError(1003, "Link fields and dedupe fields cannot be removed from an approved type")
        draft.fields.remove(field)
    found.draft = draft
    marketo.custom_types.save(found, marketo.moment())


def approve(marketo: Marketo, found: CustomType, call: Call) -> None:
    """``POST …/approve.json``: the draft takes the approved version's place."""
    found.approved, found.draft = check_approvable(found), None
    marketo.custom_types.save(found, marketo.moment())


def discard_draft(marketo: Marketo, found: CustomType, call: Call) -> None:
    """``POST …/discardDraft.json``: a type that was never approved goes with its draft."""
    if found.draft is None:
        raise MarketoError(1048)
    if found.approved is None:
        marketo.custom_types.remove(found)
        return
    new = [field for field in found.draft.fields if found.approved.field(field.name) is None]
    found.draft, found.added = None, max(0, found.added - len(new))
    marketo.custom_types.save(found, marketo.moment())


def delete_type(marketo: Marketo, found: CustomType, call: Call) -> None:
    """``POST …/delete.json``, with all records."""
    check_unused(marketo, found)
    with marketo.database.transaction():
        marketo.records.delete_all(store_name(found.name))
        marketo.custom_types.remove(found)


async def list_types(marketo: Marketo, call: Call) -> Answer:
    """``GET …/schema.json``."""
    _check_subscription(marketo)
    names = {name.lower() for name in call.listed("names")}
    state = _state(call)
    chosen = [each for each in marketo.custom_types if not names or each.name.lower() in names]
    return Answer([type_shape(each, version) for each in chosen if (version := _version(each, state)) is not None])


async def describe_type(marketo: Marketo, call: Call) -> Answer:
    """``GET …/schema/{type}/describe.json``."""
    _check_subscription(marketo)
    found = marketo.custom_types.named(call.path["type"])
    version = _version(found, _state(call))
    if version is None:
        raise MarketoError(1013, f"Custom object type '{found.name}' has no such version")
    return Answer([type_shape(found, version)])


async def data_types(marketo: Marketo, call: Call) -> Answer:
    """``GET …/schema/fieldDataTypes.json``."""
    _check_subscription(marketo)
    return Answer(list(DATA_TYPES))


async def linkable_objects(marketo: Marketo, call: Call) -> Answer:
    """``GET …/schema/linkableObjects.json``: people, companies, and approved types without a link."""
    _check_subscription(marketo)
    shown = {"lead": "Lead", "company": "Company"}
    shown |= {each.name: each.approved.display_name for each in marketo.custom_types if each.approved}
    result = []
    for parent, display_name in shown.items():
        names = [(f.name if parent not in STANDARD_PARENTS else f.display_name, f) for f in linkable(marketo, parent)]
        fields = [{"name": name, "displayName": f.display_name, "dataType": f.data_type} for name, f in names]
        if fields:
            result.append({"name": parent, "displayName": display_name, "fields": fields})
    return Answer(result)


async def dependent_assets(marketo: Marketo, call: Call) -> Answer:
    """``GET …/schema/{type}/dependentAssets.json``: there are no campaigns here, only other types."""
    _check_subscription(marketo)
    found = marketo.custom_types.named(call.path["type"])
    users = marketo.custom_types.dependents(found.name)
    asset = "Custom Object"
    return Answer(
        [{"assetType": asset, "assetId": user.id, "assetName": user.name, "usedFields": used} for user, used in users]
    )


def _check_subscription(marketo: Marketo) -> None:
    if marketo.switches.on("custom_object_types", "off"):
        raise MarketoError(616)


def _approved(found: CustomType) -> Version:
    assert found.approved is not None
    return found.approved


def _field(draft: Version, name: str) -> TypeField:
    field = draft.field(name)
    if field is None:
        raise MarketoError(1006, name)
    return field


def _state(call: Call) -> str | None:
    state = call.text("state")
    if state is not None and state not in STATES:
        raise MarketoError(1003, f"Invalid value '{state}' for state")
    return state


def _version(found: CustomType, state: str | None) -> Version | None:
    if state == "draft":
        return found.draft
    if state == "approvedWithDraft" and found.state != state:
        return None
    return found.approved if state is not None or found.approved is not None else found.draft
