"""``crmsync compare TENANT``: both sides read and compared, differences told by name, repaired when asked."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from crmsync.engine.compare import compare
from crmsync.engine.comparison import Comparison, Difference
from crmsync.engine.seen import SeenIds
from crmsync.errors import OperatorMustAct, StateMismatch, TenantBusy
from tests.world import World

WRITES = ("POST", "PATCH", "DELETE")


async def compared(world: World, *, to_dynamics: bool = True, **options: Any) -> Comparison:
    return await compared_as(world, {"to_dynamics": to_dynamics}, **options)


async def compared_as(world: World, choices: dict[str, Any], **options: Any) -> Comparison:
    """Compare with these choices of the tenant file."""
    async with world.session(tenant=world.tenant.model_copy(update=choices)) as session:
        return await compare(session, **options)


@pytest.fixture
async def clean(connected: World) -> World:
    """A connected tenant without records that cannot be synced."""
    admin, store = await connected.admin(), await connected.store()
    for error in await store.errors.all("contoso"):
        sets = {"lead": "leads", "contact": "contacts", "account": "accounts", "systemuser": "systemusers"}
        await admin.delete(sets[error.entity], error.record_id)
    await connected.cycle()
    await connected.reset_requests()
    return connected


async def leads(world: World) -> list[str]:
    rows = await world.rows("lead", "leadid", filter="new_synctomkto eq true")
    return [row["leadid"] for row in rows]


async def test_after_a_cycle_both_sides_are_equal_and_nothing_was_written(clean: World) -> None:
    result = await compared(clean)

    assert result.differences == []
    assert result.in_step
    assert result.entities["lead"].equal > 0
    assert result.entities["account"].equal > 0
    assert result.entities["systemuser"].equal > 0
    assert await clean.written() == {}
    assert not [path for path in await clean.requests("dynamics") if path.startswith(WRITES)]


async def test_it_reads_300_people_a_call(clean: World) -> None:
    await compared(clean, entities=["contact"])

    assert await clean.requests("marketo") == {"GET /rest/v1/leads.json": 1, "GET /rest/v1/stats/usage.json": 1}


async def test_each_kind_of_difference_is_found_named_and_repaired(clean: World) -> None:
    """One way: what was changed in Marketo is out of step, not a change to bring to Dynamics."""
    marketo, admin = await clean.marketo(), await clean.admin()
    missing, differing, vanished = (await leads(clean))[:3]
    await marketo.delete_people([(await clean.person(missing))["id"]])
    await marketo.sync_people([{"dynamicsId": differing, "title": "Nobody's title", "city": "Nowhere"}])
    await admin.delete("leads", vanished)

    result = await compared(clean, to_dynamics=False)

    assert {(one.record_id, one.kind, tuple(one.fields)) for one in result.differences} == {
        (missing, "missing in Marketo", ()),
        (differing, "differing", ("title", "city")),
        (vanished, "vanished in Dynamics", ()),
    }
    counts = result.entities["lead"]
    assert (counts.missing, counts.differing, counts.vanished, counts.repaired) == (1, 1, 1, 0)
    assert counts.fields == {"title": 1, "city": 1}
    assert not result.in_step

    repaired = await compared(clean, to_dynamics=False, repair=True)

    assert repaired.in_step
    assert repaired.entities["lead"].repaired == 3
    assert (await clean.person(differing, "city")).get("city") != "Nowhere"
    assert (await clean.person(vanished, "msIsDeleted"))["msIsDeleted"] is True
    assert missing in await clean.people([missing])
    assert (await compared(clean, to_dynamics=False)).differences == []


async def test_a_repair_brings_what_was_changed_in_marketo_to_dynamics(clean: World) -> None:
    marketo = await clean.marketo()
    [lead, *_] = await leads(clean)
    await marketo.sync_people([{"dynamicsId": lead, "title": "Chief"}], action="updateOnly")

    assert (await compared(clean, repair=True)).in_step

    rows = await clean.rows("lead", "jobtitle", filter=f"leadid eq {lead}")
    assert rows[0]["jobtitle"] == "Chief"
    assert (await clean.person(lead, "title"))["title"] == "Chief"


async def test_a_company_that_differs_is_repaired_too(clean: World) -> None:
    marketo = await clean.marketo()
    [row, *_] = await clean.rows("account", "accountid,name", filter="new_synctomkto eq true")
    await marketo.sync_companies([{"externalCompanyId": row["accountid"], "billingCity": "Nowhere"}])

    result = await compared(clean, entities=["account"], repair=True)

    assert result.differences == [
        Difference(entity="account", record_id=row["accountid"], kind="differing", fields=["billingCity"])
    ]
    assert result.in_step
    assert list(result.entities) == ["account"]


@pytest.mark.parametrize("policy", ["delete", "ignore"])
async def test_a_vanished_record_is_repaired_as_the_tenant_file_says(clean: World, policy: str) -> None:
    [lead, *_] = await leads(clean)
    await (await clean.admin()).delete("leads", lead)

    result = await compared_as(clean, {"deleted_in_dynamics": policy}, entities=["lead"], repair=True)

    assert [one.kind for one in result.differences] == ["vanished in Dynamics"]
    assert result.in_step
    assert (lead in await clean.people([lead])) is (policy == "ignore")
    assert (await compared_as(clean, {"deleted_in_dynamics": policy}, entities=["lead"])).differences == []


async def test_an_unknown_entity_is_told_with_those_that_there_are(clean: World) -> None:
    with pytest.raises(OperatorMustAct) as refused:
        await compared(clean, entities=["contact", "conatct"])

    assert "'conatct'" in refused.value.message
    assert "contact, opportunity, opportunityrole" in refused.value.remedy


@pytest.mark.parametrize("name", ["opportunity", "opportunityrole"])
async def test_an_entity_that_the_tenant_does_not_sync_says_why(clean: World, name: str) -> None:
    with pytest.raises(OperatorMustAct, match="left out by the tenant file"):
        await compared_as(clean, {"entities": ("systemuser", "account", "lead", "contact")}, entities=[name])


async def test_filtered_records_are_counted_and_are_no_difference(clean: World) -> None:
    admin = await clean.admin()
    await admin.create("leads", {"lastname": "Private", "new_synctomkto": False})

    result = await compared(clean, entities=["lead"])

    assert result.entities["lead"].filtered >= 1
    assert result.in_step


async def test_a_record_that_cannot_be_synced_keeps_the_sides_out_of_step(clean: World) -> None:
    admin = await clean.admin()
    lead = await admin.create("leads", {"lastname": "Umlaut", "emailaddress1": "jürgen@example.com"})
    await clean.cycle()

    result = await compared(clean, entities=["lead"], repair=True)

    assert [(one.record_id, one.category, one.code) for one in result.differences] == [(lead, "refused", "conversion")]
    assert not result.in_step


async def test_no_value_is_ever_in_a_log(clean: World, caplog: pytest.LogCaptureFixture) -> None:
    marketo = await clean.marketo()
    lead = (await leads(clean))[0]
    await marketo.sync_people([{"dynamicsId": lead, "title": "Keeper of the Xyzzy"}])

    with caplog.at_level(logging.DEBUG, logger="crmsync"):
        result = await compared(clean)

    assert "Xyzzy" not in caplog.text
    assert "Xyzzy" not in result.model_dump_json()


async def test_without_repair_a_run_that_is_at_work_is_not_disturbed_and_a_repair_waits_its_turn(
    clean: World,
) -> None:
    async with clean.session(run="a cycle") as session, session.lease():
        assert (await compared(clean, entities=["systemuser"])).in_step
        with pytest.raises(TenantBusy):
            await compared(clean, repair=True)


async def test_a_tenant_without_selected_fields_says_what_to_run(contoso: World) -> None:
    with pytest.raises(StateMismatch) as refused:
        await compared(contoso)

    assert "crmsync connect contoso" in refused.value.remedy


def test_ids_that_were_seen_are_remembered_in_order_of_ids() -> None:
    ids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(0, 2**32, 2**24 + 1)]
    seen = SeenIds()
    seen.add(ids[::2])

    assert [one in seen for one in sorted(ids)] == [at % 2 == 0 for at in range(len(ids))]
