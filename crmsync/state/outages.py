"""Which failures of the state database pass by themselves, and which only a person can end.

The causes were provoked on a real PostgreSQL (stopped, restarted, its sessions ended by ``pg_terminate_backend``) and
on a locked SQLite file. What comes depends on the moment: asyncpg's own errors and those of the socket while a
connection is made, SQLAlchemy's with ``connection_invalidated`` later. PostgreSQL's documentation, "PostgreSQL Error
Codes", names the rest.
"""

from __future__ import annotations

import socket
import sqlite3
import ssl

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

PASSING_CLASSES = ("08", "53")
"""Connection exceptions; insufficient resources."""

PASSING_STATES = {
    "25006",  # read_only_sql_transaction: the server was demoted in a failover
    "25P03",  # idle_in_transaction_session_timeout
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "57P01",  # admin_shutdown
    "57P02",  # crash_shutdown
    "57P03",  # cannot_connect_now: it starts up or shuts down
    "57P05",  # idle_session_timeout
}
REFUSING_STATES = {
    "28000",  # invalid_authorization_specification
    "28P01",  # invalid_password
    "3D000",  # invalid_catalog_name
    "42501",  # insufficient_privilege
}
PASSING_IN_SQLITE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def passes(error: BaseException) -> bool:
    """Whether the same transaction may succeed later: the database is away, locked, full or failing over."""
    if isinstance(error, PoolTimeout):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    cause = error.orig if isinstance(error, DBAPIError) else error
    if cause is not None and is_confused(cause):
        return True
    if isinstance(cause, sqlite3.Error):
        # The low byte is the primary code ("Result and Error Codes").
        return (getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF in PASSING_IN_SQLITE
    if state := _sqlstate(cause):
        return state in PASSING_STATES or state.startswith(PASSING_CLASSES)
    return isinstance(cause, OSError) and not isinstance(cause, ssl.SSLCertVerificationError | PermissionError)


def is_confused(cause: BaseException) -> bool:
    """Whether asyncpg does not know any more where it is: the connection was ended while it was being set up or in the
    middle of an answer."""
    driver = cause.__cause__ or cause
    # Its subclasses tell of wrong arguments.
    return isinstance(driver, asyncpg.InternalClientError) or type(driver) is asyncpg.InterfaceError


def is_wrong_address(error: BaseException) -> bool:
    """Whether the database's name leads nowhere. While one is opened, a mistake; later, a name service that is away."""
    return isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN


def refuses(error: BaseException) -> bool:
    """Whether PostgreSQL does not let us in: its user, password or database is wrong."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return _sqlstate(cause) in REFUSING_STATES or isinstance(cause, ssl.SSLCertVerificationError | PermissionError)


def kind_of(error: BaseException) -> str:
    """The error's name as an operator can look it up; its text may hold a statement's values."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
    return type(cause or error).__name__


def _sqlstate(cause: BaseException | None) -> str:
    if isinstance(cause, asyncpg.PostgresError):
        return str(cause.sqlstate or "")
    return str(getattr(cause, "sqlstate", None) or "")
