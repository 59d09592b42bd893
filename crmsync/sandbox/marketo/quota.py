"""What a subscription may call: a sliding window, calls in progress, and a day that ends at midnight US Central.

Counts of a day are kept in the database, for the usage calls.

"REST API" (Limits) and "Error Codes" (606, 607, 615, and the asterisk of what does not count). That the day follows
daylight saving is assumed; another answer is a switch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from zoneinfo import ZoneInfo

from crmsync.sandbox.core import Subscription
from crmsync.sandbox.marketo.database import Database
from crmsync.sandbox.marketo.errors import LIMITS, UNCOUNTED, MarketoError
from crmsync.sandbox.marketo.switches import Switches

WINDOW = 20.0
CALLS_A_WINDOW = 100
IN_PROGRESS = 10


class Quota:
    """Admits calls and counts them."""

    def __init__(self, subscription: Subscription, database: Database, switches: Switches) -> None:
        self._subscription = subscription
        self._connection = database.connection
        self._switches = switches
        self._window: deque[float] = deque()
        self._open = 0

    def today(self) -> date:
        """The day that calls are counted on."""
        moment: datetime = self._subscription.clock.now()
        return moment.astimezone(ZoneInfo(str(self._switches["day_zone"]))).date()

    @contextmanager
    def call(self) -> Iterator[None]:
        """One call, from its arrival to its answer; raises 607, 606 or 615 when it may not be made."""
        if self._subscription.limits.documented:
            self._admit()
        self._count(1)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    def failed(self, code: int, *, admitted: bool) -> None:
        """Count an error by its code; take the call back when such answers do not count."""
        if admitted and code in UNCOUNTED:
            self._count(-1)
        elif not admitted and (code not in UNCOUNTED | LIMITS or self._limits_count(code)):
            self._count(1)
        statement = "INSERT INTO errors VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1"
        self._connection.execute(statement, (self.today().isoformat(), str(code)))

    def _limits_count(self, code: int) -> bool:
        return code in LIMITS and bool(self._switches["limit_errors_count"])

    def _admit(self) -> None:
        if self._used_today() >= int(self._switches["daily_quota"]):
            raise MarketoError(607)
        now = self._subscription.clock.time()
        while self._window and not now - WINDOW < self._window[0] <= now:
            self._window.popleft()
        if len(self._window) >= CALLS_A_WINDOW:
            raise MarketoError(606, CALLS_A_WINDOW, int(WINDOW))
        if self._open >= IN_PROGRESS:
            raise MarketoError(615)

    def _count(self, step: int) -> None:
        if step > 0:
            self._window.append(self._subscription.clock.time())
        elif self._window:
            self._window.pop()
        if len(self._window) > 10 * CALLS_A_WINDOW:
            self._window.popleft()
        statement = "INSERT INTO usage VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = max(0, count + ?)"
        row = (self.today().isoformat(), self._subscription.user_email, max(step, 0), step)
        self._connection.execute(statement, row)

    def _used_today(self) -> int:
        statement = "SELECT total(count) FROM usage WHERE day = ?"
        return int(self._connection.execute(statement, (self.today().isoformat(),)).fetchone()[0])
