"""Turns an answer of Dataverse that is no success into one error with a remedy: by status, then code, then message.

The answer may be OData's error object, the older ``{"Message", "ErrorCode"}``, a gateway's HTML, or nothing at all.
Facts: "Compose HTTP requests and handle errors" (Microsoft's documents); the codes are in ``crmsync.dynamics.codes``.
"""

from __future__ import annotations

import math
import re
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import orjson

from crmsync.dynamics.codes import (
    BY_CODE,
    BY_STATUS,
    GENERAL,
    NO_SUCH_COLUMN,
    NO_SUCH_ENTITY,
    REFUSED,
    UNAVAILABLE,
    Known,
)
from crmsync.errors import (
    ColumnMissing,
    CrmsyncError,
    OperatorMustAct,
    OrganizationUrlWrong,
    PermissionMissing,
    Throttled,
    TransportFailed,
    TryAgainLater,
)

_COLUMN = (
    re.compile(r"Could not find a property named '([^']+)'"),
    re.compile(r"Invalid property '([^']+)' was found"),
    re.compile(r"The property '([^']+)' does not exist on type"),
    re.compile(r"undeclared property '([^']+)'"),
)
_PRIVILEGE = re.compile(r"is missing (prv\w+) privilege")
_GATEWAY = frozenset({502, 503, 504})
_PASSING = frozenset({408, 429})
_CODE = re.compile(r"0x[0-9A-Fa-f]{1,8}")
_LONGEST_MESSAGE = 500

URL_REMEDY = (
    "Check organization_url in the tenant file: Power Platform admin center > Environments > your environment shows "
    "it as 'Environment URL', for example https://contoso.crm.dynamics.com."
)


def error_from(response: httpx.Response, *, tenant: str, entity: str | None = None) -> CrmsyncError:
    """The error that ``response`` (already read, no success) stands for.

    What only a person can put right is believed of Dataverse alone: its own code, or its challenge. A bare status, or a
    page, is what a gateway or a proxy gives in passing.
    """
    status = response.status_code
    code, message = _code_and_message(response)
    row = _row(status, code or "", message)
    if code is None and not _challenges(response):
        if status < 500 and status not in _PASSING:
            return not_dataverse(response, "no error of Dataverse", tenant=tenant, entity=entity)
        row = row if issubclass(row.error, TryAgainLater) else UNAVAILABLE
    elif not code and issubclass(row.error, OperatorMustAct) and not _challenges(response):
        return not_dataverse(response, "an error without a code", tenant=tenant, entity=entity)
    where: dict[str, Any] = {
        "remedy": row.remedy,
        "tenant": tenant,
        "entity": entity,
        "code": code or None,
        "status": status,
        "request_id": request_id(response),
    }
    said = f"Dataverse: {row.meaning} (HTTP {status})" + (f": {message}" if message else "")
    if row.error is ColumnMissing:
        return ColumnMissing(said, column=_column(message), **where)
    if row.error is Throttled:
        return Throttled(said, retry_after=retry_after(response), **where)
    if row.error is PermissionMissing and (privilege := _PRIVILEGE.search(message)):
        where["remedy"] = (row.remedy or "").replace("this privilege", f"the privilege {privilege.group(1)}")
    return row.error(said, **where)


def is_dataverses(response: httpx.Response) -> bool:
    """Whether an answer that is no success has Dataverse's own shape, be it without a code."""
    return _code_and_message(response)[0] is not None or _challenges(response)


def _challenges(response: httpx.Response) -> bool:
    """Whether it is an organization's own refusal of a token, which has no body: it names where to sign in."""
    told = response.headers.get("www-authenticate", "")
    return response.status_code == httpx.codes.UNAUTHORIZED and "authorization_uri=" in told


def error_from_transport(error: Exception, *, host: str, tenant: str, entity: str | None = None) -> CrmsyncError:
    """No answer, or half of one. On a first contact ``wrong_address`` is asked before."""
    return TransportFailed(
        f"No whole answer from {host}: {type(error).__name__}: {error}".rstrip(": "),
        remedy="Nothing, if it passes; crmsync tries again by itself. If it stays, check network, proxy and firewall.",
        tenant=tenant,
        entity=entity,
    )


