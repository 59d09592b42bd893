"""Imports a solution file and follows the import to its end; publishes customizations.

The file is staged before: the organization then says what it lacks before anything is changed. An import that ends
"completed with warning" has succeeded; the warnings are told.

StageSolution, ImportSolutionAsync, RetrieveSolutionImportResult, PublishXml, PublishAllXml, "Work with solutions:
asynchronous import" (Microsoft's documents).
"""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree

from crmsync.dynamics.answers import Read, as_json, done
from crmsync.dynamics.channel import Channel, url
from crmsync.dynamics.codes import BY_CODE
from crmsync.dynamics.pacing import Sleep
from crmsync.dynamics.setup_answers import IMPORT, IMPORT_RESULT, JOB, PROGRESS, STAGED
from crmsync.errors import CrmsyncError, RecordMissing, ServiceUnavailable, SolutionRefused, TransportFailed

Tell = Callable[[str], None]
T = TypeVar("T")

LONGEST_WAIT = 60 * 60.0
"""Seconds that an import, or somebody else's that stands in its way, is waited for."""
BETWEEN_LOOKS = 10.0
LONGEST_PAUSE = 30.0
BUSY = "0x80071151"
_COMPLETED, _SUCCEEDED = 3, 30
_LARGEST_MANIFEST = 5_000_000


@dataclass(frozen=True)
class SolutionFile:
    """A solution's zip file and what its manifest says."""

    path: Path
    unique_name: str
    version: str
    managed: bool

    @property
    def numbers(self) -> tuple[int, ...]:
        return version_numbers(self.version)


def version_numbers(version: str) -> tuple[int, ...]:
    """``5.0.2.1`` as numbers, to be compared; what is no number counts as 0."""
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


