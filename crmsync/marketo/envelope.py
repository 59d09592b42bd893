"""Reads an answer of Marketo: the envelope of JSON calls, the plain file of bulk calls, or the error in either.

HTTP 200 does not mean success: response-level errors come with it too. Unknown members are ignored, ``result`` may be
absent, ``warnings`` are strings or objects.

Source: "REST API" (the envelope) and "Error Codes" (the three levels).
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from crmsync.errors import BatchTooLarge, CrmsyncError, ServiceUnavailable, Throttled, TransportFailed
from crmsync.marketo.answers import FAILURE, SUCCESS
from crmsync.marketo.auth import IdentityUnanswered, IdentityUnavailable
from crmsync.marketo.calls import Call, Known
from crmsync.marketo.errors import RATE_WINDOW, Reaction, classify, error_from_code
from crmsync.shapes import Odd, json_in

LONGEST_WAIT = 900.0
_WHOLE = re.compile(r"[0-9]{1,9}")


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
    """The envelope's content; raises the error that it, or the HTTP status, tells. What only looks like an answer is as
    good as none (``TransportFailed``)."""
    try:
        return _read(response, call, tenant)
    except Odd as odd:
        raise _strange(response, call, str(odd), tenant) from None


def read_file(response: httpx.Response, call: Call, *, tenant: str) -> list[list[str]]:
    """The rows of the CSV file that a bulk call answers with, its header first; errors come as an envelope or as plain
    text. A file that was cut, or a page in its place, is as good as none."""
    if response.status_code != httpx.codes.OK or response.content.lstrip()[:1] == b"{":
        read_answer(response, call, tenant=tenant)
        raise _strange(response, call, "an envelope instead of a file", tenant)
    try:
        return _rows(response)
    except (Odd, csv.Error, UnicodeDecodeError) as odd:
        raise _strange(
            response, call, f"no CSV file: {odd}" if isinstance(odd, Odd) else "no CSV file", tenant
        ) from None


def _rows(response: httpx.Response) -> list[list[str]]:
    if "html" in response.headers.get("content-type", "") or response.content.lstrip()[:1] == b"<":
        raise Odd("a page")
    text = response.content.decode("utf-8-sig")
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    if not rows or len(rows[0]) < 2 or any(len(row) != len(rows[0]) for row in rows):
        raise Odd("rows of different lengths")
    return rows


def known_of(error: CrmsyncError) -> Known:
    """What an error that came with an answer tells of the execution.

    Only Marketo's own codes prove anything: 6xx is never executed, 7xx in vain, 1xxx refuses; 500 and 502 (and codes we
    do not know) leave open what happened, and behind 502 there is probably a time-out, so the call may even be running
    still: repeating it at once could create duplicates. An answer that is no envelope comes from a gateway that lost
    sight of the call, except 429 and 503 with which it turns calls away, and 413 and 414, which Marketo documents.
    """
    if isinstance(error, IdentityUnavailable | IdentityUnanswered):
        return Known.NOT_EXECUTED
    if isinstance(error, TransportFailed) or error.code == "502":
        return Known.NOTHING
    if error.code is None:
        turned_away = error.status in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
        return Known.NOT_EXECUTED if turned_away else Known.NOTHING
    return Known.NOT_EXECUTED if _REFUSING.fullmatch(error.code) else Known.ENDED


_REFUSING = re.compile(r"1[0-9]{3}|[67][0-9]{2}|HTTP [0-9]{3}")


def _read(response: httpx.Response, call: Call, tenant: str) -> Answer:
    envelope = _envelope(response)
    if envelope is None:
        raise _error_of_status(response, call, tenant)
    if envelope.get("success") is not True:
        FAILURE(envelope)
        error = _error_of_envelope(envelope, response.status_code, call, tenant)
        if classify(error.code or "", error.message).reaction is Reaction.DONE:
            return Answer(request_id=error.request_id)
        raise error
    if response.status_code != httpx.codes.OK:
        raise Odd("a success with another status than 200")
    SUCCESS(envelope)
    call.result(envelope.get("result"))
    if not envelope.get("nextPageToken") and (call.tokens or envelope.get("moreResult")):
        raise Odd("a page without the token of the next one")
    return _answer(envelope)


def _envelope(response: httpx.Response) -> dict[str, Any] | None:
    """The envelope; None where there is none, and it is the status that tells."""
    if response.status_code == httpx.codes.OK:
        parsed = json_in(response)
        if not isinstance(parsed, dict) or "success" not in parsed:
            raise Odd("no envelope")
        return parsed
    try:
        parsed = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) and "success" in parsed else None


def _answer(envelope: dict[str, Any]) -> Answer:
    result = envelope.get("result") or []
    more = envelope.get("moreResult") is not False and bool(result)
    token = envelope.get("nextPageToken")
    return Answer(
        result=result,
        next_page=token if token and more else None,
        token=token or None,
        more=envelope.get("moreResult") is True,
        request_id=envelope.get("requestId"),
        warnings=envelope.get("warnings") or [],
    )


def _error_of_envelope(envelope: dict[str, Any], status: int, call: Call, tenant: str) -> CrmsyncError:
    errors = envelope["errors"]
    return error_from_code(
        errors[0]["code"],
        "; ".join(str(error.get("message", "")) for error in errors),
        request_id=envelope.get("requestId"),
        tenant=tenant,
        permission=call.permission,
        status=status,
    )


def _error_of_status(response: httpx.Response, call: Call, tenant: str) -> CrmsyncError:
    """The error of an answer that is no envelope: what Marketo documents, what a gateway says, or nothing at all."""
    status = response.status_code
    what = f"{call.method} {call.path}"
    if status == 404 and call.is_file and _is_plain(response):
        return error_from_code("HTTP 404", what, tenant=tenant, status=status)
    if status == 413:
        return error_from_code("HTTP 413", what, tenant=tenant, status=status)
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
    return _strange(response, call, "no envelope", tenant)


def _is_plain(response: httpx.Response) -> bool:
    """Whether it is Marketo's own plain text, and no page of a gateway."""
    return "html" not in response.headers.get("content-type", "") and response.content.lstrip()[:1] != b"<"


def _strange(response: httpx.Response, call: Call, what: str, tenant: str) -> TransportFailed:
    return TransportFailed(
        f"{call.method} {call.path}: the answer is not Marketo's, or not whole (HTTP {response.status_code}): {what}",
        remedy="Nothing, if it passes: it is tried again. If it stays, look for a proxy, a firewall or a gateway "
        "between this machine and Marketo that answers in its place.",
        tenant=tenant,
        status=response.status_code,
    )


def _seconds(retry_after: str) -> float:
    """What ``Retry-After`` asks for; never more than a quarter of an hour, so that one bad header stops nobody."""
    return min(float(retry_after), LONGEST_WAIT) if _WHOLE.fullmatch(retry_after) else RATE_WINDOW
