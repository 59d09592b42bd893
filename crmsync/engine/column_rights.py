"""What column security hides from the sync user: it reads as empty, without an error, so it is looked at before an
empty value is believed.

That a column was secured changes its definition, which every cycle asks for. That the sync user was taken out of a
profile changes nothing that is asked for: it is looked at once a day, and whenever a value that was there reads as
empty where no other row of the same page has one.

"Column-level security with code", "Column security profiles" (Microsoft's documents): who is System Administrator may
read every column.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable

from crmsync.dynamics.client import DynamicsClient
from crmsync.dynamics.column_security import readable_secured, secured_columns
from crmsync.dynamics.pacing import together
from crmsync.dynamics.schema import DynamicsSchema, Entity
from crmsync.dynamics.setup_roles import roles_of
from crmsync.engine.guards import guards_of
from crmsync.errors import ColumnHidden, PermissionMissing
from crmsync.fields.model import Selection

ADMINISTRATOR = "System Administrator"

Columns = frozenset[tuple[str, str]]
"""Entity and column of each."""

Prove = Callable[[str], Awaitable[None]]
"""Raises ``ColumnHidden`` where what is read of this entity cannot be read any more; called between the reading and
the use of what was read."""


async def proves_nothing(_: str) -> None:
    """For those whose readings somebody else proves."""


async def as_seen(dynamics: DynamicsClient, entities: Iterable[Entity]) -> list[Entity]:
    """These entities, of which each secured column says whether it is hidden from the sync user now."""
    found = list(entities)
    secured = {
        (one.logical_name, name) for one in found for name, column in one.attributes.items() if column.is_secured
    }
    hidden = await _hidden(dynamics, secured)
    return [_marked(one, {name for entity, name in hidden if entity == one.logical_name}) for one in found]


async def lost(
    dynamics: DynamicsClient, schema: DynamicsSchema, selection: Selection, names: Collection[str]
) -> Columns:
    """The columns that are read for these entities and are hidden, though the snapshot says that they are not."""
    read = {column for name in names for column in _read_for(name, schema, selection)}
    return await _hidden(dynamics, await _secured(dynamics, read) - _known_to_be_hidden(schema))


async def changed_rights(dynamics: DynamicsClient, schema: DynamicsSchema, selection: Selection) -> frozenset[str]:
    """The entities of which other columns are hidden than the snapshot says, among those that are read for it."""
    read = {column for name in schema.entities for column in _read_for(name, schema, selection)}
    before = _known_to_be_hidden(schema)
    now = await _hidden(dynamics, await _secured(dynamics, read | before))
    return frozenset(entity for entity, _ in now ^ before)


async def ensure_seen(dynamics: DynamicsClient, schema: DynamicsSchema, selection: Selection, name: str) -> None:
    """Raise ``ColumnHidden`` for an entity of which something that is read for ``name`` is hidden by now. One call, and
    some more where a column of it is secured."""
    found = await lost(dynamics, schema, selection, [name])
    if found:
        entity, column = min(found)
        raise ColumnHidden(
            f"Column security keeps the sync user from reading {', '.join('.'.join(one) for one in sorted(found))}",
            entity=entity,
            column=column,
            remedy="Let a column security profile of the sync user read it, then run resync.",
        )


def _read_for(name: str, schema: DynamicsSchema, selection: Selection) -> set[tuple[str, str]]:
    """What is read of this entity, and of others for it."""
    mapped = {one for mapping in selection.mappings.get(name, ()) for one in (mapping.attribute, *mapping.also) if one}
    read = {(name, column) for column in mapped} | set(guards_of(name, selection))
    return {(entity, column) for entity, column in read if entity in schema.entities}


def _known_to_be_hidden(schema: DynamicsSchema) -> Columns:
    return frozenset(
        (entity.logical_name, name)
        for entity in schema.entities.values()
        for name, column in entity.attributes.items()
        if column.hidden
    )


async def _secured(dynamics: DynamicsClient, columns: Collection[tuple[str, str]]) -> Columns:
    """Those of these columns that are secured."""
    entities = sorted({entity for entity, _ in columns})
    answers = await together(secured_columns(dynamics.channel, one) for one in entities)
    found = {(entity, name) for entity, names in zip(entities, answers, strict=True) for name in names}
    return frozenset(found & set(columns))


async def _hidden(dynamics: DynamicsClient, secured: Collection[tuple[str, str]]) -> Columns:
    """Those of these secured columns that the sync user may not read; all of them where that is not told."""
    if not secured:
        return frozenset()
    user = (await dynamics.who_am_i()).user_id
    try:
        left = frozenset(secured) - await readable_secured(dynamics.channel, user)
    except PermissionMissing:
        left = frozenset(secured)
    return frozenset() if left and await _is_administrator(dynamics, user) else left


async def _is_administrator(dynamics: DynamicsClient, user: str) -> bool:
    try:
        return ADMINISTRATOR in {role.name for role in await roles_of(dynamics.channel, user)}
    except PermissionMissing:
        return False


def _marked(entity: Entity, hidden: Collection[str]) -> Entity:
    if all(column.hidden == (name in hidden) for name, column in entity.attributes.items()):
        return entity
    marked = {name: column.model_copy(update={"hidden": name in hidden}) for name, column in entity.attributes.items()}
    return entity.model_copy(update={"attributes": marked})
