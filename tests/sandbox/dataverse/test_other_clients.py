"""What clients do that are neither ours nor Microsoft's: links taken apart, spellings that vary, headers repeated."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import pytest

from tests.sandbox.dataverse.conftest import Contoso, error, follow
from tests.sandbox.dataverse.test_batch import operation, send

TRACK = {"Prefer": "odata.track-changes"}


def options(link: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(link).query))


async def test_a_delta_token_is_taken_decoded_and_beside_a_skip_token(contoso: Contoso) -> None:
    contoso.leads({"lastname": "A"})
    first = (await contoso.sync.get("leads?$select=lastname", headers=TRACK)).json()
    token = options(first["@odata.deltaLink"])["$deltatoken"]
    assert "!" in token
    contoso.leads(*({"lastname": str(number)} for number in range(3)))
    size = {"Prefer": "odata.track-changes,odata.maxpagesize=2"}
    asked = {"$select": "lastname", "$deltatoken": token}
    page = (await contoso.sync.get("leads", params=asked, headers=size)).json()
    found = [one["lastname"] for one in page["value"]]
    rest = (await contoso.sync.get("leads", params=asked | options(page["@odata.nextLink"]), headers=size)).json()
    assert sorted(found + [one["lastname"] for one in rest["value"]]) == ["0", "1", "2"]
    decoded = httpx.URL(unquote(rest["@odata.deltaLink"]))
    assert (await contoso.sync.get(decoded)).json()["value"] == []


async def test_a_next_link_is_taken_apart_or_decoded_once(contoso: Contoso) -> None:
    contoso.leads(*({"lastname": str(number), "subject": "x"} for number in range(3)))
    asked = {"$select": "lastname", "$filter": "subject eq 'x'", "$orderby": "lastname"}
    size = {"Prefer": "odata.maxpagesize=2"}
    link = (await contoso.sync.get("leads", params=asked, headers=size)).json()["@odata.nextLink"]
    token = options(link)["$skiptoken"]
    for query in (
        asked | {"$skiptoken": token},
        options(link) | {"$count": "true"},
        asked | {"$skiptoken": unquote(token)},
    ):
        page = (await contoso.sync.get("leads", params=query, headers=size)).json()
        assert [one["lastname"] for one in page["value"]] == ["2"]
    other = await contoso.sync.get("leads", params=asked | {"$skiptoken": token, "$filter": "subject eq 'y'"})
    assert error(other)[:2] == (400, "0x8004112A")


@pytest.mark.parametrize("path", ["", "/"])
async def test_the_root_with_and_without_its_slash(contoso: Contoso, path: str) -> None:
    answer = await contoso.sync.get(f"{contoso.org.url}/api/data/v9.2{path}")
    assert any(one["name"] == "leads" for one in answer.json()["value"])
    assert answer.json()["@odata.context"] == f"{contoso.org.url}/api/data/v9.2/$metadata"


@pytest.mark.parametrize("path", ["api/data/v9.1/leads", "API/Data/V9.2/leads", "api/data/v9.2/leads/"])
async def test_paths_that_vary(contoso: Contoso, path: str) -> None:
    contoso.leads({"lastname": "A"}, {"lastname": "B"})
    pages = await follow(contoso.sync, f"{contoso.org.url}/{path}?$select=lastname", Prefer="odata.maxpagesize=1")
    assert sum(len(page["value"]) for page in pages) == 2


async def test_preferences_in_several_headers_and_any_case(contoso: Contoso) -> None:
    contoso.leads({"lastname": "A"}, {"lastname": "B"})
    headers = [("Prefer", "odata.MaxPageSize=1"), ("prefer", 'odata.include-annotations="*"; odata.track-changes')]
    answer = await contoso.sync.get("leads?$select=lastname,statecode", headers=headers)
    assert "@odata.nextLink" in answer.json()
    assert "odata.track-changes" in answer.headers["preference-applied"]
    assert "statecode@OData.Community.Display.V1.FormattedValue" in answer.json()["value"][0]


async def test_batches_with_every_kind_of_url(contoso: Contoso) -> None:
    contoso.leads({"lastname": "A", "websiteurl": "https://a.example/b"})
    root = f"{contoso.org.url}/api/data/v9.2/"
    queries = [
        f"{root}leads?$filter=websiteurl eq 'https://a.example/b'&$select=lastname",
        "/api/data/v9.2/leads?$filter=websiteurl eq 'https://a.example/b'",
        "leads?$filter=websiteurl%20eq%20'https://a.example/b'",
        "/leads?$top=1",
    ]
    answer = await send(contoso.sync, *(operation("GET", query) for query in queries))
    assert answer.status_code == 200, answer.text
    assert answer.text.count('"lastname":"A"') == len(queries)


async def test_a_change_set_wants_content_ids(contoso: Contoso) -> None:
    inner = operation("POST", "leads", {"lastname": "A"})
    body = f"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n{inner}\r\n--c--\r\n"
    assert error(await send(contoso.sync, body))[:2] == (400, "0x80048d19")
