"""Whether the values of an entity are converted otherwise than before, because its metadata has changed.

A renamed option changes no record, so that Dynamics tells of no change ("Use change tracking to synchronize data with
external systems", Microsoft's documents): who wants the new label everywhere has to read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from crmsync.dynamics.schema import Attribute, Entity
from crmsync.fields.labels import label_texts
from crmsync.fields.model import Mapping
from crmsync.fields.typemap import cuts

_LABELLED = frozenset({"label", "labels"})


def converted_otherwise(old: Entity, new: Entity, mappings: Iterable[Mapping]) -> Iterator[str]:
    """What of the mapped columns of ``new`` makes other values for Marketo than it did in ``old``, a phrase each.

    A column that came or went is not among it: then the selection is another one, or the column is parked.
    """
    for mapping in mappings:
        for name in dict.fromkeys((mapping.attribute, *mapping.also)):
            was, now = old.attributes.get(name), new.attributes.get(name)
            if was is None or now is None or was == now:
                continue
            if was.metadata_id != now.metadata_id:
                yield f"{name} was deleted and made again"
            elif what := _aspect(was, now, mapping):
                yield f"{what} of {name} changed"


def _aspect(was: Attribute, now: Attribute, mapping: Mapping) -> str | None:
    if was.type != now.type:
        return "the type"
    if was.type == "DateTimeType" and (was.behavior, was.format) != (now.behavior, now.format):
        return "the behavior or format"
    if was.precision != now.precision:
        return "the precision"
    if mapping.convert in _LABELLED and label_texts(was) != label_texts(now):
        return "the option labels"
    if cuts(mapping, was) != cuts(mapping, now):
        return "the length"
    return None
