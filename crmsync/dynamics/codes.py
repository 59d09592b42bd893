"""Every Dataverse error code that crmsync can meet, as one table: the code, our error, what it means, what to do.

A remedy of None keeps that of the error's class. Facts: "Web service error codes", "Compose HTTP requests and handle
errors", "Service protection API limits" and "Dataverse Web API client errors" (Microsoft's documents).
"""

from __future__ import annotations

from dataclasses import dataclass

from crmsync.errors import (
    ApplicationUserMissing,
    BatchTooLarge,
    ChangeTrackingExpired,
    ChangeTrackingOff,
    ColumnMissing,
    CredentialsRefused,
    CrmsyncError,
    EntityMissing,
    FeatureMissing,
    PermissionMissing,
    RecordMissing,
    RecordRefused,
    RequestRefused,
    ServiceUnavailable,
    SolutionRefused,
    Throttled,
    VersionConflict,
)


@dataclass(frozen=True)
class Known:
    """One row. ``code`` as Dataverse writes it, ``error`` the one class it becomes."""

    code: str
    error: type[CrmsyncError]
    meaning: str
    remedy: str | None = None


_SIGN_IN = (
    "Check that organization_url, entra_tenant_id and client_id belong together; when they do, look at the "
    "application's sign-in logs in the Entra admin center."
)
_APPLICATION_USER = (
    "Create it: Power Platform admin center > Environments > your environment > Settings > Users + permissions > "
    "Application users > New app user; choose the app registration with this client id, a business unit and a security "
    "role. A new one takes a minute to work."
)
_ENABLE_USER = (
    "Enable it: Power Platform admin center > Environments > your environment > Settings > Application users; it needs "
    "a business unit and a security role."
)
_ROLE = (
    "Give the application user's security role this privilege at organization level (Power Platform admin center > "
    "Settings > Security roles; the full green circle)."
)
_SECURED = (
    "Add the application user to a column security profile that allows it (Settings > Column security profiles), or "
    "exclude the column in the tenant file."
)
_TRACKING = (
    "Enable it: make.powerapps.com > Tables > the table > Properties > Advanced options > Track changes; then publish."
)
_CLIENT_ID = (
    "Correct client_id in the tenant file: it is the 'Application (client) ID' of an app registration in the "
    "organization's own Entra tenant."
)
_LEFT_USER = (
    "Look for it under Power Platform admin center > Environments > Settings > Application users; delete or activate "
    "it there, then run the step again."
)
_SOLUTION_FILE = (
    "Read the message; Solutions > History in make.powerapps.com tells more. Give a solution file for this version of "
    "Dynamics."
)
_DEPENDENCIES = "Install what the message names in the organization first, then run the step again."
_WAIT = "Nothing, if it passes; crmsync tries again by itself. If it stays, look at the service health of your region."
_PLUGIN = "Read the message: a plug-in or workflow in the organization refused or broke the operation; ask its author."
_RECORD = "Correct the record, then sync again."
_VALUE = "Correct the value in Marketo, or widen the column in Dynamics; the field is tried again."
_TYPE = "Correct the value; if it is right, run resync: the column's type may have changed since the schema was read."

