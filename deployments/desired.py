"""What should be registered with Prefect: one pure function from a tenant's file to its deployments.

A deployment's ``version`` is a hash of everything else in it, so that registering can leave the unchanged alone. It is
no tag, because every run inherits the tags.

Prefect's documentation, "Deployments" and "Create schedules" (``anchor_date``); registering again replaces schedules
and limits, so the whole of it is computed here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import Flow
from prefect.utilities.callables import parameter_schema
from pydantic import BaseModel, ConfigDict

from crmsync.tenants import Tenant
from flows.compare import compare
from flows.connect import connect
from flows.fleet import sync_fleet
from flows.prepare import prepare
from flows.resync import resync
from flows.sync import sync
from flows.validate import validate

FLOWS: tuple[Flow[..., Any], ...] = (prepare, connect, sync, resync, validate, compare)
POOL = "crmsync"
OURS = "crmsync"
"""The tag that says a deployment is ours to change and to remove."""

FLEET = "fleet"
FLEET_SECONDS = 300
"""How soon a fleet's run that ended or died is followed by the next."""

ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)


class Desired(BaseModel):
    """One deployment as it should be; ``body`` is what the REST API takes beside name and flow."""

    model_config = ConfigDict(frozen=True)

    flow: str
    name: str
    body: dict[str, Any]

    @property
    def version(self) -> str:
        text = json.dumps([self.flow, self.name, self.body], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def desired(tenant: Tenant, environment: Mapping[str, str], *, in_fleet: bool = False) -> list[Desired]:
    """The deployments of one tenant; ``environment`` is given to their runs and must hold no secret. A tenant in a
    fleet has no schedule of its own."""
    name = tenant.tenant
    schedule = [] if in_fleet else [_schedule(name, tenant.interval_minutes * 60)]
    return [
        Desired(
            flow=flow.name,
            name=name,
            body=_body(
                flow,
                tags=[f"tenant:{name}"],
                parameters={"tenant": name},
                environment=environment,
                schedules=schedule if flow is sync else [],
                # A cycle that comes too early is dropped; what a person pressed waits for its turn.
                collision="CANCEL_NEW" if flow is sync else "ENQUEUE",
            ),
        )
        for flow in FLOWS
    ]


def desired_fleet(shards: int, environment: Mapping[str, str]) -> list[Desired]:
    """One deployment a shard. Its run stays for an hour; the schedule is what starts the next one, soon also after a
    crash."""
    return [
        Desired(
            flow=sync_fleet.name,
            name=f"{shard}-of-{shards}",
            body=_body(
                sync_fleet,
                tags=[FLEET],
                parameters={"shard": shard, "shards": shards},
                environment=environment,
                schedules=[_schedule(f"{shard}-of-{shards}", FLEET_SECONDS)],
                collision="CANCEL_NEW",
            ),
        )
        for shard in range(shards)
    ]


def _body(
    flow: Flow[..., Any],
    *,
    tags: list[str],
    parameters: dict[str, Any],
    environment: Mapping[str, str],
    schedules: list[dict[str, Any]],
    collision: str,
) -> dict[str, Any]:
    return {
        "entrypoint": f"{flow.fn.__module__}.{flow.fn.__name__}",
        "description": flow.description,
        "tags": [OURS, *tags],
        "parameters": parameters,
        "parameter_openapi_schema": _form(flow, parameters),
        "enforce_parameter_schema": True,
        "work_pool_name": POOL,
        "job_variables": {"env": dict(environment)},
        "schedules": schedules,
        "concurrency_limit": 1,
        "concurrency_options": {"collision_strategy": collision},
    }


def _form(flow: Flow[..., Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters' schema, with the deployment's own as the only ones and no unknown parameters: without the latter
    Prefect takes them and the run crashes."""
    schema = parameter_schema(flow).model_dump(mode="json", exclude_none=True)
    for name, value in parameters.items():
        schema["properties"][name] |= {"enum": [value], "default": value}
    schema["required"] = [name for name in schema.get("required", []) if name not in parameters]
    return schema | {"additionalProperties": False}


def _schedule(name: str, interval: int) -> dict[str, Any]:
    return {
        "slug": "cycle",
        "active": True,
        "schedule": {
            "interval": interval,
            "anchor_date": (ANCHOR + timedelta(seconds=spread(name, interval))).isoformat(),
            "timezone": "UTC",
        },
    }


def spread(name: str, interval: int) -> int:
    """Seconds into the interval at which a tenant's cycles start: stable, and even over many tenants."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % interval
