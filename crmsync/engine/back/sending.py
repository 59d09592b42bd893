"""Writes decided values to Dynamics: all that a record has at once, and what is left of it where a field is refused.

Dynamics gets only the fields that changed, on condition that the row is still the one that was decided upon
(``If-Match``). A refused record goes again in parts (``crmsync.engine.refusals``); once a part was written, the row has
another version, which is read before the next one is sent.

Sources: "Update and delete table rows", "Perform conditional operations" (Microsoft's documents); the white paper's
"changed fields only".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from crmsync.dynamics.schema import Attribute
from crmsync.dynamics.write_batch import ANY_VERSION, Write
from crmsync.engine.back.fields import OPT_OUTS, PersonFields
from crmsync.engine.back.work import Work
from crmsync.engine.refusals import Isolation
from crmsync.engine.session import Session
from crmsync.errors import (
    ColumnMissing,
    CrmsyncError,
    FeatureMissing,
    RecordMissing,
    RecordRefused,
    RequestRefused,
    TryAgainLater,
    VersionConflict,
)

SECURED = "0x8004F507"
NO_ETAGS = "0x8006088D"

_OF_THE_RECORD = (RecordRefused, RequestRefused, ColumnMissing)
"""Refusals for which one of the record's fields may be at fault."""

_NAMES = re.compile(r"['\"‘“](\w+)['\"’”]|\bfor \w+\.(\w+)")
"""How a message names a column: in quotes, or as "A validation error occurred for contact.jobtitle"."""


class Sender:
    """Sends the values of one entity's records. ``notes`` tell what an administrator should know, ``vanished`` that a
    column does not seem to exist any more."""

    def __init__(self, session: Session, fields: PersonFields, select: Sequence[str]) -> None:
        self._session = session
        self._fields = fields
        self._select = select
        self._searches: dict[str, Isolation[CrmsyncError]] = {}
        self.notes: list[str] = []
        self.vanished: ColumnMissing | None = None

    def use(self, fields: PersonFields) -> None:
        """Send by these definitions from now on."""
        self._fields = fields

    async def send(self, works: Sequence[Work]) -> None:
        """Write these; each then knows what was written and what was refused."""
        self._searches.clear()
        again = list(works)
        while again:
            parts = [self._part(work) for work in again]
            writes = [
                Write(self._fields.entity.entity_set_name, work.record_id, self._body(work, part), work.etag)
                for work, part in zip(again, parts, strict=True)
            ]
            outcomes = await self._session.dynamics.write_many(
                writes,
                entity=self._fields.entity.logical_name,
                detect_duplicates=self._session.tenant.duplicate_detection == "detect",
            )
            left = [
                (work, error is None)
                for work, part, error in zip(again, parts, outcomes, strict=True)
                if self._goes_on(work, part, error)
            ]
            stale = {work.record_id for work, wrote in left if wrote and work.etag != ANY_VERSION}
            again = await self._in_new_versions([work for work, _ in left], stale)
        for work in works:
            if (search := self._searches.get(work.record_id)) is not None:
                work.refused |= search.refused

    def _part(self, work: Work) -> tuple[str, ...]:
        search = self._searches.get(work.record_id)
        return tuple(work.values) if search is None else search.part or ()

    def _body(self, work: Work, part: Sequence[str]) -> dict[str, Any]:
        return {self._fields.attribute(name).logical_name: work.values[name] for name in part}

    def _goes_on(self, work: Work, part: Sequence[str], error: CrmsyncError | None) -> bool:
        """Note what became of this part; whether there is another one to send."""
        search = self._searches.get(work.record_id)
        if error is None:
            self._written(work, part)
            if search is not None:
                search.took()
        elif error.code == SECURED and search is None and self._without_secured(work, error):
            return bool(work.values)
        elif isinstance(error, FeatureMissing) and error.code == NO_ETAGS and work.etag != ANY_VERSION:
            work.etag = ANY_VERSION
            return True
        elif isinstance(error, RecordMissing | TryAgainLater | VersionConflict):
            return False  # gone, or to be decided anew by the next cycle: what was not written waits
        elif isinstance(error, _OF_THE_RECORD):
            self._refused(work, search, error)
        else:
            work.whole = error
            return False
        search = self._searches.get(work.record_id)
        return search is not None and search.part is not None

    def _refused(self, work: Work, search: Isolation[CrmsyncError] | None, error: CrmsyncError) -> None:
        named = self._named(work, error)
        if isinstance(error, ColumnMissing) and named:
            self.vanished = error
        if search is not None:
            search.refuse(error, named)
            return
        opt_outs = {name for name in work.values if self._fields.attribute(name).logical_name in OPT_OUTS}
        self._searches[work.record_id] = Isolation(tuple(work.values), error, first=opt_outs, named=named, bare=False)

    def _named(self, work: Work, error: CrmsyncError) -> set[str]:
        """The fields whose columns a refusal names, or the one whose value it names."""
        columns = {self._fields.attribute(name).logical_name: name for name in work.values}
        if isinstance(error, ColumnMissing) and error.column in columns:
            return {columns[error.column]}
        said = {word for found in _NAMES.findall(error.message) for word in found if word}
        if named := {columns[word] for word in said & columns.keys()}:
            return named
        having = {name for name, value in work.values.items() if f"'{value}'" in error.message}
        return having if len(having) == 1 else set()

    def _written(self, work: Work, part: Sequence[str]) -> None:
        work.written = True
        for name in part:
            work.ledger[name] = self._fields.mark_of(name, work.values[name])
            work.settled.add(name)

    async def _in_new_versions(self, works: Sequence[Work], stale: set[str]) -> list[Work]:
        """These works with the versions that their rows have since we wrote a part of them; without those of which
        somebody else has changed what is still to be sent: that is decided anew."""
        if not stale:
            return list(works)
        entity = self._fields.entity
        rows = await self._session.dynamics.read_by_ids(entity, self._select, sorted(stale))
        found = {str(row[entity.primary_id]).lower(): row for row in rows}
        return [work for work in works if work.record_id not in stale or self._renewed(work, found.get(work.record_id))]

    def _renewed(self, work: Work, row: dict[str, Any] | None) -> bool:
        if row is None:
            return False
        columns = [self._fields.attribute(name).select_name for name in work.values if name not in work.settled]
        work.etag = row.get("@odata.etag") or ANY_VERSION
        return all(row.get(column) == work.row.get(column) for column in columns)

    def _without_secured(self, work: Work, error: CrmsyncError) -> bool:
        """Leave out the secured columns that may not be updated: each is a refused field, which is tried again. False
        when none can be told from the others. One is known by its name in the refusal, else all may be meant.
        """
        secured = [name for name in work.values if _is_named(self._fields.attribute(name), error.message)]
        if not secured:
            secured = [name for name in work.values if self._fields.attribute(name).is_secured]
        for name in secured:
            del work.values[name]
            work.refused[name] = error
            column = self._fields.attribute(name).logical_name
            entity = self._fields.entity.logical_name
            note = f"{entity}.{column} is secured: what is changed in Marketo's '{name}' waits there"
            if note not in self.notes:
                self.notes.append(note)
        return bool(secured)


def _is_named(attribute: Attribute, message: str) -> bool:
    """Whether a refusal names this column, by its name or its label: "... to a Mobile Phone secured field ..."."""
    names = (attribute.logical_name, attribute.schema_name, attribute.display_name)
    return any(said in message for name in names if name for said in (f"a {name} secured", f"'{name}'", f'"{name}"'))
