"""Paging cookies and delta tokens: what a next link and a delta link carry, signed so that a changed one is refused.

The outside looks as the service's links do (``$skiptoken=<cookie pagenumber=...>``, ``$deltatoken=<version>!<time>``);
clients must treat both as opaque.

"Page results" and "Use change tracking to synchronize data with external systems" (Power Apps developer documents).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

import orjson

from crmsync.sandbox.dataverse.errors import bad_cookie, invalid_argument, stamp_expired

_COOKIE = re.compile(r'^<cookie pagenumber="(\d+)" pagingcookie="([^"]*)" istracking="(True|False)" />$')
_INNER = re.compile(r'^<cookie page="\d+"><state last="([\w\-=]*)" mac="([0-9a-f]+)" /></cookie>$')
_TIME_FORMAT = "%m/%d/%Y %H:%M:%S"


@dataclass(frozen=True)
class Cookie:
    """Where the next page starts: the page's number and what the query needs to go on."""

    page: int
    state: dict[str, Any]
    tracking: bool = False

    def write(self, secret: str, scope: str) -> str:
        """The value of ``$skiptoken``, not yet percent-encoded."""
        last = base64.urlsafe_b64encode(orjson.dumps([self.page, self.state])).decode()
        inner = f'<cookie page="{self.page - 1}"><state last="{last}" mac="{_mac(secret, scope, last)}" /></cookie>'
        encoded = quote(quote(inner, safe=""), safe="")
        return f'<cookie pagenumber="{self.page}" pagingcookie="{encoded}" istracking="{self.tracking}" />'

    @classmethod
    def read(cls, text: str, secret: str, scope: str) -> Cookie:
        """The cookie of a next link; raises when it was changed or belongs to another query."""
        outer = _COOKIE.match(text)
        inner = _INNER.match(unquote(unquote(outer[2]))) if outer else None
        if outer is None or inner is None or not hmac.compare_digest(inner[2], _mac(secret, scope, inner[1])):
            raise bad_cookie()
        page, state = orjson.loads(base64.urlsafe_b64decode(inner[1]))
        if page != int(outer[1]):
            raise bad_cookie()
        return cls(page, state, outer[3] == "True")


def _mac(secret: str, scope: str, text: str) -> str:
    return hmac.new(secret.encode(), f"{scope}\n{text}".encode(), hashlib.sha256).hexdigest()[:32]


def write_delta_token(version: int, now: datetime) -> str:
    return f"{version}!{now.astimezone(UTC).strftime(_TIME_FORMAT)}"


def read_delta_token(text: str, now: datetime, current_version: int, expires_in_days: int) -> int:
    """The version that a delta token stands for; raises when it is malformed or too old."""
    version, _, moment = text.partition("!")
    try:
        since = int(version)
        issued = datetime.strptime(moment, _TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise invalid_argument(f"The delta token '{text}' is malformed.") from None
    if since < 0 or since > current_version:
        raise invalid_argument(f"The delta token '{text}' is malformed.")
    if now - issued > timedelta(days=expires_in_days):
        raise stamp_expired()
    return since


def link(root: str, path: str, options: dict[str, str]) -> str:
    """An absolute URL with query options, each percent-encoded as the service does it."""
    query = "&".join(f"{name}={quote(value, safe=',()*@$')}" for name, value in options.items())
    return f"{root}{path}?{query}"
