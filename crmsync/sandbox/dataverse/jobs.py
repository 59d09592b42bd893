"""System jobs that run on their own time: the import of a solution, its progress, its end.

A job is due some seconds after it was ordered, by the sandbox's clock. Whatever request comes next finds it moved on:
waiting, then in progress with a row in ``importjobs``, then completed.

"Work with solutions: asynchronous import" (Power Platform documents), asyncoperation and importjob table references.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmsync.sandbox.dataverse.errors import ODataError
from crmsync.sandbox.dataverse.switches import number

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.store import DataverseStore

BEGINS_AT = 0.2
"""The part of its time that a job waits."""
WAITING = {"statecode": 0, "statuscode": 0}
IN_PROGRESS = {"statecode": 2, "statuscode": 20}
SUCCEEDED = {"statecode": 3, "statuscode": 30}
FAILED = {"statecode": 3, "statuscode": 31}
NOT_YET = 99.0
"""How far ``progress`` comes before the job is done."""


@dataclass(frozen=True)
class Result:
    """How a job ended: ``error`` is code and message of a failure, ``data`` what ``importjobs`` tells."""

    error: tuple[str, str] | None
    data: str


@dataclass(frozen=True)
class Job:
    """One job: ids of its rows in ``asyncoperations`` and ``importjobs``."""

    id: str
    import_job: str
    solution: str
    started: float
    due: float
    enable_steps: bool


Work = Callable[["DataverseStore", Job, bytes], Result]


def running(store: DataverseStore) -> list[Job]:
    """The jobs that are not done."""
    rows = store.database.look("SELECT id, import_job, solution, started, due, enable_steps FROM _job")
    return [Job(*row) for row in rows]


def refuse_while_busy(store: DataverseStore, operation: str) -> None:
    """Refuse an import, a publication or a removal while an import runs."""
    if running(store):
        message = (
            f"Cannot start the requested operation [{operation}] because there is another [Import] running at this "
            f"moment. Use Solution History for more details."
        )
        raise ODataError(429, "0x80071151", message)


def order(store: DataverseStore, user_id: str, solution: str, file: bytes, *, enable_steps: bool) -> Job:
    """Order the import of a solution's file."""
    now = store.org.clock.time()
    job_id, import_job = str(uuid.uuid4()), str(uuid.uuid4())
    job = Job(job_id, import_job, solution, now, now + number(store.org, "import_seconds"), enable_steps)
    row = {"asyncoperationid": job.id, "name": f"Import of {solution}", "messagename": "ImportSolutionAsync"}
    store.insert_many("asyncoperation", [{**row, **WAITING, "operationtype": 54, "createdby": user_id}])
    store.database.write("INSERT INTO _upload VALUES (?, ?)", (job.import_job, file))
    values = (job.id, job.import_job, job.solution, job.started, job.due, job.enable_steps)
    store.database.write("INSERT INTO _job VALUES (?, ?, ?, ?, ?, ?)", values)
    return job


def move_on(store: DataverseStore, work: Work) -> None:
    """Bring every job to where it is by now; ``work`` does what a job is for when it is due."""
    now = store.org.clock.time()
    for job in running(store):
        part = 1.0 if job.due <= job.started else (now - job.started) / (job.due - job.started)
        if part >= BEGINS_AT:
            _begin(store, job)
            store.update(store.schema.tables["importjob"], job.import_job, {"progress": min(100 * part, NOT_YET)})
        if part >= 1:
            _finish(store, job, work)


def _begin(store: DataverseStore, job: Job) -> None:
    if store.get(store.schema.tables["importjob"], job.import_job):
        return
    row = {"importjobid": job.import_job, "name": job.solution, "solutionname": job.solution}
    store.insert_many("importjob", [{**row, "progress": 0.0, "startedon": store.now()}])
    store.update(store.schema.tables["asyncoperation"], job.id, {**IN_PROGRESS, "startedon": store.now()})


def _finish(store: DataverseStore, job: Job, work: Work) -> None:
    file = store.database.look("SELECT file FROM _upload WHERE id = ?", (job.import_job,))[0][0]
    store.database.write("DELETE FROM _job WHERE id = ?", (job.id,))
    store.database.write("DELETE FROM _upload WHERE id = ?", (job.import_job,))
    result = work(store, job, file)
    done = {"completedon": store.now()}
    imported = {**done, "data": result.data, **({} if result.error else {"progress": 100.0})}
    store.update(store.schema.tables["importjob"], job.import_job, imported)
    ended = SUCCEEDED if result.error is None else FAILED | _told(*result.error)
    store.update(store.schema.tables["asyncoperation"], job.id, {**done, **ended})


def _told(code: str, message: str) -> dict[str, object]:
    """A failure as a system job tells it: the code as a signed number."""
    return {"errorcode": int(code, 16) - (1 << 32), "message": message, "friendlymessage": message}
