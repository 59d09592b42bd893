"""What the demo plays on: a sandbox and a Prefect server, each a process of its own, in one folder."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import time
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import psutil
from pydantic import SecretStr

from crmsync.cli.local_server import LocalServer
from crmsync.cli.running import set_client
from crmsync.dynamics.auth import ClientSecret
from crmsync.dynamics.client import DynamicsClient
from crmsync.errors import OperatorMustAct, ServiceUnavailable
from crmsync.marketo.client import MarketoClient
from crmsync.state.engine import STATE_URL_VARIABLE
from crmsync.tenants import Tenant, load_tenant

TENANT = "contoso"
RECORDS = {"--leads": 300, "--contacts": 600, "--accounts": 120}
SECONDS_TO_START = 120


class Box:
    """The folder of a running sandbox: looks at either side of its tenant as an administrator would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.ready_file = self.folder / "ready.json"
        self.tenants = self.folder / "tenants"

    @property
    def tenant(self) -> Tenant:
        return load_tenant(TENANT, self.tenants)

    def administrator(self) -> DynamicsClient:
        """Dynamics as its administrator: changes of the sync user's own would not count as somebody's."""
        administrator = self._tenant_facts()["dynamics"]["administrator"]
        tenant = self.tenant
        connection = tenant.dynamics.model_copy(update={"client_id": administrator["client_id"]})
        secret = ClientSecret(SecretStr(administrator["client_secret"]))
        return DynamicsClient(connection, secret, tenant=TENANT, ca_path=tenant.ca_path)

    def marketo(self) -> MarketoClient:
        """Marketo, to look at what arrived."""
        tenant = self.tenant
        secret = SecretStr(self._tenant_facts()["marketo"]["client_secret"])
        return MarketoClient(tenant.marketo, secret, tenant=TENANT, quota=tenant.quota, ca_path=tenant.ca_path)

    def newest_mail(self) -> tuple[Path, EmailMessage]:
        """The message that arrived last, and its file."""
        path = max((self.folder / "mailbox").glob("*.eml"))
        message = message_from_bytes(path.read_bytes(), policy=policy.default)
        assert isinstance(message, EmailMessage)  # the default policy makes these
        return path, message

    def _tenant_facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self.ready_file.read_text(encoding="utf-8"))["tenants"][TENANT]
        return facts


class Stage:
    """Starts both processes, points this one at them, and ends them."""

    def __init__(self, folder: Path, *, kept: bool) -> None:
        self.folder = folder.absolute()
        self._kept = kept
        self._processes = self.folder / "processes.json"
        self._refuse_second()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.box = Box(self.folder / "sandbox")
        self.sandbox = self._start_sandbox()
        self.server = LocalServer(self.folder / "prefect", kept=kept)
        if kept:
            self._processes.write_text(json.dumps(self.process_ids))
        else:
            atexit.register(self.stop)  # before Prefect is imported, so that it runs after Prefect's own clean-up

    @property
    def process_ids(self) -> list[int]:
        return [self.sandbox.pid, self.server.process.pid]

    @property
    def state_url(self) -> str:
        return f"sqlite:///{self.folder / 'state.db'}"

    def wait(self) -> None:
        """Wait until both answer, and point this process at them."""
        deadline = time.monotonic() + SECONDS_TO_START
        while not self.box.ready_file.is_file():
            if self.sandbox.poll() is not None or time.monotonic() > deadline:
                self.stop()
                log = self.folder / "sandbox.log"
                raise ServiceUnavailable("The sandbox did not start", remedy=f"Its log {log} says why.")
            time.sleep(0.1)
        self.server.wait()
        self.server.use()
        os.environ[STATE_URL_VARIABLE] = self.state_url
        set_client(self.box.tenants)

    def stop(self) -> None:
        """End both processes and wait for them."""
        if self.sandbox.poll() is None:
            self.sandbox.terminate()
        self.server.stop()
        try:
            self.sandbox.wait(10)
        except subprocess.TimeoutExpired:
            self.sandbox.kill()
            self.sandbox.wait()

    def _start_sandbox(self) -> subprocess.Popen[bytes]:
        numbers = [text for option, number in RECORDS.items() for text in (option, str(number))]
        command = [sys.executable, "-m", "crmsync", "sandbox", "--ready-file", str(self.box.ready_file), *numbers]
        with (self.folder / "sandbox.log").open("wb") as log:
            return subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _refuse_second(self) -> None:
        if not self._processes.is_file():
            return
        alive = [str(one) for one in json.loads(self._processes.read_text()) if psutil.pid_exists(one)]
        if alive:
            raise OperatorMustAct(
                "A demo that was kept is still running", remedy=f"Use it, or end it first: kill {' '.join(alive)}"
            )
