"""The client's other calls: who we are, the organization, privileges, reads, counts and writes."""

from __future__ import annotations

import httpx
import orjson
import pytest

from crmsync.errors import ApplicationUserMissing, PermissionMissing, RecordMissing
from tests.dynamics.conftest import LEAD, ORGANIZATION, done, refused, who_am_i

ID = "6f0b0000-0000-0000-0000-00000000000a"


def target(request):
    return request.extensions["target"].decode().removeprefix("/api/data/v9.2/")


async def test_who_am_i(contoso):
    found = await contoso(who_am_i).who_am_i()
    assert (found.user_id, found.business_unit_id, found.organization_id) == ("u-1", "b-1", "o-1")


async def test_no_application_user(contoso):
    answer = refused(403, "0x80072560", "The user is not a member of the organization.")
    with pytest.raises(ApplicationUserMissing, match="New app user"):
        await contoso(lambda request: answer).who_am_i()


async def test_the_organization(contoso):
    def answer(request):
        assert target(request).startswith("organizations?$select=organizationid,name,")
        row = {"organizationid": "O-1", "name": "contoso", "languagecode": 1033, "expirechangetrackingindays": 7}
        return httpx.Response(200, json={"value": [row]})

    organization = await contoso(answer).organization()
    assert (organization.id, organization.name) == ("o-1", "contoso")
    assert (organization.language_code, organization.change_tracking_expires_in_days) == (1033, 7)


async def test_the_name_that_administrators_know(contoso):
    def answer(request):
        assert "RetrieveCurrentOrganization(AccessType=" in str(request.url)
        return httpx.Response(200, json={"Detail": {"FriendlyName": "Contoso Ltd", "UniqueName": "unq7f"}})

    assert await contoso(answer).friendly_name() == "Contoso Ltd"


async def test_an_organization_row_that_cannot_be_seen(contoso):
    with pytest.raises(PermissionMissing, match="prvReadOrganization"):
        await contoso(lambda request: httpx.Response(200, json={"value": []})).organization()


async def test_a_user(contoso):
    row = {"systemuserid": ID.upper(), "fullname": "# crmsync", "internalemailaddress": "sync@contoso.test",
           "isdisabled": False, "applicationid": "app-1"}  # fmt: skip
    user = await contoso(lambda request: httpx.Response(200, json=row)).user(ID)

    assert (user.id, user.full_name, user.email) == (ID, "# crmsync", "sync@contoso.test")
    assert (user.is_disabled, user.application_id) == (False, "app-1")


async def test_privileges_are_those_of_the_whole_organization(contoso):
    rows = [
        ("prvReadLead", "Local"),
        ("prvReadLead", "Global"),
        ("prvReadContact", "Deep"),
        ("prvReadAccount", "Global"),
    ]
    body = {"RolePrivileges": [{"PrivilegeName": name, "Depth": depth} for name, depth in rows]}
    client = contoso(lambda request: httpx.Response(200, json=body))

    assert await client.privileges(ID) == {"prvReadLead", "prvReadAccount"}
    depths = {"prvReadLead": "Global", "prvReadContact": "Deep", "prvReadAccount": "Global"}
    assert await client.privilege_depths(ID) == depths


async def test_record_counts(contoso):
    def answer(request):
        assert target(request) == "RetrieveTotalRecordCount(EntityNames=@p1)?@p1=[%22lead%22,%22contact%22]"
        counts = {"Count": 2, "IsReadOnly": False, "Keys": ["lead", "contact"], "Values": [120345, 998877]}
        return httpx.Response(200, json={"EntityRecordCountCollection": counts})

    assert await contoso(answer).record_counts(["lead", "contact"]) == {"lead": 120345, "contact": 998877}


async def test_a_read_follows_next_links(contoso):
    link = f"{ORGANIZATION}/api/data/v9.2/leads?$skiptoken=%3Ccookie%3E"

    def answer(request):
        assert request.headers["prefer"] == "odata.maxpagesize=2"
        if target(request) == "leads?$skiptoken=%3Ccookie%3E":
            return httpx.Response(200, json={"value": [{"leadid": "3"}]})
        assert target(request) == "leads?$select=leadid&$filter=modifiedon%20ge%202024-05-01T00:00:00Z&$orderby=leadid"
        return httpx.Response(200, json={"value": [{"leadid": "1"}, {"leadid": "2"}], "@odata.nextLink": link})

    pages = contoso(answer).read(
        LEAD, ["leadid"], filter="modifiedon ge 2024-05-01T00:00:00Z", orderby="leadid", page_size=2
    )
    assert [len(page) async for page in pages] == [2, 1]


async def test_a_read_by_ids_goes_in_chunks_and_leaves_out_what_does_not_exist(contoso):
    ids = [f"6f0b0000-0000-0000-0000-{number:012d}" for number in range(120)]
    longest = []

    def answer(request):
        longest.append(len(request.extensions["target"]))
        wanted = [one for one in ids if one in target(request) and one != ids[7]]
        return httpx.Response(200, json={"value": [{"leadid": one} for one in wanted]})

    found = await contoso(answer).read_by_ids(LEAD, ["leadid"], [*ids, ids[0]])

    assert {one["leadid"] for one in found} == set(ids) - {ids[7]}
    assert len(found) == 119
    assert len(longest) == 3
    assert max(longest) < 4000


async def test_a_read_by_no_ids_asks_nothing(contoso):
    assert await contoso(lambda request: pytest.fail("asked")).read_by_ids(LEAD, ["leadid"], []) == []


async def test_a_created_record_has_an_id(contoso):
    def answer(request):
        assert (request.method, target(request)) == ("POST", "leads")
        assert orjson.loads(request.content) == {"lastname": "Müller", "jobtitle": None}
        return httpx.Response(204, headers={"odata-entityid": f"{ORGANIZATION}/api/data/v9.2/leads({ID.upper()})"})

    assert await contoso(answer).create("leads", {"lastname": "Müller", "jobtitle": None}) == ID


async def test_an_update_must_meet_an_existing_record_and_an_upsert_need_not(contoso):
    sent = []

    def answer(request):
        sent.append((request.method, target(request), request.headers.get("if-match")))
        return done()

    client = contoso(answer)
    await client.update("leads", ID, {"lastname": "Lee"})
    await client.upsert("leads", ID, {"lastname": "Lee"})
    await client.delete("leads", ID)

    assert sent == [("PATCH", f"leads({ID})", "*"), ("PATCH", f"leads({ID})", None), ("DELETE", f"leads({ID})", None)]


async def test_a_missing_record(contoso):
    answer = refused(404, "0x80040217", f"lead With Id = {ID} Does Not Exist")
    with pytest.raises(RecordMissing):
        await contoso(lambda request: answer).update("leads", ID, {})


async def test_columns_are_created_and_deleted(contoso):
    sent = []

    def answer(request):
        sent.append((request.method, target(request)))
        return done()

    client = contoso(answer)
    await client.create_attribute("lead", {"SchemaName": "new_x"})
    await client.delete_attribute("lead", "new_x")

    attributes = "EntityDefinitions(LogicalName='lead')/Attributes"
    assert sent == [("POST", attributes), ("DELETE", f"{attributes}(LogicalName='new_x')")]
