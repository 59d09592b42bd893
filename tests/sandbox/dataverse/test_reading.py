"""Collection reads: select, filter, order, pages, counts, annotations, expand (reference: "Query data")."""

from __future__ import annotations

import pytest

from tests.sandbox.dataverse.conftest import Contoso, error, follow

FORMATTED = "OData.Community.Display.V1.FormattedValue"


def people(contoso: Contoso) -> dict[str, str]:
    """Four leads by first name; returns their ids."""
    names = ("Ann", "Bob", "Émile", "Dora")
    ids = contoso.leads(
        {
            "firstname": "Ann",
            "lastname": "O'Brien",
            "revenue": 20000,
            "leadsourcecode": 8,
            "new_isvip": True,
            "new_interests": "100000000,100000002",
            "new_renewalon": "1899-12-31",
            "modifiedon": "2024-05-01T10:00:00Z",
        },
        {
            "firstname": "Bob",
            "lastname": "lee",
            "emailaddress1": "BOB@example.com",
            "modifiedon": "2024-05-02T10:00:00Z",
        },
        {"firstname": "Émile", "lastname": "Zola", "companyname": "100% Ltd", "modifiedon": "2024-05-03T10:00:00Z"},
        {"firstname": "Dora", "lastname": "Dora", "statecode": 2, "modifiedon": "2024-05-04T10:00:00Z"},
    )
    return dict(zip(names, ids, strict=True))


async def test_rows_have_key_etag_nulls_and_money_with_its_currency(contoso: Contoso) -> None:
    ids = people(contoso)
    answer = await contoso.sync.get("leads?$select=fullname,revenue,emailaddress1&$filter=firstname eq 'Ann'")
    body = answer.json()
    assert body["@odata.context"].endswith("$metadata#leads(fullname,revenue,emailaddress1)")
    (row,) = body["value"]
    assert row.pop("@odata.etag").startswith('W/"')
    assert row == {
        "leadid": ids["Ann"],
        "fullname": "Ann O'Brien",
        "revenue": 20000.0,
        "emailaddress1": None,
        "_transactioncurrencyid_value": contoso.store.ids.currency,
    }
    assert '"revenue":20000.0000' in answer.text


@pytest.mark.parametrize(
    "name", ["ownerid", "owneridname", "owneridtype", "leadsourcecodename", "new_gone", "Fullname"]
)
async def test_what_is_no_property_cannot_be_selected(contoso: Contoso, name: str) -> None:
    expected = f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.lead'."
    assert error(await contoso.sync.get(f"leads?$select={name}")) == (400, "0x80060888", expected)


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("firstname eq 'ANN'", "Ann"),
        ("firstname eq 'éMILE'", "Émile"),
        ("lastname eq 'O''Brien'", "Ann"),
        ("firstname eq lastname", "Dora"),
        ("revenue gt 100 and revenue le 20000.0", "Ann"),
        ("statecode eq 2", "Dora"),
        ("new_isvip eq true", "Ann"),
        ("emailaddress1 ne null", "Bob"),
        ("contains(emailaddress1,'bob@') or startswith(lastname,'zO')", "Bob Émile"),
        ("endswith(companyname,'ltd')", "Émile"),
        ("contains(firstname,'ÉMI')", "Émile"),
        ("startswith(firstname,'[AB]')", "Ann Bob"),
        ("startswith(firstname,'_o')", "Bob Dora"),
        ("not contains(firstname,'o')", "Ann Émile"),
        ("(firstname eq 'Ann' or firstname eq 'Bob') and not (new_isvip eq true)", "Bob"),
        ("modifiedon ge 2024-05-03T12:00:00%2B02:00", "Émile Dora"),
        ("new_renewalon lt 1900-01-01", "Ann"),
        ("leadsourcecode ne 8", "Bob Émile Dora"),
        ("owninguser/fullname eq 'system'", "Ann Bob Émile Dora"),
        ("Microsoft.Dynamics.CRM.ContainValues(PropertyName='new_interests',PropertyValues=['100000002'])", "Ann"),
        (
            'Microsoft.Dynamics.CRM.In(PropertyName=\'firstname\',PropertyValues=["Ann","Dora"]) and statecode eq 0',
            "Ann",
        ),
        ("Microsoft.Dynamics.CRM.OnOrAfter(PropertyName='modifiedon',PropertyValue='2024-05-04')", "Dora"),
    ],
)
async def test_filter(contoso: Contoso, condition: str, found: str) -> None:
    people(contoso)
    body = (await contoso.sync.get(f"leads?$select=firstname&$filter={condition}&$orderby=modifiedon")).json()
    assert [row["firstname"] for row in body["value"]] == found.split()


