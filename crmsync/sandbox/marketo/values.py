"""Values as Marketo's field types take them: from JSON (typed) and from a file (text).

A check returns what is stored or raises 1001. Empty is decided before: null and "" never reach a check.

"Field Types" gives the formats; the 32-bit float of currency and float and the 64-bit integers were observed by third
parties. A text area of a person holds 30,000
bytes of UTF-8, one of a custom object 2,000 characters. Too long is refused or cut: a switch.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from crmsync.sandbox.marketo.errors import MarketoError

Check = Callable[[Any], Any]

TEXT_BYTES = 30_000
STRING_TYPES = frozenset({"string", "email", "phone", "url", "text"})
WHOLE_TYPES = frozenset({"integer", "score", "percent"})
FLOAT_TYPES = frozenset({"float", "currency"})

INT64 = 2**63

_DATETIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(Z|[+-]\d\d:?\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_FLOAT32 = struct.Struct("<f")


def json_check(data_type: str, length: int | None, cut: Callable[[], bool]) -> Check:
    """The check for a value that came as JSON."""
    if data_type in STRING_TYPES:
        return _string(data_type, length, cut)
    return {
        **dict.fromkeys(WHOLE_TYPES, _whole(data_type)),
        **dict.fromkeys(FLOAT_TYPES, _float(data_type)),
        "boolean": _boolean,
        "date": _date,
        "datetime": _datetime,
    }.get(data_type, _not_writable(data_type))


def text_check(data_type: str, length: int | None, cut: Callable[[], bool]) -> Check:
    """The check for a cell of a file."""
    if data_type in STRING_TYPES:
        return _string(data_type, length, cut)
    check = json_check(data_type, length, cut)
    if data_type in WHOLE_TYPES:
        return lambda cell: check(int(cell)) if _WHOLE.fullmatch(cell) else _refuse(cell, data_type)
    if data_type in FLOAT_TYPES:
        return lambda cell: check(float(cell)) if _NUMBER.fullmatch(cell) else _refuse(cell, data_type)
    if data_type == "boolean":
        words = {"true": True, "false": False}
        return lambda cell: words[cell.lower()] if cell.lower() in words else _refuse(cell, data_type)
    return check


def whole_number(text: str) -> int | None:
    """A whole number of 64 bits in plain digits; None when the text is none."""
    number = int(text) if _WHOLE.fullmatch(text) else INT64
    return number if -INT64 <= number < INT64 else None


def _refuse(value: object, data_type: str) -> Any:
    raise MarketoError(1001, value, data_type)


def _string(data_type: str, length: int | None, cut: Callable[[], bool]) -> Check:
    if data_type == "text" and length is None:
        return _long_text(cut)
    longest = length or 255

    def check(value: Any) -> Any:
        if value.__class__ is not str:
            value = _as_text(value, data_type)
        if len(value) <= longest:
            return value
        return value[:longest] if cut() else _refuse(value, f"{data_type} of at most {longest} characters")

    return check


def _long_text(cut: Callable[[], bool]) -> Check:
    def check(value: Any) -> Any:
        if value.__class__ is not str:
            value = _as_text(value, "text")
        if len(value) * 4 <= TEXT_BYTES or len(encoded := value.encode()) <= TEXT_BYTES:
            return value
        if cut():
            return encoded[:TEXT_BYTES].decode(errors="ignore")
        return _refuse(value[:50] + "…", f"text of at most {TEXT_BYTES} bytes")

    return check


def _as_text(value: Any, data_type: str) -> str:
    """A number is text as well; true, a list or an object is not."""
    if value.__class__ in (int, float):
        return str(value)
    return str(_refuse(value, data_type))


def _whole(data_type: str) -> Check:
    def check(value: Any) -> Any:
        if value.__class__ is int and -INT64 <= value < INT64:
            return value
        return _refuse(value, data_type)

    return check


def _float(data_type: str) -> Check:
    def check(value: Any) -> Any:
        if value.__class__ not in (int, float):
            return _refuse(value, data_type)
        try:
            return _FLOAT32.unpack(_FLOAT32.pack(value))[0]
        except OverflowError:
            return _refuse(value, data_type)

    return check


def _boolean(value: Any) -> Any:
    return value if value.__class__ is bool else _refuse(value, "boolean")


def _date(value: Any) -> Any:
    if value.__class__ is not str or not _DATE.fullmatch(value):
        return _refuse(value, "date")
    try:
        date.fromisoformat(value)
    except ValueError:
        return _refuse(value, "date")
    return value


def _datetime(value: Any) -> Any:
    match = _DATETIME.fullmatch(value) if value.__class__ is str else None
    if match is None:
        return _refuse(value, "datetime")
    try:
        moment = datetime.fromisoformat(value)
        return value if match[2] == "Z" else format_datetime(moment)
    except (ValueError, OverflowError):
        return _refuse(value, "datetime")


def _not_writable(data_type: str) -> Check:
    return lambda value: _refuse(value, data_type)


def format_datetime(moment: datetime) -> str:
    """As answers write it: UTC, whole seconds, four digits of year."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
