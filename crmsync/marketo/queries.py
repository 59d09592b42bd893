"""Reads records by a field's values, however many: 300 values a call, pages followed, long requests as POST.

Source: "Lead Database" (query, ``_method=GET``), "Leads" (1003 when more than 1,000 match), "Error Codes" (414: 8 KB).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import orjson

from crmsync.errors import BatchTooLarge, CrmsyncError, RequestRefused
from crmsync.marketo.answers import found_by
from crmsync.marketo.calls import Call
from crmsync.marketo.envelope import Answer
from crmsync.marketo.rest import Rest
from crmsync.shapes import Shape

MAX_VALUES = 300
VALUES_IN_A_URI = 50
BYTES_OF_A_URI = 6_000
"""Well below the 8 KB that Marketo allows, as a proxy's own limit may be tighter."""


async def query(
    rest: Rest, call: Call, filter_type: str, values: Sequence[str], fields: Sequence[str]
) -> list[dict[str, Any]]:
    """Every record whose ``filter_type`` has one of ``values``, with ``fields``. What has no match is absent."""
    distinct = list(dict.fromkeys(str(value) for value in values))
    if any("," in value for value in distinct):
        raise RequestRefused("Marketo cannot be asked for a value with a comma", tenant=rest.tenant)
    found: list[dict[str, Any]] = []
    for start in range(0, len(distinct), MAX_VALUES):
        found += await _query(rest, call, filter_type, distinct[start : start + MAX_VALUES], fields)
    return found


async def _query(
    rest: Rest, call: Call, filter_type: str, values: Sequence[str], fields: Sequence[str]
) -> list[dict[str, Any]]:
    """One chunk; where Marketo finds that too much matches or takes too long, its halves."""
    params = {"filterType": filter_type, "filterValues": ",".join(values), "batchSize": str(MAX_VALUES)}
    if fields:
        params["fields"] = ",".join(fields)
    try:
        found = pages(rest, call, params, split=len(values) > 1, result=found_by(filter_type, fields))
        return [row async for answer in found for row in answer.result]
    except CrmsyncError as error:
        if len(values) == 1 or not _matches_too_much(error):
            raise
    middle = len(values) // 2
    first = await _query(rest, call, filter_type, values[:middle], fields)
    return first + await _query(rest, call, filter_type, values[middle:], fields)


async def query_keys(
    rest: Rest, call: Call, keys: Sequence[Mapping[str, Any]], fields: Sequence[str]
) -> list[dict[str, Any]]:
    """Every record that has one of ``keys``, each of several fields: a POST with JSON, repeated whole beside a page's
    token ("Lead Database", compound keys)."""
    found: list[dict[str, Any]] = []
    call = replace(call, result=found_by("leadId", fields))
    for start in range(0, len(keys), MAX_VALUES):
        asked: dict[str, Any] = {"filterType": "dedupeFields", "input": list(keys[start : start + MAX_VALUES])}
        if fields:
            asked["fields"] = list(fields)
        token: str | None = None
        while True:
            body = orjson.dumps(asked | ({"nextPageToken": token} if token else {}))
            answer = await rest.send(call.as_form(), params={"_method": "GET"}, body=body)
            found += answer.result
            token = answer.next_page
            if token is None:
                break
    return found


async def pages(
    rest: Rest, call: Call, params: dict[str, str], *, split: bool = False, result: Shape | None = None
) -> AsyncIterator[Answer]:
    """The pages of one query, with the same parameters repeated beside each page's token."""
    call = replace(call, result=result or call.result)
    token: str | None = None
    while True:
        asked = params if token is None else {**params, "nextPageToken": token}
        many = asked.get("filterValues", "").count(",") >= VALUES_IN_A_URI
        if many or len(urlencode(asked)) > BYTES_OF_A_URI:
            answer = await rest.send(call.as_form(), params={"_method": "GET"}, form=asked, split=split)
        else:
            answer = await rest.send(call, params=asked, split=split)
        yield answer
        token = answer.next_page
        if token is None:
            return


def _matches_too_much(error: CrmsyncError) -> bool:
    return isinstance(error, BatchTooLarge) or (error.code == "1003" and "too many" in error.message.lower())
