"""Ports and certificates: one listening socket a service, one certificate authority a sandbox.

MSAL insists on https (``msal.authority``), so everything is served over TLS, with a certificate for ``localhost``
and ``127.0.0.1`` of an authority that nobody trusts unless told to.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import trustme

from crmsync.sandbox.options import OptionsWrong

HOST = "127.0.0.1"


@contextmanager
def listening(count: int, first: int | None) -> Iterator[list[socket.socket]]:
    """``count`` sockets on loopback: at ``first`` and the ports after it, or at any free ports."""
    with ExitStack() as stack:
        sockets = []
        for offset in range(count):
            port = 0 if first is None else first + offset
            sockets.append(stack.enter_context(contextlib.closing(_listen(port))))
        yield sockets


def _listen(port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off only for sockets that name TCP; with it every answer would wait for 40 ms.
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((HOST, port))
        server.listen(256)
    except OSError as error:
        server.close()
        raise OptionsWrong(
            f"port {port} is taken ({error.strerror}): give another --port, or leave it out for free ports"
        ) from None
    server.setblocking(False)
    return server


def port_of(server: socket.socket) -> int:
    """Where it listens."""
    return int(server.getsockname()[1])


def make_tls(ca_file: Path) -> ssl.SSLContext:
    """A server context with a fresh certificate; its authority's certificate is written to ``ca_file``."""
    authority = trustme.CA(organization_name="crmsync sandbox")
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    authority.issue_cert("localhost", HOST).configure_cert(context)
    return context
