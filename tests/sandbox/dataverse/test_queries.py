"""``$expand`` with options of its own, ``$apply``, counts above their caps ("Query data using the Web API")."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.sandbox.dataverse.conftest import Contoso, error, follow

ACCOUNT = "10000000-0000-4000-8000-000000000001"
OTHER = "10000000-0000-4000-8000-000000000002"


@pytest.fixture
def companies(contoso: Contoso) -> Contoso:
    """Two accounts with three contacts and two opportunities between them."""
    contoso.store.insert_many("account", [{"accountid": ACCOUNT, "name": "A"}, {"accountid": OTHER, "name": "B"}])
    people = [("Ann", ACCOUNT, 10), ("Bob", ACCOUNT, 20), ("Cid", OTHER, None)]
    contoso.store.insert_many(
        "contact",
        [{"lastname": name, "parentcustomerid": company, "annualincome": income} for name, company, income in people],
    )
    deals = [("big", ACCOUNT, 500.5, 0), ("small", ACCOUNT, 1, 1), ("odd", OTHER, None, 0)]
    contoso.store.insert_many(
        "opportunity",
        [
            {
                "name": name,
                "parentaccountid": company,
                "customerid": company,
                "estimatedvalue": value,
                "statecode": state,
            }
            for name, company, value, state in deals
        ],
    )
    return contoso


async def values(contoso: Contoso, url: str, **headers: str) -> list[dict[str, Any]]:
    answer = await contoso.sync.get(url, headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["value"]
    return found


async def test_a_collection_is_expanded_filtered_sorted_and_cut(companies: Contoso) -> None:
    inner = "$select=lastname;$filter=contains(lastname,'n') or lastname eq 'Bob';$orderby=lastname desc;$top=1"
    first, second = await values(
        companies, f"accounts?$select=name&$expand=contact_customer_accounts({inner})&$orderby=name"
    )
    assert [one["lastname"] for one in first["contact_customer_accounts"]] == ["Bob"]
    assert second["contact_customer_accounts"] == []


async def test_expansions_go_deeper(companies: Contoso) -> None:
    up = "parentcustomerid_account($select=name;$expand=opportunity_parent_account($select=name;$orderby=name))"
    (row,) = await values(companies, f"contacts?$select=lastname&$filter=lastname eq 'Ann'&$expand={up}")
    assert [one["name"] for one in row["parentcustomerid_account"]["opportunity_parent_account"]] == ["big", "small"]


async def test_the_rest_of_an_expanded_collection_is_behind_its_next_link(companies: Contoso) -> None:
    expand = "contact_customer_accounts($select=lastname;$orderby=lastname)"
    url = f"accounts?$select=name&$filter=accountid eq {ACCOUNT}&$expand={expand}"
    (row,) = await values(companies, url, Prefer="odata.maxpagesize=1")
    assert [one["lastname"] for one in row["contact_customer_accounts"]] == ["Ann"]
    pages = await follow(companies.sync, row["contact_customer_accounts@odata.nextLink"], Prefer="odata.maxpagesize=1")
    assert [one["lastname"] for page in pages for one in page["value"]] == ["Bob"]


@pytest.mark.parametrize(
    "expand",
    [
        "nothing",
        "parentcustomerid_account($filter=name eq 'A')",
        "parentcustomerid_account($select=gone)",
        "parentcustomerid_account($top=x)",
        ",".join(["parentcustomerid_account($select=name)"] * 16),
    ],
)
async def test_expansions_that_are_refused(companies: Contoso, expand: str) -> None:
    assert error(await companies.sync.get(f"contacts?$select=lastname&$expand={expand}"))[0] == 400


@pytest.mark.parametrize(
    ("apply", "rows"),
    [
        ("aggregate($count as n)", [{"n": 3}]),
        ("filter(statecode eq 0)/aggregate($count as n,estimatedvalue with sum as s)", [{"n": 2, "s": 500.5}]),
        ("groupby((statecode))", [{"statecode": 0}, {"statecode": 1}]),
        ("groupby((statecode),aggregate($count as n))", [{"statecode": 0, "n": 2}, {"statecode": 1, "n": 1}]),
        (
            "groupby((parentaccountid/name),aggregate(estimatedvalue with max as m))",
            [{"parentaccountid": {"name": "A"}, "m": 500.5}, {"parentaccountid": {"name": "B"}, "m": None}],
        ),
        (
            "aggregate(estimatedvalue with average as a,estimatedvalue with min as m,name with countdistinct as d)",
            [{"a": 250.75, "m": 1.0, "d": 3}],
        ),
    ],
)
async def test_aggregates(companies: Contoso, apply: str, rows: list[dict[str, Any]]) -> None:
    assert await values(companies, f"opportunities?$apply={apply}") == rows


@pytest.mark.parametrize(
    "query",
    [
        "$apply=groupby((gone))",
        "$apply=aggregate(name with sum as s)",
        "$apply=aggregate(estimatedvalue with median as m)",
        "$apply=filter(statecode eq 0)",
        "$apply=groupby((statecode))/aggregate($count as n)",
        "$apply=groupby((statecode),aggregate($count as n))&$orderby=n desc",
        "$apply=aggregate($count as n)&$filter=statecode eq 0",
        "$apply=nonsense",
    ],
)
async def test_aggregates_that_are_refused(companies: Contoso, query: str) -> None:
    assert error(await companies.sync.get(f"opportunities?{query}"))[:2] == (400, "0x80060888")


async def test_the_caps_of_counts_and_aggregates(contoso: Contoso) -> None:
    contoso.store.insert_many("lead", ({"leadid": str(uuid.uuid4()), "lastname": "x"} for _ in range(50_001)))
    counted = await contoso.sync.get(
        "leads?$select=leadid&$count=true&$top=1", headers={"Prefer": 'odata.include-annotations="*"'}
    )
    assert counted.json()["@odata.count"] == 5000
    assert counted.json()["@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"] is True
    assert (await contoso.sync.get("leads/$count")).content.decode("utf-8-sig") == "5000"
    too_many = await contoso.sync.get("leads?$apply=aggregate($count as n)")
    assert error(too_many) == (400, "0x8004E023", "AggregateQueryRecordLimit exceeded. Cannot perform this operation.")
    exact = await contoso.sync.get("RetrieveTotalRecordCount(EntityNames=['lead'])")
    assert exact.json()["EntityRecordCountCollection"]["Values"] == [50_001]


FETCH = """
<fetch count='1' page='{page}'>
  <entity name='contact'>
    <attribute name='lastname'/>
    <order attribute='lastname' descending='true'/>
    <filter type='or'>
      <condition attribute='lastname' operator='like' value='%n%'/>
      <condition attribute='annualincome' operator='ge' value='20'/>
    </filter>
    <link-entity name='account' from='accountid' to='parentcustomerid' alias='a'><attribute name='name'/></link-entity>
  </entity>
