"""What becomes of a good answer on its way: pages of proxies, half of it, other types, other members and statuses."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import httpx

PAGE = b"<html><head><title>Sign in to the network</title></head><body>Sign in</body></html>"
_HTML, _JSON = {"content-type": "text/html"}, {"content-type": "application/json"}
_OWN_CODE = re.compile(rb'"0x[0-9a-fA-F]{8}"|AADSTS|"code"\s*:\s*"[0-9]{3,}"|"(invalid_client|unauthorized)"')


@dataclass(frozen=True)
class Heard:
    """An answer as it was heard: its body is decoded, so that its headers say nothing of how it was packed."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @classmethod
    def of(cls, response: httpx.Response) -> Heard:
        """What a response that was read holds."""
        packed = {"content-encoding", "content-length", "transfer-encoding", "connection"}
        headers = {name: value for name, value in response.headers.items() if name not in packed}
        return cls(response.status_code, headers, response.content)

    def response(self, request: httpx.Request) -> httpx.Response:
        headers = [(name.encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        return httpx.Response(self.status, headers=headers, stream=_Body(self.body), request=request)

    @property
    def has_own_code(self) -> bool:
        """Whether the service's own code is in it: then what it asks of a person may be believed."""
        return bool(_OWN_CODE.search(self.body)) or "authorization_uri" in self.headers.get("www-authenticate", "")


class _Body(httpx.AsyncByteStream, httpx.SyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


Mutation = Callable[[Heard, Random], Heard]


def page(answer: Heard, random: Random) -> Heard:
    return Heard(random.choice((200, 200, 302, 401, 403, 404, 405, 407, 451, 502, 503, 511)), _HTML, PAGE)


def bare(answer: Heard, random: Random) -> Heard:
    return Heard(random.choice((200, 201, 202, 204, 304, 400, 401, 403, 404, 409, 412, 501)), {}, b"")


def other_status(answer: Heard, random: Random) -> Heard:
    statuses = (201, 202, 206, 400, 401, 403, 404, 405, 407, 409, 412, 413, 414, 422, 429, 500, 501, 503, 504)
    return replace(answer, status=random.choice(statuses))


def cut(answer: Heard, random: Random) -> Heard:
    return replace(answer, body=answer.body[: random.randrange(max(1, len(answer.body)))])


def other_type(answer: Heard, random: Random) -> Heard:
    kind = random.choice(("text/html", "text/plain", "application/xml", "", "multipart/mixed", "\u00b2"))
    return replace(answer, headers=answer.headers | {"content-type": kind})


def other_encoding(answer: Heard, random: Random) -> Heard:
    if random.random() < 0.3:
        return replace(answer, headers=answer.headers | {"content-encoding": random.choice(("gzip", "deflate", "br"))})
    text = answer.body.decode("utf-8", "replace")
    packed = (text.encode("utf-16"), b"\xef\xbb\xbf" + answer.body, answer.body + b"\xff\xfe", b"\x80" + answer.body)
    return replace(answer, body=random.choice(packed))


def other_whole(answer: Heard, random: Random) -> Heard:
    bodies: tuple[Any, ...] = (
        [],
        {},
        None,
        7,
        "text",
        True,
        [None],
        {"error": "no"},
        {"success": None},
        {"value": None},
    )
    deep = b'{"value":' + b"[" * 2_000 + b"]" * 2_000 + b"}"
    body = deep if random.random() < 0.1 else json.dumps(random.choice(bodies)).encode()
    return Heard(random.choice((200, 200, 200, 400, 403)), _JSON, body)


def other_header(answer: Heard, random: Random) -> Heard:
    names = ("date", "retry-after", "odata-entityid", "location", "etag")
    values = ("Mon, 99 Nothing 99999 77:88:99 GMT", "\u00b2", "-1", "nan", "1e99", "x" * 5_000, "")
    return replace(answer, headers=answer.headers | {random.choice(names): random.choice(values)})


def member(answer: Heard, random: Random, *, depth: int = 99) -> Heard:
    """One place of the JSON in it is another: gone, renamed, null, of another type, or nested without end."""
    start, end = _json_within(answer.body)
    try:
        body = json.loads(answer.body[start:end])
    except ValueError:
        return cut(answer, random)
    changed = json.dumps(_elsewhere(body, random, depth)).encode()
    return replace(answer, body=answer.body[:start] + changed + answer.body[end:])


def _json_within(body: bytes) -> tuple[int, int]:
    """Where the last JSON of a multipart message, or the whole of any other body, is."""
    found = list(re.finditer(rb"\r\n\r\n(\{.*?\})\r\n--", body, re.DOTALL))
    return found[-1].span(1) if found else (0, len(body))


def _elsewhere(tree: Any, random: Random, depth: int) -> Any:
    holders = [one for one in _holders(tree, depth) if one]
    if not holders:
        return _other(tree, random)
    holder = random.choice(holders)
    if isinstance(holder, list):
        place = random.randrange(len(holder))
        holder[place] = _other(holder[place], random)
        return tree
    name = random.choice(sorted(holder))
    kind = random.randrange(4)
    if kind == 0:
        del holder[name]
    elif kind == 1:
        holder[f"{name}2"] = holder.pop(name)
    else:
        holder[name] = _other(holder[name], random)
    return tree


def _holders(tree: Any, depth: int) -> Iterator[Any]:
    if depth and isinstance(tree, dict | list):
        yield tree
        for inner in tree.values() if isinstance(tree, dict) else tree:
            yield from _holders(inner, depth - 1)


def _other(value: Any, random: Random) -> Any:
    """A value of another type, which may be nothing."""
    others: list[Any] = [None, 7, -1, "", "x", True, [], {}, [None], {"x": None}, ["x"], 1.5, {"Value": {}}, 10**30]
    return random.choice([one for one in others if type(one) is not type(value)])


ANY: dict[str, Mutation] = {
    "page": page,
    "bare": bare,
    "other status": other_status,
    "cut": cut,
    "other type": other_type,
    "other encoding": other_encoding,
    "other whole": other_whole,
    "other header": other_header,
    "member": member,
    "another member": member,
    "a third member": member,
}
"""Everything; members count threefold."""

TELLING: dict[str, Mutation] = {
    **{name: one for name, one in ANY.items() if "member" not in name and one is not other_header},
    "envelope": lambda answer, random: member(answer, random, depth=1),
    "row": lambda answer, random: _row(answer, random),
}
"""What nobody can take for data: a record's value that another has changed is a value."""


def _row(answer: Heard, random: Random) -> Heard:
    """One row of an answer is none."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        return cut(answer, random)
    rows = (body.get("value") or body.get("result")) if isinstance(body, dict) else None
    if not isinstance(rows, list) or not rows:
        return page(answer, random)
    rows[random.randrange(len(rows))] = random.choice((None, "x", 7, [], True))
    return replace(answer, body=json.dumps(body).encode())
