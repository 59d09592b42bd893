"""Every error code of Marketo's REST API as data: what the client does about it, which error it becomes, the remedy.

``reaction`` is one of six classes, or *done* where the state we wanted is there already. ``tries`` is how often a call
is made in all before the error is raised; 1 means that repeating it is of no use, or somebody else's task.

The rows follow Marketo's "Error Codes" page, in its order: HTTP, response level (6xx, 7xx), record level (1xxx). The
same 1xxx codes also arrive at response level, so a code is looked up here without asking where it came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from crmsync.errors import (
    BatchTooLarge,
    ColumnMissing,
    CredentialsRefused,
    CrmsyncError,
    FeatureMissing,
    NativeSyncOn,
    OperatorMustAct,
    PermissionMissing,
    QueueFull,
    QuotaExhausted,
    RecordMissing,
    RecordRefused,
    RequestRefused,
    ServiceUnavailable,
    Throttled,
)


class Reaction(StrEnum):
    """What the client does when it meets a code."""

    RE_AUTH = "re-auth"
    """Get a token and repeat once; a second time in a row is fatal."""
    RETRY = "retry"
    """Repeat with back-off, bounded."""
    WAIT = "wait"
    """Stop until a known moment (window, slot, midnight), then go on; never a failure of the record."""
    SPLIT = "split"
    """Halve the batch (or shorten the request) and repeat."""
    PER_RECORD = "per record"
    """That record becomes a sync error, the rest stands."""
    FATAL = "fatal"
    """Stop; a person must act."""
    DONE = "done"
    """What was asked for is so already."""


@dataclass(frozen=True)
class CodeRow:
    """One code: its meaning in a few words, and what follows from it."""

    code: str
    meaning: str
    reaction: Reaction
    error: type[CrmsyncError]
    remedy: str
    tries: int = 1


_AGAIN = "Nothing for now: it is tried again. If it stays, open a ticket with Adobe and give the request id."
_BUG = RequestRefused.default_remedy
_LIMIT = "Nothing: crmsync waits. If it is often seen, lower the tenant's quota shares: other integrations need room."
_VALUE = "Correct the value in Dynamics, or leave the field out of the selection."
_CREDENTIALS = (
    "Check marketo.client_id and its secret against Admin > LaunchPoint > View Details in Marketo, and that base_url "
    "belongs to the same subscription."
)
_PARTITION = "Give the API user's role access to the person partitions that are synced (Admin > Users & Roles)."
_MERGE = "Merge the persons by hand in Marketo (Database > Possible Duplicates)."
_FEATURE = "Ask Adobe to enable the feature for this subscription, or leave out what needs it."
_NOT_OURS = "crmsync makes no such call: report it with the request id and the code."

_RE_AUTH, _RETRY, _WAIT, _SPLIT = Reaction.RE_AUTH, Reaction.RETRY, Reaction.WAIT, Reaction.SPLIT
_RECORD, _FATAL, _DONE = Reaction.PER_RECORD, Reaction.FATAL, Reaction.DONE

ROWS: tuple[CodeRow, ...] = (
    # HTTP
    CodeRow("HTTP 401", "the client id or its secret was refused", _FATAL, CredentialsRefused, _CREDENTIALS),
    CodeRow("HTTP 404", "there is no such file or job", _RECORD, RecordMissing, "Import the records again.", tries=2),
    CodeRow("HTTP 413", "the body is too large", _SPLIT, BatchTooLarge, "Send fewer records in a call.", tries=3),
    CodeRow("HTTP 414", "the URI is too long", _SPLIT, BatchTooLarge, "Ask for fewer values in a call.", tries=3),
    # response level
    CodeRow("500", "internal server error", _RETRY, ServiceUnavailable, _AGAIN, tries=3),
    CodeRow("502", "bad gateway, probably a time-out behind it", _RETRY, ServiceUnavailable, _AGAIN, tries=6),
    CodeRow("600", "the access token is empty", _RE_AUTH, CredentialsRefused, _CREDENTIALS, tries=2),
    CodeRow("601", "the access token is invalid", _RE_AUTH, CredentialsRefused, _CREDENTIALS, tries=2),
    CodeRow("602", "the access token has expired", _RE_AUTH, CredentialsRefused, _CREDENTIALS, tries=2),
    CodeRow(
        "603", "access was denied", _FATAL, PermissionMissing,
        "Give the API-only user's role the permission (Admin > Users & Roles > Roles), in every workspace that is "
        "synced, and let the IP allowlist (Admin > Security) include this machine.",
    ),
    CodeRow("604", "the request timed out in Marketo", _SPLIT, BatchTooLarge, _AGAIN, tries=3),
    CodeRow("605", "the HTTP method is not supported", _FATAL, RequestRefused, _BUG),
    CodeRow("606", "too many calls in 20 seconds", _WAIT, Throttled, _LIMIT, tries=30),
    CodeRow(
        "607", "the subscription's daily quota is used up", _WAIT, QuotaExhausted,
        "Nothing: it goes on after midnight US Central. If that is too slow, buy more calls a day from Adobe, or look "
        "at Admin > Web Services for another integration that uses them up.",
    ),
    CodeRow("608", "the API is temporarily unavailable", _RETRY, ServiceUnavailable, _AGAIN, tries=6),
    CodeRow("609", "the body is not valid JSON", _FATAL, RequestRefused, _BUG),
    CodeRow("610", "the path is not known", _FATAL, RequestRefused, _BUG),
    CodeRow("611", "system error", _RETRY, ServiceUnavailable, _AGAIN, tries=3),
    CodeRow("612", "the content type is invalid", _FATAL, RequestRefused, _BUG),
    CodeRow("613", "the multipart request is invalid", _FATAL, RequestRefused, _BUG),
    CodeRow("614", "the subscription cannot be reached", _RETRY, ServiceUnavailable, _AGAIN, tries=10),
    CodeRow("615", "too many calls at once", _WAIT, Throttled, _LIMIT, tries=120),
    CodeRow("616", "no Custom Object Metadata API", _FATAL, FeatureMissing, _FEATURE),
    CodeRow("701", "a parameter is blank", _FATAL, RequestRefused, _BUG),
    CodeRow("702", "no data was found", _DONE, RecordMissing, ""),
    CodeRow("703", "the feature is not enabled", _FATAL, FeatureMissing, _FEATURE),
    CodeRow("704", "a date has the wrong format", _FATAL, RequestRefused, _BUG),
    CodeRow("709", "a business rule is violated", _RECORD, RecordRefused, _VALUE),
    CodeRow("710", "the folder was not found", _FATAL, RequestRefused, _NOT_OURS),
    CodeRow("711", "the folder has the wrong type", _FATAL, RequestRefused, _NOT_OURS),
    CodeRow("712", "the merge was refused: a person account", _RECORD, RecordRefused, _MERGE),
    CodeRow("713", "transient error", _RETRY, ServiceUnavailable, _AGAIN, tries=5),
    CodeRow("714", "the merge was refused: no default record type", _RECORD, RecordRefused, _MERGE),
    CodeRow(
        "718", "the sales person is not known", _RECORD, RecordRefused,
        "Nothing: the owner is sent with the next cycle. If it stays, see the sync errors of systemuser.",
    ),
    CodeRow("719", "a lock was not free in time", _RETRY, ServiceUnavailable, _AGAIN, tries=5),
    # record level
    CodeRow("1001", "a value has the wrong type", _RECORD, RecordRefused, _VALUE),
    CodeRow("1002", "a required value is missing", _RECORD, RecordRefused, "Fill the value in in Dynamics."),
    CodeRow("1003", "the data does not fit the call", _RECORD, RecordRefused, _VALUE),
    CodeRow("1004", "the person was not found", _RECORD, RecordMissing, "Nothing, or re-sync the record."),
    CodeRow("1005", "the person exists already", _RECORD, RecordRefused, "Nothing: the next cycle updates it."),
    CodeRow(
        "1006", "a field was not found", _FATAL, ColumnMissing,
        "Run resync: the schema is read again and fields that vanished are parked.",
    ),
    CodeRow("1007", "several persons have this key", _RECORD, RecordRefused, _MERGE),
    CodeRow("1008", "no access to the partition", _RECORD, RecordRefused, _PARTITION),
    CodeRow("1009", "the partition must be named", _FATAL, OperatorMustAct, _PARTITION),
    CodeRow("1010", "the record is in another partition", _RECORD, RecordRefused, _PARTITION),
    CodeRow(
        "1011", "the field cannot be used as a key", _FATAL, OperatorMustAct,
        "A key is a custom field of type string, email or integer: look at its type in Admin > Field Management.",
    ),
    CodeRow("1012", "the cookie is invalid", _FATAL, RequestRefused, _NOT_OURS),
    CodeRow("1013", "the object was not found", _RECORD, RecordMissing, "Nothing, or re-sync the record it names."),
    CodeRow("1014", "the object could not be created", _RETRY, RecordRefused, _VALUE, tries=2),
    CodeRow("1015", "the person is not in the list", _DONE, RecordMissing, ""),
    CodeRow("1016", "the import queue is full", _WAIT, QueueFull, "Nothing: crmsync waits for a job to end."),
    CodeRow("1017", "the object exists already", _RECORD, RecordRefused, "Nothing: the next cycle updates it."),
    CodeRow("1018", "the native CRM sync is on", _FATAL, NativeSyncOn, NativeSyncOn.default_remedy),
    CodeRow("1019", "the list is being imported to", _WAIT, QueueFull, "Nothing: crmsync waits for the job to end."),
    CodeRow("1020", "too many clones", _FATAL, RequestRefused, _NOT_OURS),
    CodeRow(
        "1021", "company fields cannot be updated with a person", _RECORD, RecordRefused,
        "Change the company's value on the account in Dynamics, not on the person.",
    ),
    CodeRow("1022", "the object is in use", _WAIT, RecordRefused, "Delete or move first what refers to it."),
    CodeRow("1025", "the program status was not found", _FATAL, RequestRefused, _NOT_OURS),
    CodeRow("1026", "custom objects are not enabled", _FATAL, FeatureMissing, _FEATURE),
    CodeRow("1027", "too many custom activity types", _FATAL, RequestRefused, _NOT_OURS),
    CodeRow("1028", "too many custom activity attributes", _FATAL, RequestRefused, _NOT_OURS),
    CodeRow("1029", "too many export jobs are queued", _WAIT, QueueFull, "Nothing: crmsync waits for a job to end."),
    CodeRow("1035", "the filter is not supported here", _FATAL, FeatureMissing, _FEATURE),
    CodeRow("1036", "the same key is twice in one call", _SPLIT, BatchTooLarge, _BUG),
    CodeRow("1037", "the status was reached before", _DONE, RecordRefused, ""),
    CodeRow("1042", "the time to run at is too far ahead", _FATAL, RequestRefused, _NOT_OURS),
    CodeRow(
        "1048", "the draft could not be discarded", _FATAL, OperatorMustAct,
        "Look at the custom object's draft in Admin > Marketo Custom Objects and discard it there.",
    ),
    CodeRow("1049", "the activity's attributes are too large", _RECORD, RecordRefused, _VALUE),
    CodeRow("1076", "the merge was refused: a duplicate in the CRM", _RECORD, RecordRefused, _MERGE),
    CodeRow("1077", "the merge was refused: a field's length in the CRM", _RECORD, RecordRefused, _MERGE),
    CodeRow("1078", "the merge was refused: a deleted entity", _RECORD, RecordRefused, _MERGE),
    CodeRow("1079", "the merge was refused: personal URLs conflict", _RECORD, RecordRefused, _MERGE),
    CodeRow("1080", "too many persons in one merge", _SPLIT, BatchTooLarge, _BUG),
)  # fmt: skip

_BY_CODE = {row.code: row for row in ROWS}


MAY_BE_A_FIELD = frozenset({"611", "709", "718", "1001", "1002", "1003", "1013", "1021", "HTTP 413"})
"""Refusals of a record for which one of its fields may be at fault: a value of the wrong type, too long, not allowed, a
link to nothing."""


def may_be_a_field(code: str | None) -> bool:
    """Whether the record may be taken without one of its fields; a record-level code we do not know may be, too."""
    return code is not None and (code in MAY_BE_A_FIELD or (len(code) == 4 and code not in _BY_CODE))


def row_of(code: str) -> CodeRow:
    """The row of a code. One that the table lacks: 1xxx is the record's fault, anything else is tried three times."""
    known = _BY_CODE.get(code)
    if known is not None:
        return known
    if len(code) == 4 and code.startswith("1"):
        return CodeRow(code, "the record was refused", _RECORD, RecordRefused, _VALUE)
    return CodeRow(code, "Marketo gave an error code that crmsync does not know", _RETRY, RequestRefused, _BUG, tries=3)
