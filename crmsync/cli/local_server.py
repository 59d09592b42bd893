"""A Prefect server on this machine, for commands that are given none and for tests.

Its database, its log and the key that encrypts blocks lie in one folder. Prefect itself must be imported after
``LocalServer.use``, because it reads its settings from the environment then.

Prefect's documentation, "Self-hosted Prefect server" and "Settings reference".
"""

from __future__ import annotations

import base64
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from crmsync.errors import ServiceUnavailable

SERVER_SETTINGS: Mapping[str, str] = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    # On SQLite the service that evaluates automations and the recorder of task runs lock each other out for a minute
    # now and then. A server on one machine needs no automations: it watches over its runs' processes itself.
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
}
CLIENT_SETTINGS: Mapping[str, str] = {
    "DO_NOT_TRACK": "1",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "crmsync",
}
QUIET: Mapping[str, str] = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
"""Prefect's own lines stay out of the terminal; the run's log in the UI has them."""

SECONDS_TO_START = 180
SECONDS_TO_STOP = 20


class LocalServer:
    """A server process of ours. A ``kept`` one outlives this process, others end with it, or with the last process
    that holds the other end of ``lifeline``."""

    def __init__(
        self,
        home: Path,
        *,
        port: int | None = None,
        kept: bool = False,
        lifeline: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home.absolute()
        self.port = port or free_port()
        self.log = self.home / "server.log"
        self.home.mkdir(parents=True, exist_ok=True)
        environment = (
            os.environ
            | SERVER_SETTINGS
            | {
                "PREFECT_HOME": str(self.home),
                "PREFECT_SERVER_API_HOST": "127.0.0.1",
                "PREFECT_SERVER_API_PORT": str(self.port),
                "PREFECT_SERVER_ENCRYPTION_KEY": _encryption_key(self.home / "encryption.key"),
            }
        )
        environment |= settings or {}
        environment.pop("PREFECT_API_URL", None)
        command = [sys.executable, "-m", "crmsync.cli.server_process", "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603
                command if kept else [*command, "--until-stdin-closes"],
                env=environment,
                stdin=subprocess.DEVNULL if kept else subprocess.PIPE if lifeline is None else lifeline,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def ui_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def use(self) -> None:
        """Make this process's Prefect client talk to the server."""
        os.environ["PREFECT_API_URL"] = self.api_url
        os.environ["PREFECT_HOME"] = str(self.home)

    def wait(self) -> None:
        """Wait until it answers. Raises ``ServiceUnavailable`` naming its log."""
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline and self.process.poll() is None:
            if answers(self.api_url):
                return
            time.sleep(0.2)
        self.stop()
        raise ServiceUnavailable("The local Prefect server did not start", remedy=f"Its log {self.log} says why.")

    def stop(self) -> None:
        """End the process and wait for it."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def answers(api_url: str) -> bool:
    """Whether a Prefect server answers there; it says so without a password too."""
    try:
        with urllib.request.urlopen(f"{api_url}/health", timeout=5):  # noqa: S310
            return True
    except (OSError, ValueError):
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _encryption_key(path: Path) -> str:
    """The Fernet key for blocks, made once. Beside the database instead of inside it, where Prefect would put it."""
    if not path.is_file():
        key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(key)
    return path.read_text(encoding="ascii").strip()
