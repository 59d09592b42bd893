"""Empty values that may be unreadable ones: what would be cleared in Marketo by the planned writes.

Column security is the same for every row, so that one row of a page that has a value proves that its column could be
read. Only where none has, the right is asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crmsync.dynamics.schema import Entity
from crmsync.engine.fingerprint import WIDTH
from crmsync.engine.links import COMPANY_LINK
from crmsync.fields import model

if TYPE_CHECKING:
    from crmsync.engine.plan import Change

ELSEWHERE = ""
"""What stands for a column of another entity that was read for this one: no row of this one proves anything of it."""


class Doubts:
    """Looks through the changes of one entity. ``guards`` are columns that crmsync goes by. Of a column that is known
    to be secured nothing empty is believed without proof, not even an opt-out that a new record lacks."""

    def __init__(self, entity: Entity, mappings: Sequence[model.Mapping], guards: Sequence[str]) -> None:
        secured = {name for name, column in entity.attributes.items() if column.is_secured}
        self.secured = {
            entity.attributes[name].select_name
            for mapping in mappings
            for name in (mapping.attribute, *mapping.also)
            if name in secured
        }
        self.secured_guards = {entity.attributes[name].select_name for name in guards if name in secured}
        self._sources = {
            mapping.field: [
                entity.attributes[name].select_name
                for name in (mapping.attribute, *mapping.also)
                if name in entity.attributes
            ]
            for mapping in mappings
        }

    def of(self, row: Mapping[str, Any], change: Change, names: Sequence[str], *, whole: bool) -> set[str]:
        """The columns that read as empty, and for which a value that Marketo holds, or may hold, would be replaced;
        ``whole`` says that what was agreed on is sent as well."""
        found: set[str] = set()
        for at, name in enumerate(names):
            here = slice(at * WIDTH, (at + 1) * WIDTH)
            agreed = change.before is not None and change.before[here] == change.fingerprints[here]
            if agreed and not whole:
                continue
            sources = self._sources.get(name, ())
            empty = {source for source in sources if row.get(source) is None}
            if not empty and name == COMPANY_LINK and sources and change.payload.get(name) is None:
                empty = {ELSEWHERE}
            found |= empty
        return found

    def left(self, columns: Collection[str], rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether a column is left of which no row of the page has a value."""
        return any(all(row.get(column) is None for row in rows) for column in columns)
