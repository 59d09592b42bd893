"""The sandbox's README: every switch and admin page stands in it, and its examples run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import crmsync.sandbox
from crmsync.sandbox.admin_guide import guide
from crmsync.sandbox.core import Limits
from crmsync.sandbox.dataverse import switches as dynamics
from crmsync.sandbox.faults import KINDS
from crmsync.sandbox.marketo import switches as marketo
from crmsync.sandbox.options import Counts, SandboxOptions
from crmsync.sandbox.server import SandboxThread

README = (Path(crmsync.sandbox.__file__ or "").parent / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```(python|sh)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
RUN = {"python": [sys.executable, "-c"], "sh": ["sh", "-euc"]}
TOOLS = {"python": (sys.executable,), "sh": ("curl", "jq")}
RUNNABLE = [example for example in EXAMPLES if all(shutil.which(tool) for tool in TOOLS[example[0]])]


def shown(answer: object) -> str:
    """An answer of a switch as the table has it."""
    return f"`{answer}`" if isinstance(answer, str) else f"`{json.dumps(answer)}`"


@pytest.mark.parametrize(("name", "answers"), [*marketo.SWITCHES.items(), *dynamics.SWITCHES.items()])
def test_every_switch_stands_in_its_table_with_its_answers(name: str, answers: tuple[Any, ...]) -> None:
    default, *others = answers

    assert f"\n| `{name}` | {shown(default)} | {', '.join(map(shown, others))} | " in README


@pytest.mark.parametrize("page", guide(["contoso"])["pages"])
def test_every_admin_page_stands_in_the_table(page: str) -> None:
    assert f"\n| `{page}` | " in README


@pytest.mark.parametrize("word", [*KINDS, "native_sync", "permissions"])
def test_kinds_of_faults_and_the_two_other_switches_are_named(word: str) -> None:
    assert f"`{word}`" in README


def test_a_switch_that_an_answer_names_is_there() -> None:
    unconfirmed = README.split("## Which answers are unconfirmed")[1].split("\n## ")[0]
    named = {word for row in unconfirmed.splitlines() for word in re.findall(r"`(\w+)`", row.rpartition(" | ")[2])}

    assert named
    assert named <= marketo.SWITCHES.keys() | dynamics.SWITCHES.keys()


def test_there_is_an_example_for_each_client() -> None:
    assert [kind for kind, _ in EXAMPLES] == ["sh", "python", "python"]
    assert all(len(text.splitlines()) <= 12 for _, text in EXAMPLES)


def test_the_examples_run_as_they_stand(tmp_path: Path) -> None:
    options = SandboxOptions(
        counts=Counts(5, 5, 2), limits=Limits(documented=False), ready_file=tmp_path / "box" / "ready.json"
    )
    environment = {**os.environ, "NO_PROXY": "localhost,127.0.0.1"}
    printed = []
    with SandboxThread(options):
        for kind, text in RUNNABLE:
            done = subprocess.run(
                [*RUN[kind], text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            printed.append(done.stdout)

    assert "'firstName': 'Bob'" in printed[-2]
    assert "'name': 'Fabrikam'" in printed[-1]
    assert all('"fullname"' in text and '"dynamicsId"' not in text for text in printed[:-2])
