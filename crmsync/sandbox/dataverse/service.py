"""The Web API itself: which operation a method and a path mean.

"Compose HTTP requests and handle errors" (Power Apps developer documents).
"""

from __future__ import annotations

import asyncio
import sqlite3

from crmsync.sandbox.dataverse.alternate_keys import find_id, key_values, primary_key
from crmsync.sandbox.dataverse.bulk import MULTIPLE, answer_multiple
from crmsync.sandbox.dataverse.csdl import csdl
from crmsync.sandbox.dataverse.errors import (
    ODataError,
    no_http_resource,
    no_property,
    no_row,
    no_segment,
    not_allowed,
    sql_error,
)
from crmsync.sandbox.dataverse.expanding import require_read
from crmsync.sandbox.dataverse.functions import ACTIONS, BOUND_ACTIONS, BOUND_FUNCTIONS, FUNCTIONS
from crmsync.sandbox.dataverse.jobs import move_on, running
from crmsync.sandbox.dataverse.messages import Answer, Request, Segment
from crmsync.sandbox.dataverse.metadata import MetadataReader
from crmsync.sandbox.dataverse.metadata_json import NAMESPACE
from crmsync.sandbox.dataverse.metadata_write import MetadataWriter, changes_schema
from crmsync.sandbox.dataverse.privileges import acting
from crmsync.sandbox.dataverse.reading import Related, count_rows, read_collection, read_property, read_row
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.solution_import import import_solution
from crmsync.sandbox.dataverse.solutions import note_component, solution_of
from crmsync.sandbox.dataverse.store import DataverseStore
from crmsync.sandbox.dataverse.tracking import count_changes, is_tracked, read_tracked
from crmsync.sandbox.dataverse.visibility import require_row
from crmsync.sandbox.dataverse.writing import Writer

LONGEST_URL = 32_768
LONGEST_URL_IN_BATCH = 65_536
_METADATA = {"EntityDefinitions", "GlobalOptionSetDefinitions", "RelationshipDefinitions"}


