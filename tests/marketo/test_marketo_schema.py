"""Reading a subscription's schema, creating person fields, and the checks that change nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest

from crmsync.errors import CredentialsRefused, PermissionMissing, TransportFailed
from crmsync.marketo.outcomes import Outcome
from crmsync.marketo.schema import NewPersonField

FIELDS = "/rest/v1/leads/schema/fields.json"
PAGING_TOKEN = "/rest/v1/activities/pagingtoken.json"
LEADS = "/rest/v1/leads.json"
COMPANIES = "/rest/v1/companies.json"
SALES_PERSONS = "/rest/v1/salespersons.json"
OPPORTUNITIES = "/rest/v1/opportunities.json"
EMAIL = {"name": "email", "displayName": "Email Address", "dataType": "email", "length": 255, "updateable": True}
OWNED = {"name": "sfdcId", "displayName": "SFDC Id", "dataType": "text", "updateable": False, "crmManaged": True}
KEY = {"name": "key", "dataType": "string"}
COMPANY = {
    "name": "company",
    "idField": "id",
    "dedupeFields": ["externalCompanyId"],
    "searchableFields": [["externalCompanyId"], ["id"], ["company"]],
    "fields": [{"name": "company", "displayName": "Company Name", "dataType": "string", "length": 255}],
}
COLOUR = NewPersonField(name="new_colour", display_name="Colour", data_type="string", description="Written by crmsync")
SHOE = NewPersonField(name="new_shoe", display_name="Shoe", data_type="integer")


def describes(marketo: Any, reply: Any, opportunity: Any = None) -> None:
    person = {"name": "API Lead", "searchableFields": [["email"], ["id"]], "fields": [EMAIL, OWNED]}
    role = {"name": "opportunityRole", "dedupeFields": ["externalOpportunityId", "leadId", "role"], "fields": [KEY]}
    marketo.on("GET", "/rest/v1/leads/describe2.json", reply.ok(person))
    marketo.on("GET", "/rest/v1/companies/describe.json", reply.ok(COMPANY))
    marketo.on("GET", "/rest/v1/salespersons/describe.json", reply.ok({"name": "salesPerson", "fields": [KEY]}))
    opportunity = opportunity or reply.ok({"name": "opportunity", "fields": [KEY]})
    marketo.on("GET", "/rest/v1/opportunities/describe.json", opportunity)
    marketo.on("GET", "/rest/v1/opportunities/roles/describe.json", reply.ok(role))


async def test_the_schema_is_five_objects_and_a_count(client: Any, marketo: Any, reply: Any) -> None:
    describes(marketo, reply)
    first = reply.ok({"name": "a", "isApiCreated": True}, {"name": "b"}, nextPageToken="T", moreResult=True)
    marketo.on(
        "GET", FIELDS, first, reply.ok({"name": "c", "isApiCreated": True}, {"name": "d", "isApiCreated": False})
    )

    schema = await client.schema()

    assert schema.taken_at == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert schema.person.searchable("email")
    assert schema.person.fields["email"].length == 255
    assert schema.person.fields["sfdcId"].crm_managed
    assert not schema.person.fields["sfdcId"].updateable
    assert schema.company.dedupe_fields == ("externalCompanyId",)
    assert schema.sales_person.fields.keys() == {"key"}
    assert schema.opportunity is not None
    assert schema.opportunity_role is not None
    assert schema.opportunity_role.dedupe_fields == ("externalOpportunityId", "leadId", "role")
    assert schema.left_out == {}
    assert schema.api_created_fields == 2


@pytest.mark.parametrize("code", ["603", "703"])
async def test_a_subscription_without_opportunities_says_why(client: Any, marketo: Any, reply: Any, code: str) -> None:
    describes(marketo, reply, opportunity=reply.fault(code, "as scripted"))
    marketo.on("GET", FIELDS, reply.ok())

    schema = await client.schema()

    assert schema.opportunity is None
    assert schema.opportunity_role is None
    assert schema.left_out.keys() == {"opportunity", "opportunity_role"}
    assert all(schema.left_out.values())


async def test_new_person_fields_are_created_in_one_call(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("POST", FIELDS, reply.ok({"name": "new_colour", "status": "created"}, reply.skipped("1017")))

    outcomes = await client.create_person_fields([COLOUR, SHOE])

    assert outcomes == {
        "new_colour": Outcome("created", id="new_colour"),
        "new_shoe": Outcome("skipped", code="1017", reason="as scripted"),
    }
    assert marketo.bodies(FIELDS)[0]["input"] == [
        {"displayName": "Colour", "name": "new_colour", "dataType": "string", "description": "Written by crmsync"},
        {"displayName": "Shoe", "name": "new_shoe", "dataType": "integer"},
    ]


async def test_a_field_creation_without_an_answer_is_not_repeated(client: Any, marketo: Any) -> None:
    marketo.on("POST", FIELDS, httpx.ReadTimeout("slow"))

    with pytest.raises(TransportFailed):
        await client.create_person_fields([COLOUR])

    assert len(marketo.calls(FIELDS)) == 1


def probes(marketo: Any, reply: Any, **answers: Any) -> None:
    marketo.on("POST", LEADS, answers.get("lead", reply.ok(reply.skipped("1004"))))
    marketo.on("POST", COMPANIES, answers.get("company", reply.ok(reply.skipped("1013", seq=0))))
    marketo.on("POST", SALES_PERSONS, answers.get("sales_person", reply.ok(reply.skipped("1013", seq=0))))
    marketo.on("POST", OPPORTUNITIES, answers.get("opportunity", reply.ok(reply.skipped("1013", seq=0))))
    marketo.on("GET", FIELDS, answers.get("fields", reply.ok()))
    marketo.on("GET", PAGING_TOKEN, reply.ok(nextPageToken="a moment"))


async def test_permissions_by_their_names_in_the_role_editor(client: Any, marketo: Any, reply: Any) -> None:
    probes(marketo, reply, company=reply.fault("603", "Access denied"), sales_person=reply.fault("1018"))

    assert await client.permissions() == {
        "Read-Write Lead": True,
        "Read-Write Company": False,
        "Read-Write Sales Person": True,
        "Read-Write Opportunity": True,
        "Read-Write Schema Custom Field": True,
        "Read-Only Activity": True,
    }


async def test_no_probe_can_write(client: Any, marketo: Any, reply: Any) -> None:
    probes(marketo, reply)
    await client.permissions()
    await client.native_sync_is_on()

    posts = [orjson.loads(request.content) for request in marketo.requests if request.method == "POST"]
    assert len(posts) == 5
    assert {sent["action"] for sent in posts} == {"updateOnly"}
    assert all(len(record) == 1 for sent in posts for record in sent["input"])


async def test_a_probe_without_an_answer_is_not_taken_for_one(client: Any, marketo: Any, reply: Any) -> None:
    probes(marketo, reply, lead=httpx.ReadTimeout("slow"))
    with pytest.raises(TransportFailed):
        await client.permissions()

    probes(marketo, reply, lead=reply.fault("601"))
    with pytest.raises(CredentialsRefused):
        await client.permissions()


@pytest.mark.parametrize(("code", "on"), [("1013", False), ("1004", False), ("1018", True)])
@pytest.mark.parametrize("level", ["response", "record"])
async def test_native_sync_is_told_by_1018(
    client: Any, marketo: Any, reply: Any, code: str, on: bool, level: str
) -> None:
    probes(marketo, reply, company=reply.fault(code) if level == "response" else reply.ok(reply.skipped(code, seq=0)))

    assert await client.native_sync_is_on() is on


async def test_native_sync_cannot_be_told_without_permission(client: Any, marketo: Any, reply: Any) -> None:
    probes(marketo, reply, company=reply.fault("603"))

    with pytest.raises(PermissionMissing, match="Read-Write Company"):
        await client.native_sync_is_on()
