"""The shape of every answer of Dataverse that the product reads, and how an answer is read: JSON, nothing, or an id.

A success that does not fit is not Dataverse's, or not whole. Rows of data are looked at by hand, because a page has
5,000 of them: that each has its id, and that the selected columns hold what their type says.

Facts: "Query data using the Web API", "Use change tracking to synchronize data with external systems", "Query table
definitions using the Web API", "Compose HTTP requests and handle errors" (Microsoft's documents).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Annotated, Any, Literal

import httpx
from pydantic import Field, InstanceOf, StrictBool, StrictInt, StringConstraints

from crmsync.dynamics.schema import LOOKUP_TYPES, Entity
from crmsync.shapes import Members, Odd, Shape, Text, json_in, shaped

Read = Callable[[httpx.Response], Any]
"""Reads a success; raises ``Odd``."""

Link = Annotated[str, StringConstraints(pattern=r"^https?://")]

_LAST_GUID = re.compile(r"\(([0-9a-fA-F-]{36})\)\s*$")


def as_json(shape: Shape) -> Read:
    """Reads JSON of this shape."""

    def read(response: httpx.Response) -> Any:
        body = _object(response)
        shape(body)
        return body

    return read


def anything(response: httpx.Response) -> Any:
    """Reads a JSON object, or the nothing of a request that is not a GET."""
    return None if response.status_code == httpx.codes.NO_CONTENT and not _is_get(response) else _object(response)


def done(response: httpx.Response) -> None:
    """Reads the answer to a write: Dataverse's own 204, which carries the protocol's version."""
    if response.status_code != httpx.codes.NO_CONTENT:
        raise Odd("another status than 204")
    if "odata-version" not in response.headers:
        raise Odd("no OData-Version")


def created(response: httpx.Response) -> str:
    """Reads the id (lower case) of the record that was created."""
    told = response.headers
    found = _LAST_GUID.search(told.get("odata-entityid") or told.get("location") or "")
    if found is None:
        raise Odd("a created record without its id")
    return found.group(1).lower()


def _object(response: httpx.Response) -> Any:
    if response.status_code not in (httpx.codes.OK, httpx.codes.CREATED):
        raise Odd("a success without a body")
    body = json_in(response)
    if not isinstance(body, dict):
        raise Odd("JSON that is not an object")
    return body


def _is_get(response: httpx.Response) -> bool:
    return response.request.method == "GET"


class _Page(Members):
    value: list[InstanceOf[dict]]  # type: ignore[type-arg]
    next_link: Link | None = Field(None, alias="@odata.nextLink")
    delta_link: Link | None = Field(None, alias="@odata.deltaLink")


_page = shaped(_Page)


def rows_of(row: type[Members], *, some: bool = False) -> Shape:
    """Rows with these members; with ``some`` there is one at least."""
    value = Annotated[list[row], Field(min_length=1)] if some else list[row]  # type: ignore[valid-type]
    return shaped(type("Rows", (Members,), {"__annotations__": {"value": value}}))


# Rows of data

_TYPES: dict[str, frozenset[type]] = {
    "BooleanType": frozenset({bool}),
    **dict.fromkeys(("IntegerType", "PicklistType", "StateType", "StatusType"), frozenset({int})),
    **dict.fromkeys(("DecimalType", "DoubleType", "MoneyType"), frozenset({int, float})),
    **dict.fromkeys(
        ("StringType", "MemoType", "DateTimeType", "MultiSelectPicklistType", "UniqueidentifierType", *LOOKUP_TYPES),
        frozenset({str}),
    ),
}
"""What JSON holds for the columns of each type ("Column data types"); others are not looked at."""

Columns = dict[str, frozenset[type]]

_NOTHING = frozenset({type(None)})
_CONTEXT = "@odata.context"
_DELETED = "$deletedEntity"


def is_deleted(row: dict[str, Any]) -> bool:
    """Whether a row of a change page tells of a deletion: only these have a context of their own."""
    return _CONTEXT in row and str(row[_CONTEXT]).endswith(_DELETED)


def change_page(body: Any) -> None:
    """A page of changes of any entity: one link, to what comes next or to later changes, and ids of what is gone."""
    _page(body)
    if bool(body.get("@odata.nextLink")) == bool(body.get("@odata.deltaLink")):
        raise Odd("a page of changes without one link")
    if any(type(row.get("id")) is not str for row in body["value"] if _CONTEXT in row and is_deleted(row)):
        raise Odd("a deleted record without its id")


class OddValues(Odd):
    """Rows that may be the service's own, of a column whose metadata have changed."""


def data_of(entity: Entity, select: Sequence[str], *, tracked: bool = False) -> Shape:
    """Rows of this entity with these columns; a ``tracked`` page is one of changes."""
    columns = _columns(entity, select)

    def check(body: Any) -> None:
        change_page(body) if tracked else _page(body)
        rows: list[dict[str, Any]] = body["value"]
        if tracked and any(_CONTEXT in row for row in rows):
            rows = [row for row in rows if _CONTEXT not in row or not is_deleted(row)]
        _look_at(rows, columns)

    return check


def fits(entity: Entity, select: Sequence[str], rows: Sequence[dict[str, Any]]) -> bool:
    """Whether rows that came in another way are of this entity and these columns."""
    try:
        _look_at(rows, _columns(entity, select))
    except Odd:
        return False
    return True


