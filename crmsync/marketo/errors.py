"""Turns Marketo's error codes into errors of crmsync: one class a situation, with the remedy in its text.

The table is ``crmsync.marketo.codes``; here is only what a code alone does not tell: three meanings of 1029, the name
of a missing field, the permission that a call needs.

Source: Marketo's "Error Codes" page.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from crmsync.errors import ColumnMissing, CrmsyncError, QuotaExhausted, RecordRefused, Throttled
from crmsync.marketo.codes import ROWS, CodeRow, Reaction, row_of

FIELD_NOT_FOUND = "1006"

RATE_WINDOW = 20.0
"""Seconds of Marketo's sliding window: after 606 nothing needs to wait longer."""

_QUOTED = re.compile(r"[\"'‘“]([A-Za-z_][A-Za-z0-9_]*)[\"'’”]")


def classify(code: str, message: str = "") -> CodeRow:
    """The row of a code; the message tells the three situations apart that share 1029."""
    row = row_of(code)
    if code != "1029":
        return row
    text = message.lower()
    if "quota" in text:
        return replace(
            row,
            meaning="the day's export volume is used up",
            error=QuotaExhausted,
            remedy="Nothing: it goes on after midnight US Central.",
        )
    if "already" in text:
        return replace(row, meaning="the job is queued already", reaction=Reaction.DONE, error=RecordRefused, remedy="")
    return row


def error_from_code(
    code: str,
    message: str,
    *,
    request_id: str | None = None,
    tenant: str | None = None,
    permission: str | None = None,
    status: int | None = None,
) -> CrmsyncError:
    """The error that a code stands for. ``permission`` is what the call needs, told when access was denied (603)."""
    row = classify(code, message)
    text = f"Marketo: {row.meaning}" + (f": {message}" if message else "")
    where: dict[str, Any] = {
        "remedy": row.remedy,
        "tenant": tenant,
        "code": code,
        "status": status,
        "request_id": request_id,
    }
    if code == "603" and permission:
        text += f" (this call needs the permission {permission})"
        where["remedy"] = row.remedy.replace("the permission", f"the permission {permission}", 1)
    if issubclass(row.error, ColumnMissing):
        named = _QUOTED.search(message)
        return row.error(text, column=named.group(1) if named else None, **where)
    if issubclass(row.error, Throttled):
        return row.error(text, retry_after=RATE_WINDOW if code == "606" else None, **where)
    return row.error(text, **where)


__all__ = ["FIELD_NOT_FOUND", "RATE_WINDOW", "ROWS", "CodeRow", "Reaction", "classify", "error_from_code", "row_of"]
