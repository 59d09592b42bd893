"""The made records: repeatable, and dirty in every way that a migration trips over."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crmsync.sandbox.core import Clock, Limits
from crmsync.sandbox.data.fill import fill
from crmsync.sandbox.options import Counts, SandboxOptions
from crmsync.sandbox.world import Ports, make_tenant

COUNTS = Counts(leads=1200, contacts=1500, accounts=200)


def filled(folder: Path, seed: int = 1, name: str = "contoso", counts: Counts = COUNTS) -> sqlite3.Connection:
    tenant = make_tenant(name, seed, Ports(9001, 9002), Clock(), Limits(), folder)
    fill(tenant, SandboxOptions(tenants=(name,), counts=counts, seed=seed))
    connection = sqlite3.connect(tenant.organization.database)
    connection.row_factory = sqlite3.Row
    return connection


@pytest.fixture(scope="module")
def organization(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    connection = filled(tmp_path_factory.mktemp("data"))
    yield connection
    connection.close()


def values(organization: sqlite3.Connection, column: str, *entities: str) -> list[Any]:
    return [
        row[0]
        for entity in entities or ("lead", "contact")
        for row in organization.execute(f"SELECT {column} FROM {entity}")
    ]


def rows(folder: Path, **options: Any) -> list[tuple[Any, ...]]:
    small = filled(folder, counts=Counts(20, 20, 5), **options)
    found = [tuple(row) for row in small.execute("SELECT leadid, lastname, emailaddress1, modifiedon FROM lead")]
    small.close()
    return found


def test_the_numbers_are_as_asked_and_users_and_a_team_own_records(organization: sqlite3.Connection) -> None:
    for entity, expected in [("lead", 1200), ("contact", 1500), ("account", 200)]:
        assert len(values(organization, "1", entity)) == expected
    owners = Counter(values(organization, "owneridtype"))
    assert owners["team"] > 0
    assert owners["systemuser"] > 20 * owners["team"]
    assert set(values(organization, "isdisabled", "systemuser")) == {0, 1}


def test_every_lookup_finds_its_record(organization: sqlite3.Connection) -> None:
    dangling = organization.execute(
        "SELECT count(*) FROM contact WHERE parentcustomerid IS NOT NULL AND parentcustomerid NOT IN "
        "(SELECT accountid FROM account UNION SELECT contactid FROM contact)"
    ).fetchone()[0]
    unowned = organization.execute(
        "SELECT count(*) FROM lead WHERE ownerid NOT IN "
        "(SELECT systemuserid FROM systemuser UNION SELECT teamid FROM team)"
    ).fetchone()[0]

    assert (dangling, unowned) == (0, 0)
    assert None in values(organization, "parentcustomerid", "contact")
    assert {"account", "contact"} <= set(values(organization, "parentcustomeridtype", "contact"))


def test_the_same_seed_makes_the_same_records(tmp_path: Path) -> None:
    first = rows(tmp_path / "a")

    assert rows(tmp_path / "b") == first
    assert rows(tmp_path / "c", seed=2) != first
    assert rows(tmp_path / "d", name="fabrikam") != first


def test_the_sync_filter_is_yes_no_and_empty(organization: sqlite3.Connection) -> None:
    assert set(values(organization, "new_synctomkto")) == {0, 1, None}


def test_emails_are_shared_missing_foreign_and_broken(organization: sqlite3.Connection) -> None:
    emails = values(organization, "emailaddress1")
    given = [email for email in emails if email]

    assert {None, ""} <= set(emails)
    assert max(Counter(email.lower() for email in given).values()) > 1
    assert any(not email.isascii() for email in given)
    assert any(email.count("@") != 1 for email in given)
    assert sum(email.isascii() and email.count("@") == 1 for email in given) > 0.9 * len(given)


def test_names_come_in_many_scripts_with_quotes_commas_and_emoji(organization: sqlite3.Connection) -> None:
    text = "".join(name or "" for name in values(organization, "firstname") + values(organization, "lastname"))

    for script in ("a", "ł", "я", "α", "ا", "א", "र", "田", "김", "น", "🎉", '"', ",", "'", "\t"):
        assert script in text, script


def test_notes_are_long_and_have_line_breaks(organization: sqlite3.Connection) -> None:
    notes = [note for note in values(organization, "description") if note]
    histories = [note for note in values(organization, "new_history") if note]

    assert {len(note) for note in notes} & {2000}
    assert max(map(len, histories)) > 2000
    for piece in ("\n", "\r\n", "\t", '"', "🙂", "NULL"):
        assert any(piece in note for note in notes), piece


def test_numbers_and_dates_reach_their_edges(organization: sqlite3.Connection) -> None:
    birthdays = [day for day in values(organization, "birthdate", "contact") if day]

    assert min(birthdays) < "1900-01-01"
    assert min(birthdays) >= "1753-01-01"
    assert any(code and code.startswith("0") for code in values(organization, "address1_postalcode"))
    assert max(number or 0 for number in values(organization, "new_legacynumber")) > 2**53
    assert {0.0, 922337203685.47} & set(values(organization, "new_budget"))
    assert any("," in (choice or "") for choice in values(organization, "new_interests"))


def test_no_value_is_longer_than_its_column(organization: sqlite3.Connection) -> None:
    from crmsync.sandbox.dataverse.entities import TABLE_BY_NAME

    for entity in ("lead", "contact", "account", "systemuser"):
        for column in TABLE_BY_NAME[entity].columns:
            if column.kind in {"String", "Memo"}:
                longest = max((len(value) for value in values(organization, column.name, entity) if value), default=0)
                assert longest <= (column.max_length or 0), (entity, column.name)


def test_a_kept_folder_is_filled_once(tmp_path: Path) -> None:
    first = filled(tmp_path, counts=Counts(3, 0, 0))
    first.execute("UPDATE lead SET lastname = 'Changed'")
    first.commit()
    first.close()

    again = filled(tmp_path, counts=Counts(3, 0, 0))

    assert values(again, "lastname", "lead") == ["Changed"] * 3
    again.close()


def test_opportunities_connections_and_custom_rows_belong_to_something(organization: sqlite3.Connection) -> None:
    numbers = {"opportunity": 100, "connection": 200, "new_eventregistration": 100, "new_orderline": 200}
    for entity, expected in numbers.items():
        assert len(values(organization, "1", entity)) == expected
    assert {"account", "contact"} <= set(values(organization, "customeridtype", "opportunity"))
    assert set(values(organization, "statecode", "opportunity")) == {0, 1, 2}
    for child, column, parent in [
        ("opportunity", "parentaccountid", "account"),
        ("new_eventregistration", "new_contactid", "contact"),
        ("new_orderline", "new_opportunityid", "opportunity"),
    ]:
        dangling = f"SELECT count(*) FROM {child} WHERE {column} NOT IN (SELECT {parent}id FROM {parent})"
        assert organization.execute(dangling).fetchone()[0] == 0
        assert None in values(organization, column, child)


def test_connections_are_pairs_that_mirror_each_other(organization: sqlite3.Connection) -> None:
    mirrored = organization.execute(
        "SELECT count(*) FROM connection a JOIN connection b ON a.relatedconnectionid = b.connectionid "
        "WHERE a.record1id = b.record2id AND a.record2roleid IS b.record1roleid AND a.ismaster <> b.ismaster"
    ).fetchone()[0]
    assert mirrored == 200


def test_other_numbers_change_nothing_of_the_people(tmp_path: Path) -> None:
    plain = filled(tmp_path / "a", counts=Counts(20, 20, 5))
    more = filled(tmp_path / "b", counts=Counts(20, 20, 5, opportunities=40, connections=0, registrations=7))
    for entity in ("lead", "contact", "account"):
        query = f"SELECT {entity}id, modifiedon, ownerid FROM {entity}"
        assert [tuple(one) for one in plain.execute(query)] == [tuple(one) for one in more.execute(query)]
    plain.close()
    more.close()
