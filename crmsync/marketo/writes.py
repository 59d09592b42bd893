"""Writes records to Marketo, however many: calls of at most 300, one after the other, an outcome for each record.

What fails for the whole call but may be one record's fault (time-outs, a system error, a refusal at response level) is
found by halving. If nothing gets through at all, it is not the records: the error is raised.

Source: "Error Codes" (classes ``split`` and ``per record``) and, for 611 hiding one poisonous record, experience.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crmsync.errors import BatchTooLarge, CrmsyncError, RecordRefused, ServiceUnavailable
from crmsync.marketo.batches import Key, Piece, Unsendable, batches, body
from crmsync.marketo.calls import Call
from crmsync.marketo.errors import Reaction, error_from_code, row_of
from crmsync.marketo.outcomes import Outcome, read_outcomes, refused
from crmsync.marketo.rest import Rest

SUSPECTS = 5
"""Single records in a row that may fail before any other got through; then the service is at fault, not they."""


async def write(
    rest: Rest, call: Call, head: Mapping[str, str], records: Sequence[Mapping[str, Any]], *, key: Key
) -> list[Outcome]:
    """Send ``records`` and tell what became of each, in their order.

    When an error is raised, calls before it may have been executed: the caller settles or repeats all records.
    """
    writer = _Writer(rest, call, head)
    outcomes: dict[int, Outcome] = {}
    for batch in batches(records, key=key):
        if isinstance(batch, Unsendable):
            outcomes[batch.place] = Outcome("skipped", code="HTTP 413", reason=batch.reason)
            continue
        for piece, outcome in zip(batch, await writer.send(batch), strict=True):
            outcomes[piece.place] = outcome
    return [outcomes[place] for place in range(len(records))]


class _Writer:
    def __init__(self, rest: Rest, call: Call, head: Mapping[str, str]) -> None:
        self._rest = rest
        self._call = call
        self._head = head
        self._suspects = 0
        self._got_through = False

    async def send(self, pieces: Sequence[Piece]) -> list[Outcome]:
        """One call, or where that fails for what may be one record's fault, its halves."""
        try:
            outcomes = await self._once(pieces, split=len(pieces) > 1)
        except CrmsyncError as error:
            if not _may_be_one_record(error):
                raise
            if len(pieces) == 1:
                return [self._suspect(error)]
            middle = len(pieces) // 2
            return [*await self.send(pieces[:middle]), *await self.send(pieces[middle:])]
        self._got_through = True
        return await self._with_second_chance(pieces, outcomes)

    async def _once(self, pieces: Sequence[Piece], *, split: bool) -> list[Outcome]:
        answer = await self._rest.send(self._call, body=body(self._head, pieces), split=split)
        outcomes = read_outcomes(answer.result, len(pieces), self._call, tenant=self._rest.tenant)
        if any(outcome.code == "1018" for outcome in outcomes):
            raise error_from_code("1018", "", request_id=answer.request_id, tenant=self._rest.tenant)
        return outcomes

    async def _with_second_chance(self, pieces: Sequence[Piece], outcomes: list[Outcome]) -> list[Outcome]:
        """Records that were skipped for a passing reason (1014) are sent once more."""
        again = [place for place, outcome in enumerate(outcomes) if _is_passing(outcome)]
        if not again:
            return outcomes
        second = await self._once([pieces[place] for place in again], split=False)
        fresh = dict(zip(again, second, strict=True))
        return [fresh.get(place, outcome) for place, outcome in enumerate(outcomes)]

    def _suspect(self, error: CrmsyncError) -> Outcome:
        """The outcome of a single record that failed alone; raises when there is reason to blame the service."""
        self._suspects += 1
        if self._got_through or self._suspects < SUSPECTS:
            return refused(error)
        if not isinstance(error, BatchTooLarge):
            raise error
        raise ServiceUnavailable(
            "Marketo times out on single records",
            remedy=error.remedy,
            tenant=error.tenant,
            code=error.code,
            request_id=error.request_id,
        )


def _may_be_one_record(error: CrmsyncError) -> bool:
    return isinstance(error, BatchTooLarge | RecordRefused) or error.code == "611"


def _is_passing(outcome: Outcome) -> bool:
    return outcome.status == "skipped" and outcome.code is not None and row_of(outcome.code).reaction is Reaction.RETRY
