"""The shape of every answer of Marketo that the product reads: the identity's, the envelope, each call's ``result``.

What does not fit is not Marketo's, or not whole. ``crmsync.marketo.calls`` says which call answers with what.

Source: "Authentication", "REST API" (the envelope), "Lead Database", "Leads", "Custom Objects", "Bulk Import",
"Activities", "Usage". ``result`` is absent only where a call returns nothing, and on a page without activities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, InstanceOf, StrictBool, StrictInt, StringConstraints

from crmsync.shapes import Members, Odd, Shape, Text, shaped

Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{3,7}$")]
Digits = Annotated[str, StringConstraints(pattern=r"^\[?[0-9, ]*\]?$", max_length=10_000)]


# Identity


class _Token(Members):
    access_token: Text
    expires_in: Annotated[StrictInt, Field(ge=0)]
    scope: str | None = None


class _TokenRefused(Members):
    error: Literal["unauthorized", "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_grant"]
    error_description: str | None = None


TOKEN, TOKEN_REFUSED = shaped(_Token), shaped(_TokenRefused)


# The envelope


class _Reason(Members):
    code: Code
    message: str = ""


class _Success(Members):
    success: StrictBool
    requestId: str | None = None
    nextPageToken: Text | None = None
    moreResult: StrictBool | None = None
    warnings: list[Any] | None = None


class _Failure(Members):
    success: StrictBool
    requestId: str | None = None
    errors: Annotated[list[_Reason], Field(min_length=1)]


SUCCESS, FAILURE = shaped(_Success), shaped(_Failure)


# Results

Scalar = str | StrictInt | float | StrictBool | None


class _Outcome(Members):
    status: Literal["created", "updated", "deleted", "skipped"]
    seq: StrictInt | None = None
    id: StrictInt | None = None
    marketoGUID: Text | None = None
    name: Text | None = None
    reasons: list[_Reason] | None = None


class _List(Members):
    id: StrictInt
    name: str


class _Field(Members):
    name: Text
    dataType: Text
    displayName: str | None = None
    length: StrictInt | None = None
    updateable: StrictBool = True
    crmManaged: StrictBool | None = None


class _Described(Members):
    name: str | None = None
    idField: str | None = None
    dedupeFields: list[str] | None = None
    searchableFields: list[list[str] | str] | None = None
    fields: Annotated[list[_Field], Field(min_length=1)]


class _FieldSchema(Members):
    isApiCreated: StrictBool | None = None


class _End(Members):
    name: str | None = None
    field: str | None = None


class _Link(Members):
    field: Text
    relatedTo: _End | None = None
    object: _End | None = None


class _Type(Members):
    apiName: Text
    displayName: str | None = None
    state: Literal["draft", "approved", "approvedWithDraft"] | None = None
    dedupeFields: list[str] | None = None
    fields: list[_Field] | None = None
    relationships: list[_Link] | None = None


class _LinkableField(Members):
    name: Text
    displayName: str | None = None


class _Linkable(Members):
    name: Text
    fields: list[_LinkableField] | None = None


class _Started(Members):
    batchId: StrictInt


class _Status(Members):
    batchId: StrictInt
    status: Literal["Queued", "Importing", "Complete", "Failed"]
    numOfLeadsProcessed: StrictInt | None = None
    numOfObjectsProcessed: StrictInt | None = None
    numOfRowsFailed: Annotated[StrictInt, Field(ge=0)] | None = None
    numOfRowsWithWarning: Annotated[StrictInt, Field(ge=0)] | None = None
    message: str | None = None


class _User(Members):
    userId: str
    count: StrictInt


class _Usage(Members):
    users: list[_User] | None = None


class _Changed(Members):
    name: Text
    newValue: str | None = None


class _Attribute(Members):
    name: str
    value: Scalar = None


class _Activity(Members):
    leadId: StrictInt
    activityTypeId: StrictInt
    activityDate: Text
    marketoGUID: Text | None = None
    id: StrictInt | None = None
    primaryAttributeValueId: StrictInt | None = None
    fields: list[_Changed] | None = None
    attributes: list[_Attribute] | None = None


def _some(row: type[Members]) -> Any:
    return Annotated[list[row], Field(min_length=1)]  # type: ignore[valid-type]


_outcomes = shaped(list[_Outcome])
_activities = shaped(list[_Activity] | None)
_merged = shaped(Digits | StrictInt)
_records = shaped(list[InstanceOf[dict]])  # type: ignore[type-arg]

NO_RESULT: Shape = shaped(list[Any] | None)
LISTS = shaped(list[_List])
DESCRIPTION = shaped(_some(_Described))
FIELD_SCHEMAS = shaped(list[_FieldSchema])
TYPES = shaped(list[_Type])
LINKABLES = shaped(list[_Linkable])
IMPORT_STARTED = shaped(_some(_Started))
IMPORT_STATUSES = shaped(_some(_Status))
USAGES = shaped(list[_Usage])

ADDED, MERGED, CHANGED = 24, 32, 13


def outcomes(result: Any) -> None:
    """One outcome a record; one that was skipped says why."""
    _outcomes(result)
    if any(row["status"] == "skipped" and not row.get("reasons") for row in result):
        raise Odd("a record was skipped without a reason")


def lead_outcomes(result: Any) -> None:
    """The same of people: who was written has an id."""
    outcomes(result)
    if any(row["status"] != "skipped" and row.get("id") is None for row in result):
        raise Odd("a person was written without an id")


def activities(result: Any) -> None:
    """A page of activities, each with what its type tells."""
    _activities(result)
    for row in result or ():
        if row.get("marketoGUID") is None and row.get("id") is None:
            raise Odd("an activity without an id")
        if row["activityTypeId"] == ADDED and row.get("primaryAttributeValueId") is None:
            raise Odd("an addition to a list without the list")
        if row["activityTypeId"] == MERGED:
            _look_at_merge(row)


def lead_changes(result: Any) -> None:
    """The same; a change names its fields."""
    activities(result)
    if any(row["activityTypeId"] == CHANGED and row.get("fields") is None for row in result or ()):
        raise Odd("a change without its fields")


def _look_at_merge(row: dict[str, Any]) -> None:
    for attribute in row.get("attributes") or ():
        if attribute["name"] in ("Merge IDs", "Merge Ids"):
            _merged(attribute.get("value"))
            return
    raise Odd("a merge without those who were merged")


def records(result: Any) -> None:
    """Records as a query finds them, whose values are single ones."""
    _records(result)
    if not all(_SCALARS.issuperset(map(type, row.values())) for row in result):
        raise Odd("a value that is an object or a list")


def found_by(filter_type: str, fields: Sequence[str]) -> Shape:
    """Records that were found by this field and have these ``fields``: Marketo's number is one, other keys are text."""
    known = {name: _NUMBER if name in NUMBERS else _TEXT for name in {filter_type, *NUMBERS.intersection(fields)}}
    needed = NUMBERS.intersection(fields)

    def check(result: Any) -> None:
        records(result)
        for row in result:
            if any(type(row.get(name)) not in kind for name, kind in known.items()):
                raise Odd("a key of another type")
            if any(row.get(name) is None for name in needed):
                raise Odd("a record without its number")

    return check


NUMBERS = frozenset({"id", "leadId"})
_SCALARS = frozenset({str, int, float, bool, type(None)})
_NUMBER, _TEXT = frozenset({int, type(None)}), frozenset({str, type(None)})
