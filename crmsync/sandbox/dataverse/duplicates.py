"""Duplicate detection: published rules, applied to a write whose request asks for it.

"Detect duplicate data" and "Manage duplicate detection for create and update" (Power Apps developer documents): off
unless ``MSCRM.SuppressDuplicateDetection: false`` is sent.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.dataverse.database import quoted
from crmsync.sandbox.dataverse.errors import bad_request, duplicate_found, no_row
from crmsync.sandbox.dataverse.messages import Answer, Request, parse_guid
from crmsync.sandbox.dataverse.schema import NAMES, LiveTable

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.store import DataverseStore, Row

PUBLISHED = {"statecode": 1, "statuscode": 2}
UNPUBLISHED = {"statecode": 0, "statuscode": 0}
_RULES = (
    "SELECT duplicateruleid, matchingentityname, iscasesensitive, excludeinactiverecords FROM duplicaterule "
    "WHERE baseentityname = ? AND statecode = 1"
)
_CONDITIONS = (
    "SELECT baseattributename, matchingattributename, operatorcode, operatorparam, ignoreblankvalues "
    "FROM duplicaterulecondition WHERE regardingobjectid = ?"
)
_EMAIL_TABLES = ("account", "contact", "lead")


def seed_rules(store: DataverseStore) -> None:
    """The rules of a new organization: accounts, contacts and leads with the same e-mail address."""
    rules, conditions = [], []
    for table in _EMAIL_TABLES:
        rule_id = str(uuid.uuid5(NAMES, f"duplicate rule {table}"))
        plural = store.schema.tables[table].definition.plural_label
        name = f"{plural} with the same e-mail address"
        rules.append({"duplicateruleid": rule_id, "name": name, "baseentityname": table, "matchingentityname": table})
        names = {"baseattributename": "emailaddress1", "matchingattributename": "emailaddress1"}
        conditions.append({**names, "regardingobjectid": rule_id, "operatorcode": 0})
    store.insert_many("duplicaterule", ({**rule, **PUBLISHED} for rule in rules))
    store.insert_many("duplicaterulecondition", conditions)


def check_duplicates(
    store: DataverseStore, request: Request, table: LiveTable, values: Row, current: Row | None = None
) -> None:
    """Refuse a write that a published rule calls a duplicate, when the request asks for that."""
    if request.headers.get("mscrm.suppressduplicatedetection", "").strip().lower() != "false":
        return
    row = {**(current or {}), **values}
    for rule in store.database.look(_RULES, (table.name,)):
        if _matches(store, table, rule, row):
            raise duplicate_found()


def _matches(store: DataverseStore, table: LiveTable, rule: tuple[Any, ...], row: Row) -> bool:
    rule_id, matching, case_sensitive, only_active = rule
    other = store.schema.tables.get(matching)
    conditions = store.database.look(_CONDITIONS, (rule_id,))
    if other is None or not conditions:
        return False
    tests: list[str] = []
    parameters: list[Any] = []
    for base, name, operator, length, ignore_blank in conditions:
        value = row.get(base)
        if value in {None, ""}:
            if ignore_blank:
                return False
            tests.append(f"{quoted(name)} IS NULL")
            continue
        sql, wanted = _compared(quoted(name), value, operator, length or 0)
        tests.append(f"{sql} = ?{' COLLATE BINARY' if case_sensitive else ''}")
        parameters.append(wanted)
    if other is table:
        tests.append(f"{quoted(other.primary_id)} <> ?")
        parameters.append(row[table.primary_id])
    if only_active and "statecode" in other.stored:
        tests.append("statecode = 0")
    return bool(store.database.look(f"SELECT 1 FROM {quoted(other.name)} WHERE {' AND '.join(tests)}", parameters))


def _compared(sql: str, value: Any, operator: int, length: int) -> tuple[str, Any]:
    """What is compared: the whole value, its first or last characters, its date."""
    if operator == 1:
        return f"substr({sql}, 1, {length})", str(value)[:length]
    if operator == 2:
        return f"substr({sql}, -{length})", str(value)[-length:]
    if operator == 3:
        return f"substr({sql}, 1, 10)", str(value)[:10]
    return sql, value


def publish_rule(store: DataverseStore, table: LiveTable, row_id: str, request: Request) -> Answer:
    """``duplicaterules(<guid>)/Microsoft.Dynamics.CRM.PublishDuplicateRule``: a job that is done at once."""
    request.caller.require("prvWriteDuplicateRule", table.name, table.definition.type_code)
    if store.get(table, row_id) is None:
        raise no_row(table.name, row_id)
    store.update(table, row_id, dict(PUBLISHED))
    context = f"{request.root}$metadata#Microsoft.Dynamics.CRM.PublishDuplicateRuleResponse"
    return Answer.json({"@odata.context": context, "JobId": str(uuid.uuid4())})


def unpublish_rule(store: DataverseStore, request: Request) -> Answer:
    """``UnpublishDuplicateRule``."""
    table = store.schema.tables["duplicaterule"]
    request.caller.require("prvWriteDuplicateRule", table.name, table.definition.type_code)
    given = request.json().get("DuplicateRuleId")
    if not given:
        raise bad_request("The required parameter 'DuplicateRuleId' is missing.")
    row_id = parse_guid(str(given))
    if store.get(table, row_id) is None:
        raise no_row(table.name, row_id)
    store.update(table, row_id, dict(UNPUBLISHED))
    return Answer()
