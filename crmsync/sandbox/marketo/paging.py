"""Page tokens of the Lead Database: opaque, good only for the call they came from.

"Lead Database" (Query). What a token that belongs to another call answers is not said; here it is 1003.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from crmsync.sandbox.marketo.call import Call
from crmsync.sandbox.marketo.errors import MarketoError

DIGEST = 8
NUMBER = 8


def page_token(last: int, *parameters: object) -> str:
    """A token for the page after ``last``."""
    return base64.b32encode(last.to_bytes(NUMBER, "big") + _digest(parameters)).decode()


def page_after(call: Call, *parameters: object) -> int:
    """The number that the page asked for comes after; 0 for the first page."""
    token = call.text("nextPageToken")
    if token is None:
        return 0
    try:
        content = base64.b32decode(token)
    except (binascii.Error, ValueError):
        content = b""
    if content[NUMBER:] != _digest(parameters):
        raise MarketoError(1003, "Invalid nextPageToken")
    return int.from_bytes(content[:NUMBER], "big")


def _digest(parameters: tuple[object, ...]) -> bytes:
    return hashlib.sha256(repr(parameters).encode()).digest()[:DIGEST]