async def test_rows_by_a_list_of_ids(contoso: Contoso) -> None:
    ids = people(contoso)
    values = ",".join(f'"{ids[name]}"' for name in ("Bob", "Dora"))
    condition = f"Microsoft.Dynamics.CRM.In(PropertyName='leadid',PropertyValues=[{values}])"
    body = (await contoso.sync.get(f"leads?$select=firstname&$filter={condition}&$orderby=firstname desc")).json()
    assert [row["firstname"] for row in body["value"]] == ["Dora", "Bob"]
    alias = await contoso.sync.get(
        f"leads?$select=firstname&$filter=Microsoft.Dynamics.CRM.In(PropertyName=@p1,PropertyValues=@p2)"
        f"&@p1='leadid'&@p2=[{values}]"
    )
    assert len(alias.json()["value"]) == 2


async def test_a_long_chain_of_conditions(contoso: Contoso) -> None:
    ids = people(contoso)
    chain = " or ".join(f"leadid eq {one}" for one in [*ids.values()] * 140)
    assert len((await contoso.sync.get(f"leads?$select=firstname&$filter={chain}")).json()["value"]) == 4


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("new_gone eq 1", "Could not find a property named 'new_gone' on type 'Microsoft.Dynamics.CRM.lead'."),
        ("firstname eq 'x", "There is an unterminated literal at position 13"),
        ("firstname eq 5", "A binary operator with incompatible types was detected."),
        ("leadid eq 'x'", "A binary operator with incompatible types was detected."),
        ("firstname eq", "Syntax error"),
        ("tolower(firstname) eq 'x'", ""),
        ("soundex(firstname) eq 'x'", "An unknown function with name 'soundex'"),
        ("not Microsoft.Dynamics.CRM.Today(PropertyName='modifiedon')", "The 'not' operator cannot be used"),
    ],
)
async def test_bad_filters(contoso: Contoso, condition: str, message: str) -> None:
    status, code, told = error(await contoso.sync.get(f"leads?$select=firstname&$filter={condition}"))
    assert (status, code) == (400, "0x80060888")
    assert message in told


@pytest.mark.parametrize("option", ["$skip=5", "$search=x", "$format=json"])
async def test_unsupported_options(contoso: Contoso, option: str) -> None:
    assert error(await contoso.sync.get(f"leads?{option}"))[0] == 400


async def test_pages_follow_the_order_and_end_without_link(contoso: Contoso) -> None:
    contoso.leads(*({"lastname": str(number), "companyname": "X" if number % 3 else None} for number in range(25)))
    url = "leads?$select=lastname,companyname&$orderby=companyname desc,lastname"
    pages = await follow(contoso.sync, url, Prefer="odata.maxpagesize=10")
    assert [len(page["value"]) for page in pages] == [10, 10, 5]
    rows = [(row["companyname"], row["lastname"]) for page in pages for row in page["value"]]
    numbers = sorted(map(str, range(25)))
    assert rows == [
        *(("X", number) for number in numbers if int(number) % 3),
        *((None, number) for number in numbers if int(number) % 3 == 0),
    ]
    assert pages[0]["@odata.nextLink"].startswith(f"{contoso.org.url}/api/data/v9.2/leads?")


async def test_page_size_is_confirmed_and_a_tampered_cookie_refused(contoso: Contoso) -> None:
    contoso.leads({"lastname": "A"}, {"lastname": "B"})
    answer = await contoso.sync.get("leads?$select=lastname", headers={"Prefer": "odata.maxpagesize=1"})
    assert answer.headers["preference-applied"] == "odata.maxpagesize=1"
    link = answer.json()["@odata.nextLink"]
    assert (await contoso.sync.get(link)).status_code == 200
    for tampered in (
        link.replace("pagenumber%3D%222", "pagenumber%3D%223"),
        link[:-5],
        link.replace("cookie", "biscuit"),
    ):
        assert error(await contoso.sync.get(tampered))[:2] == (400, "0x8004112A")


async def test_top_and_counts(contoso: Contoso) -> None:
    people(contoso)
    top = (await contoso.sync.get("leads?$select=lastname&$top=3&$count=true")).json()
    assert len(top["value"]) == 3
    assert top["@odata.count"] == 4
    assert "@odata.nextLink" not in top
    count = await contoso.sync.get("leads/$count?$filter=statecode eq 0")
    assert count.content.decode("utf-8-sig") == "3"


