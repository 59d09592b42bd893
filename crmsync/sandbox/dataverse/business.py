"""Business operations on leads and opportunities: ``QualifyLead``, ``WinOpportunity``, ``LoseOpportunity``.

QualifyLead, WinOpportunity and LoseOpportunity action references; which columns go from a lead to the new rows: the
mappings of the relationships that Dynamics 365 Sales ships.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from crmsync.sandbox.dataverse.errors import ODataError, bad_request, bad_status, no_row
from crmsync.sandbox.dataverse.messages import Answer, Request, parse_guid
from crmsync.sandbox.dataverse.metadata_json import NAMESPACE
from crmsync.sandbox.dataverse.privileges import privilege
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.store import DataverseStore, Row
from crmsync.sandbox.dataverse.values import reference

_SHARED = (
    "emailaddress1",
    "emailaddress2",
    "telephone1",
    "telephone2",
    "fax",
    "websiteurl",
    "description",
    "ownerid",
    "owneridtype",
    "transactioncurrencyid",
    "donotphone",
    "donotemail",
    "donotbulkemail",
    "donotfax",
    "donotpostalmail",
    "donotsendmm",
    "preferredcontactmethodcode",
    *(f"address1_{part}" for part in ("line1", "line2", "line3", "city", "county", "stateorprovince", "postalcode")),
    *(f"address1_{part}" for part in ("country", "postofficebox", "telephone1", "fax", "latitude", "longitude")),
)
_TO_CONTACT = (
    *("salutation", "firstname", "middlename", "lastname", "jobtitle", "emailaddress3", "telephone3", "mobilephone"),
    "pager",
)
_TO_ACCOUNT = ("industrycode", "numberofemployees", "revenue", "sic")
_TO_OPPORTUNITY = ("description", "budgetamount", "budgetstatus", "need", "purchasetimeframe", "purchaseprocess")
QUALIFIED = 1


def qualify_lead(store: DataverseStore, table: LiveTable, row_id: str, request: Request) -> Answer:
    """Close a lead as qualified and make an account, a contact and an opportunity of it, as asked."""
    body, lead = request.json(), store.get(table, row_id)
    if lead is None:
        raise no_row(table.name, row_id)
    _require(store, request, "Write", "lead")
    if lead["statecode"] != 0:
        raise ODataError(400, "0x80040519", "The lead is already closed.")
    status = body.get("Status")
    if not isinstance(status, int):
        raise bad_request("The required parameter 'Status' is missing.")
    _check_status(table, status, QUALIFIED)
    wanted = [name for name in ("account", "contact", "opportunity") if body.get(f"Create{name.capitalize()}")]
    for name in wanted:
        _require(store, request, "Create", name)
    made = _Qualification(store, request, lead, body).make(wanted)
    changes = {"statecode": QUALIFIED, "statuscode": status, "modifiedby": request.caller.user_id}
    changes |= {"qualifyingopportunityid": made.get("opportunity")} if "opportunity" in made else {}
    for name in ("account", "contact"):
        if name in made:
            changes[f"parent{name}id"] = made[name]
    store.update(table, row_id, changes)
    value = [
        {"@odata.type": f"#{NAMESPACE}{name}", store.schema.tables[name].primary_id: new_id}
        for name, new_id in made.items()
    ]
    context = f"{request.root}$metadata#Collection({NAMESPACE}crmbaseentity)"
    return Answer.json({"@odata.context": context, "value": value})


class _Qualification:
    """The new rows of one qualification."""

    def __init__(self, store: DataverseStore, request: Request, lead: Row, body: Mapping[str, Any]) -> None:
        self._store, self._request, self._lead, self._body = store, request, lead, body

    def make(self, wanted: list[str]) -> dict[str, str]:
        made: dict[str, str] = {}
        for name in wanted:
            made[name] = getattr(self, f"_{name}")(made)
        if {"account", "contact"} <= made.keys():
            accounts = self._store.schema.tables["account"]
            self._store.update(accounts, made["account"], {"primarycontactid": made["contact"]})
        return made

    def _insert(self, table_name: str, columns: tuple[str, ...], /, **more: Any) -> str:
        table, user = self._store.schema.tables[table_name], self._request.caller.user_id
        kept = {column: self._lead.get(column) for column in columns}
        known = set(table.sql_names)
        row = {column: value for column, value in kept.items() if value is not None and column in known}
        stamps = {"originatingleadid": self._lead["leadid"], "createdby": user, "modifiedby": user}
        return self._store.insert(table, {table.primary_id: str(uuid.uuid4()), **row, **stamps, **more})

    def _account(self, made: dict[str, str]) -> str:
        name = self._lead.get("companyname") or self._lead.get("fullname")
        return self._insert("account", (*_SHARED, *_TO_ACCOUNT), name=name)

    def _contact(self, made: dict[str, str]) -> str:
        parent = made.get("account") or self._lead.get("parentaccountid")
        linked = {"parentcustomerid": parent, "parentcustomeridtype": "account"} if parent else {}
        return self._insert("contact", (*_SHARED, *_TO_CONTACT), **linked)

    def _opportunity(self, made: dict[str, str]) -> str:
        account = made.get("account") or self._lead.get("parentaccountid")
        contact = made.get("contact") or self._lead.get("parentcontactid")
        more: dict[str, Any] = {"name": self._lead.get("subject"), "emailaddress": self._lead.get("emailaddress1")}
        more |= {"parentaccountid": account, "parentcontactid": contact}
        customer = self._customer() or ((account, "account") if account else (contact, "contact"))
        if customer[0]:
            more |= {"customerid": customer[0], "customeridtype": customer[1]}
        for column in ("estimatedclosedate", "ownerid", "owneridtype", "transactioncurrencyid"):
            if self._lead.get(column) is not None:
                more[column] = self._lead[column]
        if self._lead.get("estimatedamount") is not None:
            more["estimatedvalue"] = self._lead["estimatedamount"]
        currency = self._body.get("OpportunityCurrencyId")
        if currency:
            more["transactioncurrencyid"] = parse_guid(str(currency.get("transactioncurrencyid")))
        return self._insert("opportunity", _TO_OPPORTUNITY, **more)

    def _customer(self) -> tuple[str, str] | None:
        """``OpportunityCustomerId``: an account or a contact."""
        given = self._body.get("OpportunityCustomerId")
        if not given:
            return None
        kind = str(given.get("@odata.type", "")).rpartition(".")[2]
        if kind not in {"account", "contact"}:
            raise bad_request("OpportunityCustomerId must be an account or a contact.")
        return parse_guid(str(given.get(f"{kind}id"))), kind


def win_opportunity(store: DataverseStore, request: Request) -> Answer:
    """Close an opportunity as won."""
    return _close(store, request, 1)


def lose_opportunity(store: DataverseStore, request: Request) -> Answer:
    """Close an opportunity as lost."""
    return _close(store, request, 2)


def _close(store: DataverseStore, request: Request, state: int) -> Answer:
    table, body = store.schema.tables["opportunity"], request.json()
    close = body.get("OpportunityClose") or {}
    bound = close.get("opportunityid@odata.bind")
    status = body.get("Status")
    if not bound or not isinstance(status, int):
        raise bad_request("The required parameters 'Status' and 'OpportunityClose' with its opportunity are missing.")
    _require(store, request, "Write", "opportunity")
    row_id = parse_guid(reference(str(bound))[1])
    current = store.get(table, row_id)
    if current is None:
        raise no_row(table.name, row_id)
    if current["statecode"] != 0:
        raise ODataError(400, "0x80040203", "The opportunity is already closed.")
    default = next(option.default_status for option in table.stored["statecode"].options if option.value == state)
    status = default if status == -1 else status
    _check_status(table, int(status or 0), state)
    value = close.get("actualrevenue", current["estimatedvalue"] if state == 1 else 0)
    ended = str(close.get("actualend") or store.now())[:10]
    changes: Row = {"statecode": state, "statuscode": status, "actualclosedate": ended, "actualvalue": value}
    changes["modifiedby"] = request.caller.user_id
    store.defaults(table).changed_money(current, changes)
    store.update(table, row_id, changes)
    return Answer()


def _check_status(table: LiveTable, status: int, state: int) -> None:
    reasons = {option.value: option.state for option in table.stored["statuscode"].options}
    if reasons.get(status) != state:
        raise bad_status(table.name, status, state)


def _require(store: DataverseStore, request: Request, right: str, name: str) -> None:
    table = store.schema.tables[name]
    wanted = privilege(right, table.definition.schema_name)
    try:
        request.caller.require(wanted, table.name, table.definition.type_code)
    except ODataError:
        if (right, name) != ("Create", "account"):
            raise
        raise ODataError(403, "0x80081018", "The user does not have the right to create accounts.") from None
