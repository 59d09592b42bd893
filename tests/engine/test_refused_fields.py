"""A field is the unit of refusal: what one side refuses of a record is an error of that field, the rest arrives."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.engine.compare import compare
from crmsync.engine.setup import refresh_schema, select_fields
from crmsync.engine.sync import first_sync
from tests.engine.both_sides import (
    a_synced,
    assert_quiet,
    change_in_dynamics,
    change_in_marketo,
    cycle_as,
    in_dynamics,
)
from tests.engine.scenarios.acts import company
from tests.engine.test_created_in_marketo import a_list, creating, put_on_list, record_of, somebody
from tests.engine.test_refused import errors_of, next_attempts_are_due, refusing, refusing_no_more
from tests.world import World

ROCKET = "\N{ROCKET}"


async def the_error(world: World, record: str, field: str, direction: str) -> Any:
    [error] = await errors_of(world, record)
    assert (error.field, error.direction) == (field, direction)
    return error


# Dynamics → Marketo


@pytest.mark.parametrize("message", ["The value is not allowed", "Invalid value for field 'title' and value 'Chief'"])
@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_an_opt_out_arrives_though_marketo_refuses_another_field(
    connected: World, entity: str, message: str
) -> None:
    record = await a_synced(connected, entity, donotbulkemail=False, jobtitle="Director", mobilephone="+1 555 0100")
    await refusing(connected, "title", "Chief", message=message)
    await change_in_dynamics(
        connected, entity, record, donotbulkemail=True, jobtitle="Chief", mobilephone="+1 555 0199"
    )

    await connected.cycle()

    person = await connected.person(record, "unsubscribed", "title", "mobilePhone")
    assert (person["unsubscribed"], person["title"], person["mobilePhone"]) == (True, "Director", "+1 555 0199")
    error = await the_error(connected, record, "title", "Dynamics → Marketo")
    assert "'title' (column jobtitle)" in error.reason
    assert error.next_attempt is not None
    await assert_quiet(connected)


async def test_a_refused_value_is_sent_again_when_its_next_attempt_is_due_and_not_before(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director", mobilephone="+1 555 0100")
    await refusing(connected, "title", "Chief")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")
    await connected.cycle()
    await refusing_no_more(connected)
    await change_in_dynamics(connected, "contact", contact, mobilephone="+1 555 0199")

    await connected.cycle()

    person = await connected.person(contact, "title", "mobilePhone")
    assert (person["title"], person["mobilePhone"]) == ("Director", "+1 555 0199")
    await the_error(connected, contact, "title", "Dynamics → Marketo")

    await next_attempts_are_due(connected)
    await connected.cycle()

    assert (await connected.person(contact, "title"))["title"] == "Chief"
    assert await errors_of(connected, contact) == []
    await assert_quiet(connected)


async def test_a_refused_field_is_in_step_again_when_its_old_value_is_back(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await refusing(connected, "title", "Chief")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")
    await connected.cycle()
    await change_in_dynamics(connected, "contact", contact, jobtitle="Director")

    await connected.cycle()

    assert await errors_of(connected, contact) == []
    await assert_quiet(connected)


async def test_a_value_that_cannot_be_sent_keeps_nothing_else_back(connected: World) -> None:
    contact = await a_synced(connected, "contact", emailaddress1="jo@contoso.example", donotbulkemail=False)
    await change_in_dynamics(connected, "contact", contact, emailaddress1="jó@contoso.example", donotbulkemail=True)

    report = await connected.cycle()

    person = await connected.person(contact, "email", "unsubscribed")
    assert (person["email"], person["unsubscribed"]) == ("jo@contoso.example", True)
    assert report.entities["contact"].updated == 1
    error = await the_error(connected, contact, "email", "Dynamics → Marketo")
    assert "not ASCII" in error.reason

    await change_in_dynamics(connected, "contact", contact, emailaddress1="joe@contoso.example")
    await connected.cycle()

    assert (await connected.person(contact, "email"))["email"] == "joe@contoso.example"
    assert await errors_of(connected, contact) == []
    await assert_quiet(connected)


async def test_compare_calls_a_field_that_was_refused_refused(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await refusing(connected, "title", "Chief")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")
    await connected.cycle()

    async with connected.session() as session:
        result = await compare(session, entities=["contact"])

    [found] = [one for one in result.differences if one.record_id == contact]
    assert (found.category, found.fields, found.code) == ("refused", ["title"], "1003")
    assert not result.in_step


async def test_a_new_record_is_created_without_the_field_that_is_refused(connected: World) -> None:
    await refusing(connected, "title", "Chief")
    admin = await connected.admin()
    new = await admin.create("contacts", {"lastname": "New", "jobtitle": "Chief", "donotbulkemail": True})

    report = await connected.cycle()

    person = await connected.person(new, "lastName", "title", "unsubscribed")
    assert (person["lastName"], person["title"], person["unsubscribed"]) == ("New", None, True)
    assert report.entities["contact"].created == 1
    await the_error(connected, new, "title", "Dynamics → Marketo")
    await assert_quiet(connected)


async def test_a_row_that_an_import_refused_is_written_by_a_call_without_the_field(contoso: World) -> None:
    await contoso.prepare()
    admin = await contoso.admin()
    new = [
        await admin.create("leads", {"lastname": f"Import {number}", "jobtitle": "Chief" if number == 7 else "Head"})
        for number in range(2400)
    ]
    await refusing(contoso, "title", "Chief")

    async with contoso.session() as session:
        report = await first_sync(session)

    person = await contoso.person(new[7], "lastName", "title")
    assert (person["lastName"], person["title"]) == ("Import 7", None)
    await the_error(contoso, new[7], "title", "Dynamics → Marketo")
    counts = report.entities["lead"]
    assert counts.read == counts.filtered + counts.unchanged + counts.created + counts.updated + counts.failed


async def test_a_company_is_written_without_the_field_that_is_refused(connected: World) -> None:
    [row, *_] = await connected.rows("account", "accountid", "name")
    account = str(row["accountid"])
    await refusing(connected, "billingCity", "Atlantis")
    await connected.admin()
    await (await connected.admin()).update(
        "accounts", account, {"address1_city": "Atlantis", "address1_country": "Greece"}
    )

    await connected.cycle()

    found = await company(connected, account, "billingCity", "billingCountry")
    assert (found["billingCity"] != "Atlantis", found["billingCountry"]) == (True, "Greece")
    await the_error(connected, account, "billingCity", "Dynamics → Marketo")


async def test_a_record_that_is_refused_whatever_is_sent_has_one_error_and_no_field(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await refusing(connected, "dynamicsId", contact)
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief", mobilephone="+1 555 0177")

    report = await connected.cycle()

    assert report.entities["contact"].failed == 1
    await the_error(connected, contact, "", "Dynamics → Marketo")


# Marketo → Dynamics


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("new_visits", -5, "between 0 and 100000"),
        ("new_visits", 10**16, "between 0 and 100000"),
        ("new_budget", 1e16, "between"),
        ("new_lastcallon", "1066-10-14T09:00:00Z", "1753-01-01"),
        ("new_renewalon", "1066-10-14", "1753-01-01"),
        ("jobtitle", f"{'x' * 60}{ROCKET * 30}", "longer than the column's 100"),
    ],
)
@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_an_opt_out_arrives_though_dynamics_cannot_hold_another_value(
    connected: World, entity: str, column: str, value: Any, reason: str
) -> None:
    record = await a_synced(connected, entity, donotbulkemail=False, mobilephone="+1 555 0100")
    before = (await in_dynamics(connected, entity, record, column))[column]
    field = "title" if column == "jobtitle" else column
    await change_in_marketo(connected, record, **{field: value}, unsubscribed=True, mobilePhone="+1 555 0199")

    await connected.cycle()

    row = await in_dynamics(connected, entity, record, "donotbulkemail", "mobilephone", column)
    assert (row["donotbulkemail"], row["mobilephone"], row[column]) == (True, "+1 555 0199", before)
    error = await the_error(connected, record, field, "Marketo → Dynamics")
    assert reason in error.reason
    assert "defect" not in error.remedy
    await assert_quiet(connected)


@pytest.mark.parametrize("message", ["Titles are given by HR", "A validation error occurred for contact.jobtitle."])
async def test_what_dynamics_refuses_after_all_is_left_out_and_the_rest_is_written(
    connected: World, message: str
) -> None:
    """A plug-in refuses the title, and need not say so."""
    contact = await a_synced(connected, "contact", donotbulkemail=False, jobtitle="Director", mobilephone="+1 555 0100")
    await refusing(connected, "jobtitle", service="dynamics", message=message)
    changes = {"title": "Chief", "mobilePhone": "+1 555 0199", "middleName": "Q.", "salutation": "Dr."}
    await change_in_marketo(connected, contact, unsubscribed=True, **changes)

    await connected.cycle()

    row = await in_dynamics(connected, "contact", contact, "donotbulkemail", "mobilephone", "middlename", "jobtitle")
    assert (row["donotbulkemail"], row["mobilephone"], row["middlename"]) == (True, "+1 555 0199", "Q.")
    assert row["jobtitle"] == "Director"
    await the_error(connected, contact, "title", "Marketo → Dynamics")
    await assert_quiet(connected)

    await refusing_no_more(connected)
    await next_attempts_are_due(connected)
    await connected.cycle()

    assert (await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "Chief"
    assert await errors_of(connected, contact) == []
    await assert_quiet(connected)


async def test_who_is_to_be_created_is_created_without_the_field_that_is_refused(connected: World) -> None:
    await refusing(connected, "jobtitle", service="dynamics")
    options = creating("lead")
    ada = await somebody(connected, title="Countess", unsubscribed=True)
    await put_on_list(connected, await a_list(connected), ada)

    await cycle_as(connected, **options)

    record = (await record_of(connected, ada))["dynamicsId"]
    row = await in_dynamics(connected, "lead", record, "firstname", "lastname", "jobtitle", "donotbulkemail")
    assert (row["firstname"], row["lastname"], row["jobtitle"]) == ("Ada", "Lovelace", None)
    assert row["donotbulkemail"] is True
    await the_error(connected, record, "title", "Marketo → Dynamics")
    await assert_quiet(connected, **options)


async def test_a_date_goes_to_a_column_that_stores_a_time_of_day_as_midnight(connected: World) -> None:
    """Date only, independent of the time zone: Dataverse stores a time, and takes no date alone."""
    admin = await connected.admin()
    definition = {
        "@odata.type": "Microsoft.Dynamics.CRM.DateTimeAttributeMetadata",
        "SchemaName": "new_EventDay",
        "Format": "DateOnly",
        "DateTimeBehavior": {"Value": "TimeZoneIndependent"},
        "DisplayName": {"LocalizedLabels": [{"Label": "Event Day", "LanguageCode": 1033}]},
    }
    await admin.create_attribute("contact", definition)
    async with connected.session() as session:
        await refresh_schema(session)
        await select_fields(session)
    await connected.cycle()
    contact = await a_synced(connected, "contact", donotbulkemail=False)
    await change_in_marketo(connected, contact, new_eventday="2026-04-01")
    await connected.cycle()
    await change_in_marketo(connected, contact, unsubscribed=True)
    await connected.cycle()

    row = await in_dynamics(connected, "contact", contact, "donotbulkemail")
    [day] = await connected.rows("contact", filter=f"contactid eq {contact}")
    assert (day["new_eventday"], row["donotbulkemail"]) == ("2026-04-01T00:00:00Z", True)
    assert await errors_of(connected, contact) == []
    await assert_quiet(connected)


# Metadata that shape values


def label(text: str) -> dict[str, Any]:
    return {"LocalizedLabels": [{"Label": text, "LanguageCode": 1033}]}


async def option(world: World, action: str, text: str, value: int, column: str = "leadsourcecode") -> None:
    """What an administrator does to an option of leads in the maker portal."""
    body = {"EntityLogicalName": "lead", "AttributeLogicalName": column, "Value": value, "Label": label(text)}
    more = {"MergeLabels": False} if action == "UpdateOptionValue" else {}
    await (await world.admin()).channel.send("POST", action, json={**body, **more})


async def test_the_next_cycle_knows_a_renamed_option_by_its_new_label_both_ways(connected: World) -> None:
    changed, edited = await a_synced(connected, "lead"), await a_synced(connected, "lead", number=1)
    await option(connected, "UpdateOptionValue", "Internet", 8)
    await change_in_dynamics(connected, "lead", changed, leadsourcecode=8)
    await change_in_marketo(connected, edited, leadSource="Internet")

    report = await connected.cycle()

    assert (await connected.person(changed, "leadSource"))["leadSource"] == "Internet"
    assert (await in_dynamics(connected, "lead", edited, "leadsourcecode"))["leadsourcecode"] == 8
    assert any("renamed from 'Web' to 'Internet'" in note for note in report.notes)
    await assert_quiet(connected)


async def test_a_new_option_is_known_by_its_label_at_once_both_ways(connected: World) -> None:
    changed, edited = await a_synced(connected, "lead"), await a_synced(connected, "lead", number=1)
    await option(connected, "InsertOptionValue", "Podcast", 77)
    await change_in_dynamics(connected, "lead", changed, leadsourcecode=77)
    await change_in_marketo(connected, edited, leadSource="Podcast")

    await connected.cycle()

    assert (await connected.person(changed, "leadSource"))["leadSource"] == "Podcast"
    assert (await in_dynamics(connected, "lead", edited, "leadsourcecode"))["leadsourcecode"] == 77
    assert await errors_of(connected, edited) == []
    await assert_quiet(connected)


async def test_an_option_that_was_made_in_mid_cycle_is_known_too(connected: World) -> None:
    """The service has told what has changed of the definitions before; the number alone says that there is more."""
    lead = await a_synced(connected, "lead")
    store = await connected.store()
    async with connected.session() as session:
        stamp = await session.dynamics.definitions_stamp(["lead"])
    assert stamp is not None
    await option(connected, "InsertOptionValue", "Podcast", 77)
    async with connected.session() as session:
        ahead = await session.dynamics.definitions_stamp(["lead"])
    body = await store.schemas.snapshot("contoso", "dynamics")
    assert body is not None
    assert ahead is not None
    before = body[body.index('"stamp":"') + 9 :].partition('"')[0]
    newer = body.replace(f'"stamp":"{before}"', f'"stamp":"{ahead}"')
    await store.schemas.keep_snapshot("contoso", "dynamics", newer, content="as told")
    await change_in_dynamics(connected, "lead", lead, leadsourcecode=77)

    await connected.cycle()

    assert (await connected.person(lead, "leadSource"))["leadSource"] == "Podcast"
    await assert_quiet(connected)


async def test_a_column_that_was_made_longer_takes_longer_texts_at_once(connected: World) -> None:
    contact = await a_synced(connected, "contact", new_favouritecolour="Green")
    path = "EntityDefinitions(LogicalName='contact')/Attributes(LogicalName='new_favouritecolour')"
    definition = {
        "@odata.type": "Microsoft.Dynamics.CRM.StringAttributeMetadata",
        "LogicalName": "new_favouritecolour",
        "SchemaName": "new_favouritecolour",
        "MaxLength": 200,
        "DisplayName": label("Favourite Colour"),
    }
    admin = await connected.admin()
    await admin.channel.send("PUT", path, json=definition, headers={"MSCRM.MergeLabels": "true"})
    colour = "Somewhere between green and blue, " * 4
    await change_in_marketo(connected, contact, new_favouritecolour=colour)

    await connected.cycle()

    [row] = await connected.rows("contact", "new_favouritecolour", filter=f"contactid eq {contact}")
    assert row["new_favouritecolour"] == colour
    assert await errors_of(connected, contact) == []
