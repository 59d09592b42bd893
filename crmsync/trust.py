"""Which certificate authorities the clients of Dynamics and Marketo trust.

The public ones, and the one that a tenant file names besides, for example that of an inspecting proxy.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path

import httpx

from crmsync.errors import TenantFileWrong


def trusted(ca_path: Path | None, tenant: str) -> ssl.SSLContext:
    """The public certificate authorities, and this one; raises ``TenantFileWrong`` when its file cannot be read."""
    try:
        changed = ca_path.stat().st_mtime_ns if ca_path is not None else 0
        return _context(ca_path, changed)
    except (OSError, ssl.SSLError) as error:
        raise TenantFileWrong(
            f"ca_file {ca_path} holds no readable certificate",
            remedy="Name a PEM file ('BEGIN CERTIFICATE'), relative to the tenant file, or leave ca_file out.",
            tenant=tenant,
        ) from error


@lru_cache(maxsize=64)
def _context(ca_path: Path | None, _changed: int) -> ssl.SSLContext:
    """Shared by clients: reading the public authorities takes longer than signing in. A changed file is read again."""
    context = httpx.create_ssl_context()
    if ca_path is not None:
        context.load_verify_locations(cafile=ca_path)
    return context
