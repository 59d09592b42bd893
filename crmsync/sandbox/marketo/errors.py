"""Marketo's error codes with their messages, for both levels that speak them: the whole answer and one record.

Codes and messages: "Error Codes"; the message of 606 is quoted from there. 1003, 1013 and 1029 have several
wordings, so whoever raises them gives the text.
"""

from __future__ import annotations

MESSAGES: dict[int, str] = {
    500: "Internal Server error",
    502: "Bad Gateway",
    600: "Empty access token",
    601: "Access token invalid",
    602: "Access token expired",
    603: "Access denied",
    604: "Request timed out",
    605: "HTTP Method '%s' not supported",
    606: "Max rate limit '%s' exceeded with in '%s' secs",
    607: "Daily quota reached",
    608: "API Temporarily Unavailable",
    609: "Invalid JSON",
    610: "Requested resource not found",
    611: "System error",
    612: "Invalid Content Type",
    613: "Invalid Multipart Request",
    614: "Invalid Subscription",
    615: "Concurrent access limit reached",
    616: "Invalid subscription type",
    701: "%s cannot be blank",
    702: "No data found for a given search scenario",
    703: "The feature is not enabled for the subscription",
    704: "Invalid date format",
    709: "Business Rule Violation: %s",
    710: "Parent Folder Not Found",
    711: "Incompatible Folder Type",
    712: "Merge to person Account operation is invalid",
    713: "Transient Error",
    714: "Unable to find the default record type",
    718: "ExternalSalesPersonID not found",
    719: "Lock wait timeout exception",
    1001: "Invalid value '%s'. Required of type '%s'",
    1002: "Missing value for the required parameter '%s'",
    1003: "%s",
    1004: "Lead not found",
    1005: "Lead already exists",
    1006: "Field '%s' not found",
    1007: "Multiple leads match the lookup criteria",
    1008: "Access denied to partition '%s'",
    1009: "Partition name must be specified",
    1010: "Partition update not allowed",
    1011: "Field '%s' not supported",
    1012: "Invalid cookie value '%s'",
    1013: "%s",
    1014: "Failed to create Object",
    1015: "Lead not in list",
    1016: "Too many imports",
    1017: "Object already exists",
    1018: "CRM Enabled",
    1019: "Import in progress",
    1020: "Too many clones to program",
    1021: "Company update not allowed",
    1022: "Object in use",
    1025: "Program status not found",
    1026: "Custom object not enabled",
    1027: "Max Activity Type Limit Reached",
    1028: "Max field limit reached",
    1029: "%s",
    1035: "Unsupported filter type for target subscription",
    1036: "Duplicate object found in input",
    1037: "Lead was skipped",
    1042: "Invalid runAt date",
    1048: "Custom Object Discard Draft Failed",
    1049: "Failed to Create Activity",
    1076: "You are creating a duplicate record. It is recommended that you use an existing record instead",
    1077: "Merge Leads call failed due to SFDC Field length",
    1078: "Merge failure, unable to perform merge operation in natively synced CRM",
    1079: "Merge Leads call failed due to Personalized URL conflict in duplicate records",
    1080: "Too many leads to merge: at most 25 are allowed",
}

_SAMPLES: dict[int, tuple[object, ...]] = {
    605: ("GET",),
    606: (100, 20),
    701: ("name",),
    709: ("the asset has no draft",),
    1001: ("abc", "integer"),
    1002: ("filterType",),
    1003: ("Invalid data",),
    1006: ("dynamicsId",),
    1008: ("Default",),
    1011: ("firstName",),
    1012: ("id:123",),
    1013: ("Object not found",),
    1029: ("Too many jobs in queue",),
}


def sample_message(code: int) -> str | None:
    """What the message of a code reads like, for an error that nothing but a fault rule caused."""
    return MESSAGES[code] % _SAMPLES.get(code, ()) if code in MESSAGES else None


UNCOUNTED = frozenset({601, 602, 604, 605, 608, 611})
"""Answers that count neither against the day nor against the rate: the asterisk in "Error Codes"."""

LIMITS = frozenset({606, 607, 615})
"""Answers that say a limit is reached; whether they count themselves is a switch (``limit_errors_count``)."""


class MarketoError(Exception):
    """A refusal: of the whole call when it reaches the gate, of one record when a record's rule raises it."""

    def __init__(self, code: int, *parts: object) -> None:
        self.code = code
        self.message = MESSAGES[code] % parts
        super().__init__(f"{code} {self.message}")

    def as_dict(self) -> dict[str, str]:
        """As it stands in ``errors`` and ``reasons``: the code is a string of digits."""
        return {"code": str(self.code), "message": self.message}


class RefusedValueError(MarketoError):
    """A value that an administrator of the sandbox has the subscription refuse: any code, any words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(1003, message)
        self.code = int(code)


class HttpError(Exception):
    """A refusal that never reaches Marketo's application: a status and plain text, without an envelope."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text
        super().__init__(f"{status} {text}")
