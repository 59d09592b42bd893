"""Importing a solution: what stands against it, and what it brings to the organization.

Tables, columns, lookups, roles and plug-in steps are made; what the organization cannot take (a step on a table that is
not there, a privilege that is unknown) is passed over with a warning, so that the import is "completed with warning".

"Import solutions", "Solution dependencies" (Power Platform documents); Marketo's "Step 1 of 3: Install the Marketo
solution" for the warning, the steps that are switched on by ``PublishWorkflows`` and the record ``Default``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from crmsync.sandbox.dataverse.attribute_definitions import new_columns
from crmsync.sandbox.dataverse.columns import Column, Reference
from crmsync.sandbox.dataverse.entity_definitions import new_table
from crmsync.sandbox.dataverse.errors import ODataError
from crmsync.sandbox.dataverse.jobs import Job, Result
from crmsync.sandbox.dataverse.plugin_steps import filter_id
from crmsync.sandbox.dataverse.roles import create_role, set_privileges
from crmsync.sandbox.dataverse.schema_changes import SchemaChanges
from crmsync.sandbox.dataverse.setup_tables import COMPONENT_TYPES
from crmsync.sandbox.dataverse.solution_file import (
    AttributePart,
    EntityPart,
    LookupPart,
    Required,
    RolePart,
    SolutionFile,
    StepPart,
    read_solution,
    version_numbers,
)
from crmsync.sandbox.dataverse.solutions import add_component, find_solution

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.store import DataverseStore

MARKETO_CONFIG = "mkt_config"
"""The table of Marketo's own solution that holds one record, which names the sync user."""

_NAMESPACE = "Microsoft.Dynamics.CRM."
_TYPES = {
    "nvarchar": "String",
    "ntext": "Memo",
    "int": "Integer",
    "bit": "Boolean",
    "datetime": "DateTime",
    "decimal": "Decimal",
    "float": "Double",
    "money": "Money",
}


def missing_dependencies(store: DataverseStore, file: SolutionFile) -> list[Required]:
    """What the solution needs and the organization does not have."""
    return [one for one in file.required if not _is_there(store, one)]


def _is_there(store: DataverseStore, one: Required) -> bool:
    tables = store.schema.tables
    if one.type == "1":
        return one.name.lower() in tables
    if one.type == "2":
        table = tables.get(one.parent.lower())
        return table is not None and one.name.lower() in table.columns
    return find_solution(store, one.solution) is not None


def objection(store: DataverseStore, file: SolutionFile) -> tuple[str, str] | None:
    """Code and text of why the solution cannot be imported."""
    missing = missing_dependencies(store, file)
    if missing:
        names = ", ".join(f"{one.label} ({one.solution or 'unknown solution'})" for one in missing)
        return "0x8004801D", f"The import of solution {file.unique_name} failed. Missing dependencies: {names}."
    installed = find_solution(store, file.unique_name)
    if installed is None:
        return None
    if bool(installed["ismanaged"]) != file.managed:
        there, new = ("managed", "unmanaged") if installed["ismanaged"] else ("unmanaged", "managed")
        return "0x80048040", f"The solution {file.unique_name} is installed as {there}; it cannot be imported as {new}."
    if file.managed and file.numbers <= version_numbers(installed["version"]):
        message = f"The version {file.version} is not higher than the installed version {installed['version']}."
        return "0x80048541", f"The import of solution {file.unique_name} failed. {message}"
    return None


def import_solution(store: DataverseStore, job: Job, data: bytes) -> Result:
    """Import a solution's file, all of it or nothing."""
    file = read_solution(data)
    error = objection(store, file)
    if error is not None:
        return Result(error, _protocol(file, [("failure", *error)]))
    try:
        warnings = _Import(store, file, enable_steps=job.enable_steps).run()
    except ODataError as refusal:
        failed = ("0x80048033", f"The import of solution {file.unique_name} failed. {refusal.message}")
        return Result(failed, _protocol(file, [("failure", *failed)]))
    return Result(None, _protocol(file, [("warning", "0x80045043", text) for text in warnings]))


