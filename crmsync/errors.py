"""Every error crmsync raises, in one tree, each named for what the operator does next.

CrmsyncError
├── OperatorMustAct                 nothing goes on until a person has done something; never retried
│   ├── TenantFileWrong             mend the tenant's YAML file
│   ├── SecretMissing               provide the secret where the tenant file says it is
│   ├── CredentialsRefused          give the right credentials
│   ├── EntraTenantUnknown          give the right Entra tenant id
│   ├── OrganizationUrlWrong        give the right organization URL
│   ├── ApplicationUserMissing      create the application user in the organization
│   ├── PermissionMissing           grant a privilege (Dynamics) or a permission (Marketo)
│   ├── BindingRefused              another organization or subscription: rebind on purpose, or correct the file
│   ├── NativeSyncOn                switch Marketo's own CRM sync off, or use another subscription
│   ├── ChangeTrackingOff           enable change tracking for the entity
│   ├── SolutionRefused             give another solution file, or give the organization what it needs
│   ├── FieldBudgetExceeded         select fewer fields, or create them by hand
│   ├── FeatureMissing              the subscription or organization lacks a feature
│   ├── AllowanceNeeded             allow what a run would take away, if it is meant; else put its cause right
│   ├── StateMismatch               the tenant is in another state than this step needs
│   └── NotificationFailed          look at the mail server
├── TryAgainLater                   the same call may succeed later; retried with back-off
│   ├── Throttled                   the service asked us to wait (``retry_after`` seconds)
│   ├── ServiceUnavailable          5xx, gateway, "temporarily unavailable"
│   ├── TransportFailed             no answer: reset, time-out, half-sent body
│   │   └── AnotherType             values of another type than the metadata say: read the metadata once more
│   ├── QuotaExhausted              the day's calls are used up; ``until`` says when the next begin
│   ├── QueueFull                   Marketo's import queue is full
│   └── StateUnavailable            the state database has been away for longer than a step waits
├── SchemaChanged                   refresh the schema and go on without what vanished
│   ├── ColumnMissing               a selected column does not exist any more (``column``)
│   │   └── ColumnHidden            column security keeps the sync user from reading it
│   └── EntityMissing               an entity does not exist any more
├── ChangeTrackingExpired           the delta link is too old: a new first read
├── PagingTokenRefused              Marketo's paging token is too old or lost: a new one from a moment
├── RecordRefused                   one record cannot be synced; it becomes a sync error, the rest goes on
│   └── RecordMissing               the record does not exist (any more)
├── BatchTooLarge                   split the batch and send the halves
├── VersionConflict                 the record changed meanwhile: read again and decide
├── TenantBusy                      another run holds the tenant's lease
├── LeaseLost                       another run has taken the tenant over: this one ends, and that one goes on
└── RequestRefused                  the service refused a request that crmsync built wrongly: report it

Every error carries what was found (``message``), what to do (``remedy``), and where it is known: tenant, entity,
record, the service's own code, HTTP status and request id. None ever holds a secret.

The classes follow the tables in Marketo's "Error Codes" page and in Microsoft's "Web service error codes": the same
situation has one class, whichever service it comes from.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any


class CrmsyncError(Exception):
    """Root of the tree. ``str()`` is the message followed by the remedy; ``details()`` is for logs and JSON."""

    default_remedy = ""

    def __init__(
        self,
        message: str,
        *,
        remedy: str | None = None,
        tenant: str | None = None,
        entity: str | None = None,
        record: str | None = None,
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        self.message = message
        self.remedy = self.default_remedy if remedy is None else remedy
        self.tenant = tenant
        self.entity = entity
        self.record = record
        self.code = code
        self.status = status
        self.request_id = request_id
        super().__init__(message)

    def __str__(self) -> str:
        where = ", ".join(
            f"{name} {value}"
            for name, value in (
                ("tenant", self.tenant),
                ("entity", self.entity),
                ("record", self.record),
                ("code", self.code),
                ("request", self.request_id),
            )
            if value
        )
        text = f"{self.message} ({where})" if where else self.message
        return f"{text}\nWhat to do: {self.remedy}" if self.remedy else text

    def details(self) -> dict[str, Any]:
        """The same as a flat mapping: ``error``, ``message``, ``remedy`` and where it happened, without empty
        members."""
        members = {
            "error": type(self).__name__,
            "message": self.message,
            "remedy": self.remedy,
            "tenant": self.tenant,
            "entity": self.entity,
            "record": self.record,
            "code": self.code,
            "status": self.status,
            "request_id": self.request_id,
        }
        return {name: value for name, value in members.items() if value not in (None, "")}


class OperatorMustAct(CrmsyncError):
    """Nothing goes on until a person has done something; never retried."""


class TenantFileWrong(OperatorMustAct):
    """The tenant's YAML file is missing, not YAML, or says something that cannot be."""


class SecretMissing(OperatorMustAct):
    """The place that the tenant file names for a secret holds none."""


class CredentialsRefused(OperatorMustAct):
    """Entra ID or Marketo's identity service refused the client id or its secret."""


