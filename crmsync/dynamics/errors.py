"""Turns an answer of Dataverse that is no success into one error with a remedy: by status, then code, then message.

The answer may be OData's error object, the older ``{"Message", "ErrorCode"}``, a gateway's HTML, or nothing at all.
Facts: "Compose HTTP requests and handle errors" (Microsoft's documents); the codes are in ``crmsync.dynamics.codes``.
"""

from __future__ import annotations

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
    OrganizationUrlWrong,
    PermissionMissing,
    Throttled,
    TransportFailed,
)

_COLUMN = (
    re.compile(r"Could not find a property named '([^']+)'"),
    re.compile(r"Invalid property '([^']+)' was found"),
    re.compile(r"The property '([^']+)' does not exist on type"),
    re.compile(r"undeclared property '([^']+)'"),
)
_PRIVILEGE = re.compile(r"is missing (prv\w+) privilege")
_GATEWAY = frozenset({502, 503, 504})
_LONGEST_MESSAGE = 500

URL_REMEDY = (
    "Check organization_url in the tenant file: Power Platform admin center > Environments > your environment shows "
    "it as 'Environment URL', for example https://contoso.crm.dynamics.com."
)


def error_from(response: httpx.Response, *, tenant: str, entity: str | None = None) -> CrmsyncError:
    """The error that ``response`` (already read, no success) stands for."""
    code, message = _code_and_message(response)
    if code is None and response.status_code not in BY_STATUS and response.status_code < 500:
        return OrganizationUrlWrong(
            f"{response.url.host} answers, but not as a Dataverse organization (HTTP {response.status_code})",
            remedy=URL_REMEDY,
            tenant=tenant,
            status=response.status_code,
        )
    row = _row(response.status_code, code or "", message)
    where: dict[str, Any] = {
        "remedy": row.remedy,
        "tenant": tenant,
        "entity": entity,
        "code": code or None,
        "status": response.status_code,
        "request_id": request_id(response),
    }
    said = f"Dataverse: {row.meaning} (HTTP {response.status_code})" + (f": {message}" if message else "")
    if row.error is ColumnMissing:
        return ColumnMissing(said, column=_column(message), **where)
    if row.error is Throttled:
        return Throttled(said, retry_after=retry_after(response), **where)
    if row.error is PermissionMissing and (privilege := _PRIVILEGE.search(message)):
        where["remedy"] = (row.remedy or "").replace("this privilege", f"the privilege {privilege.group(1)}")
    return row.error(said, **where)


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


def not_dataverse(response: httpx.Response, *, tenant: str) -> OrganizationUrlWrong:
    """A success that is not Dataverse's: some other website answers at the organization URL."""
    kind = response.headers.get("content-type", "no content type").split(";")[0]
    what = "JSON of another kind" if "json" in kind else f"{kind} instead of JSON"
    return OrganizationUrlWrong(
        f"{response.url.host} answers, but not as a Dataverse organization ({what})",
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
        return max(0.0, float(value))
    except ValueError:
        pass
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
    text = str(message or "")
    return str(code or ""), text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


def _column(message: str) -> str | None:
    return next((found.group(1) for pattern in _COLUMN if (found := pattern.search(message))), None)


def _date(value: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