KNOWN: tuple[Known, ...] = (
    # The token or the application user
    Known("0x8005F101", CredentialsRefused, "the access token has expired", _SIGN_IN),
    Known("0x80044302", CredentialsRefused, "the request is not authenticated", _SIGN_IN),
    Known("0x80044300", CredentialsRefused, "the access token is missing", _SIGN_IN),
    Known("0x8004A100", CredentialsRefused, "the access token is invalid", _SIGN_IN),
    Known("0x8004A101", CredentialsRefused, "the access token has expired", _SIGN_IN),
    Known("0x8004A102", CredentialsRefused, "the access token is malformed", _SIGN_IN),
    Known("0x80072560", ApplicationUserMissing, "there is no application user for this client id", _APPLICATION_USER),
    Known("0x80040225", ApplicationUserMissing, "the application user is disabled or unplaced", _ENABLE_USER),
    Known("0x8004A112", ApplicationUserMissing, "the application user is disabled", _ENABLE_USER),
    # Privileges
    Known("0x80040220", PermissionMissing, "the application user lacks a privilege", _ROLE),
    Known("0x80095FFC", PermissionMissing, "the environment restricts which applications may call it",
          "Allow this client id: Power Platform admin center > your environment > Settings > Privacy + Security > "
          "application access control."),
    Known("0x80048306", PermissionMissing, "the application user may not do this with this record", _ROLE),
    Known("0x80048405", PermissionMissing, "the application user may not do this", _ROLE),
    Known("0x80040299", PermissionMissing, "the application user may not do this", _ROLE),
    Known("0x8004F507", PermissionMissing, "a secured column may not be updated", _SECURED),
    Known("0x8004F502", PermissionMissing, "a secured column may not be written on create", _SECURED),
    Known("0x8004F504", PermissionMissing, "a secured column may not be read", _SECURED),
    # The schema (0x80060888, 0x80048D19 and 0x0 are general: a message that names a column that is not there turns
    # them into ColumnMissing)
    Known("0x80060888", RequestRefused, "the request could not be understood"),
    Known("0x80048D19", RecordRefused, "a value does not have the type of its column", _TYPE),
    Known("0x0", RequestRefused, "the request was refused"),
    Known("0x8006088A", EntityMissing, "there is no such entity", "Refresh the schema."),
    Known("0x80047013", RequestRefused, "a column of that name exists already", "Use the existing one."),
    Known("0x80060304", RequestRefused, "a column of that name exists already", "Use the existing one."),
    # Setting up
    Known("0x8004F510", CredentialsRefused, "Entra ID knows no application of that client id", _CLIENT_ID),
    Known("0x8004F511", ApplicationUserMissing, "a user for that client id is there already", _LEFT_USER),
    Known("0x8004F512", ApplicationUserMissing, "the application user is not there", _APPLICATION_USER),
    Known("0x80041D48", ApplicationUserMissing, "the application user cannot be changed", _LEFT_USER),
    Known("0x8004801D", SolutionRefused, "the solution needs what the organization does not have", _DEPENDENCIES),
    Known("0x8004801E", SolutionRefused, "the solution could not be imported", _SOLUTION_FILE),
    Known("0x80048033", SolutionRefused, "the solution could not be imported", _SOLUTION_FILE),
    Known("0x80048040", SolutionRefused, "managed and unmanaged solutions of one name exclude each other",
          "Give the file of the kind that is installed, or remove the installed one first."),
    Known("0x80048541", SolutionRefused, "the installed version is not older",
          "Nothing, if the installed version is the one you want; else give a newer file."),
    # Change tracking and paging
    Known("0x80044352", ChangeTrackingExpired, "the delta link is too old"),
    Known("0x8004112A", ChangeTrackingExpired, "the paging cookie is not valid any more"),
    Known("0x8004430A", ChangeTrackingExpired, "the paging cookie is missing"),
    Known("0x80072491", ChangeTrackingOff, "change tracking is not enabled for this entity", _TRACKING),
    Known("0x80072492", ChangeTrackingOff, "change tracking is not enabled for both tables related", _TRACKING),
    # One record
    Known("0x80040217", RecordMissing, "the record does not exist"),
    Known("0x80060891", RecordMissing, "no record has that key"),
    Known("0x80060890", RequestRefused, "these columns are no key of the entity"),
    Known("0x80040237", RecordRefused, "a record with that id or key exists already", _RECORD),
    Known("0x80060892", RecordRefused, "another record has the same alternate key", _RECORD),
    Known("0x80040333", RecordRefused, "a duplicate detection rule refused it",
          "Merge the duplicates, or change the rule (Settings > Duplicate detection rules)."),
    Known("0x80044331", RecordRefused, "a text is longer than its column allows", _VALUE),
    Known("0x80044330", RecordRefused, "a number is out of its column's range", _VALUE),
    Known("0x8004432F", RecordRefused, "a whole number is out of its column's range", _VALUE),
    Known("0x8004431A", RecordRefused, "a choice has no such option", _VALUE),
    Known("0x80040203", RecordRefused, "a value is not acceptable", _VALUE),
    Known("0x80040265", RecordRefused, "a plug-in in the organization refused it", _PLUGIN),
    Known("0x80040227", RecordRefused, "the operation is not valid for this record: others refer to it", _RECORD),
    Known("0x8004023B", RecordRefused, "the operation is not supported for this record", _RECORD),
    Known("0x80040315", RecordRefused, "the record cannot be deleted: others refer to it", _RECORD),
    Known("0x80060882", VersionConflict, "the record has changed since it was read"),
    Known("0x8006088D", FeatureMissing, "the table has optimistic concurrency switched off",
          "Enable it for the table, or write without a version."),
    Known("0x8004418A", BatchTooLarge, "the request is too large"),
    # Try again
    Known("0x80072322", Throttled, "more than 6,000 requests in five minutes", _WAIT),
    Known("0x80072321", Throttled, "more than 20 minutes of execution time in five minutes", _WAIT),
    Known("0x80072326", Throttled, "too many requests at the same time", _WAIT),
    Known("0x80071151", ServiceUnavailable, "an import, publication or uninstallation is running", _WAIT),
    Known("0x80044150", ServiceUnavailable, "the database reported an error", _WAIT),
    Known("0x80044151", ServiceUnavailable, "the database took too long", _WAIT),
    Known("0x8004A001", ServiceUnavailable, "the server is busy", _WAIT),
    Known("0x80040224", ServiceUnavailable, "a plug-in in the organization broke", _PLUGIN),
    Known("0x80040216", ServiceUnavailable, "an unexpected error in the service", _WAIT),
    # Our own fault
    Known("0x80048573", RequestRefused, "the query begins with a wildcard and was throttled"),
    Known("0x80048574", RequestRefused, "the query filters on a computed column and was throttled"),
    Known("0x80048544", RequestRefused, "the query is expensive and was throttled"),
    Known("0x8004E023", RequestRefused, "more than 50,000 rows to aggregate"),
    Known("0x80040219", FeatureMissing, "the organization does not implement this",
          "Update the organization, or report it: crmsync should not need this."),
)  # fmt: skip