class EntraTenantUnknown(OperatorMustAct):
    """Entra ID knows no tenant of that id or domain."""


class OrganizationUrlWrong(OperatorMustAct):
    """No Dataverse organization answers at this URL, or Entra ID knows no resource of that name."""


class ApplicationUserMissing(OperatorMustAct):
    """The sign-in works, but the organization has no (enabled) application user for this client id."""


class PermissionMissing(OperatorMustAct):
    """A Dynamics privilege or a Marketo API permission is missing."""


class BindingRefused(OperatorMustAct):
    """The credentials lead to another organization or subscription than the one the tenant is bound to."""


class NativeSyncOn(OperatorMustAct):
    """Marketo's own CRM sync is on in this subscription (code 1018)."""

    default_remedy = (
        "crmsync and Marketo's native CRM sync cannot share a subscription: switch the native sync off "
        "(Admin > Integration > Microsoft Dynamics or Salesforce), or name another subscription in the tenant file."
    )


class ChangeTrackingOff(OperatorMustAct):
    """Change tracking is not enabled for an entity (0x80072491)."""


class SolutionRefused(OperatorMustAct):
    """A solution file cannot be read, or the organization does not take it."""


class FieldBudgetExceeded(OperatorMustAct):
    """More custom fields are asked for than Marketo lets the API create (100)."""


class FeatureMissing(OperatorMustAct):
    """The subscription or the organization lacks a feature that was asked for."""


class AllowanceNeeded(OperatorMustAct):
    """A run would take away more than the tenant's ``safety`` lets it: that is held until it is allowed, or no more to
    be done. ``is_new``: some of it was held by no run before this one."""

    def __init__(self, message: str, *, is_new: bool = False, **where: Any) -> None:
        super().__init__(message, **where)
        self.is_new = is_new


class StateMismatch(OperatorMustAct):
    """The tenant is in another state than this step needs."""


class NotificationFailed(OperatorMustAct):
    """The notification could not be delivered."""


class TryAgainLater(CrmsyncError):
    """The same call may succeed later; the client retries it with back-off, then a task retries its step."""


class Throttled(TryAgainLater):
    """The service asked us to wait: ``retry_after`` seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None, **where: Any) -> None:
        super().__init__(message, **where)
        self.retry_after = retry_after


class ServiceUnavailable(TryAgainLater):
    """The service is there but cannot answer now."""


class TransportFailed(TryAgainLater):
    """No whole answer arrived. A write may or may not have been executed."""


class AnotherType(TransportFailed):
    """A column's values are not of the type that its metadata say: it may have been made again with another one."""


class QuotaExhausted(TryAgainLater):
    """The day's calls are used up. ``until`` is when the next ones begin (UTC)."""

    def __init__(self, message: str, *, until: datetime | None = None, **where: Any) -> None:
        super().__init__(message, **where)
        self.until = until


class QueueFull(TryAgainLater):
    """Marketo takes no more import jobs now (1016) or the list is being imported into (1019)."""


class StateUnavailable(TryAgainLater):
    """The state database was away for longer than a step waits for it."""


class SchemaChanged(CrmsyncError):
    """Refresh the schema and go on without what vanished."""


class ColumnMissing(SchemaChanged):
    """A column that was asked for does not exist: ``column`` is its logical name, or None where the answer hides it."""

    def __init__(self, message: str, *, column: str | None = None, **where: Any) -> None:
        super().__init__(message, **where)
        self.column = column


class ColumnHidden(ColumnMissing):
    """Column security keeps the sync user from reading a column: it reads as empty, whatever is in it."""


class EntityMissing(SchemaChanged):
    """An entity that was asked for does not exist."""


class ChangeTrackingExpired(CrmsyncError):
    """The delta link is too old (0x80044352): a new first read is needed."""


class PagingTokenRefused(CrmsyncError):
    """Marketo does not take its own paging token any more: a new one is made from a moment."""


class RecordRefused(CrmsyncError):
    """One record cannot be synced; it becomes a row in sync errors and the rest of the batch goes on."""


class RecordMissing(RecordRefused):
    """The record does not exist (any more)."""


class BatchTooLarge(CrmsyncError):
    """The request was too large or timed out in the service: split it and send the halves."""


class VersionConflict(CrmsyncError):
    """The record changed since it was read (412): read again and decide."""


class TenantBusy(CrmsyncError):
    """Another run holds the tenant's lease."""

    default_remedy = "Wait for the run that holds the lease to end, or stop it. A dead run's lease ends by itself."


class LeaseLost(CrmsyncError):
    """Another run has taken the tenant over; what this one has not yet sent is not sent any more."""

    default_remedy = "Nothing is lost: the run that holds the lease continues where this one ended."


class RequestRefused(CrmsyncError):
    """The service refused a request that crmsync built wrongly."""

    default_remedy = "This is a defect in crmsync: report it with the request id and the code."


__all__ = [
    name for name, value in list(globals().items()) if isinstance(value, type) and issubclass(value, CrmsyncError)
]
