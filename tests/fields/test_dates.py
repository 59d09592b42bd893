"""Dates that Dynamics keeps as the moment of a user's midnight: what Marketo gets, and what comes back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crmsync.dynamics.schema import Attribute
from crmsync.errors import RecordRefused
from crmsync.fields import Converter, Mapping, describe_plan, select_fields
from crmsync.fields.typemap import fitting
from crmsync.tenants import FieldChoice
from tests.fields.schemas import column, entity, field, mapping, organization, reasons, subscription

PICKED = column("new_x", "DateTime", format="DateOnly")
AUCKLAND = FieldChoice(time_zone="Pacific/Auckland")


def converter(zone: str, attribute: Attribute = PICKED, data_type: str = "date") -> Converter:
    fit = fitting(attribute, data_type, zone=zone)
    assert fit is not None
    sent = Mapping(
        entity="lead", attribute="new_x", target="person", field="value", data_type=fit.data_type, convert=fit.convert,
        standard=False, max_length=fit.max_length, zone=fit.zone,
    )  # fmt: skip
    return Converter(entity("lead", attribute), [sent])


def sent(zone: str, moment: str, data_type: str = "date") -> str:
    found: str = converter(zone, data_type=data_type).convert({"leadid": "1", "new_x": moment})["value"]
    return found


def is_in_the_calendar(zone: str, day: date) -> bool:
    """Whether it is ever this day there: looked for every quarter of an hour."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    moments = (noon + timedelta(minutes=15 * quarter) for quarter in range(-4 * 40, 4 * 40))
    return any(moment.astimezone(ZoneInfo(zone)).date() == day for moment in moments)


@pytest.mark.parametrize("data_type", ["date", "string"])
@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        ("Pacific/Auckland", "2026-03-31T11:00:00Z", "2026-04-01"),  # summer time
        ("Pacific/Auckland", "2026-06-30T12:00:00Z", "2026-07-01"),
        ("Europe/Berlin", "2026-03-31T22:00:00Z", "2026-04-01"),
        ("America/New_York", "2026-04-01T04:00:00Z", "2026-04-01"),
        ("Asia/Kolkata", "2026-03-31T18:30:00Z", "2026-04-01"),
        ("UTC", "2026-04-01T00:00:00.0000000Z", "2026-04-01"),
    ],
)
def test_a_date_is_the_one_that_was_picked(zone: str, moment: str, day: str, data_type: str) -> None:
    assert sent(zone, moment, data_type) == day
    assert converter(zone, data_type=data_type).back("value", day) == f"{moment[:19]}Z"


def test_a_date_that_was_picked_further_west_is_the_same() -> None:
    assert sent("Pacific/Auckland", "2026-04-01T07:00:00Z") == "2026-04-01", "Los Angeles"
    assert sent("America/Los_Angeles", "2026-03-31T11:00:00Z") == "2026-03-31", "Auckland, as the plan says"


@settings(deadline=None, max_examples=1500, suppress_health_check=[HealthCheck.too_slow])
@example(zone="America/Sao_Paulo", day=date(2018, 11, 4))  # no midnight
@example(zone="America/Sao_Paulo", day=date(2019, 2, 17))
@example(zone="Asia/Beirut", day=date(2026, 3, 29))
@example(zone="America/Havana", day=date(2026, 11, 1))  # two midnights
@example(zone="America/Toronto", day=date(1919, 3, 31))  # half an hour before midnight to half an hour after it
@example(zone="Europe/Amsterdam", day=date(1920, 1, 1))  # 19 minutes and 32 seconds from UTC
@example(zone="Pacific/Apia", day=date(2011, 12, 30))  # no such day
@example(zone="Pacific/Kwajalein", day=date(1993, 8, 21))
@given(zone=st.sampled_from(sorted(available_timezones())), day=st.dates(date(1900, 1, 1), date(2100, 12, 31)))
def test_every_date_of_every_zone_comes_back_as_it_went(zone: str, day: date) -> None:
    if not is_in_the_calendar(zone, day):
        with pytest.raises(RecordRefused, match="whose clocks skipped that day"):
            converter(zone).back("value", day.isoformat())
        return
    moment = converter(zone).back("value", day.isoformat())

    assert sent(zone, moment) == day.isoformat()
    assert converter(zone).back("value", sent(zone, moment)) == moment


@pytest.mark.parametrize("day", ["1752-12-31", "9999-12-31", "0001-01-01", "2026-02-30", "1 April"])
def test_what_is_no_date_that_dynamics_holds_is_refused(day: str) -> None:
    with pytest.raises(RecordRefused, match=r"no date"):
        converter("America/New_York").back("value", day)


def test_without_a_zone_the_plan_says_what_happens_and_how_to_change_it() -> None:
    selection = select_fields(organization(lead=(PICKED,)), subscription(), FieldChoice())
    found = mapping(selection, "lead", "new_x")
    [told] = [line for line in describe_plan(selection) if line.startswith("  lead.new_x to new_x")]

    assert (found.data_type, found.convert, found.zone) == ("datetime", "datetime", None)
    assert "may show the day before" in told
    assert "name a 'time_zone' under 'fields'" in told


def test_with_a_zone_a_new_field_is_a_date() -> None:
    selection = select_fields(organization(lead=(PICKED,)), subscription(), AUCKLAND)
    found = mapping(selection, "lead", "new_x")

    assert (found.data_type, found.convert, found.zone) == ("date", "zoned date", "Pacific/Auckland")
    assert {one.name: one.data_type for one in selection.to_create}["new_x"] == "date"
    assert "east of the 'time_zone' is the day before" in (found.lossy or "")


def test_a_field_that_is_a_datetime_already_stays_one_and_the_plan_says_how_to_change_it() -> None:
    there = subscription(person=(field("new_x", "datetime"),))
    found = mapping(select_fields(organization(lead=(PICKED,)), there, AUCKLAND), "lead", "new_x")

    assert (found.data_type, found.convert) == ("datetime", "datetime")
    assert "change its type to date" in (found.lossy or "")


def test_only_dates_of_users_are_meant() -> None:
    moment, day = (
        column("new_moment", "DateTime"),
        column("new_day", "DateTime", behavior="DateOnly", format="DateOnly"),
    )
    selection = select_fields(organization(lead=(moment, day)), subscription(), AUCKLAND)

    assert mapping(selection, "lead", "new_moment").convert == "datetime"
    assert mapping(selection, "lead", "new_day").convert == "date"


@pytest.mark.parametrize(
    ("attribute", "data_type", "reason"),
    [
        (PICKED, "date", "is date, which cannot hold DateTime (UserLocal) values unless a 'time_zone' under 'fields'"),
        (column("new_x", "DateTime"), "date", "cannot hold DateTime (UserLocal) values; rename"),
        (column("new_x", "DateTime", behavior="TimeZoneIndependent"), "datetime", "DateTime (TimeZoneIndependent) val"),
        (
            column("new_x", "DateTime", behavior="DateOnly"),
            "datetime",
            "cannot hold DateTime (DateOnly) values; rename",
        ),
    ],
)
def test_a_field_of_another_type_is_not_filled_and_says_why(attribute: Attribute, data_type: str, reason: str) -> None:
    there = subscription(person=(field("new_x", data_type),))
    selection = select_fields(organization(lead=(attribute,)), there, FieldChoice())

    assert reason in reasons(selection, "lead")["new_x"]