def _look_at(rows: Sequence[dict[str, Any]], columns: Columns) -> None:
    """Each row has its id and the selected columns, of the right types: what is empty is null, and never left out. Rows
    of the same types count once, so that it costs less than half of what reading the JSON did."""
    names = list(columns)
    pick = itemgetter(*names, names[0])  # of one name alone it would give no tuple
    try:
        kinds = {tuple(map(type, pick(row))) for row in rows}
    except KeyError as missing:
        kind = Odd if any(names[0] not in row for row in rows) else OddValues
        raise kind(f"a record without {missing.args[0]}") from None
    for (name, types), held in zip(columns.items(), zip(*kinds, strict=True), strict=False):
        if not types.issuperset(held):
            raise OddValues(f"values of another type in {name}")


def _columns(entity: Entity, select: Sequence[str]) -> Columns:
    """The columns whose type is known, the key first, and what may stand in them."""
    known = {one.select_name: _TYPES.get(one.type) for one in entity.attributes.values()}
    others = {name: types | _NOTHING for name in select if name != entity.primary_id and (types := known.get(name))}
    return {entity.primary_id: frozenset({str}), **others}


# Who we are


class _WhoAmI(Members):
    UserId: Text
    BusinessUnitId: Text
    OrganizationId: Text


class _Organization(Members):
    organizationid: Text
    name: Text
    languagecode: StrictInt | None = None
    expirechangetrackingindays: StrictInt | None = None


class _User(Members):
    systemuserid: Text
    fullname: str | None = None
    internalemailaddress: str | None = None
    isdisabled: StrictBool | None = None
    applicationid: str | None = None


class _Privilege(Members):
    PrivilegeName: Text
    Depth: Literal["Basic", "Local", "Deep", "Global"]


class _Privileges(Members):
    RolePrivileges: list[_Privilege]


class _Counts(Members):
    Keys: list[str]
    Values: list[StrictInt]


class _RecordCounts(Members):
    EntityRecordCountCollection: _Counts


class _Detail(Members):
    FriendlyName: str | None = None
    UniqueName: str | None = None


class _CurrentOrganization(Members):
    Detail: _Detail


WHO_AM_I = shaped(_WhoAmI)
ORGANIZATIONS = rows_of(_Organization)
USER = shaped(_User)
PRIVILEGES = shaped(_Privileges)
RECORD_COUNTS = shaped(_RecordCounts)
CURRENT_ORGANIZATION = shaped(_CurrentOrganization)


# Definitions


class _LabelText(Members):
    Label: str | None = None
    LanguageCode: StrictInt | None = None


class Labels(Members):
    LocalizedLabels: list[_LabelText] | None = None
    UserLocalizedLabel: _LabelText | None = None


class _Value(Members):
    Value: str | StrictBool | StrictInt | None = None


class _Word(Members):
    Value: str | None = None


class _Named(Members):
    LogicalName: Text


class Definition(_Named):
    """What is read of a table's definition."""

    EntitySetName: Text
    PrimaryIdAttribute: Text
    SchemaName: str | None = None
    PrimaryNameAttribute: str | None = None
    ObjectTypeCode: StrictInt | None = None
    IsCustomEntity: StrictBool | None = None
    ChangeTrackingEnabled: StrictBool | None
    DisplayName: Labels | None = None


class _Column(_Named):
    MetadataId: Text
    AttributeTypeName: _Word | None = None
    AttributeType: str | None = None
    SchemaName: str | None = None
    AttributeOf: str | None = None
    IsLogical: StrictBool | None = None
    IsPrimaryId: StrictBool | None = None
    IsPrimaryName: StrictBool | None = None
    IsSecured: StrictBool | None = None
    IsCustomAttribute: StrictBool | None = None
    IsValidForRead: StrictBool | None = None
    IsValidForCreate: StrictBool | None = None
    IsValidForUpdate: StrictBool | None = None
    SourceType: StrictInt | None = None
    RequiredLevel: _Word | None = None
    DisplayName: Labels | None = None


class _Option(Members):
    Value: StrictInt
    Label: Labels | None = None


class _OptionSet(Members):
    Options: list[_Option] | None = None
    TrueOption: _Option | None = None
    FalseOption: _Option | None = None


Setting = _Word | str | None


class _Details(_Named):
    OptionSet: _OptionSet | None = None
    GlobalOptionSet: _OptionSet | None = None
    Targets: list[str] | None = None
    MaxLength: StrictInt | None = None
    Precision: StrictInt | None = None
    Format: Setting = None
    FormatName: Setting = None
    DateTimeBehavior: Setting = None
    MinValue: float | None = None
    MaxValue: float | None = None


class _Tracked(Members):
    ChangeTrackingEnabled: StrictBool | None
    CanChangeTrackingBeEnabled: _Value | None = None
    DisplayName: Labels | None = None


class _Labelled(Members):
    DisplayName: Labels | None = None


class _NamedPrivilege(Members):
    Name: str
    PrivilegeType: str


class _ReadPrivilege(Members):
    Privileges: list[_NamedPrivilege] | None = None


class _Secured(_Named):
    IsSecured: StrictBool | None = None


class Definitions(Members):
    """What is read of the definitions that have changed."""

    ServerVersionStamp: Text
    EntityMetadata: list[_Named]


class _OnlyId(Members):
    MetadataId: Text


DEFINITION = shaped(Definition)
COLUMNS = rows_of(_Column, some=True)
DETAILS = rows_of(_Details)
TRACKED = shaped(_Tracked)
LABELLED = shaped(_Labelled)
READ_PRIVILEGE = shaped(_ReadPrivilege)
SECURED = rows_of(_Secured)
METADATA_IDS = rows_of(_OnlyId)
