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
from flows.connect import connect
from flows.prepare import prepare
from flows.resync import resync
from flows.sync import sync
from flows.validate import validate

FLOWS: tuple[Flow[..., Any], ...] = (prepare, connect, sync, resync, validate)
POOL = "crmsync"
OURS = "crmsync"
"""The tag that says a deployment is ours to change and to remove."""

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


def desired(tenant: Tenant, environment: Mapping[str, str]) -> list[Desired]:
    """The deployments of one tenant; ``environment`` is given to their runs and must hold no secret."""
    return [Desired(flow=flow.name, name=tenant.tenant, body=_body(flow, tenant, environment)) for flow in FLOWS]


def _body(flow: Flow[..., Any], tenant: Tenant, environment: Mapping[str, str]) -> dict[str, Any]:
    name = tenant.tenant
    scheduled = flow.name == "sync"
    return {
        "entrypoint": f"{flow.fn.__module__}.{flow.fn.__name__}",
        "description": flow.description,
        "tags": [OURS, f"tenant:{name}"],
        "parameters": {"tenant": name},
        "parameter_openapi_schema": _form(flow, name),
        "enforce_parameter_schema": True,
        "work_pool_name": POOL,
        "job_variables": {"env": dict(environment)},
        "schedules": [_schedule(tenant)] if scheduled else [],
        "concurrency_limit": 1,
        # A cycle that comes too early is dropped; what a person pressed waits for its turn.
        "concurrency_options": {"collision_strategy": "CANCEL_NEW" if scheduled else "ENQUEUE"},
    }


def _form(flow: Flow[..., Any], tenant: str) -> dict[str, Any]:
    """The parameters' schema, with this tenant as the only one and no unknown parameters: without the latter Prefect
    takes them and the run crashes."""
    schema = parameter_schema(flow).model_dump(mode="json", exclude_none=True)
    schema["properties"]["tenant"] |= {"enum": [tenant], "default": tenant}
    schema["required"] = [name for name in schema.get("required", []) if name != "tenant"]
    return schema | {"additionalProperties": False}


def _schedule(tenant: Tenant) -> dict[str, Any]:
    interval = tenant.interval_minutes * 60
    return {
        "slug": "cycle",
        "active": True,
        "schedule": {
            "interval": interval,
            "anchor_date": (ANCHOR + timedelta(seconds=spread(tenant.tenant, interval))).isoformat(),
            "timezone": "UTC",
        },
    }


def spread(tenant: str, interval: int) -> int:
    """Seconds into the interval at which this tenant's cycles start: stable, and even over many tenants."""
    return int.from_bytes(hashlib.sha256(tenant.encode()).digest()[:8], "big") % interval
