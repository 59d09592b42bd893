"""Tables that an administrator's set-up reads and writes: solutions, system jobs, plug-in steps, field security.

The publisher, solution, solutioncomponent, asyncoperation, importjob, sdkmessage, sdkmessagefilter,
sdkmessageprocessingstep, fieldsecurityprofile and fieldpermission table references of the Dataverse documents; only
columns that clients read.
"""

from __future__ import annotations

from crmsync.sandbox.dataverse.columns import (
    Column,
    Reference,
    Table,
    bigint,
    choice,
    double,
    guid,
    integer,
    key,
    lookup,
    memo,
    moment,
    system,
    text,
    yes_no,
)
from crmsync.sandbox.dataverse.options import Option

STAMPS = (
    system(moment("createdon", "Created On")),
    system(moment("modifiedon", "Modified On")),
    system(bigint("versionnumber", "Version Number")),
)
MANAGED = (system(yes_no("ismanaged", "State")), system(guid("solutionid", "Solution")))

COMPONENT_TYPES = {"Entity": 1, "Attribute": 2, "Relationship": 10, "Role": 20, "FieldSecurityProfile": 70, "Step": 92}
"""The numbers of ``solutioncomponent.componenttype`` that occur here."""

_JOB_STATES = (
    Option(0, "Ready", default_status=0),
    Option(1, "Suspended", default_status=10),
    Option(2, "Locked", default_status=20),
    Option(3, "Completed", default_status=30),
)
_JOB_STATUSES = (
    Option(0, "Waiting For Resources", state=0),
    Option(10, "Waiting", state=1),
    Option(20, "In Progress", state=2),
    Option(21, "Pausing", state=2),
    Option(22, "Canceling", state=2),
    Option(30, "Succeeded", state=3),
    Option(31, "Failed", state=3),
    Option(32, "Canceled", state=3),
)
_STEP_STATES = (Option(0, "Enabled", default_status=1), Option(1, "Disabled", default_status=2))
_STEP_STATUSES = (Option(1, "Enabled", state=0), Option(2, "Disabled", state=1))
_STAGES = (Option(10, "Pre-validation"), Option(20, "Pre-operation"), Option(40, "Post-operation"))
_PERMISSION = (Option(0, "Not Allowed"), Option(4, "Allowed"))

PUBLISHER = (
    key("publisherid", "Publisher"),
    text("uniquename", "Name", 256, updatable=False, required="SystemRequired"),
    text("friendlyname", "Display Name", 256, primary_name=True, required="SystemRequired"),
    text("customizationprefix", "Prefix", 8, required="SystemRequired"),
    integer("customizationoptionvalueprefix", "Option Value Prefix", 10000, 99999),
    memo("description", "Description"),
    system(yes_no("isreadonly", "Is Read-Only Publisher")),
    *STAMPS,
)

SOLUTION = (
    key("solutionid", "Solution"),
    text("uniquename", "Name", 65, updatable=False, required="SystemRequired"),
    text("friendlyname", "Display Name", 256, primary_name=True, required="SystemRequired"),
    text("version", "Version", 256, required="SystemRequired"),
    memo("description", "Description"),
    system(yes_no("ismanaged", "Package Type")),
    system(yes_no("isvisible", "Is Visible Outside Platform", default=True)),
    system(moment("installedon", "Installed On")),
    lookup("publisherid", "Publisher", Reference("publisher", "publisherid", "publisher_solution")),
    *STAMPS,
)

SOLUTION_COMPONENT = (
    key("solutioncomponentid", "Solution Component"),
    guid("objectid", "Regarding", creatable=False, updatable=False),
    integer("componenttype", "Object Type Code", creatable=False, updatable=False),
    integer("rootcomponentbehavior", "Include Behavior", creatable=False, updatable=False),
    system(lookup("solutionid", "Solution", Reference("solution", "solutionid", "solution_solutioncomponent"))),
    *STAMPS,
)

ASYNC_OPERATION = (
    key("asyncoperationid", "System Job"),
    text("name", "System Job Name", 256, primary_name=True),
    system(integer("operationtype", "System Job Type")),
    system(text("messagename", "Message Name", 160)),
    Column("statecode", "State", "Status", options=_JOB_STATES, creatable=False),
    Column("statuscode", "Status", "Status Reason", options=_JOB_STATUSES, creatable=False),
    system(memo("message", "Message", 1073741823)),
    system(memo("friendlymessage", "Friendly message", 1073741823)),
    system(integer("errorcode", "Error Code")),
    system(moment("startedon", "Started On")),
    system(moment("completedon", "Completed On")),
    system(lookup("createdby", "Created By", Reference("systemuser", "createdby", "lk_asyncoperation_createdby"))),
    *STAMPS,
)

IMPORT_JOB = (
    key("importjobid", "Import Job"),
    text("name", "Name", 256, primary_name=True),
    system(text("solutionname", "Solution Name", 65)),
    system(double("progress", "Progress", low=0, high=100)),
    system(memo("data", "Data", 1073741823)),
    system(moment("startedon", "Started On")),
    system(moment("completedon", "Completed On")),
    *STAMPS,
)

MESSAGE = (
    key("sdkmessageid", "Sdk Message"),
    text("name", "Name", 256, primary_name=True),
    *STAMPS,
)