async def test_annotations(contoso: Contoso) -> None:
    people(contoso)
    select = (
        "$select=revenue,leadsourcecode,new_isvip,new_interests,new_renewalon,emailaddress1,statecode,_ownerid_value"
    )
    answer = await contoso.sync.get(
        f"leads?{select}&$filter=firstname eq 'Ann'", headers={"Prefer": 'odata.include-annotations="*"'}
    )
    body = answer.json()
    assert body["@Microsoft.Dynamics.CRM.totalrecordcount"] == -1
    assert body["@Microsoft.Dynamics.CRM.globalmetadataversion"]
    (row,) = body["value"]
    assert row[f"revenue@{FORMATTED}"] == "$20,000.00"
    assert row[f"leadsourcecode@{FORMATTED}"] == "Web"
    assert row[f"statecode@{FORMATTED}"] == "Open"
    assert row[f"new_isvip@{FORMATTED}"] == "Yes"
    assert row[f"new_interests@{FORMATTED}"] == "Email; newsletters; Trade fairs"
    assert row[f"new_renewalon@{FORMATTED}"] == "12/31/1899"
    assert f"emailaddress1@{FORMATTED}" not in row
    assert row[f"_ownerid_value@{FORMATTED}"] == "SYSTEM"
    assert row["_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "systemuser"
    assert row["_ownerid_value@Microsoft.Dynamics.CRM.associatednavigationproperty"] == "ownerid"


async def test_lookups_expand_and_polymorphic_ones_by_target(contoso: Contoso) -> None:
    contoso.store.insert_many("account", [{"accountid": contoso.org.organization_id, "name": "Contoso"}])
    contoso.store.insert_many(
        "contact",
        [{"lastname": "In", "parentcustomerid": contoso.org.organization_id}, {"lastname": "Alone"}],
    )
    url = "contacts?$select=lastname&$expand=parentcustomerid_account($select=name)&$orderby=lastname"
    alone, inside = (await contoso.sync.get(url)).json()["value"]
    assert alone["parentcustomerid_account"] is None
    assert inside["parentcustomerid_account"]["name"] == "Contoso"
    by_path = await contoso.sync.get("contacts?$select=lastname&$filter=parentcustomerid_account/name eq 'contoso'")
    assert [row["lastname"] for row in by_path.json()["value"]] == ["In"]
    owning = await contoso.sync.get("accounts?$select=name&$filter=contact_customer_accounts/any(c:c/lastname eq 'In')")
    assert [row["name"] for row in owning.json()["value"]] == ["Contoso"]


async def test_related_rows_of_one_row(contoso: Contoso) -> None:
    account = contoso.org.organization_id
    contoso.store.insert_many("account", [{"accountid": account, "name": "Contoso"}])
    rows = [{"lastname": str(number), "parentcustomerid": account} for number in range(3)]
    contoso.store.insert_many("contact", [*rows, {"lastname": "elsewhere"}])
    url = f"accounts({account})/contact_customer_accounts?$select=lastname"
    pages = await follow(contoso.sync, url, Prefer="odata.maxpagesize=2")
    assert sorted(row["lastname"] for page in pages for row in page["value"]) == ["0", "1", "2"]
    contact = pages[0]["value"][0]["contactid"]
    parent = await contoso.sync.get(f"contacts({contact})/parentcustomerid_account?$select=name")
    assert parent.json()["name"] == "Contoso"
    assert (await contoso.sync.get(f"contacts({contact})/parentcustomerid_contact")).status_code == 204
    assert (await contoso.sync.get(f"contacts({contact})/ownerid?$select=fullname")).json()["fullname"] == "SYSTEM"
    assert error(await contoso.sync.get(f"contacts({contact})/nothing"))[:2] == (400, "0x80060888")


async def test_one_row_its_etag_and_one_property(contoso: Contoso) -> None:
    ids = people(contoso)
    answer = await contoso.sync.get(f"leads({ids['Ann'].upper()})?$select=subject")
    assert answer.json()["@odata.context"].endswith("$metadata#leads(subject)/$entity")
    same = await contoso.sync.get(
        f"leads({ids['Ann']})?$select=subject", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert same.status_code == 304
    assert (await contoso.sync.get(f"leads({ids['Ann']})/firstname")).json()["value"] == "Ann"
    assert (await contoso.sync.get(f"leads({ids['Ann']})/subject")).status_code == 204


async def test_a_row_that_is_not_there_and_a_key_that_is_no_guid(contoso: Contoso) -> None:
    missing = "9c310000-0000-0000-0000-000000000000"
    expected = (404, "0x80040217", f"lead With Id = {missing} Does Not Exist")
    assert error(await contoso.sync.get(f"leads({missing})")) == expected
    assert error(await contoso.sync.get("leads(42)"))[:2] == (400, "0x80060888")
    assert error(await contoso.sync.get("leads(subject='x')"))[:2] == (400, "0x80060890")


async def test_a_url_above_the_limit_is_refused(contoso: Contoso) -> None:
    assert (await contoso.sync.get(f"leads?$filter=lastname eq '{'x' * 32768}'")).status_code == 414