def _protocol(file: SolutionFile, results: Iterable[tuple[str, str, str]]) -> str:
    """The XML of ``importjobs.data``."""
    told = list(results)
    lines = [
        f"<result result={quoteattr(kind)} errorcode={quoteattr(code)} errortext={quoteattr(text)} />"
        for kind, code, text in told or [("success", "0", "")]
    ]
    manifest = (
        f"<solutionManifest><UniqueName>{file.unique_name}</UniqueName><Version>{file.version}</Version>"
        f"<Managed>{int(file.managed)}</Managed><results>{''.join(lines)}</results></solutionManifest>"
    )
    return f'<importexportxml processed="true"><solutionManifests>{manifest}</solutionManifests></importexportxml>'


class _Import:
    """One import under way."""

    def __init__(self, store: DataverseStore, file: SolutionFile, *, enable_steps: bool) -> None:
        self._store, self._file, self._enable_steps = store, file, enable_steps
        self._changes = SchemaChanges(store)
        self._warnings: list[str] = []
        self._solution_id = ""

    def run(self) -> list[str]:
        """Do it; returns the warnings."""
        self._solution_id = self._solution()
        for entity in self._file.entities:
            self._entity(entity)
        for one in self._file.lookups:
            self._lookup(one)
        for role in self._file.roles:
            self._role(role)
        for step in self._file.steps:
            self._step(step)
        self._marketo_config()
        if self._file.steps and not self._enable_steps:
            self._warnings.append("SDK message processing steps were imported disabled.")
        return self._warnings

    def _component(self, kind: str, object_id: str) -> None:
        add_component(self._store, self._solution_id, COMPONENT_TYPES[kind], object_id)

    def _solution(self) -> str:
        file, store = self._file, self._store
        row = {"version": file.version, "friendlyname": file.label, "installedon": store.now()}
        installed = find_solution(store, file.unique_name)
        if installed is not None:
            store.update(store.schema.tables["solution"], installed["solutionid"], row)
            return str(installed["solutionid"])
        new = {"solutionid": str(uuid.uuid4()), "uniquename": file.unique_name, "ismanaged": int(file.managed)}
        store.insert_many("solution", [{**row, **new, "isvisible": 1, "publisherid": self._publisher()}])
        return str(new["solutionid"])

    def _publisher(self) -> str:
        part = self._file.publisher
        known = self._store.database.look("SELECT publisherid FROM publisher WHERE uniquename = ?", (part.unique_name,))
        if known:
            return str(known[0][0])
        row = {"publisherid": str(uuid.uuid4()), "uniquename": part.unique_name, "friendlyname": part.label}
        prefixes = {"customizationprefix": part.prefix, "customizationoptionvalueprefix": part.option_prefix}
        self._store.insert_many("publisher", [{**row, **prefixes}])
        return row["publisherid"]

    # Tables

    def _entity(self, part: EntityPart) -> None:
        table = self._store.schema.tables.get(part.name)
        if table is None:
            table = self._changes.create_table(new_table(self._store.schema, _definition(part)))
            self._component("Entity", table.definition.metadata_id)
            return
        for attribute in part.attributes:
            if attribute.name not in table.columns:
                self._attribute(part.name, attribute)

    def _attribute(self, table: str, part: AttributePart) -> None:
        for column in new_columns(_attribute_definition(part), self._store.schema.option_sets):
            self._add(table, column)

    def _lookup(self, part: LookupPart) -> None:
        table = self._store.schema.tables.get(part.table)
        if table is None or part.target not in self._store.schema.tables:
            self._warnings.append(f"The relationship {part.schema_name} was passed over: a table of it is not there.")
        elif part.column.lower() not in table.columns:
            reference = Reference(part.target, part.column, part.schema_name)
            label = part.label or part.column
            column = Column(part.column.lower(), "Lookup", label, part.column, references=(reference,), custom=True)
            self._add(part.table, column)

    def _add(self, table: str, column: Column) -> None:
        self._changes.add_column(self._store.schema.tables[table], column)
        added = self._store.schema.tables[table].columns[column.name]
        self._component("Attribute", added.metadata_id)

    # Roles

    def _role(self, part: RolePart) -> None:
        role_id = self._find_role(part)
        known = {name: key for key, name in self._store.database.look("SELECT privilegeid, name FROM privilege")}
        held = [(known[name], depth) for name, depth in part.privileges if name in known]
        for name in sorted({name for name, _ in part.privileges} - known.keys()):
            self._warnings.append(f"The privilege {name} of the role {part.name} was passed over: it is not there.")
        set_privileges(self._store, role_id, held, replace=True)
        self._component("Role", role_id)

    def _find_role(self, part: RolePart) -> str:
        unit = self._store.ids.business_unit
        sql = "SELECT roleid FROM role WHERE roleid = ? OR (name = ? AND businessunitid = ?)"
        known = self._store.database.look(sql, (part.id, part.name, unit))
        marks = {"ismanaged": int(self._file.managed), "solutionid": self._solution_id}
        if known:
            self._store.update(self._store.schema.tables["role"], known[0][0], marks)
            return str(known[0][0])
        role = {"roleid": part.id or str(uuid.uuid4()), "name": part.name, "businessunitid": unit}
        create_role(self._store, {**role, **marks})
        return role["roleid"]

    # Steps

    def _step(self, part: StepPart) -> None:
        problem = self._step_problem(part)
        if problem:
            self._warnings.append(f"The step '{part.name}' was passed over: {problem}.")
            return
        disabled = part.disabled or not self._enable_steps
        row: dict[str, Any] = {
            "name": part.name,
            "sdkmessageid": part.message_id,
            "sdkmessagefilterid": self._filter(part),
            "stage": part.stage,
            "mode": part.mode,
            "rank": part.rank,
            "statecode": int(disabled),
            "statuscode": 2 if disabled else 1,
            "ismanaged": int(self._file.managed),
            "solutionid": self._solution_id,
        }
        step_id = part.id or str(uuid.uuid4())
        table = self._store.schema.tables["sdkmessageprocessingstep"]
        if self._store.get(table, step_id):
            self._store.update(table, step_id, row)
        else:
            self._store.insert_many(table.name, [{"sdkmessageprocessingstepid": step_id, **row}])
        self._component("Step", step_id)

    def _message_name(self, part: StepPart) -> str | None:
        found = self._store.database.look("SELECT name FROM sdkmessage WHERE sdkmessageid = ?", (part.message_id,))
        return str(found[0][0]) if found else None

    def _step_problem(self, part: StepPart) -> str | None:
        if self._message_name(part) is None:
            return f"there is no message {part.message_id}"
        if part.table and self._filter(part) is None:
            return f"the table {part.table} is not there or has no such message"
        return None

    def _filter(self, part: StepPart) -> str | None:
        name = filter_id(self._message_name(part) or "", part.table)
        sql = "SELECT 1 FROM sdkmessagefilter WHERE sdkmessagefilterid = ?"
        return name if self._store.database.look(sql, (name,)) else None

    def _marketo_config(self) -> None:
        """Marketo's solution comes with one record, ``Default``, that names no user yet."""
        table = self._store.schema.tables.get(MARKETO_CONFIG)
        ours = any(part.name == MARKETO_CONFIG for part in self._file.entities)
        if table is not None and ours and not self._store.database.look(f'SELECT 1 FROM "{MARKETO_CONFIG}"'):
            self._store.insert_many(MARKETO_CONFIG, [{table.primary_name: "Default"}])


def _definition(part: EntityPart) -> dict[str, Any]:
    """The table as a client would define it over the Web API."""
    return {
        "SchemaName": part.schema_name,
        "EntitySetName": part.set_name,
        "DisplayName": _label(part.label),
        "DisplayCollectionName": _label(part.plural_label),
        "OwnershipType": "UserOwned" if part.user_owned else "OrganizationOwned",
        "Attributes": [_attribute_definition(one) for one in part.attributes if one.type in _TYPES],
    }


def _attribute_definition(part: AttributePart) -> dict[str, Any]:
    kind = _TYPES.get(part.type)
    if kind is None:
        raise ODataError(400, "0x80048033", f"The attribute {part.name} has the type '{part.type}', not known here.")
    return {
        "@odata.type": f"{_NAMESPACE}{kind}AttributeMetadata",
        "SchemaName": part.schema_name,
        "DisplayName": _label(part.label),
        "MaxLength": part.length,
        "IsPrimaryName": part.primary_name,
    }


def _label(text: str) -> dict[str, Any]:
    return {"LocalizedLabels": [{"Label": text, "LanguageCode": 1033}]}
