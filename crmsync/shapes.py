"""Checks an answer of a service against the shape that its documents give it: one way for both clients.

What a gateway, a captive portal or a broken proxy puts in the place of an answer is told apart here, so that nothing
behind the clients meets a member that is missing or of another type. Members that nobody asked for are ignored, as both
services ask of their clients.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

Shape = Callable[[Any], None]
"""Looks at decoded JSON; raises ``Odd``."""

Text = Annotated[str, StringConstraints(min_length=1)]
"""A text that cannot be empty: a name, an id, a token."""

_NAME = re.compile(r"[A-Za-z0-9_@.$-]{1,60}")


class Odd(Exception):
    """An answer that the service cannot have given. The text says what is odd, and never holds a value."""


class Members(BaseModel):
    """The members of a JSON object that the product reads."""

    model_config = ConfigDict(extra="ignore")


def shaped(kind: Any) -> Shape:
    """The shape of what pydantic takes for ``kind``: a model, or ``list[Model]``."""
    adapter = TypeAdapter(kind)

    def check(value: Any) -> None:
        try:
            adapter.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(part if _NAME.fullmatch(part) else "?" for part in map(str, first["loc"]))
            raise Odd(f"{where or 'the whole'}: {first['type']}") from None

    return check


def json_in(response: httpx.Response) -> Any:
    """The decoded JSON of an answer; raises ``Odd`` where there is none, or half of one."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not response.content:
        raise Odd("an empty body")
    if "json" not in kind:
        raise Odd(f"{kind if _KIND.fullmatch(kind) else 'no content type'} instead of JSON")
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        raise Odd("JSON that is not whole") from None


_KIND = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+")
