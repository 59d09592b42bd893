"""Importing solutions (reference: "Work with solutions: asynchronous import"; Marketo's "Step 1 of 3")."""

from __future__ import annotations

import pytest

from tests.sandbox.dataverse.conftest import Contoso, error
from tests.sandbox.dataverse.setting_up import import_solution, order_import, rows
from tests.sandbox.solutions import MARKETO_SOLUTION, base64_of, marketo_solution, solution_zip, zipped


async def test_an_import_goes_on_by_itself_and_tells_its_progress(contoso: Contoso) -> None:
    contoso.org.switches["import_seconds"] = 100
    ordered = (await order_import(contoso, marketo_solution())).json()
    operation = f"asyncoperations({ordered['AsyncOperationId']})?$select=statecode,statuscode,completedon,errorcode"
    job = f"importjobs({ordered['ImportJobKey']})?$select=progress,solutionname,startedon,completedon"

    waiting = (await contoso.admin.get(operation)).json()
    assert (waiting["statecode"], waiting["statuscode"]) == (0, 0)
    assert (await contoso.admin.get(job)).status_code == 404  # the row comes with a delay

    contoso.org.clock.advance(50)
    running = (await contoso.admin.get(operation)).json()
    assert (running["statecode"], running["statuscode"], running["completedon"]) == (2, 20, None)
    half_way = (await contoso.admin.get(job)).json()
    assert 49 < half_way["progress"] < 52
    assert half_way["solutionname"] == MARKETO_SOLUTION
    unfinished = await contoso.admin.get(f"RetrieveSolutionImportResult(ImportJobId={ordered['ImportJobKey']})")
    assert unfinished.status_code == 400

    contoso.org.clock.advance(51)
    done = (await contoso.admin.get(operation)).json()
    assert (done["statecode"], done["statuscode"], done["errorcode"]) == (3, 30, None)
    assert done["completedon"] is not None
    assert (await contoso.admin.get(job)).json()["progress"] == 100


async def test_a_managed_solution_brings_role_table_and_steps(contoso: Contoso) -> None:
    result = await import_solution(contoso, marketo_solution())
    assert (result["Status"], result["ErrorMessages"], result["WarningMessages"]) == ("Passed", [], [])

    select = "$select=uniquename,version,ismanaged,installedon&$expand=publisherid($select=customizationprefix)"
    (solution,) = await rows(contoso.admin, f"solutions?{select}&$filter=uniquename eq '{MARKETO_SOLUTION}'")
    assert (solution["version"], solution["ismanaged"]) == ("5.0.2.1", True)
    assert solution["publisherid"]["customizationprefix"] == "mkt"
    (role,) = await rows(contoso.admin, "roles?$select=name,ismanaged&$filter=name eq 'Marketo Sync User'")
    assert role["ismanaged"] is True
    steps = await rows(
        contoso.admin,
        "sdkmessageprocessingsteps?$select=name,statecode,statuscode,stage,mode,rank"
        f"&$expand=sdkmessageid($select=name)&$filter=solutionid eq {solution['solutionid']}",
    )
    assert len(steps) == 15
    assert {(step["statecode"], step["statuscode"]) for step in steps} == {(0, 1)}
    assert {step["sdkmessageid"]["name"] for step in steps} == {"Create", "Update", "Delete"}


async def test_marketo_config_names_the_sync_user(contoso: Contoso) -> None:
    await import_solution(contoso, marketo_solution())
    (config,) = await rows(contoso.admin, "mkt_configs?$select=mkt_name,_mkt_marketouser_value")
    assert (config["mkt_name"], config["_mkt_marketouser_value"]) == ("Default", None)

    user = (await contoso.sync.get("WhoAmI")).json()["UserId"]
    body = {"mkt_MarketoUser@odata.bind": f"/systemusers({user})"}
    where = f"mkt_configs({config['mkt_configid']})"
    assert (await contoso.admin.patch(where, json=body, headers={"If-Match": "*"})).status_code == 204
    (config,) = await rows(contoso.sync, "mkt_configs?$select=mkt_name&$expand=mkt_MarketoUser($select=fullname)")
    assert config["mkt_MarketoUser"]["systemuserid"] == user


async def test_steps_come_disabled_when_they_are_not_to_be_enabled(contoso: Contoso) -> None:
    result = await import_solution(contoso, marketo_solution(), enable_steps=False)
    assert result["WarningMessages"] == ["SDK message processing steps were imported disabled."]
    steps = await rows(contoso.admin, "sdkmessageprocessingsteps?$select=statecode")
    assert {step["statecode"] for step in steps} == {1}


async def test_what_does_not_fit_is_passed_over_with_a_warning(contoso: Contoso) -> None:
    result = await import_solution(contoso, marketo_solution(tables=("lead", "campaign")))
    assert result["Status"] == "Passed"
    assert len(result["WarningMessages"]) == 3
    assert "the table campaign is not there" in result["WarningMessages"][0]
    assert len(await rows(contoso.admin, "sdkmessageprocessingsteps?$select=name")) == 3


async def test_a_missing_dependency_fails_the_import(contoso: Contoso) -> None:
    file = solution_zip("Needy", needs=["msdyn_thing"])
    result = await import_solution(contoso, file)
    assert result["Status"] == "Failed"
    assert "Missing dependencies: msdyn_thing (Other)" in result["ErrorMessages"][0]
    (operation,) = await rows(contoso.admin, "asyncoperations?$select=statecode,statuscode,errorcode,message")
    assert (operation["statecode"], operation["statuscode"]) == (3, 31)
    assert operation["errorcode"] == 0x8004801D - (1 << 32)
    assert await rows(contoso.admin, "solutions?$filter=uniquename eq 'Needy'") == []