</fetch>
"""


async def test_fetchxml(companies: Contoso) -> None:
    notes = {"Prefer": 'odata.include-annotations="Microsoft.Dynamics.CRM.*"'}
    asked = [{"fetchXml": FETCH.format(page=page)} for page in (1, 2)]
    pages = [(await companies.sync.get("contacts", params=one, headers=notes)).json() for one in asked]
    assert [(one["lastname"], one["a.name"]) for page in pages for one in page["value"]] == [("Bob", "A"), ("Ann", "A")]
    assert [page["@Microsoft.Dynamics.CRM.morerecords"] for page in pages] == [True, False]


@pytest.mark.parametrize(
    ("xml", "status"),
    [
        ("<fetch", 400),
        ("<fetch><entity name='lead'/></fetch>", 400),
        ("<fetch><entity name='contact'><attribute name='gone'/></entity></fetch>", 400),
        ("<fetch aggregate='true'><entity name='contact'/></fetch>", 501),
    ],
)
async def test_fetches_that_are_refused(contoso: Contoso, xml: str, status: int) -> None:
    assert error(await contoso.sync.get("contacts", params={"fetchXml": xml}))[0] == status


@pytest.mark.parametrize("option", ["savedQuery=x", "sql=SELECT name FROM account"])
async def test_other_query_languages_are_told_to_be_missing(contoso: Contoso, option: str) -> None:
    assert error(await contoso.sync.get(f"accounts?{option}"))[:2] == (501, "0x80040219")


@pytest.mark.parametrize(
    ("function", "found"),
    [
        ("LastXWeeks(PropertyName='new_lastcallon',PropertyValue=2)", "week"),
        ("LastXMonths(PropertyName='new_lastcallon',PropertyValue=3)", "week quarter"),
        ("OlderThanXYears(PropertyName='new_lastcallon',PropertyValue=1)", "old"),
        ("ThisMonth(PropertyName='new_lastcallon')", "next"),
        ("LastMonth(PropertyName='new_lastcallon')", "week"),
        ("NextXDays(PropertyName='new_lastcallon',PropertyValue=5)", "next"),
        ("ThisYear(PropertyName='new_lastcallon')", "week quarter next"),
    ],
)
async def test_periods(contoso: Contoso, function: str, found: str) -> None:
    contoso.org.clock.set(datetime(2031, 5, 1, 12, tzinfo=UTC))
    calls = {"old": "2029-05-01", "quarter": "2031-02-10", "week": "2031-04-20", "next": "2031-05-03"}
    contoso.leads(*({"lastname": name, "new_lastcallon": f"{day}T00:00:00Z"} for name, day in calls.items()))
    async with contoso.connect(contoso.token(contoso.org.sync_app)) as client:
        answer = await client.get(f"leads?$select=lastname&$filter=Microsoft.Dynamics.CRM.{function}")
    assert {row["lastname"] for row in answer.json()["value"]} == set(found.split())


async def test_the_callers_own_rows(contoso: Contoso) -> None:
    contoso.leads({"lastname": "SYSTEM's"})
    await contoso.sync.post("leads", json={"lastname": "mine"})
    for name in ("ownerid", "_ownerid_value"):
        url = f"leads?$select=lastname&$filter=Microsoft.Dynamics.CRM.EqualUserId(PropertyName='{name}')"
        assert [row["lastname"] for row in await values(contoso, url)] == ["mine"]


async def test_a_lambda_follows_lookups(companies: Contoso) -> None:
    condition = "opportunity_parent_account/any(o:o/parentaccountid/name eq 'A' and o/statecode eq 1)"
    assert [one["name"] for one in await values(companies, f"accounts?$select=name&$filter={condition}")] == ["A"]
