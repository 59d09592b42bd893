"""What a tenant carries: which entities, with which fields, and how one choice is told from another.

An entity that is read with other fields than before is read anew: a delta link has its ``$select`` fixed for ever ("Use
change tracking to synchronize data with external systems", Microsoft's documents).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping as ReadOnlyDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from crmsync.dynamics.schema import DynamicsSchema
from crmsync.engine.back.streams import person_fields, watched
from crmsync.engine.guards import remembering, why_stopped
from crmsync.engine.renames import named
from crmsync.engine.session import Session
from crmsync.engine.setup import saved_selection
from crmsync.errors import StateMismatch
from crmsync.fields.model import Mapping, Selection
from crmsync.fields.naming import check_rules
from crmsync.fields.typemap import WORDED_BEFORE
from crmsync.state.checkpoints import Checkpoint
from crmsync.tenants import ENTITIES, Tenant


async def chosen_fields(session: Session) -> tuple[DynamicsSchema, Selection]:
    """Schema and selection as they are saved; raises ``StateMismatch`` where there are none yet, and
    ``TenantFileWrong`` where the tenant file has rules for columns that do not exist."""
    schema = await session.store.schemas.snapshot(session.name, "dynamics")
    selection = await saved_selection(session)
    if schema is None or selection is None:
        raise StateMismatch(
            "No fields were selected yet", tenant=session.name, remedy=f"Run: crmsync connect {session.name}"
        )
    found = DynamicsSchema.model_validate_json(schema)
    if session.tenant.conflicts.fields:
        parked = await session.store.schemas.parked(session.name)
        check_rules(session.tenant.conflicts, found, {(one.entity, one.attribute) for one in parked})
    return found, remembering(selection, found)


def left_out(tenant: Tenant, schema: DynamicsSchema, selection: Selection) -> dict[str, str]:
    """The entities that are not carried, each with the reason."""
    names = (*ENTITIES, *tenant.custom_names)
    reasons = {name: _why_not(name, tenant, schema, selection) for name in names}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def carried(tenant: Tenant, schema: DynamicsSchema, selection: Selection) -> list[str]:
    """The entities that are carried, in order: custom ones last, those that others lead through before these."""
    without = left_out(tenant, schema, selection)
    custom = [name for name in selection.custom_objects if name in tenant.custom_names]
    return [name for name in (*ENTITIES, *custom) if name not in without]


def _why_not(name: str, tenant: Tenant, schema: DynamicsSchema, selection: Selection) -> str | None:
    if name not in (*tenant.entities, *tenant.custom_names):
        return "left out by the tenant file"
    needs = "opportunity" if name == "connection" else name
    if needs in selection.left_out:
        return selection.left_out[needs]
    if name not in schema.entities:
        return f"the organization does not have or show it; {_by(name)} takes it up when it does"
    if needs not in selection.mappings:
        return f"its fields were never selected; {_by(name)} takes it up"
    return why_stopped(name, schema, selection)


def is_stopped(tenant: Tenant, name: str, schema: DynamicsSchema, selection: Selection) -> bool:
    """Whether an entity is left out for a guard that cannot be read, and for nothing else."""
    wanted = name in (*tenant.entities, *tenant.custom_names) and name in schema.entities
    return wanted and why_stopped(name, schema, selection) is not None


def _by(name: str) -> str:
    """What takes an entity up. A custom one is read by the cycles, which need not stop for it."""
    return "resync" if name in ENTITIES else "connect"


@dataclass(frozen=True)
class Choice:
    """The digest of each entity that is carried, of each other one why it is not, the Marketo fields whose changes
    go to Dynamics, the stamp of Dynamics' definitions, and the tables whose names are sent. Those ``stopped`` come back
    when their definition is another one."""

    digests: ReadOnlyDict[str, str]
    left_out: ReadOnlyDict[str, str]
    watched: Sequence[str]
    stamp: str | None = None
    stopped: frozenset[str] = frozenset()
    named: ReadOnlyDict[str, Sequence[str]] = field(default_factory=dict)


async def choice(session: Session) -> Choice:
    """What is carried now. Schema and selection are large, so a session of many cycles reads them only when one of
    them is new."""
    numbers = await session.store.schemas.newest(session.name)
    kept: tuple[object, Choice] | None = session.memo.get("choice")
    if kept is None or kept[0] != numbers:
        schema, selection = await chosen_fields(session)
        without = left_out(session.tenant, schema, selection)
        names = carried(session.tenant, schema, selection)
        digests = {name: selection_digest(session.tenant, schema, selection, name) for name in names}
        fields, tables = watched(person_fields(schema, selection)), named(selection, names)
        stopped = frozenset(name for name in without if is_stopped(session.tenant, name, schema, selection))
        kept = numbers, Choice(digests, without, fields, schema.stamp, stopped, tables)
        session.memo["choice"] = kept
    return kept[1]


def selection_digest(tenant: Tenant, schema: DynamicsSchema, selection: Selection, name: str) -> str:
    """Tells whether an entity is still read with the fields that it was read with."""
    columns = selection.select(schema.entities[name])
    mappings = [_told(mapping) for mapping in selection.mappings.get(name, ())]
    custom = selection.custom_objects.get(name)
    mappings += [custom.name, custom.link.model_dump_json()] if custom else []
    scope = [tenant.accounts] if name == "account" and tenant.accounts != "all" else []
    text = "\n".join([*columns, *mappings, *scope])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _told(mapping: Mapping) -> str:
    """A mapping as digests have it, also those of older versions: another wording of what is lost, or a member that
    they did not have and that says nothing, has nobody read again."""
    text = mapping.model_dump_json(exclude={"zone"} if mapping.zone is None else None)
    for now, before in WORDED_BEFORE.items():
        text = text.replace(now, before)
    return text


async def checkpoint_of(session: Session, name: str, digest: str) -> Checkpoint:
    """Where the read of this entity with the fields of this digest is; a new one when it was read with others."""
    store, tenant = session.store, session.name
    current = await store.checkpoints.get(tenant, name)
    if current is not None and current.selection_digest == digest:
        return current
    if current is not None and not current.selection_digest:
        fresh = current.model_copy(update={"selection_digest": digest})
    else:
        expected = await session.dynamics.record_counts([name])
        fresh = Checkpoint(
            entity=name,
            selection_digest=digest,
            read_number=current.read_number + 1 if current else 1,
            records_expected=expected.get(name),
        )
    await store.checkpoints.begin(tenant, fresh)
    return fresh


async def due_again(session: Session, checkpoint: Checkpoint, parents_written: int) -> list[str]:
    """Records of this entity to be carried though they did not change: a retry is due, or an owner or company came.

    Very many may wait for a parent that never comes, so they are looked through only after parents were written.
    """
    store, tenant, name = session.store, session.name, checkpoint.entity
    due = set(await store.errors.due(tenant, name))
    if checkpoint.parents_met != parents_written:
        due.update(await store.records.relinkable(tenant, name))
    return sorted(due)
