"""The shape of what only the set-up and the checklist read of Dataverse; as ``crmsync.dynamics.answers``.

"Work with solutions", "Security roles and privileges" and the table references of what is read (Microsoft's documents).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, StrictBool, StrictInt

from crmsync.dynamics.answers import Labels, Link, rows_of
from crmsync.shapes import Members, Shape, Text, shaped


class _Unit(Members):
    businessunitid: Text
    name: str


class _Role(Members):
    roleid: Text
    name: str
    ismanaged: StrictBool | None = None


class _Held(Members):
    PrivilegeName: Text
    Depth: Literal["Basic", "Local", "Deep", "Global"]


class _RolePrivileges(Members):
    RolePrivileges: list[_Held]


class _Privilege(Members):
    privilegeid: Text
    name: Text


class _Solution(Members):
    solutionid: Text
    uniquename: Text
    version: Text
    ismanaged: StrictBool
    friendlyname: str | None = None


class _Publisher(Members):
    publisherid: Text


class _Component(Members):
    objectid: Text


class _Components(Members):
    value: list[_Component]
    next_link: Link | None = Field(None, alias="@odata.nextLink")


class _Step(Members):
    name: Text
    statecode: StrictInt


class _Dependency(Members):
    RequiredComponentDisplayName: str | None = None
    RequiredComponentSchemaName: str | None = None
    RequiredSolutionName: str | None = None


class _Validation(Members):
    Message: str | None = None


class _Stage(Members):
    StageSolutionUploadId: Text | None = None
    StageSolutionStatus: str | StrictInt | None = None
    MissingDependencies: list[_Dependency] | None = None
    SolutionValidationResults: list[_Validation] | None = None


class _Staged(Members):
    StageSolutionResults: _Stage


class _Import(Members):
    AsyncOperationId: Text
    ImportJobKey: Text


class _Job(Members):
    statecode: StrictInt
    statuscode: StrictInt
    errorcode: StrictInt | None = None
    message: str | None = None
    friendlymessage: str | None = None


class _Progress(Members):
    progress: float | None = None


class _OperationResult(Members):
    Status: str | StrictInt | None = None
    ErrorMessages: list[str] | None = None
    WarningMessages: list[str] | None = None


class _ImportResult(Members):
    SolutionOperationResult: _OperationResult


class _User(Members):
    systemuserid: Text
    fullname: str | None = None
    internalemailaddress: str | None = None
    isdisabled: StrictBool | None = None
    deletedstate: StrictInt | None = None
    businessunit: Text = Field(alias="_businessunitid_value")


class _Table(Members):
    LogicalName: Text
    SchemaName: Text
    EntitySetName: Text | None = None
    PrimaryIdAttribute: Text | None = None
    DisplayName: Labels | None = None


class _Relationship(Members):
    ReferencingAttribute: Text
    ReferencingEntityNavigationPropertyName: Text


class _Profile(Members):
    fieldsecurityprofileid: Text


class _FieldPermission(Members):
    entityname: Text
    attributelogicalname: Text
    canread: StrictInt | None = None


UNITS = rows_of(_Unit)
ROLES = rows_of(_Role)
ROLE_PRIVILEGES = shaped(_RolePrivileges)
PRIVILEGE_IDS = rows_of(_Privilege)
SOLUTIONS = rows_of(_Solution)
PUBLISHERS = rows_of(_Publisher)
COMPONENTS = shaped(_Components)
STEPS = rows_of(_Step)
STAGED = shaped(_Staged)
IMPORT = shaped(_Import)
JOB = shaped(_Job)
PROGRESS = shaped(_Progress)
IMPORT_RESULT = shaped(_ImportResult)
USERS = rows_of(_User)
TABLES = rows_of(_Table)
RELATIONSHIPS = rows_of(_Relationship)
PROFILES = rows_of(_Profile)
FIELD_PERMISSIONS = rows_of(_FieldPermission)


def keyed(key: str) -> Shape:
    """Rows that have this key."""
    return rows_of(type("Keyed", (Members,), {"__annotations__": {key: Text}}))
