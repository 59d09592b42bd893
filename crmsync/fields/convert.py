"""Records of one entity as Marketo wants them, and Marketo's values as Dataverse wants them.

A first sync converts a million records on one core, so the converter is compiled once per entity: the record is a
copy of a template that holds the constants, and what most columns need is done without a function call.

Types and formats follow "Column data types" (Power Apps developer documents) and "Field types" (Marketo REST API).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache, partial
from typing import Any
from zoneinfo import ZoneInfo

from crmsync.dynamics.schema import Attribute, Entity
from crmsync.errors import RecordRefused
from crmsync.fields.back import back_function
from crmsync.fields.derived import derived_function
from crmsync.fields.labels import Labels, joined, label_texts
from crmsync.fields.model import FIELD_LENGTH, Mapping
from crmsync.fields.typemap import cuts
from crmsync.fields.values import Unfit, ascii_address, clean, day, day_in, number_text, shortener, utc, wall_time

Function = Callable[[Any], Any]

_AS_IT_IS = frozenset({"boolean", "integer", "float", "currency", "value"})
_TEXT = frozenset({"text", "cut text", "phone", "url"})
_BYTES_PER_CHARACTER = 4
_IMPOSSIBLE = (ValueError, TypeError, AttributeError, ArithmeticError)
"""What the functions below raise for a value that is not possible, or that is not of the column's type."""

_MULTI_SELECTS = 4096


