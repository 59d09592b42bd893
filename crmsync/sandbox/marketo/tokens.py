"""Access tokens: one a custom service, the same until it expires, known for what it was afterwards.

"Authentication"; the difference between 602 (first use after expiry) and 601 (any later one) is from the developer
blog, "Exception and Error Handling Part 3".
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from crmsync.sandbox.core import Clock
from crmsync.sandbox.marketo.errors import MarketoError

LIFETIME = 3600.0


@dataclass
class _Token:
    text: str
    expires: float


class Tokens:
    """The tokens of this subscription's one custom service."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._current: _Token | None = None
        self._expired: set[str] = set()

    def issue(self) -> tuple[str, int]:
        """The token and the whole seconds it still lives; a new one only when the last has expired."""
        now = self._clock.time()
        self._retire(now)
        if self._current is None:
            self._current = _Token(f"{uuid.uuid4()}:sb", now + LIFETIME)
        return self._current.text, int(self._current.expires - self._clock.time())

    def check(self, authorization: str | None) -> None:
        """Raise 603, 601 or 602 unless the header carries the current token."""
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise MarketoError(603)
        self._retire(self._clock.time())
        if self._current is not None and token == self._current.text:
            return
        if token in self._expired:
            self._expired.remove(token)
            raise MarketoError(602)
        raise MarketoError(601)

    def _retire(self, now: float) -> None:
        if self._current is not None and now >= self._current.expires:
            self._expired.add(self._current.text)
            self._current = None
