"""Creating and updating opportunities, roles and custom objects by the rules of their call or import job.

A batch is read first, then what its links name and what its keys meet is looked up at once, then it is written in
order. "Lead Database" (statuses, null and "" are stored as null), "Opportunities" (a name, 718), "Opportunity Roles"
(both ends must exist), "Custom Objects" (1004 for a link to nobody).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.fields import Field
from crmsync.sandbox.marketo.objects import ObjectStore
from crmsync.sandbox.marketo.record_kinds import GUID, Link, RecordKind
from crmsync.sandbox.marketo.records import Record
from crmsync.sandbox.marketo.values import FLOAT_TYPES, WHOLE_TYPES

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

Outcome = tuple[str, Record] | MarketoError
"""``created`` or ``updated`` with the record, or why not."""

NUMBERS = WHOLE_TYPES | FLOAT_TYPES
MISSING_KEY = "missing.dedupe.fields"


@dataclass(slots=True)
class Draft:
    """A record that was read: values to set (None clears), its key or its id, or why it is refused."""

    values: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    guid: str | None = None
    refusal: MarketoError | None = None


class RecordWriter:
    """Writes records of one kind; ``action`` and ``by_id`` as the call says."""

    def __init__(
        self, marketo: Marketo, kind: RecordKind, *, action: str = "createOrUpdate", by_id: bool = False
    ) -> None:
        self._marketo = marketo
        self._kind = kind
        self._action = action
        self._by_id = by_id
        self.created: list[Record] = []

    def read(self, record: Any) -> Draft:
        """A record from JSON."""
        draft = Draft()
        try:
            if not isinstance(record, dict):
                raise MarketoError(1003, "Invalid data")
            for name, value in record.items():
                self._read(draft, name, value)
            self.finish(draft)
        except MarketoError as error:
            draft.refusal = error
        return draft

    def _read(self, draft: Draft, name: str, value: Any) -> None:
        known = self._kind.field(name)
        if known is None:
            raise MarketoError(1006, name)
        if known.name == GUID and self._by_id:
            draft.guid = str(value or "")
        elif known.name in self._kind.key or known.updateable:
            draft.values[known.name] = None if value is None or value == "" else checked(known, value)
        else:
            raise MarketoError(1003, f"Field '{name}' is read-only")

    def finish(self, draft: Draft) -> None:
        """The rules that concern the whole record, the same for a file's row."""
        self._marketo.switches.check(draft.values)
        if self._by_id:
            if not draft.guid:
                raise MarketoError(1002, GUID)
            return
        for name in self._kind.key:
            if draft.values.get(name) is None:
                raise MarketoError(1002, name)
        draft.key = self._kind.key_of(draft.values)

    def write(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """Write a batch in order; inside a transaction. Raises only what refuses the whole call."""
        self._check_links(drafts)
        there = self._there(drafts)
        moment = self._marketo.moment()
        outcomes = [self._one(draft, there, moment) for draft in drafts]
        self._marketo.records.save(self._kind.store, there.values())
        return outcomes

    def _there(self, drafts: Sequence[Draft]) -> dict[str, Record]:
        good = [draft for draft in drafts if draft.refusal is None]
        records = self._marketo.records
        if self._by_id:
            return records.by_guids(self._kind.store, list({draft.guid or "" for draft in good}))
        return records.by_keys(self._kind.store, list({(draft.key or "").lower() for draft in good}))

    def _one(self, draft: Draft, there: dict[str, Record], moment: str) -> Outcome:
        if draft.refusal is not None:
            return draft.refusal
        at = draft.guid or "" if self._by_id else (draft.key or "").lower()
        record = there.get(at)
        try:
            if record is not None:
                if self._action == "createOnly":
                    raise MarketoError(1017)
                self._update(record, draft, moment)
                return "updated", record
            if self._action == "updateOnly":
                raise MarketoError(1013, "Object not found")
            self._check_required(draft.values, new=True)
        except MarketoError as error:
            return error
        body = {name: value for name, value in draft.values.items() if value is not None}
        there[at] = self._marketo.records.make(moment, draft.key or "", body)
        self.created.append(there[at])
        return "created", there[at]

    def _update(self, record: Record, draft: Draft, moment: str) -> None:
        self._check_required(draft.values, new=False)
        values = draft.values
        for name in self._kind.key:
            given = values.get(name, record.body.get(name))
            if str(given).lower() != str(record.body.get(name)).lower():
                raise MarketoError(1003, f"Field '{name}' cannot be changed")
        changed = {n: v for n, v in values.items() if n not in self._kind.key and record.body.get(n) != v}
        if changed:
            record.body = {n: v for n, v in (record.body | changed).items() if v is not None}
            record.updated_at, record.changed = moment, True

    def _check_required(self, values: dict[str, Any], *, new: bool) -> None:
        for name in self._kind.required:
            if values.get(name) is None and (new or name in values):
                raise MarketoError(1002, name)

    def _check_links(self, drafts: Sequence[Draft]) -> None:
        for link in self._kind.links:
            good = [draft for draft in drafts if draft.refusal is None and draft.values.get(link.field) is not None]
            named = {_folded(draft.values[link.field]): draft.values[link.field] for draft in good}
            missing = set(named) - _ends(self._marketo, link, list(named.values())) if named else set()
            for draft in good if missing else ():
                if _folded(draft.values[link.field]) in missing:
                    draft.refusal = self._missing(link, draft.values[link.field])

    def _missing(self, link: Link, value: Any) -> MarketoError:
        if link.to == "salesPerson":
            if self._marketo.switches.on("unknown_owner_of_opportunity", "call"):
                raise MarketoError(718)
            return MarketoError(718)
        if link.to == "lead":
            return MarketoError(1004)
        return MarketoError(1013, f"{link.field} '{value}' not found")


def checked(known: Field, value: Any) -> Any:
    """A value from JSON; a number may stand in quotes, as in the samples of "Opportunities"."""
    quoted = value.__class__ is str and known.data_type in NUMBERS
    return known.from_text(value) if quoted else known.from_json(value)


def _folded(value: Any) -> str:
    return str(value).lower()


def _ends(marketo: Marketo, link: Link, values: list[Any]) -> set[str]:
    """Which of the values are there at a link's other end, in lower case."""
    if link.to == "lead":
        known = marketo.person_fields.get(link.to_field)
        return {_folded(key) for key in marketo.people.find(known, values)} if known else set()
    stores: dict[str, ObjectStore] = {"company": marketo.companies, "salesPerson": marketo.sales_persons}
    if link.to in stores:
        found = stores[link.to].by_member(link.to_field, values)
        return {_folded(stored.members().get(link.to_field)) for stored in found}
    records = marketo.records.by_member(link.to, link.to_field, values)
    return {_folded(record.members().get(link.to_field)) for record in records}