class Converter:
    """Converts the records of one entity. Columns that the entity has no more are neither read nor sent.

    ``unexplained`` are the columns in which values were met that do not fit their metadata: an option without a label,
    a label without an option, a value of another type. The metadata have probably changed since they were read.
    """

    def __init__(self, entity: Entity, mappings: Sequence[Mapping]) -> None:
        self.unexplained: set[str] = set()
        self._entity = entity
        self._key = entity.primary_id
        self._template: dict[str, Any] = {}
        self._plain: list[tuple[str, str]] = []
        self._texts: list[tuple[str, str, int, Function]] = []
        self._others: list[tuple[str, str, Function]] = []
        self._derived: list[tuple[str, Callable[[dict[str, Any]], Any]]] = []
        self._columns: list[tuple[str, str, str, Function]] = []
        self._back: dict[str, tuple[str, Function]] = {}
        self._keys = {"", *(mapping.field for mapping in mappings if mapping.attribute == entity.primary_id)}
        for mapping in mappings:
            if mapping.convert == "constant":
                self._template[mapping.field] = mapping.value
            elif (derive := derived_function(mapping)) is not None:
                self._template[mapping.field] = None
                self._derived.append((mapping.field, derive))
            elif mapping.attribute in entity.attributes:
                self._add(mapping, entity.attributes[mapping.attribute])

    def _add(self, mapping: Mapping, attribute: Attribute) -> None:
        source, field = attribute.select_name, mapping.field
        self._template[field] = mapping.value
        self._back[field] = (attribute.logical_name, back_function(mapping, attribute))
        if mapping.convert in _AS_IT_IS:
            self._plain.append((source, field))
            return
        function = self._function(mapping, attribute)
        if mapping.value is not None:
            function = partial(_or_else, function, mapping.value)
        self._columns.append((source, field, attribute.logical_name, function))
        if mapping.value is not None:
            self._others.append((source, field, function))
        elif mapping.convert in _TEXT:
            limit = mapping.max_length or FIELD_LENGTH
            short = limit // _BYTES_PER_CHARACTER if mapping.in_bytes else limit
            self._texts.append((source, field, short, function))
        else:
            self._others.append((source, field, function))

    def _function(self, mapping: Mapping, attribute: Attribute) -> Function:
        """How one value is converted; it is never called with None."""
        limit = mapping.max_length or FIELD_LENGTH
        in_bytes = mapping.in_bytes
        shorten = shortener(limit, in_bytes=in_bytes, cut=cuts(mapping, attribute))
        match mapping.convert:
            case "email":
                return ascii_address(limit)
            case "date":
                return day
            case "datetime":
                return utc
            case "zoned date":
                return day_in(ZoneInfo(mapping.zone or "UTC"))
            case "wall time":
                return wall_time
            case "number as text":
                return number_text
            case "guid" | "owner" | "company" | "link":
                return str.lower
            case "label":
                short = shortener(limit, in_bytes=in_bytes, cut=True)
                return Labels(label_texts(attribute), short, self._met(attribute)).__getitem__
            case "labels":
                texts = Labels(label_texts(attribute), str, self._met(attribute))
                return lru_cache(_MULTI_SELECTS)(partial(joined, texts, shorten))
        return partial(_text, shorten)

    def _met(self, attribute: Attribute) -> Callable[[int], None]:
        """What is done about an option of this column that has no label."""
        return lambda _: self.unexplained.add(attribute.logical_name)

    def convert(self, record: dict[str, Any], refused: dict[str, RecordRefused] | None = None) -> dict[str, Any]:
        """The Marketo record, with None for what is empty.

        A field whose value is not possible is left out, and stands in ``refused`` with the reason. Raises
        ``RecordRefused`` where that is not given, or where it is the key.
        """
        result = self._template.copy()
        get = record.get
        try:
            for source, field in self._plain:
                result[field] = get(source)
            for source, field, short, function in self._texts:
                value = get(source)
                if value:
                    result[field] = value if len(value) <= short and value.isprintable() else function(value)
            for source, field, function in self._others:
                value = get(source)
                if value is not None:
                    result[field] = function(value)
            for field, derive in self._derived:
                result[field] = derive(record)
        except _IMPOSSIBLE as error:
            found = self._refused(record, error)
            if refused is None or found.keys() & self._keys:
                raise next(iter(found.values())) from None
            refused |= found
            return self._without(record, found.keys())
        return result

    def back(self, field: str, value: Any) -> Any:
        """A Marketo value as Dataverse takes it; raises ``RecordRefused`` when it must not be written there."""
        if field not in self._back:
            raise RecordRefused(
                f"Marketo's field {field} comes from no column of {self._entity.logical_name}",
                remedy="Only fields that were selected can be written back.",
                entity=self._entity.logical_name,
            )
        if value is None or value == "":
            return None
        column, function = self._back[field]
        try:
            return function(value)
        except _IMPOSSIBLE as error:
            raise self._error(column, error, f"Marketo's field {field} cannot be written back to") from None

    def _refused(self, record: dict[str, Any], error: Exception) -> dict[str, RecordRefused]:
        """Converts once more, field by field, to find those at fault: only a bad record pays for that."""
        record_id = record.get(self._key)
        found: dict[str, RecordRefused] = {}
        for source, field, column, function in self._columns:
            value = record.get(source)
            try:
                if value is not None:
                    function(value)
            except _IMPOSSIBLE as problem:
                found[field] = self._error(column, problem, "Cannot send", record_id)
        for field, derive in self._derived:
            try:
                derive(record)
            except _IMPOSSIBLE as problem:
                found[field] = self._error(field, problem, "Cannot send", record_id)
        return found or {"": self._error("?", error, "Cannot send", record_id)}

    def _without(self, record: dict[str, Any], fields: Collection[str]) -> dict[str, Any]:
        """The Marketo record without these fields."""
        result = self._template | {field: record.get(source) for source, field in self._plain}
        for source, field, _, function in self._columns:
            value = record.get(source)
            if value is not None and field not in fields:
                result[field] = function(value)
        result |= {field: derive(record) for field, derive in self._derived if field not in fields}
        return {field: value for field, value in result.items() if field not in fields}

    def _error(self, column: str, error: Exception, what: str, record: str | None = None) -> RecordRefused:
        known = isinstance(error, Unfit)
        if not isinstance(error, Unfit) or error.unexplained:
            self.unexplained.add(column)
        return RecordRefused(
            f"{what} column {column}: {error if known else 'the value is not of the type that the schema says'}",
            remedy=error.remedy if isinstance(error, Unfit) else "Run resync: the column's type may have changed.",
            entity=self._entity.logical_name,
            record=record.lower() if isinstance(record, str) else None,
        )


def _or_else(function: Function, stand_in: Any, value: Any) -> Any:
    """What the function makes of the value; where that is nothing, what stands in for it."""
    result = function(value)
    return stand_in if result is None or (isinstance(result, str) and not result.strip()) else result


def _text(shorten: Callable[[str], str], value: str) -> str | None:
    text = clean(value)
    return None if text is None else shorten(text)