class Service:
    """Answers operations over one store. Errors leave as ``ODataError``."""

    def __init__(self, store: DataverseStore) -> None:
        self.store = store
        self.writing = asyncio.Lock()

    async def answer(self, request: Request) -> Answer:
        """One operation that reads or writes; writes wait for each other."""
        await self._move_jobs_on()
        with acting(request.caller):
            return await self._answer(request)

    async def _move_jobs_on(self) -> None:
        """System jobs run on their own time; nobody notices before somebody asks."""
        if running(self.store):
            async with self.writing:
                with self.store.transaction():
                    move_on(self.store, import_solution)

    async def _answer(self, request: Request) -> Answer:
        if request.method == "GET":
            return await self.read(request)
        async with self.writing:
            if changes_schema(request):
                # Dropping a column of a big table takes seconds.
                answer = await asyncio.to_thread(MetadataWriter(self.store, request).answer)
                note_component(self.store, solution_of(self.store, request), answer)
                return answer
            with self.store.transaction():
                return self.write(request)

    # Reads

    async def read(self, request: Request) -> Answer:
        if not request.segments:
            return self._service_document(request)
        first, *rest = request.segments
        if first.name in FUNCTIONS and not rest:
            return FUNCTIONS[first.name](self.store, request)
        if first.name in _METADATA:
            request.caller.require("prvReadEntity", "entity", 9800)
            return MetadataReader(self.store, request).answer()
        if first.name == "$metadata" and not rest:
            return csdl(self.store, request)
        table = self._table(first, request)
        if first.key is None:
            return await self._read_set(table, rest, request)
        row_id = find_id(self.store, table, first.key)
        if not rest:
            return read_row(self.store, table, row_id, request)
        part = rest[0].name
        function = BOUND_FUNCTIONS.get((table.name, part.removeprefix(NAMESPACE)))
        if function is not None and part.startswith(NAMESPACE):
            return function(self.store, table, row_id, request)
        if len(rest) > 1:
            raise no_segment(rest[1].name)
        if part in table.properties:
            return read_property(self.store, table, row_id, part, request)
        return await self._read_related(table, row_id, part, request)

    async def _read_related(self, table: LiveTable, row_id: str, name: str, request: Request) -> Answer:
        """The rows at the other end of a navigation property."""
        tables = self.store.schema.tables
        row = self.store.get(table, row_id)
        if row is None:
            raise no_row(table.name, row_id)
        require_read(request, table)
        require_row(self.store, request.caller, table, row, "Read")
        if name in table.navigations:
            navigation = table.navigations[name]
            column, target = navigation.column, navigation.target
            other_id, kind = row[navigation.column.name], row.get(f"{column.name}type", target)
            owner = column.kind == "Owner"
            if other_id is None or (kind != target and not owner):
                return Answer()
            return read_row(self.store, tables[kind if owner else target], other_id, request)
        collection = self.store.schema.collections(table.name).get(name)
        if collection is None:
            raise no_property(name, table.name)
        return await read_collection(self.store, tables[collection.target], request, Related(collection, row_id))

    async def _read_set(self, table: LiveTable, rest: list[Segment], request: Request) -> Answer:
        if not rest:
            reader = read_tracked if is_tracked(request) else read_collection
            return await reader(self.store, table, request)
        if len(rest) == 1 and rest[0].name == "$count":
            counter = count_changes if "$deltatoken" in request.query else count_rows
            return await counter(self.store, table, request)
        raise no_segment(rest[0].name)

    def _service_document(self, request: Request) -> Answer:
        sets = sorted([*self.store.schema.sets, *_METADATA])
        value = [{"name": name, "kind": "EntitySet", "url": name} for name in sets]
        return Answer.json({"@odata.context": f"{request.root}$metadata", "value": value})

    # Writes

    def write(self, request: Request) -> Answer:
        """One operation that changes rows. Never waits, so several of them can be one transaction."""
        with acting(request.caller):
            solution = solution_of(self.store, request)
            answer = self._write(request)
            note_component(self.store, solution, answer)
            return answer

    def _write(self, request: Request) -> Answer:
        if not request.segments:
            raise not_allowed("Operation not supported on the service document")
        first, *rest = request.segments
        if request.method == "POST" and first.name in ACTIONS:
            return ACTIONS[first.name](self.store, request)
        table = self._table(first, request)
        writer = Writer(self.store, table, request)
        if first.key is None:
            action_name = rest[0].name.removeprefix(NAMESPACE) if rest else ""
            if len(rest) == 1 and rest[0].name.startswith(NAMESPACE) and action_name in MULTIPLE:
                return answer_multiple(self.store, table, action_name, request)
            if rest or request.method != "POST":
                raise no_segment(rest[0].name) if rest else not_allowed(f"Operation not supported on {table.set_name}")
            return writer.create()
        if not rest:
            return self._write_row(writer, table, first.key, request)
        row_id = find_id(self.store, table, first.key)
        action = BOUND_ACTIONS.get((table.name, rest[0].name.removeprefix(NAMESPACE)))
        if action is not None and request.method == "POST" and rest[0].name.startswith(NAMESPACE):
            return action(self.store, table, row_id, request)
        return self._write_below(writer, row_id, rest, request)

    def _write_row(self, writer: Writer, table: LiveTable, key: str, request: Request) -> Answer:
        if request.method == "PATCH":
            row_id = primary_key(table, key)
            return writer.change(row_id) if row_id else writer.change_by_key(key_values(self.store, table, key), key)
        if request.method == "DELETE":
            return writer.delete(find_id(self.store, table, key))
        raise not_allowed(f"The requested resource does not support http method '{request.method}'.", "0x0")

    def _write_below(self, writer: Writer, row_id: str, rest: list[Segment], request: Request) -> Answer:
        part, method = rest[0], request.method
        if len(rest) == 2 and rest[1].name == "$ref":
            if method in {"POST", "PUT"}:
                return writer.link(row_id, part.name)
            if method == "DELETE":
                return writer.unlink(row_id, part.name)
        elif len(rest) == 1 and method == "PUT":
            return writer.set_property(row_id, part.name)
        elif len(rest) == 1 and method == "DELETE":
            return writer.clear_property(row_id, part.name)
        raise no_segment(part.name)

    def _table(self, segment: Segment, request: Request) -> LiveTable:
        table = self.store.schema.sets.get(segment.name)
        if table is not None:
            return table
        if segment.name in FUNCTIONS or segment.name in ACTIONS:
            raise no_http_resource(f"{request.root}{request.path}")
        raise no_segment(segment.name)


async def answer_or_error(service: Service, request: Request) -> Answer:
    """The answer of an operation, errors included."""
    try:
        return await service.answer(request)
    except ODataError as error:
        return Answer.error(error)
    except sqlite3.OperationalError as error:
        # A column may go while a long read of it is under way.
        return Answer.error(sql_error(str(error)))
