"""Reads an answer of Marketo: the envelope of JSON calls, the plain file of bulk calls, or the error in either.

HTTP 200 does not mean success: response-level errors come with it too. Unknown members are ignored, ``result`` may be
absent, ``warnings`` are strings or objects.

Source: "REST API" (the envelope) and "Error Codes" (the three levels).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from crmsync.errors import BatchTooLarge, CrmsyncError, RequestRefused, ServiceUnavailable, Throttled, TransportFailed
from crmsync.marketo.auth import IdentityUnavailable
from crmsync.marketo.calls import Call, Known
from crmsync.marketo.errors import RATE_WINDOW, Reaction, classify, error_from_code


@dataclass(frozen=True)
class Answer:
    """A successful answer. ``next_page`` is the token of the page after this one, or None on the last.

    Activities are read otherwise: their ``token`` is there on every page, and only ``more`` tells whether to go on.
    """

    result: list[dict[str, Any]] = field(default_factory=list)
    next_page: str | None = None
    token: str | None = None
    more: bool = False
    request_id: str | None = None
    warnings: list[Any] = field(default_factory=list)


def read_answer(response: httpx.Response, call: Call, *, tenant: str) -> Answer:
    """The envelope's content; raises the error that it, or the HTTP status, tells."""
    envelope = _envelope(response.content)
    if envelope is None:
        raise _error_of_status(response, call, tenant)
    if envelope.get("success") is True and response.status_code < 400:
        return _answer(envelope)
    error = _error_of_envelope(envelope, response.status_code, call, tenant)
    if classify(error.code or "", error.message).reaction is Reaction.DONE:
        return Answer(request_id=error.request_id)
    raise error


def read_file(response: httpx.Response, call: Call, *, tenant: str) -> bytes:
    """The bytes of a file that a bulk call answers with; errors come as an envelope or as plain text."""
    content = response.content
    if response.status_code == 200 and _envelope(content) is None:
        return content
    read_answer(response, call, tenant=tenant)
    return b""


def known_of(error: CrmsyncError) -> Known:
    """What an error that came with an answer tells of the execution.

    Of Marketo's codes only 500 and 502 (and ones we do not know) leave open what happened: 6xx is never executed, 7xx
    in vain, 1xxx refuses. Behind 502 there is probably a time-out, so the call may even be running still: repeating it
    at once could create duplicates. An answer that is no envelope comes from a gateway that lost sight of the call,
    except 429 and 503 with which it turns calls away, and refusals (4xx).
    """
    if isinstance(error, IdentityUnavailable):
        return Known.NOT_EXECUTED
    if isinstance(error, TransportFailed) or error.code == "502":
        return Known.NOTHING
    if error.code is None:
        turned_away = error.status is not None and (error.status < 500 or error.status == 503)
        return Known.NOT_EXECUTED if turned_away else Known.NOTHING
    return Known.NOT_EXECUTED if len(error.code) == 4 or error.code[:1] in "67H" else Known.ENDED


def _envelope(content: bytes) -> dict[str, Any] | None:
    if content.lstrip()[:1] != b"{":
        return None
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) and "success" in parsed else None


def _answer(envelope: dict[str, Any]) -> Answer:
    result = envelope.get("result") or []
    more = envelope.get("moreResult") is not False and bool(result)
    token = envelope.get("nextPageToken")
    return Answer(
        result=result,
        next_page=str(token) if token and more else None,
        token=str(token) if token else None,
        more=envelope.get("moreResult") is True,
        request_id=envelope.get("requestId"),
        warnings=envelope.get("warnings") or [],
    )


def _error_of_envelope(envelope: dict[str, Any], status: int, call: Call, tenant: str) -> CrmsyncError:
    errors = [error for error in envelope.get("errors") or [] if isinstance(error, dict)]
    request_id = envelope.get("requestId")
    if not errors:
        return ServiceUnavailable(
            f"Marketo refused {call.method} {call.path} without saying why",
            tenant=tenant,
            request_id=request_id,
            status=status,
            code="611",
        )
    return error_from_code(
        str(errors[0].get("code") or "none"),
        "; ".join(str(error.get("message", "")) for error in errors),
        request_id=request_id,
        tenant=tenant,
        permission=call.permission,
        status=status,
    )


def _error_of_status(response: httpx.Response, call: Call, tenant: str) -> CrmsyncError:
    """The error of an answer that is no envelope."""
    status = response.status_code
    what = f"{call.method} {call.path}"
    if status in (404, 413) and (call.path.startswith("/bulk/") or status == 413):
        return error_from_code(f"HTTP {status}", what, tenant=tenant, status=status)
    if status == 414:
        return BatchTooLarge(f"Marketo: the URI of {what} is too long", tenant=tenant, status=status, code="HTTP 414")
    if status == 429:
        return Throttled(
            f"Marketo's gateway asks to wait (HTTP 429) on {what}",
            retry_after=_seconds(response.headers.get("Retry-After", "")),
            tenant=tenant,
            status=status,
        )
    if status >= 500:
        return ServiceUnavailable(f"Marketo's gateway answered HTTP {status} to {what}", tenant=tenant, status=status)
    if status == 200:
        return TransportFailed(f"Marketo's answer to {what} is not whole, or is not JSON", tenant=tenant, status=status)
    return RequestRefused(f"HTTP {status} to {what} does not come from Marketo's API", tenant=tenant, status=status)


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isdigit() else RATE_WINDOW
