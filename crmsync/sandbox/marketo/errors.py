"""Marketo's error codes with their messages, for both levels that speak them: the whole answer and one record.

Codes and messages: "Error Codes"; the message of 606 is quoted from there. 1003 and 1013 have no fixed wording.
"""

from __future__ import annotations

MESSAGES: dict[int, str] = {
    601: "Access token invalid",
    602: "Access token expired",
    603: "Access denied",
    605: "HTTP Method '%s' not supported",
    606: "Max rate limit '%s' exceeded with in '%s' secs",
    607: "Daily quota reached",
    609: "Invalid JSON",
    610: "Requested resource not found",
    611: "System error",
    612: "Invalid Content Type",
    613: "Invalid Multipart Request",
    615: "Concurrent access limit reached",
    701: "%s cannot be blank",
    1001: "Invalid value '%s'. Required of type '%s'",
    1002: "Missing value for the required parameter '%s'",
    1003: "%s",
    1004: "Lead not found",
    1005: "Lead already exists",
    1006: "Field '%s' not found",
    1007: "Multiple leads match the lookup criteria",
    1008: "Access denied to partition '%s'",
    1011: "Field '%s' not supported",
    1013: "%s",
    1016: "Too many imports",
    1017: "Object already exists",
    1018: "CRM Enabled",
    1021: "Company update not allowed",
    1022: "Object in use",
    1036: "Duplicate object found in input",
}

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


class HttpError(Exception):
    """A refusal that never reaches Marketo's application: a status and plain text, without an envelope."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text
        super().__init__(f"{status} {text}")
