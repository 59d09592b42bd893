"""Actions and functions about solutions: stage, import, the result of an import, publish, add a component.

StageSolution, ImportSolutionAsync, RetrieveSolutionImportResult, PublishXml, PublishAllXml, AddSolutionComponent
(Dataverse Web API reference); "Work with solutions: asynchronous import" (Power Platform documents).
"""

from __future__ import annotations

import base64
import binascii
import uuid
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from crmsync.sandbox.dataverse.errors import bad_request, invalid_argument, no_row
from crmsync.sandbox.dataverse.jobs import order, refuse_while_busy
from crmsync.sandbox.dataverse.messages import Answer, Request, parse_guid, parse_parameters
from crmsync.sandbox.dataverse.solution_file import SolutionFile, read_solution, unusable
from crmsync.sandbox.dataverse.solution_import import missing_dependencies, objection
from crmsync.sandbox.dataverse.solutions import add_component, unmanaged_solution

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.store import DataverseStore


def _response(request: Request, name: str, data: dict[str, Any]) -> Answer:
    return Answer.json({"@odata.context": f"{request.root}$metadata#Microsoft.Dynamics.CRM.{name}", **data})


def _require(request: Request, privilege: str) -> None:
    request.caller.require(privilege, "solution", 7100, depth="Global")


def stage_solution(store: DataverseStore, request: Request) -> Answer:
    """Look at a solution's file before its import, and keep it for that."""
    _require(request, "prvImportCustomization")
    data = _file(request.json())
    file = read_solution(data)
    upload = str(uuid.uuid4())
    store.database.write("INSERT INTO _upload VALUES (?, ?)", (upload, data))
    error = objection(store, file)
    results = {
        "StageSolutionUploadId": upload,
        "StageSolutionStatus": "Passed" if error is None else "Failed",
        "SolutionValidationResults": [] if error is None else [_validation(*error)],
        "MissingDependencies": _missing(store, file),
        "SolutionDetails": {
            "SolutionUniqueName": file.unique_name,
            "SolutionFriendlyName": file.label,
            "SolutionVersion": file.version,
            "IsManaged": file.managed,
        },
    }
    return _response(request, "StageSolutionResponse", {"StageSolutionResults": results})


def _validation(code: str, message: str) -> dict[str, Any]:
    number = int(code, 16) - (1 << 32)
    return {"SolutionValidationResultType": "Error", "Message": message, "ErrorCode": number, "AdditionalInfo": None}


def _missing(store: DataverseStore, file: SolutionFile) -> list[dict[str, Any]]:
    return [
        {
            "RequiredComponentType": int(one.type) if one.type.isdigit() else 0,
            "RequiredComponentSchemaName": one.name,
            "RequiredComponentDisplayName": one.label,
            "RequiredSolutionName": one.solution,
        }
        for one in missing_dependencies(store, file)
    ]


def _file(body: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(str(body.get("CustomizationFile") or ""), validate=True)
    except binascii.Error:
        raise unusable("CustomizationFile is not base64.") from None


def import_solution_async(store: DataverseStore, request: Request) -> Answer:
    """Order the import of a file, or of one that was staged."""
    _require(request, "prvImportCustomization")
    body = request.json()
    for name in ("OverwriteUnmanagedCustomizations", "PublishWorkflows"):
        if not isinstance(body.get(name), bool):
            raise bad_request(f"The required parameter '{name}' is missing.")
    refuse_while_busy(store, "Import")
    data = _staged(store, body) if not body.get("CustomizationFile") else _file(body)
    file = read_solution(data)
    enable_steps = bool(body["PublishWorkflows"])
    job = order(store, request.caller.user_id, file.unique_name, data, enable_steps=enable_steps)
    ids = {"ImportJobKey": job.import_job, "AsyncOperationId": job.id}
    return _response(request, "ImportSolutionAsyncResponse", ids)


def _staged(store: DataverseStore, body: dict[str, Any]) -> bytes:
    upload = (body.get("SolutionParameters") or {}).get("StageSolutionUploadId")
    if not upload:
        raise bad_request("The required parameter 'CustomizationFile' is missing.")
    found = store.database.look("SELECT file FROM _upload WHERE id = ?", (parse_guid(str(upload)),))
    if not found:
        raise invalid_argument(f"There is no staged solution {upload}.")
    return bytes(found[0][0])


def retrieve_import_result(store: DataverseStore, request: Request) -> Answer:
    """``RetrieveSolutionImportResult(ImportJobId=...)``: passed, perhaps with warnings, or failed."""
    request.caller.require("prvReadImportJob", "importjob", 9107)
    job = parse_guid(parse_parameters(request, request.segments[0].key).get("ImportJobId", ""))
    row = store.get(store.schema.tables["importjob"], job)
    if row is None:
        raise no_row("importjob", job)
    if row["completedon"] is None:
        raise invalid_argument(f"The import job {job} is not completed yet.")
    told = list(ElementTree.fromstring(row["data"]).iter("result"))  # noqa: S314 - the sandbox wrote it itself
    by_kind = {
        kind: [one.get("errortext", "") for one in told if one.get("result") == kind] for kind in ("warning", "failure")
    }
    result = {
        "Type": "Import",
        "Status": "Failed" if by_kind["failure"] else "Passed",
        "WarningMessages": by_kind["warning"],
        "ErrorMessages": by_kind["failure"],
    }
    return _response(request, "RetrieveSolutionImportResultResponse", {"SolutionOperationResult": result})


def publish(store: DataverseStore, request: Request) -> Answer:
    """Publish customizations. Changes of the schema hold here as soon as they are made, so there is nothing to do."""
    request.caller.require("prvPublishCustomization", "organization", 1019)
    if request.segments[0].name == "PublishXml":
        _check_parameters(store, str(request.json().get("ParameterXml") or ""))
    refuse_while_busy(store, "Publish")
    return Answer()


def _check_parameters(store: DataverseStore, xml: str) -> None:
    """The XML must be well-formed, and the tables in it must be there."""
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 - a caller harms only its own sandbox
    except ElementTree.ParseError as error:
        raise invalid_argument(f"ParameterXml is not XML: {error}") from None
    for entity in root.iterfind("entities/entity"):
        if (entity.text or "").strip() not in store.schema.tables:
            raise bad_request(f"Could not find an entity with the specified name: {entity.text}.")


def add_solution_component(store: DataverseStore, request: Request) -> Answer:
    """Put something that exists in an unmanaged solution."""
    _require(request, "prvWriteSolution")
    body = request.json()
    missing = [name for name in ("ComponentId", "ComponentType", "SolutionUniqueName") if not body.get(name)]
    if missing:
        raise bad_request(f"The required parameter '{missing[0]}' is missing.")
    solution = unmanaged_solution(store, str(body["SolutionUniqueName"]))
    object_id = parse_guid(str(body["ComponentId"]))
    component = add_component(store, solution["solutionid"], int(body["ComponentType"]), object_id)
    return _response(request, "AddSolutionComponentResponse", {"id": component})
