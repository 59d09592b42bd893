"""Which fields of a person go back to Dynamics, and how their values are compared with what was last agreed on.

A field goes both ways when it holds a value of the record itself: links, the key, the ``ms...`` constants, states (a
lead is qualified by an action, not by a column), calculated and read-only columns go one way only.

The rules are those of "Field Sync" (Marketo's documents: which objects go both ways), of "Column data types" (Power
Apps developer documents: what can be updated), and of the recommended type mapping (null and false, 32-bit floats).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from crmsync.dynamics.schema import Attribute, Entity
from crmsync.engine.fingerprint import WIDTH, by_name, fingerprints
from crmsync.errors import RecordRefused
from crmsync.fields.convert import Converter
from crmsync.fields.model import Mapping, Selection
from crmsync.fields.values import equal
from crmsync.state.forms import Form

OPT_OUTS = frozenset(
    {
        "donotbulkemail",
        "donotbulkpostalmail",
        "donotemail",
        "donotfax",
        "donotphone",
        "donotpostalmail",
        "donotsendmm",
    }
)
"""Columns in which true means "do not": a true wins every collision."""

_ONE_WAY_KINDS = frozenset({"guid", "owner", "company", "constant"})
_ONE_WAY_TYPES = frozenset({"StateType", "StatusType", "EntityNameType", "UniqueidentifierType"})
_CALCULATED = (1, 2)
_EMPTY = bytes(WIDTH)
_UNSET = (_EMPTY, fingerprints([False]))


def is_two_way(mapping: Mapping, attribute: Attribute | None) -> bool:
    """Whether a change in Marketo goes to this column."""
    return why_one_way(mapping, attribute) is None


def why_one_way(mapping: Mapping, attribute: Attribute | None) -> str | None:
    """Why a field's changes stay in Marketo; None when they do not."""
    if mapping.target != "person" or attribute is None or mapping.convert in _ONE_WAY_KINDS or attribute.is_lookup:
        return "it comes from no column that Marketo may change"
    if attribute.type in _ONE_WAY_TYPES:
        return f"{attribute.logical_name} is changed by actions in Dynamics only"
    if attribute.source_type in _CALCULATED:
        return f"{attribute.logical_name} is calculated in Dynamics"
    if not attribute.valid_for_update:
        return f"{attribute.logical_name} is read-only in Dynamics"
    return None


class PersonFields:
    """The fields of one entity's people, by Marketo field name."""

    def __init__(self, entity: Entity, selection: Selection) -> None:
        self.entity = entity
        self._all = selection.mappings.get(entity.logical_name, ())
        self.names = selection.field_names(entity.logical_name)
        self.mappings: dict[str, Mapping] = {}
        self.one_way: dict[str, str] = {}
        self._every = {mapping.field: mapping for mapping in self._all}
        for mapping in self._all:
            reason = why_one_way(mapping, entity.attributes.get(mapping.attribute))
            if reason is None:
                self.mappings[mapping.field] = mapping
            else:
                self.one_way[mapping.field] = reason

    @cached_property
    def converter(self) -> Converter:
        """Made when a value is at hand: most cycles have none for most entities."""
        return Converter(self.entity, self._all)

    @property
    def told(self) -> dict[str, str]:
        """One-way fields of columns that somebody may take for two-way ones: a change in Marketo is worth a note."""
        silent = {mapping.field for mapping in self._all if mapping.convert in _ONE_WAY_KINDS}
        return {name: reason for name, reason in self.one_way.items() if name not in silent}

    @property
    def two_way(self) -> tuple[str, ...]:
        return tuple(self.mappings)

    def attribute(self, field: str) -> Attribute:
        return self.entity.attributes[self._every[field].attribute]

    def back(self, field: str, value: Any) -> Any:
        """The value as Dataverse takes it; raises ``RecordRefused``. An unset boolean is false."""
        if self._every[field].data_type == "boolean" and value in (None, ""):
            return False
        return self.converter.back(field, value)

    def sent(self, field: str, row: dict[str, Any]) -> Any:
        """The value that this row of Dynamics has for the field in Marketo; raises ``RecordRefused``."""
        source = self.attribute(field).select_name
        return self.converter.convert({source: row.get(source)}).get(field)

    def mark(self, field: str, value: Any) -> bytes:
        """The fingerprint of a value that Marketo holds, in the form in which Dynamics' own value would be sent."""
        try:
            back = self.converter.back(field, value)
            value = self.sent(field, {self.attribute(field).select_name: back})
        except RecordRefused:
            pass
        return fingerprints([value])

    def mark_of(self, field: str, back: Any) -> bytes:
        """The fingerprint of what Dynamics, having been given ``back``, would send, or of that if it cannot be sent."""
        try:
            return fingerprints([self.sent(field, {self.attribute(field).select_name: back})])
        except RecordRefused:
            return fingerprints([back])

    def unchanged(self, field: str, agreed: bytes, value: Any, form: Form | None = None) -> bool:
        """Whether Marketo's value is the one that was agreed on, or the ``form`` in which Marketo holds it; for a
        boolean, nothing is as good as false."""
        if self._every[field].data_type == "boolean" and value in (None, "", False, "false"):
            return agreed in _UNSET
        mark = self.mark(field, value)
        return mark == agreed or (form is not None and form.sent == agreed and form.stored == mark)

    def same(self, field: str, sent: Any, read: Any) -> bool:
        """Whether a value that Marketo answers is the one that Dynamics sends: by its meaning, or because Dynamics,
        having been given it, would send the same."""
        return equal(self._every[field], sent, read) or self.unchanged(field, fingerprints([sent]), read)


class Ledger:
    """A record's fingerprints, whatever field set they were written in, as those of the current one."""

    def __init__(self, names: Sequence[str], old_names: Sequence[str], marks: bytes) -> None:
        self._names = names
        before = by_name(old_names, marks)
        self._marks = {name: before.get(name, _EMPTY) for name in names}

    def __getitem__(self, field: str) -> bytes:
        return self._marks.get(field, _EMPTY)

    def __setitem__(self, field: str, mark: bytes) -> None:
        self._marks[field] = mark

    def copy(self) -> Ledger:
        return Ledger(self._names, self._names, self.joined())

    def joined(self) -> bytes:
        return b"".join(self._marks[name] for name in self._names)