MESSAGE_FILTER = (
    key("sdkmessagefilterid", "Sdk Message Filter"),
    text("name", "Name", 256, primary_name=True),
    text("primaryobjecttypecode", "Primary Object Type Code", 64),
    text("secondaryobjecttypecode", "Secondary Object Type Code", 64),
    lookup("sdkmessageid", "SDK Message", Reference("sdkmessage", "sdkmessageid", "sdkmessageid_sdkmessagefilter")),
    yes_no("iscustomprocessingstepallowed", "Custom Processing Step Allowed", default=True),
    *STAMPS,
)

STEP = (
    key("sdkmessageprocessingstepid", "Sdk Message Processing Step"),
    text("name", "Name", 256, primary_name=True),
    memo("description", "Description", 256),
    choice("stage", "Execution Stage", _STAGES),
    choice("mode", "Execution Mode", (Option(0, "Synchronous"), Option(1, "Asynchronous"))),
    integer("rank", "Execution Order"),
    memo("filteringattributes", "Filtering Attributes", 100000),
    lookup(
        "sdkmessageid", "SDK Message", Reference("sdkmessage", "sdkmessageid", "sdkmessageid_sdkmessageprocessingstep")
    ),
    lookup(
        "sdkmessagefilterid",
        "SdkMessage Filter",
        Reference("sdkmessagefilter", "sdkmessagefilterid", "sdkmessagefilterid_sdkmessageprocessingstep"),
    ),
    Column("statecode", "State", "Status", options=_STEP_STATES, creatable=False),
    Column("statuscode", "Status", "Status Reason", options=_STEP_STATUSES),
    *MANAGED,
    *STAMPS,
)

FIELD_SECURITY_PROFILE = (
    key("fieldsecurityprofileid", "Field Security Profile"),
    text("name", "Name", 100, primary_name=True, required="SystemRequired"),
    memo("description", "Description"),
    *MANAGED,
    *STAMPS,
)

FIELD_PERMISSION = (
    key("fieldpermissionid", "Field Permission"),
    text("entityname", "Entity Name", 64, primary_name=True, updatable=False, required="SystemRequired"),
    text("attributelogicalname", "Name of the attribute", 50, updatable=False, required="SystemRequired"),
    choice("canread", "Can Read", _PERMISSION, default=0),
    choice("cancreate", "Can create the attribute", _PERMISSION, default=0),
    choice("canupdate", "Can Update the attribute", _PERMISSION, default=0),
    lookup(
        "fieldsecurityprofileid",
        "Profile",
        Reference("fieldsecurityprofile", "fieldsecurityprofileid", "lk_fieldpermission_fieldsecurityprofileid"),
        required="SystemRequired",
    ),
    *MANAGED,
    *STAMPS,
)


def _table(
    name: str,
    schema_name: str,
    set_name: str,
    label: str,
    plural: str,
    code: int,
    title: str,
    columns: tuple[Column, ...],
) -> Table:
    """A table of the whole organization that is not tracked; its key is the first column."""
    own_key = columns[0].name
    return Table(
        name, schema_name, set_name, label, plural, code, "None", own_key, title, columns, can_be_tracked=False
    )


SETUP_TABLES: tuple[Table, ...] = (
    _table("publisher", "Publisher", "publishers", "Publisher", "Publishers", 7101, "friendlyname", PUBLISHER),
    _table("solution", "Solution", "solutions", "Solution", "Solutions", 7100, "friendlyname", SOLUTION),
    _table(
        "solutioncomponent",
        "SolutionComponent",
        "solutioncomponents",
        "Solution Component",
        "Solution Components",
        7103,
        "solutioncomponentid",
        SOLUTION_COMPONENT,
    ),
    _table(
        "asyncoperation",
        "AsyncOperation",
        "asyncoperations",
        "System Job",
        "System Jobs",
        4700,
        "name",
        ASYNC_OPERATION,
    ),
    _table("importjob", "ImportJob", "importjobs", "Import Job", "Import Jobs", 9107, "name", IMPORT_JOB),
    _table("sdkmessage", "SdkMessage", "sdkmessages", "Sdk Message", "Sdk Messages", 4606, "name", MESSAGE),
    _table(
        "sdkmessagefilter",
        "SdkMessageFilter",
        "sdkmessagefilters",
        "Sdk Message Filter",
        "Sdk Message Filters",
        4607,
        "name",
        MESSAGE_FILTER,
    ),
    _table(
        "sdkmessageprocessingstep",
        "SdkMessageProcessingStep",
        "sdkmessageprocessingsteps",
        "Sdk Message Processing Step",
        "Sdk Message Processing Steps",
        4608,
        "name",
        STEP,
    ),
    _table(
        "fieldsecurityprofile",
        "FieldSecurityProfile",
        "fieldsecurityprofiles",
        "Column Security Profile",
        "Column Security Profiles",
        1200,
        "name",
        FIELD_SECURITY_PROFILE,
    ),
    _table(
        "fieldpermission",
        "FieldPermission",
        "fieldpermissions",
        "Field Permission",
        "Field Permissions",
        1201,
        "entityname",
        FIELD_PERMISSION,
    ),
)
