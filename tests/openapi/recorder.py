"""The pytest plugin: looks at everything that the sandbox's Marketo answers, and fails the test that saw a fault.

The sandbox runs in threads of the test process, so each pytest-xdist worker checks what its own tests do. What comes in
after the last test fails the run as a whole.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from crmsync.sandbox.observing import Exchange, observers
from tests.openapi.checker import Checker, client_of
from tests.openapi.specification import PRESENT, Specification

_KEY = "openapi"


class Recorder:
    """An observer of the sandbox: counts exchanges by client, keeps what is wrong until somebody takes it."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker
        self._lock = threading.Lock()
        self._faults: dict[str, None] = {}
        self.seen: Counter[str] = Counter()

    def __call__(self, exchange: Exchange) -> None:
        """Check one exchange."""
        wrong = self._checker.check(exchange)
        with self._lock:
            self.seen[client_of(exchange)] += 1
            self._faults.update(dict.fromkeys(wrong))

    def take(self) -> list[str]:
        """What is wrong since the last time."""
        with self._lock:
            wrong, self._faults = list(self._faults), {}
        return wrong


class OpenApiCheck:
    """Hooks of the run; registered by the root conftest."""

    def __init__(self) -> None:
        self._recorder = Recorder(Checker(Specification.load())) if PRESENT else None
        self._seen: Counter[str] = Counter()
        self._late: list[str] = []

    def pytest_sessionstart(self) -> None:
        if self._recorder is not None:
            observers.append(self._recorder)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Iterator[None]:
        yield
        if self._recorder is not None and (wrong := self._recorder.take()):
            pytest.fail("outside Marketo's OpenAPI files:\n" + "\n".join(wrong), pytrace=False)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._recorder is not None:
            if self._recorder in observers:
                observers.remove(self._recorder)
            self._seen += self._recorder.seen
            self._late += self._recorder.take()
        worker: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
        if worker is not None:
            worker[_KEY] = {"seen": dict(self._seen), "late": self._late}
        elif self._late:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of pytest-xdist has ended: what it saw."""
        told = getattr(node, "workeroutput", {}).get(_KEY, {})
        self._seen.update(told.get("seen", {}))
        self._late += told.get("late", [])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One line: what was checked, or that nothing was."""
        if self._recorder is None:
            terminalreporter.write_line("Marketo's OpenAPI files: not checked, they are absent")
            return
        for fault in self._late:
            terminalreporter.write_line(f"outside Marketo's OpenAPI files: {fault}", red=True)
        if self._seen:
            clients = ", ".join(f"{many:,} of {client}" for client, many in self._seen.most_common())
            terminalreporter.write_line(f"Marketo's OpenAPI files: {self._seen.total():,} answers checked: {clients}")
