"""``docs/commands.md`` is what ``--help`` says. After an intended change: python -m tests.cli.test_docs"""

from __future__ import annotations

import re
from pathlib import Path

from crmsync.cli.main import app

COMMANDS = Path(__file__).parents[2] / "docs" / "commands.md"


def written() -> str:
    """The documentation that the library makes of the commands, without traces of how this process was called."""
    lines = (line.rstrip() for line in app.generate_docs().splitlines())
    usage = re.compile(r"^(crmsync \w+) .*?(?=\[OPTIONS\]|\[ARGS\]|[A-Z]+$)")
    return "\n".join(usage.sub(r"\1 ", line) for line in lines) + "\n"


def test_the_commands_are_documented_as_their_help_says() -> None:
    assert COMMANDS.read_text() == written()


if __name__ == "__main__":
    COMMANDS.write_text(written())
