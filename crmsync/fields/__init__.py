"""Fields: the default map, the selection of one tenant, the conversion of values, and what changed in a schema."""

from crmsync.fields.catalogue import DefaultMap, default_map
from crmsync.fields.convert import Converter
from crmsync.fields.drift import Change, SchemaDifference, difference
from crmsync.fields.model import KEY_FIELDS, LINK_FIELDS, SYNC_FLAG, Mapping, NotMapped, Selection, WorksheetRow
from crmsync.fields.selection import select_fields
from crmsync.fields.values import equal
from crmsync.fields.worksheet import describe_plan, mapping_markdown, worksheet_markdown, worksheet_rows

__all__ = [
    "KEY_FIELDS",
    "LINK_FIELDS",
    "SYNC_FLAG",
    "Change",
    "Converter",
    "DefaultMap",
    "Mapping",
    "NotMapped",
    "SchemaDifference",
    "Selection",
    "WorksheetRow",
    "default_map",
    "describe_plan",
    "difference",
    "equal",
    "mapping_markdown",
    "select_fields",
    "worksheet_markdown",
    "worksheet_rows",
]