async def test_staging_tells_what_is_missing_before(contoso: Contoso) -> None:
    staged = await contoso.admin.post(
        "StageSolution", json={"CustomizationFile": base64_of(solution_zip("Needy", needs=["msdyn_thing"]))}
    )
    results = staged.json()["StageSolutionResults"]
    assert results["StageSolutionStatus"] == "Failed"
    assert [one["RequiredComponentSchemaName"] for one in results["MissingDependencies"]] == ["msdyn_thing"]
    assert results["SolutionDetails"]["SolutionUniqueName"] == "Needy"


async def test_a_staged_solution_is_imported_by_its_id(contoso: Contoso) -> None:
    staged = await contoso.admin.post("StageSolution", json={"CustomizationFile": base64_of(marketo_solution())})
    results = staged.json()["StageSolutionResults"]
    assert (results["StageSolutionStatus"], results["SolutionDetails"]["SolutionVersion"]) == ("Passed", "5.0.2.1")
    upload = {"StageSolutionUploadId": results["StageSolutionUploadId"]}
    ordered = await order_import(contoso, b"", SolutionParameters=upload)
    assert ordered.status_code == 200, ordered.text
    contoso.org.clock.advance(5)
    assert await rows(contoso.admin, f"solutions?$filter=uniquename eq '{MARKETO_SOLUTION}'")


@pytest.mark.parametrize("version", ["5.0.2.1", "5.0.1.9", "4.9"])
async def test_the_version_must_be_higher(contoso: Contoso, version: str) -> None:
    await import_solution(contoso, marketo_solution("5.0.2.1"))
    result = await import_solution(contoso, marketo_solution(version))
    assert result["Status"] == "Failed"
    assert "is not higher than the installed version 5.0.2.1" in result["ErrorMessages"][0]


async def test_a_higher_version_updates_and_keeps_the_config(contoso: Contoso) -> None:
    await import_solution(contoso, marketo_solution("5.0.1.1", disabled=["lead"]))
    before = await rows(contoso.admin, "mkt_configs?$select=mkt_name")
    result = await import_solution(contoso, marketo_solution("5.0.2.1"))
    assert result["Status"] == "Passed"
    (solution,) = await rows(contoso.admin, f"solutions?$filter=uniquename eq '{MARKETO_SOLUTION}'")
    assert solution["version"] == "5.0.2.1"
    assert await rows(contoso.admin, "mkt_configs?$select=mkt_name") == before
    steps = await rows(contoso.admin, "sdkmessageprocessingsteps?$select=statecode")
    assert [step["statecode"] for step in steps] == [0] * 15


async def test_managed_does_not_go_over_unmanaged(contoso: Contoso) -> None:
    await import_solution(contoso, solution_zip("Small", managed=False))
    result = await import_solution(contoso, solution_zip("Small", "2.0"))
    assert "installed as unmanaged" in result["ErrorMessages"][0]


async def test_one_operation_at_a_time(contoso: Contoso) -> None:
    assert (await order_import(contoso, marketo_solution())).status_code == 200
    (default,) = await rows(contoso.admin, "solutions?$filter=uniquename eq 'crmsync'")
    for refused in (
        await order_import(contoso, solution_zip()),
        await contoso.admin.post("PublishAllXml"),
        await contoso.admin.delete(f"solutions({default['solutionid']})"),
    ):
        status, code, message = error(refused)
        assert (status, code) == (429, "0x80071151")
        assert "because there is another [Import] running at this moment" in message
    contoso.org.clock.advance(5)
    assert (await contoso.admin.post("PublishAllXml")).status_code == 204


async def test_deleting_a_managed_solution_takes_its_parts_away(contoso: Contoso) -> None:
    await contoso.admin.delete(f"roles({contoso.store.ids.sync_role})")
    await import_solution(contoso, marketo_solution())
    (solution,) = await rows(contoso.admin, f"solutions?$filter=uniquename eq '{MARKETO_SOLUTION}'")
    assert (await contoso.admin.delete(f"solutions({solution['solutionid']})")).status_code == 204
    assert await rows(contoso.admin, f"solutions?$filter=uniquename eq '{MARKETO_SOLUTION}'") == []
    assert await rows(contoso.admin, "sdkmessageprocessingsteps?$select=name") == []
    assert await rows(contoso.admin, "roles?$filter=name eq 'Marketo Sync User'") == []
    assert (await contoso.admin.get("mkt_configs")).status_code == 404


@pytest.mark.parametrize(
    "file",
    [b"no zip", zipped({"other.xml": "<a/>"}), zipped({"solution.xml": "<a>"}), zipped({"solution.xml": "<a/>"})],
    ids=["no zip", "no solution.xml", "no XML", "no manifest"],
)
async def test_what_is_no_solution_is_refused_at_once(contoso: Contoso, file: bytes) -> None:
    status, code, message = error(await order_import(contoso, file))
    assert (status, code) == (400, "0x8004801E")
    assert message.startswith("The import file is invalid")


async def test_only_administrators_import(contoso: Contoso) -> None:
    for name, body in (
        ("StageSolution", {"CustomizationFile": base64_of(solution_zip())}),
        (
            "ImportSolutionAsync",
            {
                "CustomizationFile": base64_of(solution_zip()),
                "PublishWorkflows": True,
                "OverwriteUnmanagedCustomizations": False,
            },
        ),
    ):
        status, code, message = error(await contoso.sync.post(name, json=body))
        assert (status, code) == (403, "0x80040220")
        assert "prvImportCustomization" in message
