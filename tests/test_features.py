"""What the documents say that a test shows, a test shows: every test that they name exists, every row says where it
stands."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FEATURES = ROOT / "docs" / "features.md"
SCENARIOS = ROOT / "tests" / "engine" / "scenarios" / "README.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
STATES = {"**yes**", "**partly**", "**no**"}


def named(document: Path) -> list[tuple[str, str]]:
    """Every test, or file of tests, that a document names."""
    return sorted(set(NAMED.findall(document.read_text(encoding="utf-8"))))


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    return frozenset(one.name for one in functions if one.name.startswith("test_"))


def rows(document: Path) -> list[list[str]]:
    """The cells of every row of its tables, without heads and rules."""
    lines = document.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in cells if row[0] not in {"feature", "row"}]


@pytest.mark.parametrize(("path", "name"), [*named(FEATURES), *named(SCENARIOS)])
def test_every_test_that_is_named_exists(path: str, name: str) -> None:
    assert (ROOT / path).is_file(), f"{path} does not exist"
    assert functions_of(path), f"{path} has no tests"
    assert not name or name in functions_of(path), f"{path} has no test {name}"


@pytest.mark.parametrize("row", rows(FEATURES), ids=lambda row: row[0])
def test_every_feature_says_where_it_stands_and_what_shows_it(row: list[str]) -> None:
    assert len(row) == 5
    assert row[2] in STATES
    if row[2] in {"**yes**", "**partly**"}:
        assert NAMED.search(row[4]), "what works has a test"


@pytest.mark.parametrize("row", rows(SCENARIOS), ids=lambda row: row[0])
def test_every_row_of_the_native_connectors_rules_has_a_test_or_a_reason(row: list[str]) -> None:
    assert NAMED.search(row[2]) or row[2].startswith("–"), row


def test_the_readme_leads_to_the_features() -> None:
    assert "(docs/features.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