def wrong_address(error: Exception, *, host: str, tenant: str) -> OrganizationUrlWrong | None:
    """The error when nothing can answer at ``host``: no such name, nobody listening, another's certificate."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return OrganizationUrlWrong(
                f"The certificate that {host} shows is not trusted: {cause}",
                remedy=f"{URL_REMEDY} If a proxy inspects your traffic, name its certificate authority as 'ca_file' in "
                "the tenant file.",
                tenant=tenant,
            )
        if isinstance(cause, socket.gaierror) and cause.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5)):
            return OrganizationUrlWrong(f"There is no host {host}", remedy=URL_REMEDY, tenant=tenant)
        if isinstance(cause, ConnectionRefusedError):
            return OrganizationUrlWrong(f"Nothing listens at {host}", remedy=URL_REMEDY, tenant=tenant)
    return None


def not_dataverse(
    response: httpx.Response,
    what: str,
    *,
    tenant: str,
    entity: str | None = None,
    kind: type[TransportFailed] = TransportFailed,
) -> TransportFailed:
    """An answer that is not Dataverse's own, or not whole: ``what`` is odd in it, without any of its values."""
    request = response.request
    return kind(
        f"{request.method} {request.url.path}: the answer is not Dataverse's (HTTP {response.status_code}): {what}",
        remedy="Nothing, if it passes; crmsync tries again by itself. If it stays, look for a proxy, a firewall or a "
        "gateway between this machine and the organization that answers in its place.",
        tenant=tenant,
        entity=entity,
        status=response.status_code,
        request_id=request_id(response),
    )


def another_website(response: httpx.Response, *, tenant: str) -> OrganizationUrlWrong:
    """What a first contact says where no answer was ever Dataverse's: another website is at the organization URL."""
    return OrganizationUrlWrong(
        f"{response.url.host} answers, but not as a Dataverse organization (HTTP {response.status_code})",
        remedy=URL_REMEDY,
        tenant=tenant,
        status=response.status_code,
    )


def retry_after(response: httpx.Response) -> float | None:
    """The seconds that ``Retry-After`` asks for (a number, or a date to compare with the answer's own), or None."""
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        pass
    else:
        return max(0.0, seconds) if math.isfinite(seconds) else None
    until = _date(value)
    return None if until is None else max(0.0, (until - (server_time(response) or datetime.now(UTC))).total_seconds())


def server_time(response: httpx.Response) -> datetime | None:
    """The answer's ``Date``, UTC."""
    return _date(response.headers.get("date", ""))


def request_id(response: httpx.Response) -> str | None:
    """The id under which Microsoft's support finds the request."""
    found: str | None = response.headers.get("x-ms-service-request-id") or response.headers.get("req_id")
    return found


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """``error``, what caused it, and so on, also through exception groups."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from causes(one)
        error = error.__cause__ or error.__context__


def _row(status: int, code: str, message: str) -> Known:
    if status in _GATEWAY:
        return UNAVAILABLE
    if status in (400, 404) and _column(message):
        return NO_SUCH_COLUMN
    if status == 404 and code == NO_SUCH_ENTITY.code:
        return NO_SUCH_ENTITY
    known = BY_CODE.get(code.lower())
    telling = BY_STATUS.get(status) or (UNAVAILABLE if status >= 500 else None)
    if known is None or code.lower() in GENERAL:
        return telling or known or REFUSED
    return known


def _code_and_message(response: httpx.Response) -> tuple[str | None, str]:
    """The code (None when the body is not Dataverse's, "" when it names none) and the message, not too long."""
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None, ""
    if not isinstance(body, dict):
        return None, ""
    if isinstance(body.get("error"), dict):
        code, message = body["error"].get("code"), body["error"].get("message")
    elif "Message" in body or "ErrorCode" in body:
        code, message = body.get("ErrorCode"), body.get("ExceptionMessage") or body.get("Message")
    else:
        return None, ""
    if not isinstance(code, str | None) or not isinstance(message, str | None) or not (code or message):
        return None, ""
    if code and not _CODE.fullmatch(code):
        return None, ""
    text = message or ""
    return code or "", text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


def _column(message: str) -> str | None:
    return next((found.group(1) for pattern in _COLUMN if (found := pattern.search(message))), None)


def _date(value: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(value)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
