"""Sends one call to Marketo until it has an answer or there is no sense in going on.

Every attempt takes its turn in the budget, carries a token, and is repeated as far as its code's row
(``crmsync.marketo.codes``) and its call's row (``crmsync.marketo.calls``) allow. A write of which nobody knows whether
it was executed ends as ``TransportFailed``: the caller settles it, because Marketo makes a duplicate out of two
overlapping upserts of one key.

Source: "Error Codes", "Integration Best Practices", and "Leads" (concurrency and duplicates).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from crmsync.errors import (
    BatchTooLarge,
    CredentialsRefused,
    CrmsyncError,
    QuotaExhausted,
    ServiceUnavailable,
    Throttled,
    TransportFailed,
)
from crmsync.marketo.auth import IdentityUnanswered, MarketoAuth, date_of
from crmsync.marketo.calls import GLANCES, USAGE, Call, Known
from crmsync.marketo.codes import ROWS, Reaction, row_of
from crmsync.marketo.envelope import Answer, known_of, read_answer, read_file
from crmsync.marketo.quota import Budget
from crmsync.marketo.unreachable import is_before_sending, unreachable, wrong_address

log = logging.getLogger("crmsync.marketo")

TIMEOUT_MARGIN = 15.0
TRANSPORT_TRIES = 5
TRIES_AT_WRONG_ADDRESS = 3
RE_AUTH_CODES = frozenset(row.code for row in ROWS if row.reaction is Reaction.RE_AUTH)

_WORTH_REPEATING = (TransportFailed, ServiceUnavailable, Throttled)
T = TypeVar("T")
_back_off = wait_exponential_jitter(initial=1, max=60, jitter=1)


@dataclass(eq=False)
class _Again(Exception):
    """The attempt failed with ``error`` and may be made again, ``tries`` times in all for this ``kind`` of failure."""

    error: CrmsyncError
    kind: str
    tries: int
    at_once: bool = False


@dataclass(frozen=True)
class _Content:
    """What a call carries besides its path."""

    params: Mapping[str, str] | None = None
    body: bytes | None = None
    form: Mapping[str, str] | None = None
    files: Mapping[str, tuple[str, bytes, str]] | None = None


class Rest:
    """The road to one subscription: HTTP client, token, budget."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        auth: MarketoAuth,
        budget: Budget,
        *,
        tenant: str,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.budget = budget
        self.auth = auth
        self.tenant = tenant
        self._http = http
        self._sleep = sleep
        self._told: tuple[datetime, float] | None = None
        self._usage_lock = asyncio.Lock()
        self._usage_is_known = False

    async def send(
        self,
        call: Call,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        form: Mapping[str, str] | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
        split: bool = False,
    ) -> Answer:
        """The answer of one call. With ``split`` a time-out (604) is not repeated: the caller halves the batch."""
        content = _Content(params, body, form, files)
        return await self._until_answered(call, content, read_answer, split=split)

    @property
    def time(self) -> datetime | None:
        """What Marketo's clock shows (UTC), as far as its last answer told."""
        if self._told is None:
            return None
        moment, heard = self._told
        return moment + timedelta(seconds=time.monotonic() - heard)

    def _hear_time(self, response: httpx.Response) -> None:
        if (moment := date_of(response)) is not None:
            self._told = moment, time.monotonic()

    async def fetch(self, call: Call) -> list[list[str]]:
        """The rows of the file that a bulk call answers with, its header first."""
        return await self._until_answered(call, _Content(), read_file, split=False)

    async def identity(self) -> str:
        """The API user's e-mail, asked of the identity service anew."""
        call = Call("GET", "/identity/oauth/token", None)

        async def attempt() -> str:
            try:
                response = await self._http.send(self.auth.token_request(), auth=None)
                self._hear_time(response)
                self.auth.accept(response)
                return self.auth.user or ""
            except (httpx.RequestError, ServiceUnavailable, TransportFailed) as error:
                failure = self._judge(error, call)
            raise failure

        return await self._repeat(attempt)

    async def used_today(self) -> int:
        """Calls that this API user has made today, by Marketo's statistics; the budget is told."""
        answer = await self._repeat(lambda: self._attempt(USAGE, _Content(), read_answer, split=False))
        return self._note_usage(answer)

    def _note_usage(self, answer: Answer) -> int:
        today = answer.result[-1] if answer.result else {}
        own = (self.auth.user or "").lower()
        users = [user for user in today.get("users") or [] if str(user.get("userId", "")).lower() == own]
        used = sum(int(user.get("count") or 0) for user in users)
        self._usage_is_known = True
        self.budget.used_before(used)
        return used

    async def _learn_usage(self) -> None:
        """Once, before the first call that counts. Not worth waiting for: without it the day starts at zero."""
        async with self._usage_lock:
            if self._usage_is_known:
                return
            try:
                self._note_usage(await self._attempt(USAGE, _Content(), read_answer, split=False))
            except CredentialsRefused:
                raise
            except (_Again, CrmsyncError):
                self._usage_is_known = True
                log.info("%s: today's usage is not known, the day is counted from here", self.tenant)

    async def _until_answered(self, call: Call, content: _Content, read: Callable[..., T], *, split: bool) -> T:
        if not self._usage_is_known and call not in GLANCES:
            await self._learn_usage()
        return await self._repeat(lambda: self._attempt(call, content, read, split=split))

    async def _repeat(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Attempts until one succeeds, raises what cannot be repeated, or its kind of failure came too often."""
        seen: Counter[str] = Counter()

        def enough(state: RetryCallState) -> bool:
            again = _failure(state)
            seen[again.kind] += 1
            return seen[again.kind] >= again.tries

        try:
            async for turn in AsyncRetrying(
                retry=retry_if_exception_type(_Again),
                stop=enough,
                wait=lambda state: _pause(_failure(state), state),
                sleep=self._sleep,
                reraise=True,
            ):
                with turn:
                    return await attempt()
        except _Again as again:
            error = again.error
        raise error from error.__cause__

    async def _attempt(self, call: Call, content: _Content, read: Callable[..., T], *, split: bool) -> T:
        request = self._request(call, content)
        async with self.budget.call():
            try:
                response = await self._http.send(request)
                self._hear_time(response)
                answer = read(response, call, tenant=self.tenant)
                self.budget.answered()
                return self._noted(answer, call)
            except (httpx.RequestError, CrmsyncError) as error:
                failure = self._judge(error, call, split=split)
        self._heed(failure, request)
        raise failure

    def _noted(self, answer: T, call: Call) -> T:
        if isinstance(answer, Answer):
            log.debug("%s: %s %s, request %s", self.tenant, call.method, call.path, answer.request_id)
            if answer.warnings:
                log.debug("%s: request %s has %d warnings", self.tenant, answer.request_id, len(answer.warnings))
        return answer

    def _request(self, call: Call, content: _Content) -> httpx.Request:
        return self._http.build_request(
            call.method,
            call.path,
            params=content.params,
            content=content.body,
            data=content.form,
            files=content.files,
            headers={"Content-Type": "application/json"} if content.body is not None else None,
            timeout=httpx.Timeout(call.seconds + TIMEOUT_MARGIN, connect=10, pool=30),
        )

    def _heed(self, failure: Exception, request: httpx.Request) -> None:
        """Let the budget and the token know what Marketo said."""
        error = failure.error if isinstance(failure, _Again) else failure
        code = error.code if isinstance(error, CrmsyncError) else None
        if isinstance(error, Throttled) and error.retry_after is not None:
            self.budget.hold(error.retry_after)
        elif code == "615":
            self.budget.no_slot()
        elif code == "607" and isinstance(error, QuotaExhausted):
            error.until = self.budget.day_is_over()
        elif code in RE_AUTH_CODES:
            self.auth.drop(request)

    def _judge(self, error: Exception, call: Call, *, split: bool = False) -> Exception:
        """What to raise for a failed attempt: ``_Again`` where it may be repeated, else the error itself."""
        if isinstance(error, httpx.RequestError):
            known = Known.NOT_EXECUTED if is_before_sending(error) else Known.NOTHING
            if not self.auth.answered and (wrong_url := wrong_address(error, tenant=self.tenant)) is not None:
                return _Again(wrong_url, "address", TRIES_AT_WRONG_ADDRESS)
            failure: CrmsyncError = unreachable(error, call, tenant=self.tenant)
        else:
            assert isinstance(error, CrmsyncError)
            failure, known = error, known_of(error)
        if isinstance(error, IdentityUnanswered) and not self.auth.answered:
            return _Again(error.wrong_url, "address", TRIES_AT_WRONG_ADDRESS)
        log.debug("%s: %s %s failed: %s", self.tenant, call.method, call.path, _for_log(failure))
        if failure.code is None and not isinstance(failure, _WORTH_REPEATING):
            return failure
        code, tries = failure.code, row_of(failure.code).tries if failure.code else TRANSPORT_TRIES
        if split and isinstance(failure, BatchTooLarge):
            tries = 1
        if call.writes and known < Known.NOT_EXECUTED:
            failure = _unsettled(failure)
        if tries == 1 or known < call.repeat_if:
            return failure
        kind = "token" if code in RE_AUTH_CODES else code or type(failure).__name__
        return _Again(failure, kind, tries, at_once=code in RE_AUTH_CODES or isinstance(failure, Throttled))


def _failure(state: RetryCallState) -> _Again:
    assert state.outcome is not None
    again = state.outcome.exception()
    assert isinstance(again, _Again)
    return again


def _pause(again: _Again, state: RetryCallState) -> float:
    """A back-off, unless the budget makes every call wait or a new token is all that is needed."""
    return 0.0 if again.at_once else _back_off(state)


def _unsettled(error: CrmsyncError) -> TransportFailed:
    """The same failure as one after which nobody knows whether the write was executed."""
    if isinstance(error, TransportFailed):
        return error
    return TransportFailed(
        error.message,
        remedy=error.remedy,
        tenant=error.tenant,
        code=error.code,
        status=error.status,
        request_id=error.request_id,
    )


def _for_log(error: CrmsyncError) -> str:
    """Class, code, status and request id: Marketo's own words may hold a record's values."""
    known = ((name, getattr(error, name)) for name in ("code", "status", "request_id"))
    return " ".join([type(error).__name__, *(f"{name}={value}" for name, value in known if value is not None)])
