"""The command line. Exit status 0 only when all is well; errors are shown with their remedy, without a traceback.

Who asked for JSON gets an error as JSON too: an object with ``error``, ``message`` and ``remedy``.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from cyclopts import App

from crmsync import __version__
from crmsync.cli.comparing import compare
from crmsync.cli.demo import demo
from crmsync.cli.flow_commands import connect, resync, sync
from crmsync.cli.operating import deploy, serve
from crmsync.cli.prepare import prepare
from crmsync.cli.reading import collisions, errors, print_json, status, validate
from crmsync.cli.sandbox import sandbox
from crmsync.cli.story import show_error, terminal
from crmsync.errors import CrmsyncError, OperatorMustAct


def needs_sandbox(*_: Any) -> int:
    """Needs the sandbox: pip install 'crmsync[sandbox]'."""
    raise OperatorMustAct("The sandbox is not installed", remedy="Install it: pip install 'crmsync[sandbox]'")


app = App(
    name="crmsync",
    version=__version__,
    help="""Keeps a Microsoft Dynamics 365 organization and an Adobe Marketo Engage subscription in step.

A tenant is one file in deployments/tenants. See it work first:

    crmsync demo

Then connect a tenant of your own:

    crmsync prepare contoso --plan

    crmsync validate contoso

    crmsync connect contoso

And keep it in step, here or on other machines:

    crmsync serve

Commands that run flows use the Prefect server at PREFECT_API_URL, or start one for as long as they run. The state is in
.crmsync/state.db unless CRMSYNC_STATE_URL names another database.""",
    help_format="markdown",
)

for _command in (prepare, validate, connect, sync, resync, compare, status, errors, collisions, deploy, serve):
    app.command(_command)
if find_spec("trustme") and find_spec("starlette"):
    app.command(demo)
    app.command(sandbox)
else:
    app.command(needs_sandbox, name=("demo", "sandbox"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit status; what it started is ended also when it is terminated."""
    signal.signal(signal.SIGTERM, _terminated)
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(app(given, result_action="return_int_as_exit_code_else_zero"))
    except CrmsyncError as error:
        if "--json" in given:
            print_json(error.details())
        else:
            show_error(terminal(stderr=True), error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _terminated(number: int, _: object) -> None:
    sys.exit(128 + number)