def read_solution(path: Path) -> SolutionFile:
    """What is in a solution file; raises ``SolutionRefused`` for what is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo("solution.xml")
            text = archive.read(info) if info.file_size <= _LARGEST_MANIFEST else b""
        # The operator's own file, and Python's parser refuses entities that grow without end.
        manifest = ElementTree.fromstring(text).find("SolutionManifest")  # noqa: S314
        found = {name: (manifest.findtext(name) if manifest is not None else None) or "" for name in _MEMBERS}
    except (OSError, KeyError, zipfile.BadZipFile, ElementTree.ParseError) as error:
        raise _no_solution(path, f"{type(error).__name__}: {error}") from error
    if not found["UniqueName"] or not found["Version"]:
        raise _no_solution(path, "its solution.xml names no solution")
    return SolutionFile(path, found["UniqueName"], found["Version"], managed=found["Managed"].strip() == "1")


_MEMBERS = ("UniqueName", "Version", "Managed")


def _no_solution(path: Path, why: str) -> SolutionRefused:
    return SolutionRefused(
        f"{path} is no solution file: {why}",
        remedy="Give the zip file as downloaded (Marketo: Admin > Microsoft Dynamics > Download Marketo Solution), "
        "not unpacked.",
    )


async def import_solution(channel: Channel, file: SolutionFile, *, sleep: Sleep, tell: Tell) -> list[str]:
    """Import a file and return the warnings. Raises ``SolutionRefused`` when the organization does not take it."""
    upload = await _stage(channel, file)
    order = {
        "OverwriteUnmanagedCustomizations": False,
        "PublishWorkflows": True,  # this is what enables the SDK message processing steps
        "SolutionParameters": {"StageSolutionUploadId": upload},
    }
    started = as_json(IMPORT)
    answer = await when_free(lambda: _act(channel, "ImportSolutionAsync", order, started), sleep=sleep, tell=tell)
    await _follow(channel, answer["AsyncOperationId"], answer["ImportJobKey"], sleep=sleep, tell=tell)
    path = f"RetrieveSolutionImportResult(ImportJobId={answer['ImportJobKey']})"
    result = await channel.get(path, IMPORT_RESULT)
    told = result["SolutionOperationResult"]
    if told.get("ErrorMessages") or str(told.get("Status")) == "Failed":
        raise _refused(channel, file, "; ".join(map(str, told.get("ErrorMessages") or ["no reason was given"])))
    return [str(text) for text in told.get("WarningMessages") or ()]


async def publish_all(channel: Channel, *, sleep: Sleep, tell: Tell) -> None:
    """Publish All Customizations."""
    await when_free(lambda: _act(channel, "PublishAllXml", {}, done), sleep=sleep, tell=tell)


async def publish(channel: Channel, entities: Iterable[str], *, sleep: Sleep, tell: Tell) -> None:
    """Publish the customizations of these entities only, which is faster and locks less."""
    named = "".join(f"<entity>{name}</entity>" for name in entities)
    parameters = {"ParameterXml": f"<importexportxml><entities>{named}</entities></importexportxml>"}
    await when_free(lambda: _act(channel, "PublishXml", parameters, done), sleep=sleep, tell=tell)


async def when_free(call: Callable[[], Awaitable[T]], *, sleep: Sleep, tell: Tell) -> T:
    """Call once no other import or publication is running; waits for those, but not for ever."""
    waited = 0.0
    while True:
        try:
            return await call()
        except ServiceUnavailable as error:
            if error.code != BUSY or waited >= LONGEST_WAIT:
                raise
        tell("Another import or publication is running in the organization: waiting for its end")
        await sleep(BETWEEN_LOOKS)
        waited += BETWEEN_LOOKS


async def _act(channel: Channel, action: str, body: dict[str, Any], read: Read) -> Any:
    return (await channel.send("POST", action, json=body, repeatable=False, read=read)).body


async def _stage(channel: Channel, file: SolutionFile) -> str:
    content = base64.b64encode(file.path.read_bytes()).decode()
    file_in = {"CustomizationFile": content}
    answer = await channel.send("POST", "StageSolution", json=file_in, read=as_json(STAGED))
    results = answer.body["StageSolutionResults"]
    lacking = [
        f"{one.get('RequiredComponentDisplayName') or one.get('RequiredComponentSchemaName')} "
        f"({one.get('RequiredSolutionName') or 'unknown solution'})"
        for one in results.get("MissingDependencies") or ()
    ]
    if lacking:
        raise SolutionRefused(
            f"The organization lacks what {file.unique_name} {file.version} needs: {', '.join(lacking)}",
            remedy=BY_CODE["0x8004801d"].remedy,
            tenant=channel.tenant,
        )
    if str(results.get("StageSolutionStatus")) == "Failed":
        said = [str(one.get("Message")) for one in results.get("SolutionValidationResults") or ()]
        raise _refused(channel, file, "; ".join(said) or "no reason was given")
    if not results.get("StageSolutionUploadId"):
        raise TransportFailed("Dataverse staged a solution without telling its id", tenant=channel.tenant)
    return str(results["StageSolutionUploadId"])


async def _follow(channel: Channel, job: str, import_job: str, *, sleep: Sleep, tell: Tell) -> None:
    """Wait for the end of a job; raises what it failed with."""
    path = url(f"asyncoperations({job})", select="statecode,statuscode,errorcode,message,friendlymessage")
    waited, told = 0.0, ""
    while True:
        row = await channel.get(path, JOB, entity="asyncoperation")
        if row["statecode"] == _COMPLETED:
            break
        if waited >= LONGEST_WAIT:
            raise ServiceUnavailable(
                f"The import is not done after {waited / 60:.0f} minutes; it goes on in Dynamics",
                remedy="Look at Solutions > History in make.powerapps.com; when it is done, run the command again: "
                "what is there is kept.",
                tenant=channel.tenant,
            )
        if (progress := await _progress(channel, import_job)) != told:
            told = progress
            tell(told)
        pause = min(1.0 + waited / 10, LONGEST_PAUSE)
        await sleep(pause)
        waited += pause
    if row["statuscode"] != _SUCCEEDED:
        raise _failed(channel, row)


async def _progress(channel: Channel, import_job: str) -> str:
    try:
        row = await channel.get(url(f"importjobs({import_job})", select="progress"), PROGRESS, entity="importjob")
    except RecordMissing:
        return "The import is waiting for its turn"
    except CrmsyncError:
        return "The import is running"
    return f"The import is at {row.get('progress') or 0:.0f} %"


def _failed(channel: Channel, row: dict[str, Any]) -> CrmsyncError:
    code = f"0x{int(row.get('errorcode') or 0) & 0xFFFFFFFF:08X}"
    known = BY_CODE.get(code.lower(), BY_CODE["0x80048033"])
    said = row.get("friendlymessage") or row.get("message") or "no reason was given"
    return known.error(
        f"The import failed: {known.meaning}: {said}", remedy=known.remedy, tenant=channel.tenant, code=code
    )


def _refused(channel: Channel, file: SolutionFile, why: str) -> SolutionRefused:
    return SolutionRefused(
        f"The organization does not take {file.unique_name} {file.version}: {why}",
        remedy=BY_CODE["0x80048033"].remedy,
        tenant=channel.tenant,
    )
