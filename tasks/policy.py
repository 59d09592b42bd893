"""How a step is run: its name, how often it is tried again and for which causes, and how long it may take.

Calls are retried by the HTTP clients; a step is tried again only when it failed as a whole for a cause that passes by
itself. A wrong secret, a missing privilege, a busy tenant or a changed schema stays what it is, so it is never retried.

Prefect's documentation, "How to automatically rerun your workflow when it fails" (``retry_condition_fn``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from crmsync.errors import QuotaExhausted, TryAgainLater
from tasks.telling import say_that_it_waits

P = ParamSpec("P")
R = TypeVar("R")

MINUTE = 60.0
HOUR = 60 * MINUTE
RETRY_DELAYS = [5.0, 20.0, 60.0]
"""Seconds before each new attempt; each is lengthened by up to half, so that tenants do not come back together."""

PASSING = (TryAgainLater, OSError)
"""Causes that pass: the services' own, a state database that was away for longer than the store waits for it, and a
lost connection or a time-out of anybody else."""


async def transient(task: Task[Any, Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed step is worth another attempt. Asynchronous, because only so the state gives its exception."""
    try:
        await state.aresult()
    except QuotaExhausted:
        return False  # the next calls begin tomorrow: a later run takes up the work
    except PASSING as error:
        say_that_it_waits(error)
        return True
    except Exception:
        return False
    return False


def step(*, minutes: float) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A Prefect task named after its function, its run after step and tenant, that may take so many minutes.

    Nothing is cached: every step has effects, and what is done already is known to the store.
    """

    def make(function: Callable[P, R]) -> Task[P, R]:
        name = getattr(function, "__name__", "step")
        decorate: Callable[[Callable[P, R]], Task[P, R]] = task(
            name=name,
            task_run_name=f"{name} {{tenant}}",
            retries=len(RETRY_DELAYS),
            retry_delay_seconds=RETRY_DELAYS,
            retry_jitter_factor=0.5,
            retry_condition_fn=transient,
            timeout_seconds=minutes * MINUTE,
            cache_policy=NO_CACHE,
            persist_result=False,
        )
        return decorate(function)

    return make
