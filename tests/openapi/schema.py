"""Holds a JSON value against a schema of an OpenAPI 2.0 file, but stricter: a member that is not named is wrong.

The files use ``type``, ``format``, ``enum``, ``properties``, ``required``, ``items`` and ``$ref`` only; two members
more come from the corrections: ``x-open`` (other members are allowed) and ``x-nullable``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

Definitions = Mapping[str, Mapping[str, Any]]

_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def _is_moment(text: str) -> bool:
    return len(text) > 10 and _parses(datetime.fromisoformat, text)


def _is_day(text: str) -> bool:
    return len(text) == 10 and _parses(date.fromisoformat, text)


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


_FORMATS: dict[str, Callable[[Any], bool]] = {
    "int32": lambda value: -(2**31) <= value < 2**31,
    "int64": lambda value: -(2**63) <= value < 2**63,
    "date-time": _is_moment,
    "date": _is_day,
}


def faults(value: Any, schema: Mapping[str, Any], definitions: Definitions, where: str = "") -> Iterator[str]:
    """What is wrong with ``value``, each with its place."""
    name = ""
    while "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = definitions[name]
    kind = schema.get("type")
    if kind is None or (value is None and schema.get("x-nullable")):
        return
    if not _TYPES[kind](value):
        yield f"{where or 'body'}: is {_shown(value)}, not of type {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: is {_shown(value)}, not one of {', '.join(schema['enum'])}"
    if (fits := _FORMATS.get(schema.get("format", ""))) and not fits(value):
        yield f"{where}: is {_shown(value)}, not of format {schema['format']}"
    if kind == "array":
        for place, item in enumerate(value):
            yield from faults(item, schema.get("items", {}), definitions, f"{where}[{place}]")
    elif kind == "object":
        yield from _members(value, schema, definitions, where, name)


def _members(
    value: dict[str, Any], schema: Mapping[str, Any], definitions: Definitions, where: str, name: str
) -> Iterator[str]:
    properties: Mapping[str, Any] = schema.get("properties", {})
    for required in schema.get("required", ()):
        if required not in value:
            yield f"{where or 'body'}: has no '{required}', which {name or 'its schema'} requires"
    for member, inner in value.items():
        place = f"{where}.{member}" if where else member
        if member in properties:
            yield from faults(inner, properties[member], definitions, place)
        elif not schema.get("x-open"):
            yield f"{place}: is no property of {name or 'its schema'}"


def _shown(value: Any) -> str:
    """The value, or for something long its beginning."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