BY_STATUS: dict[int, Known] = {
    401: Known("", CredentialsRefused, "the organization refused the access token, twice", _SIGN_IN),
    403: Known("", PermissionMissing, "the application user may not do this", _ROLE),
    405: Known("", RequestRefused, "the operation is not allowed"),
    408: Known("", ServiceUnavailable, "the service gave up waiting", _WAIT),
    412: Known("", VersionConflict, "the record has changed since it was read"),
    413: Known("", BatchTooLarge, "the request is too large"),
    429: Known("", Throttled, "too many requests", _WAIT),
    501: Known("", FeatureMissing, "the organization does not implement this",
               "Update the organization, or report it: crmsync should not need this."),
}  # fmt: skip
"""For an answer without a code, or with one that is not in the table."""

UNAVAILABLE = Known("", ServiceUnavailable, "the service is unavailable", _WAIT)
REFUSED = Known("", RequestRefused, "the request was refused")
NO_SUCH_ENTITY = Known("0x80060888", EntityMissing, "there is no such entity", "Refresh the schema.")
NO_SUCH_COLUMN = Known("", ColumnMissing, "a column does not exist", "Refresh the schema; crmsync goes on without it.")
GENERAL = frozenset({"0x0", "0x80060888", "0x80048d19"})
"""Codes that say so little that a telling status goes before them."""
BY_CODE: dict[str, Known] = {row.code.lower(): row for row in KNOWN}
