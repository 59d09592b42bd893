"""Solutions, publishers and what belongs to a solution; taking a solution away.

"Work with solutions", "Solution concepts" (Power Platform documents), solution, publisher and solutioncomponent table
references, AddSolutionComponent (Dataverse Web API reference).
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.dataverse.errors import ODataError, invalid_argument, not_allowed
from crmsync.sandbox.dataverse.jobs import refuse_while_busy
from crmsync.sandbox.dataverse.messages import Answer, Request
from crmsync.sandbox.dataverse.roles import delete_role
from crmsync.sandbox.dataverse.rules import TableRules
from crmsync.sandbox.dataverse.schema_changes import SchemaChanges
from crmsync.sandbox.dataverse.setup_tables import COMPONENT_TYPES

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.store import DataverseStore, Row

HEADER = "mscrm.solutionuniquename"
_UNIQUE_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_PREFIX = re.compile(r"^(?!mscrm)[a-z][a-z0-9]{1,7}$", re.IGNORECASE)
_VERSION = re.compile(r"^\d+(\.\d+){1,3}$")
_MADE = (
    (re.compile(r"/EntityDefinitions\([^)]*\)/Attributes\(([0-9a-f-]{36})\)$"), "Attribute"),
    (re.compile(r"/EntityDefinitions\(([0-9a-f-]{36})\)$"), "Entity"),
    (re.compile(r"/RelationshipDefinitions\(([0-9a-f-]{36})\)$"), "Relationship"),
    (re.compile(r"/roles\(([0-9a-f-]{36})\)$"), "Role"),
    (re.compile(r"/fieldsecurityprofiles\(([0-9a-f-]{36})\)$"), "FieldSecurityProfile"),
    (re.compile(r"/sdkmessageprocessingsteps\(([0-9a-f-]{36})\)$"), "Step"),
)


class PublisherRules(TableRules):
    """A publisher has a name of its own and a prefix."""

    def before_create(self, store: DataverseStore, request: Request, values: Row) -> None:
        if not _UNIQUE_NAME.match(values.get("uniquename") or "") or not values.get("friendlyname"):
            raise invalid_argument("A publisher needs a unique name of letters, digits and underscores, and a label.")
        if not _PREFIX.match(values.get("customizationprefix") or ""):
            raise invalid_argument("The prefix must be 2 to 8 letters and digits, and must not start with 'mscrm'.")
        if values.get("customizationoptionvalueprefix") is None:
            raise invalid_argument("A publisher needs an option value prefix.")
        if store.database.look("SELECT 1 FROM publisher WHERE uniquename = ?", (values["uniquename"],)):
            raise ODataError(400, "0x8004F023", f"The publisher name '{values['uniquename']}' is used already.")

    def delete(self, store: DataverseStore, request: Request, current: Row) -> bool:
        if store.database.look("SELECT 1 FROM solution WHERE publisherid = ?", (current["publisherid"],)):
            raise not_allowed("The publisher still has solutions.", "0x80040227")
        return False


class SolutionRules(TableRules):
    """An unmanaged solution is made by hand; a managed one is imported, and takes its components away with it."""

    def before_create(self, store: DataverseStore, request: Request, values: Row) -> None:
        if not _UNIQUE_NAME.match(values.get("uniquename") or "") or not values.get("friendlyname"):
            raise invalid_argument("A solution needs a unique name of letters, digits and underscores, and a label.")
        if not _VERSION.match(values.get("version") or ""):
            raise invalid_argument("A solution needs a version of the form 1.0.0.0.")
        if not values.get("publisherid"):
            raise invalid_argument("A solution needs a publisher.")
        if find_solution(store, values["uniquename"]):
            name = values["uniquename"]
            message = f"The solution unique name '{name}' is already being used and cannot be used again."
            raise ODataError(400, "0x8004F023", message)
        values |= {"ismanaged": 0, "isvisible": 1, "installedon": store.now()}

    def before_update(self, store: DataverseStore, request: Request, current: Row, changes: Row) -> None:
        if current["ismanaged"]:
            raise not_allowed("A managed solution cannot be changed.", "0x8004023B")
        if not _VERSION.match(changes.get("version", current["version"]) or ""):
            raise invalid_argument("A solution needs a version of the form 1.0.0.0.")

    def delete(self, store: DataverseStore, request: Request, current: Row) -> bool:
        refuse_while_busy(store, "Uninstall")
        if current["uniquename"] == "Default":
            raise not_allowed("The default solution cannot be deleted.", "0x8004023B")
        if current["ismanaged"]:
            _take_away(store, current["solutionid"])
        store.database.write("DELETE FROM solutioncomponent WHERE solutionid = ?", (current["solutionid"],))
        return False


def _take_away(store: DataverseStore, solution_id: str) -> None:
    """Delete what a managed solution brought: steps, roles, tables, columns."""
    steps = "SELECT sdkmessageprocessingstepid FROM sdkmessageprocessingstep WHERE solutionid = ?"
    for (step,) in store.database.look(steps, (solution_id,)):
        store.delete(store.schema.tables["sdkmessageprocessingstep"], step)
    roles = "SELECT roleid FROM role WHERE solutionid = ? AND parentrootroleid = roleid"
    for (role,) in store.database.look(roles, (solution_id,)):
        delete_role(store, role)
    changes, brought = SchemaChanges(store), set(components(store, solution_id))
    for table in list(store.schema.tables.values()):
        if (COMPONENT_TYPES["Entity"], table.definition.metadata_id) in brought:
            changes.drop_table(table)
            continue
        for column in table.definition.columns:
            if (COMPONENT_TYPES["Attribute"], column.metadata_id) in brought:
                changes.drop_column(store.schema.tables[table.name], column)


def find_solution(store: DataverseStore, unique_name: str) -> Row | None:
    """The solution of that name."""
    found = store.database.look("SELECT solutionid FROM solution WHERE uniquename = ?", (unique_name,))
    return store.get(store.schema.tables["solution"], found[0][0]) if found else None


def components(store: DataverseStore, solution_id: str) -> list[tuple[int, str]]:
    """Type and id of everything in a solution."""
    sql = "SELECT componenttype, objectid FROM solutioncomponent WHERE solutionid = ?"
    return [(int(kind), str(object_id)) for kind, object_id in store.database.look(sql, (solution_id,))]


def add_component(store: DataverseStore, solution_id: str, kind: int, object_id: str) -> str:
    """Put something in a solution, once; returns the component's id."""
    where = "solutionid = ? AND objectid = ? AND componenttype = ?"
    sql = f"SELECT solutioncomponentid FROM solutioncomponent WHERE {where}"
    known = store.database.look(sql, (solution_id, object_id, kind))
    if known:
        return str(known[0][0])
    component_id = str(uuid.uuid4())
    row: dict[str, Any] = {"solutioncomponentid": component_id, "objectid": object_id, "componenttype": kind}
    store.insert_many("solutioncomponent", [{**row, "solutionid": solution_id, "rootcomponentbehavior": 0}])
    return component_id


def solution_of(store: DataverseStore, request: Request) -> Row | None:
    """The unmanaged solution that ``MSCRM.SolutionUniqueName`` names; refuses another name."""
    name = request.headers.get(HEADER) or request.query.get("SolutionUniqueName")
    return None if not name or name == "Active" else unmanaged_solution(store, name)


def unmanaged_solution(store: DataverseStore, name: str) -> Row:
    solution = find_solution(store, name)
    if solution is None:
        raise ODataError(404, "0x80040217", f"The solution with the unique name '{name}' does not exist.")
    if solution["ismanaged"]:
        raise not_allowed(f"The managed solution '{name}' takes no components.", "0x8004023B")
    return solution


def note_component(store: DataverseStore, solution: Row | None, answer: Answer) -> None:
    """Put what a request made (its ``OData-EntityId`` tells) in the solution that the request named."""
    made = answer.headers.get("OData-EntityId", "")
    for pattern, kind in _MADE:
        match = pattern.search(made)
        if solution is not None and match is not None:
            add_component(store, solution["solutionid"], COMPONENT_TYPES[kind], match[1])
            return
