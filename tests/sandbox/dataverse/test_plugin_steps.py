"""SDK messages, the tables they exist for, and plug-in steps (reference: "Event framework")."""

from __future__ import annotations

from tests.sandbox.dataverse.conftest import Contoso, error
from tests.sandbox.dataverse.setting_up import import_solution, rows
from tests.sandbox.solutions import marketo_solution

IF_ANY = {"If-Match": "*"}


async def test_a_message_has_a_filter_for_each_table_that_supports_it(contoso: Contoso) -> None:
    condition = "sdkmessageid/name eq '{}' and primaryobjecttypecode eq '{}'"
    url = f"sdkmessagefilters?$select=sdkmessagefilterid&$filter={condition}"
    supported = [len(await rows(contoso.sync, url.format("CreateMultiple", name))) for name in ("lead", "organization")]
    assert supported == [1, 0]
    assert len(await rows(contoso.sync, url.format("QualifyLead", "lead"))) == 1


async def test_steps_of_a_table_come_through_its_filter(contoso: Contoso) -> None:
    await import_solution(contoso, marketo_solution())
    condition = "primaryobjecttypecode eq 'lead' and sdkmessageid/name eq 'Create'"
    expand = "$expand=sdkmessagefilterid_sdkmessageprocessingstep($select=name,statecode)"
    (found,) = await rows(contoso.sync, f"sdkmessagefilters?$filter={condition}&{expand}")
    (step,) = found["sdkmessagefilterid_sdkmessageprocessingstep"]
    assert (step["name"], step["statecode"]) == ("Marketo.Plugins: Create of lead", 0)


async def test_a_step_is_switched_off_and_on(contoso: Contoso) -> None:
    await import_solution(contoso, marketo_solution())
    steps = await rows(contoso.admin, "sdkmessageprocessingsteps?$select=name,statecode")
    where = f"sdkmessageprocessingsteps({steps[0]['sdkmessageprocessingstepid']})"
    for state, reason in ((1, 2), (0, 1)):
        change = {"statecode": state, "statuscode": reason}
        assert (await contoso.admin.patch(where, json=change, headers=IF_ANY)).status_code == 204
        off = await rows(contoso.sync, "sdkmessageprocessingsteps?$select=name&$filter=statecode eq 1")
        assert len(off) == state
    wrong = await contoso.admin.patch(where, json={"statecode": 1, "statuscode": 1}, headers=IF_ANY)
    assert wrong.status_code == 400
    assert error(await contoso.sync.patch(where, json={"statecode": 1}, headers=IF_ANY))[:2] == (403, "0x80040220")


async def test_some_steps_come_switched_off(contoso: Contoso) -> None:
    result = await import_solution(contoso, marketo_solution(disabled=["contact"]))
    assert result["Status"] == "Passed"
    off = await rows(contoso.sync, "sdkmessageprocessingsteps?$select=name&$filter=statecode eq 1")
    assert sorted(step["name"] for step in off) == [
        f"Marketo.Plugins: {message} of contact" for message in ("Create", "Delete", "Update")
    ]
