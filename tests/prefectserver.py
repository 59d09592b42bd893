"""One Prefect server for all tests of a session, and for all workers of pytest-xdist, started when one first needs it.

Address and folder are fixed before anything imports Prefect, which reads them then. Every process that uses the server
holds a named pipe open, and the server ends when nobody does any more: Prefect drains its event queue at a process's
exit, and a server that is gone by then costs over a minute.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from crmsync.cli.local_server import LocalServer, free_port

HOME_VARIABLE = "CRMSYNC_TEST_PREFECT_HOME"
PORT_VARIABLE = "CRMSYNC_TEST_PREFECT_PORT"
SETTINGS = {
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
}

_lifelines: list[int] = []


def announce() -> int:
    """Choose port and folder; the first process of the session does, its workers inherit them. Returns the port."""
    if HOME_VARIABLE in os.environ:
        return int(os.environ[PORT_VARIABLE])
    home, port = tempfile.mkdtemp(prefix="crmsync-prefect-"), free_port()
    os.environ |= {
        HOME_VARIABLE: home,
        PORT_VARIABLE: str(port),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_HOME": home,
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    atexit.register(_end, Path(home))  # registered before Prefect is imported, so it runs after Prefect's own
    return port


def ensure(cache: Path) -> str:
    """Start the server unless another worker has, and return its API URL. ``cache`` keeps a migrated database."""
    home, port = Path(os.environ[HOME_VARIABLE]), int(os.environ[PORT_VARIABLE])
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pipe = home / "lifeline"
        first = not pipe.exists()
        if first:
            os.mkfifo(pipe)
        _lifelines.append(os.open(pipe, os.O_RDWR))
        if first:
            shutil.copy(_template(cache), home / "prefect.db")
            reader = os.open(pipe, os.O_RDONLY)
            server = LocalServer(home, port=port, lifeline=reader, settings=SETTINGS)
            os.close(reader)
            server.wait()
            (home / "process").write_text(str(server.process.pid))
            server.process.returncode = 0  # it ends after this process: nobody here waits for it
    return f"http://127.0.0.1:{port}/api"


def _template(cache: Path) -> Path:
    """A database with all migrations applied, which takes longer than everything else; one for each Prefect version."""
    template = cache / f"prefect-{version('prefect')}.db"
    if not template.is_file():
        with tempfile.TemporaryDirectory() as home:
            command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
            environment = os.environ | {"PREFECT_HOME": home}
            environment.pop("PREFECT_API_URL")
            subprocess.run(command, env=environment, check=True, capture_output=True)
            shutil.copy(Path(home) / "prefect.db", template)
    return template


def _end(home: Path) -> None:
    """Let go of the server, wait until it has ended, and remove its folder."""
    for lifeline in _lifelines:
        os.close(lifeline)
    if (home / "process").is_file():
        process, deadline = int((home / "process").read_text()), time.monotonic() + 20
        while _lives(process) and time.monotonic() < deadline:
            time.sleep(0.05)
    shutil.rmtree(home, ignore_errors=True)


def _lives(process: int) -> bool:
    """Whether it still runs; a child of ours is reaped on the way."""
    try:
        return os.waitpid(process, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return Path(f"/proc/{process}").exists()
