"""Tells why no answer came from Marketo, in words that lead to the mistake: a wrong URL, a certificate, the network.

A host that does not exist and a certificate that is not trusted are faults of the tenant file, as long as Marketo has
never answered; everything else may be better in a minute.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import httpx

from crmsync.errors import TenantFileWrong, TransportFailed
from crmsync.marketo.auth import IDENTITY_PATH
from crmsync.marketo.calls import Call

_BEFORE_SENDING = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_NO_SUCH_HOST = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_URL = "Set marketo.base_url to the Endpoint that Marketo shows under Admin > Web Services, without typing errors"


def is_before_sending(error: httpx.RequestError) -> bool:
    """Whether the call itself surely did not go out: no connection, or the failure was in fetching the token."""
    return isinstance(error, _BEFORE_SENDING) or _request_path(error) == IDENTITY_PATH


def unreachable(error: httpx.RequestError, call: Call, *, tenant: str) -> TransportFailed:
    """The error for a call without an answer. Where Marketo has never answered, ``wrong_address`` is asked too."""
    host = _host(error)
    causes = list(_causes(error))

    if isinstance(error, _BEFORE_SENDING):
        return TransportFailed(
            f"no connection to {host}: {_reason(error, causes)}",
            remedy=f"Check the network, name server and proxy of this machine. {_URL}.",
            tenant=tenant,
        )
    return TransportFailed(
        f"no whole answer to {call.method} {call.path} from {host}: {_reason(error, causes)}",
        remedy="Nothing for now: it is tried again. If it stays, look at the network between this machine and Marketo.",
        tenant=tenant,
    )


def wrong_address(error: httpx.RequestError, *, tenant: str) -> TenantFileWrong | None:
    """The error when Marketo cannot be at this host: there is no such name, or its certificate is another's."""
    host = _host(error)
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return TenantFileWrong(
            f"the certificate of {host} is not trusted",
            remedy="If a proxy inspects the traffic, name its certificate authority as ca_file in the tenant file; "
            f"otherwise the host is not Marketo's. {_URL}.",
            tenant=tenant,
        )
    if any(isinstance(cause, socket.gaierror) and cause.errno in _NO_SUCH_HOST for cause in causes):
        return TenantFileWrong(f"there is no host {host}", remedy=f"{_URL}.", tenant=tenant)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, innermost last."""
    found: BaseException | None = error
    while found is not None:
        yield found
        if isinstance(found, BaseExceptionGroup):
            for inner in found.exceptions:
                yield from _causes(inner)
        found = found.__cause__ or found.__context__


def _reason(error: httpx.RequestError, causes: list[BaseException]) -> str:
    system = next((cause for cause in causes if isinstance(cause, OSError) and cause.strerror), None)
    if system is not None and not isinstance(error, httpx.TimeoutException):
        return str(system.strerror)
    return str(error) or type(error).__name__


def _request_path(error: httpx.RequestError) -> str:
    try:
        return error.request.url.path
    except RuntimeError:  # httpx: the request was never set
        return ""


def _host(error: httpx.RequestError) -> str:
    try:
        url = error.request.url
    except RuntimeError:
        return "Marketo"
    return url.host if url.port is None else f"{url.host}:{url.port}"
