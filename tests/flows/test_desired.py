"""What should be registered, without a server: a pure function from tenant file to deployments."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from prefect.utilities.callables import parameter_schema

from crmsync.tenants import Tenant
from deployments.desired import FLOWS, desired, desired_fleet, spread
from deployments.register import run_environment
from flows.fleet import sync_fleet
from tests.flows.test_mail import contoso

SNAPSHOT = Path(__file__).with_name("snapshot.json")


def snapshot() -> dict[str, Any]:
    """Every flow with its form, every deployment of one tenant."""
    environment = {"CRMSYNC_TENANTS": "/tenants"}
    deployments = [*desired(contoso(), environment), *desired_fleet(1, environment)]
    return {
        "flows": {flow.name: _flow(flow) for flow in (*FLOWS, sync_fleet)},
        "deployments": {f"{one.flow}/{one.name}": one.body for one in deployments},
    }


def _flow(flow: Flow[..., Any]) -> dict[str, Any]:
    form = parameter_schema(flow).model_dump(mode="json", exclude_none=True)
    return {"run_name": flow.flow_run_name, "description": flow.description, "form": form}


def test_flows_forms_and_deployments_are_as_they_were() -> None:
    """Changed on purpose? Then write the snapshot anew: python -m tests.flows.test_desired"""
    assert snapshot() == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_every_parameter_of_every_form_explains_itself() -> None:
    for flow in (*FLOWS, sync_fleet):
        schema = parameter_schema(flow).model_dump()
        fields = [*schema["properties"].items()]
        fields += [pair for model in schema["definitions"].values() for pair in model["properties"].items()]
        assert not [name for name, field in fields if not field.get("description")], flow.name


def test_a_tenant_in_a_fleet_has_no_schedule_and_everything_else_as_before() -> None:
    alone = {one.flow: one.body for one in desired(contoso(), {})}
    fleet = {one.flow: one.body for one in desired(contoso(), {}, in_fleet=True)}

    assert alone["sync"]["schedules"]
    assert fleet["sync"].pop("schedules") == []
    alone["sync"].pop("schedules")
    assert fleet == alone


def test_cycles_are_spread_evenly_over_the_interval_and_stay_where_they_are() -> None:
    starts = [spread(f"tenant-{number}", 300) for number in range(3000)]
    per_minute = Counter(start // 60 for start in starts)

    assert starts == [spread(f"tenant-{number}", 300) for number in range(3000)]
    assert sorted(per_minute) == [0, 1, 2, 3, 4]
    assert all(500 < count < 700 for count in per_minute.values())


def test_a_version_changes_with_whatever_the_deployment_holds() -> None:
    def versions(tenant: Tenant, folder: str) -> dict[str, str]:
        return {one.flow: one.version for one in desired(tenant, {"CRMSYNC_TENANTS": folder})}

    before = versions(contoso(), "/tenants")
    slower = versions(contoso().model_copy(update={"interval_minutes": 10}), "/tenants")
    moved = versions(contoso(), "/elsewhere")

    assert before == versions(contoso(), "/tenants")
    assert [flow for flow in before if before[flow] != slower[flow]] == ["sync"]
    assert all(before[flow] != moved[flow] for flow in before)


@pytest.mark.parametrize(
    ("url", "given"),
    [("sqlite:///state.db", True), ("postgresql://crmsync:s3cret@db/crmsync", False)],
)
def test_runs_are_told_where_the_state_is_only_when_no_password_is_in_it(
    url: str, given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRMSYNC_STATE_URL", url)
    monkeypatch.chdir(tmp_path)

    environment = run_environment(tmp_path / "tenants")

    assert environment["CRMSYNC_TENANTS"] == str(tmp_path / "tenants")
    assert environment.get("CRMSYNC_STATE_URL") == (f"sqlite:///{tmp_path}/state.db" if given else None)
    assert "s3cret" not in str(environment)


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(snapshot(), indent=2) + "\n", encoding="utf-8")
