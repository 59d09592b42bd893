"""Which failures of a step are tried again: those whose cause passes by itself, and no others."""

from __future__ import annotations

import io
from typing import Any, cast

import pytest
from prefect.states import Completed, Failed
from rich.console import Console
from sqlalchemy.exc import OperationalError

from crmsync import errors
from crmsync.cli.story import Story
from tasks import save_credentials
from tasks.policy import RETRY_DELAYS, transient
from tasks.telling import listening

PASSING = {errors.TryAgainLater, errors.Throttled, errors.ServiceUnavailable, errors.TransportFailed, errors.QueueFull}
KINDS = [cast(type[errors.CrmsyncError], getattr(errors, name)) for name in errors.__all__]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_every_error_of_ours_is_retried_when_it_passes_by_itself_and_only_then(
    kind: type[errors.CrmsyncError],
) -> None:
    assert await retried(kind("found")) is (kind in PASSING)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (OperationalError("SELECT 1", {}, Exception("the database fails over")), True),
        (ValueError("a defect"), False),
        (KeyError("another"), False),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_lost_connections_are_retried_and_defects_are_not(error: Exception, again: bool) -> None:
    assert await retried(error) is again


async def test_a_step_that_succeeded_is_not_retried() -> None:
    assert await transient(save_credentials, cast(Any, None), Completed(data=None)) is False


async def test_whoever_waits_at_the_terminal_is_told_why() -> None:
    shown = io.StringIO()
    with Story(Console(file=shown, width=200)) as story, listening(story):
        await retried(errors.TransportFailed("Entra ID gave no answer"))
        await retried(errors.CredentialsRefused("The secret is wrong"))

    assert shown.getvalue() == "  … Entra ID gave no answer; trying again in a while\n"


def test_a_step_waits_longer_each_time_and_tells_step_and_tenant() -> None:
    assert save_credentials.retries == len(RETRY_DELAYS)
    assert sorted(RETRY_DELAYS) == RETRY_DELAYS
    assert save_credentials.task_run_name == "save_credentials {tenant}"


async def retried(error: Exception) -> bool:
    return await transient(save_credentials, cast(Any, None), Failed(data=error))
