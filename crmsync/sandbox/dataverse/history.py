"""What changed in the schema, and when: a stamp for each changed definition, and a trace of each deleted one.

``RetrieveMetadataChanges`` and ``globalmetadataversion`` read it: "Query schema definitions" (Power Apps developer
documents).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.schema import LiveTable

FIRST_STAMP = 1000
KINDS = ("Entity", "Attribute", "Relationship", "Label", "OptionSet")
"""Values of DeletedMetadataFilters, in the order of their bits."""


class History:
    """Stamps by MetadataId. What was there from the beginning has none."""

    def __init__(
        self,
        stamp: int = FIRST_STAMP,
        changed: dict[str, int] | None = None,
        deleted: dict[str, tuple[str, int]] | None = None,
    ) -> None:
        self.stamp = stamp
        self.changed = changed or {}
        self.deleted = deleted or {}

    def touch(self, metadata_id: str) -> None:
        """One definition changed."""
        self.stamp += 1
        self.changed[metadata_id] = self.stamp
        self.deleted.pop(metadata_id, None)

    def forget(self, metadata_id: str, kind: str) -> None:
        """One definition is gone."""
        self.stamp += 1
        self.changed.pop(metadata_id, None)
        self.deleted[metadata_id] = (kind, self.stamp)

    def note(self, old: LiveTable | None, new: LiveTable | None) -> None:
        """A table was made, changed or deleted."""
        self.stamp += 1
        before, after = _definitions(old), _definitions(new)
        for metadata_id, (kind, _) in before.items():
            if metadata_id not in after:
                self.changed.pop(metadata_id, None)
                self.deleted[metadata_id] = (kind, self.stamp)
        for metadata_id, definition in after.items():
            if before.get(metadata_id) != definition:
                self.changed[metadata_id] = self.stamp
                self.deleted.pop(metadata_id, None)

    def since(self, metadata_id: str, stamp: int) -> bool:
        """Whether a definition changed after ``stamp``."""
        return self.changed.get(metadata_id, 0) > stamp


def _definitions(table: LiveTable | None) -> dict[str, tuple[str, object]]:
    """Kind and content of the table's own definition and of each of its columns, by MetadataId."""
    if table is None:
        return {}
    one = table.definition
    found: dict[str, tuple[str, object]] = {
        column.metadata_id: ("Attribute", column) for column in table.columns.values()
    }
    for column in one.columns:
        for reference in column.references:
            key = relationship_id(reference.schema_name, one.name, reference.target)
            found[key] = ("Relationship", reference)
    facts = (one.label, one.plural_label, one.description, one.tracked, one.keys, one.primary_name)
    found[one.metadata_id] = ("Entity", facts)
    return found


def relationship_id(schema_name: str, table: str, target: str) -> str:
    """The MetadataId of a one-to-many relationship."""
    from crmsync.sandbox.dataverse.schema import NAMES

    return str(uuid.uuid5(NAMES, f"relationship.{schema_name}.{table}.{target}"))
