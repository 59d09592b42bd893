"""A user's own CSV files: what is read, and how a wrong cell is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crmsync.sandbox.core import Clock, Limits
from crmsync.sandbox.data.csvdata import read_folder
from crmsync.sandbox.dataverse.store import DataverseStore
from crmsync.sandbox.options import OptionsWrong
from crmsync.sandbox.world import Ports, make_tenant

ADA = "0f8fad5b-d9cb-469f-a165-70867728950e"
ACME = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DataverseStore]:
    tenant = make_tenant("contoso", 1, Ports(9001, 9002), Clock(), Limits(), tmp_path)
    store = DataverseStore(tenant.organization)
    yield store
    store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "export").mkdir()
    return tmp_path / "export"


def read(folder: Path, store: DataverseStore, **files: str) -> dict[str, list[dict[str, Any]]]:
    for entity, text in files.items():
        (folder / f"{entity}.csv").write_text(text, encoding="utf-8")
    return {entity: list(rows) for entity, rows in read_folder(folder, store)}


def test_every_type_is_read(folder: Path, store: DataverseStore) -> None:
    text = (
        "\ufeffcontactid,lastname,_parentcustomerid_value,birthdate,new_lastcallon,new_isvip,new_budget,"
        "new_visits,new_segment,new_interests,description\r\n"
        f'{{{ADA.upper()}}},"Lovelace, ""Ada""",{ACME},1815-12-10,2024-01-02T03:04:05+02:00,Yes,12.50,7,Enterprise,'
        '100000001;100000000,"two\nlines"\r\n'
    )

    rows = read(folder, store, contact=text)["contact"]

    assert rows == [
        {
            "contactid": ADA,
            "lastname": 'Lovelace, "Ada"',
            "parentcustomerid": ACME,
            "birthdate": "1815-12-10",
            "new_lastcallon": "2024-01-02T01:04:05Z",
            "new_isvip": True,
            "new_budget": 12.5,
            "new_visits": 7,
            "new_segment": 100000000,
            "new_interests": [100000000, 100000001],
            "description": "two\nlines",
        }
    ]
    assert store.insert_many("contact", rows) == 1


def test_an_empty_cell_is_no_value_and_missing_files_are_no_error(folder: Path, store: DataverseStore) -> None:
    assert read(folder, store, lead=f"leadid,lastname\n{ADA},\n") == {"lead": [{"leadid": ADA}]}


def test_a_customer_may_say_which_table_it_is_in(folder: Path, store: DataverseStore) -> None:
    text = f"contactid,parentcustomerid,parentcustomeridtype\n{ADA},{ACME},contact\n"

    assert read(folder, store, contact=text)["contact"][0]["parentcustomeridtype"] == "contact"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"leadid,lastname\n{ADA},x\nnope,y\n", "lead.csv line 3, column 'leadid': 'nope': give a GUID"),
        (f'leadid,revenue\n{ADA},"1,5"\n', "line 2, column 'revenue': '1,5': give a number with a point"),
        (f"leadid,numberofemployees\n{ADA},-1\n", "the column takes 0 to 1e+06"),
        (f"leadid,donotemail\n{ADA},perhaps\n", "give true or false"),
        (f"leadid,leadsourcecode\n{ADA},Telepathy\n", "no option of this column; there are 1 (Advertisement)"),
        (f"leadid,new_renewalon\n{ADA},1752-12-31\n", "dates begin at 1753-01-01"),
        (f"leadid,new_renewalon\n{ADA},31.12.2024\n", "give a date such as 2024-05-31"),
        (f"leadid,new_lastcallon\n{ADA},noon\n", "give a date and time such as"),
        (f"leadid,sic\n{ADA},{'9' * 21}\n", "21 characters; the column takes 20"),
        (f"leadid,lastname\n{ADA}\n", "line 2: 1 cells under 2 names"),
        (f"leadid,shoesize\n{ADA},9\n", "line 1, column 2 'shoesize': the lead table has no such column"),
        (f"leadid,lastname,lastname\n{ADA},a,b\n", "column 3 'lastname': this column stands there twice"),
        ("lastname\nx\n", "line 2: column 'leadid' must hold the record's GUID"),
        (f"leadid\n{ADA}\n{ADA}\n", f"line 3: column 'leadid': {ADA} stands in this file already"),
        ("", "there is no header"),
        (f'leadid,lastname\n{ADA},"x"y\n', "this is not CSV"),
    ],
)
def test_a_wrong_file_is_told_with_file_line_and_column(
    folder: Path, store: DataverseStore, text: str, told: str
) -> None:
    with pytest.raises(OptionsWrong) as wrong:
        read(folder, store, lead=text)

    assert told in str(wrong.value)
    assert str(wrong.value).startswith("lead.csv")


def test_a_folder_without_any_file_is_told(folder: Path, store: DataverseStore) -> None:
    with pytest.raises(OptionsWrong, match=r"holds none of systemuser.csv, account.csv"):
        read(folder, store)


def test_text_in_another_encoding_is_told(folder: Path, store: DataverseStore) -> None:
    (folder / "lead.csv").write_bytes(f"leadid,lastname\n{ADA},M\xfcller\n".encode("latin-1"))

    with pytest.raises(OptionsWrong, match="not UTF-8"):
        read(folder, store)
