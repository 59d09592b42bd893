"""How a tenant stands, from the store alone: what ``crmsync status`` and ``crmsync errors`` show."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from crmsync.engine.back.catchup import Gap
from crmsync.engine.destination import ROLE
from crmsync.state.brakes import Braked
from crmsync.state.counting import BACK_COUNTERS
from crmsync.state.runs import Run
from crmsync.state.store import Store
from crmsync.state.tenantstore import TenantRow
from crmsync.state.waits import Queue
from crmsync.tenants import ENTITIES


async def status(store: Store, tenant: str) -> dict[str, Any]:
    """The tenant's status, ready for JSON.

    Per entity the counters since the tenant was connected, except ``failed``: the sync errors open now. ``backlog`` is
    what is known to be out of step: the rest of a first read, requests in flight, and errors that will be tried again.
    ``brake`` is what the brake holds until it is allowed.
    ``doubt`` is an error that stops the tenant if it is still there some minutes later.
    ``renamed_to``: the tenant that goes on with all that was known of this one.
    ``to_dynamics`` are the counters of the other direction; ``waiting``: records whose changes in Marketo wait.
    ``waiting`` at the top is all that waits, by what for: ``change`` and ``creation`` in Dynamics; to be read
    ``again``, to ``delete``, ``roles`` and ``heir`` in Marketo; ``owner``, ``company`` and ``parent`` that Marketo does
    not have, which may be by choice (their ``since`` is not known). ``catching_up_since``: from when on Marketo
    does not tell all that happened, as long as people are not compared to the end.
    ``own_forms``: fields of which Marketo stored values in a form of its own, and of how many records.
    """
    row = await store.tenants.get(tenant)
    counters = await store.records.counters(tenant)
    failed = await store.errors.counts(tenant)
    retries = await store.errors.retries(tenant)
    checkpoints = await store.checkpoints.all(tenant)
    flying: dict[str, int] = {}
    for flight in await store.flights.all(tenant):
        flying[flight.entity] = flying.get(flight.entity, 0) + len(flight.keys)
    entities = {}
    custom = sorted((checkpoints.keys() | counters.keys()) - {*ENTITIES, ROLE})
    for name in (*ENTITIES, ROLE, *custom):
        counts, checkpoint = counters.get(name, {}), checkpoints.get(name)
        reading = checkpoint is not None and not checkpoint.read_done
        rest = max(0, (checkpoint.records_expected or 0) - checkpoint.records_read) if checkpoint and reading else 0
        entities[name] = {
            **{
                kind: counts.get(kind, 0)
                for kind in ("read", "filtered", "tombstones", "unchanged", "created", "updated", "deleted")
            },
            "failed": failed.get(name, 0),
            "backlog": max(rest, flying.get(name, 0)) + retries.get(name, 0),
            "last_synced_at": _text(counts.get("last_synced_at")),
        }
    gap = Gap.of(await store.inbox.watermarks(tenant))
    back, waiting = await store.inbox.counters(tenant), await store.inbox.sizes(tenant)
    parked = await store.schemas.parked(tenant)
    last_cycle = await store.runs.last(tenant, "cycle")
    last_run = await store.runs.last(tenant)
    return {
        "tenant": tenant,
        "state": str(row.state),
        "reason": row.reason,
        "renamed_to": row.renamed_to,
        "doubt": _doubt(row),
        "brake": [_braked(one) for one in await store.brakes.all(tenant) if one.since is not None],
        "organization_id": row.binding.organization_id if row.binding else None,
        "organization_name": row.binding.organization_name if row.binding else None,
        "subscription": row.binding.subscription if row.binding else None,
        "entities": entities,
        "left_out": _left_out(last_run),
        "to_dynamics": {
            name: {
                **{kind: back.get(name, {}).get(kind, 0) for kind in BACK_COUNTERS.names},
                "waiting": waiting.get(name, 0),
                "last_synced_at": _text(back.get(name, {}).get("last_synced_at")),
            }
            for name in ("lead", "contact")
        },
        "catching_up_since": _text(gap.since) if gap is not None else None,
        "waiting": [_queue(queue) for queue in await store.waits.queues(tenant)],
        "own_forms": [
            {"entity": entity, "field": field, "records": records}
            for entity, field, records in await store.forms.counts(tenant)
        ],
        "parked_fields": [_field(one) for one in parked if one.reviewed_at is None],
        "reviewed_fields": [_field(one) for one in parked if one.reviewed_at is not None],
        "last_cycle": _run(last_cycle),
        "last_run": _run(last_run),
    }


async def collisions(store: Store, tenant: str, *, limit: int | None = None) -> list[dict[str, Any]]:
    """The collisions that were decided, ready for JSON, the newest first."""
    return [one.model_dump(mode="json") for one in await store.collisions.all(tenant, limit=limit)]


async def errors(store: Store, tenant: str, *, limit: int | None = None) -> list[dict[str, Any]]:
    """The open sync errors, ready for JSON, the newest last."""
    return [error.model_dump(mode="json") for error in await store.errors.all(tenant, limit=limit)]


def _doubt(row: TenantRow) -> dict[str, Any] | None:
    """What stops the tenant if the next cycle meets it again."""
    if row.doubt is None:
        return None
    return {"error": row.doubt, "reason": row.doubt_reason, "since": _text(row.doubted_at)}


def _braked(one: Braked) -> dict[str, Any]:
    """What the brake holds; ``would`` says what a run would do that is allowed to."""
    return {**one.loss._asdict(), "would": one.said, "since": _text(one.since)}


def _left_out(run: Run | None) -> dict[str, str]:
    """Entities that the last run did not sync, and why."""
    report = json.loads(run.report) if run is not None and run.report else {}
    return dict(report.get("left_out", {}))


def _field(parked: Any) -> dict[str, Any]:
    return dict(parked.model_dump(mode="json"))


def _queue(queue: Queue) -> dict[str, Any]:
    return {"for": queue.kind, "entity": queue.entity, "records": queue.records, "since": _text(queue.since)}


def _run(run: Run | None) -> dict[str, Any] | None:
    if run is None:
        return None
    report = json.loads(run.report) if run.report else {}
    return {
        "kind": run.kind,
        "run": run.run,
        "started_at": _text(run.started_at),
        "ended_at": _text(run.ended_at),
        "outcome": "done" if run.outcome == "idle" else run.outcome or "running or killed",
        "entities": report.get("entities", {}),
        "to_dynamics": report.get("to_dynamics", {}),
        "notes": report.get("notes", []),
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
