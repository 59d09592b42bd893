"""What every new organization holds: itself, its root business unit, currencies, roles, privileges and first users.

A prepared one has the sync user with its role and the solution that holds what a set-up made; an unprepared one has
neither, no ``new_synctomkto`` columns, and change tracking off wherever it can be switched on.

"Security roles and privileges", "Manage application users" (Power Platform administration documents).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.core import AppRegistration, Organization
from crmsync.sandbox.dataverse.columns import Table
from crmsync.sandbox.dataverse.connections import seed_connection_roles
from crmsync.sandbox.dataverse.duplicates import seed_rules
from crmsync.sandbox.dataverse.plugin_steps import filter_rows, message_rows
from crmsync.sandbox.dataverse.privileges import (
    PRIVILEGE_DEPTHS,
    SYNC_ROLE_PRIVILEGES,
    privilege_id,
    privilege_rows,
)
from crmsync.sandbox.dataverse.setup_tables import COMPONENT_TYPES

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.store import DataverseStore

ADMINISTRATOR_ROLE = "System Administrator"
SYNC_ROLE = "Marketo Sync User"
SOLUTION = "crmsync"
FILTER_COLUMN = "new_synctomkto"
LONG_AGO = "2020-01-01T00:00:00Z"
"""When the first users were made: none of them is new."""


class Ids:
    """Ids of the rows made by ``seed``, the same each time for the same organization."""

    def __init__(self, org: Organization) -> None:
        self._space = uuid.uuid5(uuid.NAMESPACE_URL, f"dataverse:{org.organization_id}")
        self.organization = org.organization_id
        self.business_unit = self._named("business unit")
        self.team = self._named("team")
        self.currency = self._named("currency USD")
        self.euro = self._named("currency EUR")
        self.system_user = self._named("user SYSTEM")
        self.administrator_role = self._named("role administrator")
        self.sync_role = self._named("role sync")
        self.sync_user = self._named("user sync")
        self.admin_user = self._named("user administrator")
        self.publisher = self._named("publisher")
        self.default_solution = self._named("solution default")
        self.solution = self._named("solution crmsync")

    def _named(self, name: str) -> str:
        return str(uuid.uuid5(self._space, name))


def first_tables(tables: Iterable[Table], org: Organization) -> list[Table]:
    """The tables that a new organization has."""
    return [table if org.prepared else _unprepared(table) for table in tables]


def _unprepared(table: Table) -> Table:
    columns = tuple(column for column in table.columns if column.name != FILTER_COLUMN)
    return replace(table, columns=columns, tracked=table.tracked and not table.can_be_tracked)


def seed(store: DataverseStore) -> None:
    """Fill a new organization."""
    org, ids = store.org, store.ids
    store.insert_many("transactioncurrency", _currencies(ids))
    store.insert_many("businessunit", [{"businessunitid": ids.business_unit, "name": org.name}])
    store.insert_many("organization", [_organization(org, ids)])
    team = {"teamid": ids.team, "name": org.name, "isdefault": 1, "businessunitid": ids.business_unit}
    store.insert_many("team", [team])
    store.insert_many("privilege", privilege_rows(PRIVILEGE_DEPTHS))
    store.insert_many("sdkmessage", message_rows())
    store.insert_many("sdkmessagefilter", filter_rows(store.schema.tables.values()))
    system = {"systemuserid": ids.system_user, "lastname": "SYSTEM", "fullname": "SYSTEM", "accessmode": 3}
    _users(store, [system])
    _role(store, ids.administrator_role, ADMINISTRATOR_ROLE, PRIVILEGE_DEPTHS)
    _application_user(store, ids.admin_user, org.admin_app, f"admin@{org.directory.domain}", ids.administrator_role)
    _default_solution(store)
    seed_connection_roles(store)
    seed_rules(store)
    if org.prepared:
        _role(store, ids.sync_role, SYNC_ROLE, SYNC_ROLE_PRIVILEGES)
        email = org.sync_user_email or f"sync@{org.directory.domain}"
        _application_user(store, ids.sync_user, org.sync_app, email, ids.sync_role)
        _solution(store)


def _organization(org: Organization, ids: Ids) -> dict[str, Any]:
    return {
        "organizationid": ids.organization,
        "name": org.name,
        "languagecode": 1033,
        "localeid": 1033,
        "expirechangetrackingindays": 7,
        "expiresubscriptionsindays": 90,
        "schemanameprefix": "new",
        "basecurrencyid": ids.currency,
    }


def _currencies(ids: Ids) -> list[dict[str, Any]]:
    shared = {"currencyprecision": 2}
    return [
        {
            "transactioncurrencyid": ids.currency,
            "currencyname": "US Dollar",
            "isocurrencycode": "USD",
            "currencysymbol": "$",
            "exchangerate": 1.0,
            **shared,
        },
        {
            "transactioncurrencyid": ids.euro,
            "currencyname": "Euro",
            "isocurrencycode": "EUR",
            "currencysymbol": "€",
            "exchangerate": 0.92,
            **shared,
        },
    ]


def _role(store: DataverseStore, role_id: str, name: str, privileges: Iterable[str]) -> None:
    """A role of the root business unit that holds these privileges for the whole organization."""
    row = {"roleid": role_id, "name": name, "businessunitid": store.ids.business_unit, "parentrootroleid": role_id}
    store.insert_many("role", [row])
    held = [(role_id, privilege_id(one), "Global") for one in privileges]
    store.database.writer.executemany("INSERT INTO _role_privilege VALUES (?, ?, ?)", held)


def _users(store: DataverseStore, users: Iterable[dict[str, Any]]) -> None:
    shared = {"businessunitid": store.ids.business_unit, "isdisabled": 0, "createdon": LONG_AGO}
    store.insert_many("systemuser", ({**user, **shared} for user in users))


def _application_user(store: DataverseStore, user_id: str, app: AppRegistration, email: str, role_id: str) -> None:
    user = {
        "systemuserid": user_id,
        "firstname": "#",
        "lastname": app.display_name,
        "domainname": email,
        "internalemailaddress": email,
        "accessmode": 4,
        "applicationid": app.client_id.lower(),
        "azureactivedirectoryobjectid": app.object_id.lower(),
    }
    _users(store, [user])
    store.database.write("INSERT INTO _user_role VALUES (?, ?)", (user_id, role_id))


def _default_solution(store: DataverseStore) -> None:
    publisher = {
        "publisherid": store.ids.publisher,
        "uniquename": f"DefaultPublisher{store.org.name}",
        "friendlyname": f"Default Publisher for {store.org.name}",
        "customizationprefix": "new",
        "customizationoptionvalueprefix": 10000,
    }
    store.insert_many("publisher", [publisher])
    _solution_row(store, store.ids.default_solution, "Default", "Default Solution")


def _solution_row(store: DataverseStore, solution_id: str, name: str, label: str) -> None:
    row = {"solutionid": solution_id, "uniquename": name, "friendlyname": label, "version": "1.0.0.0", "isvisible": 1}
    more = {"ismanaged": 0, "publisherid": store.ids.publisher, "installedon": LONG_AGO}
    store.insert_many("solution", [{**row, **more}])


def _solution(store: DataverseStore) -> None:
    """The solution ``crmsync`` with what a set-up makes: the role and the filter columns."""
    solution = store.ids.solution
    _solution_row(store, solution, SOLUTION, "crmsync")
    columns = (table.columns.get(FILTER_COLUMN) for table in store.schema.tables.values())
    made = [(COMPONENT_TYPES["Attribute"], column.metadata_id) for column in columns if column is not None]
    made.append((COMPONENT_TYPES["Role"], store.ids.sync_role))
    rows = [{"objectid": one, "componenttype": kind, "solutionid": solution} for kind, one in made]
    store.insert_many("solutioncomponent", rows)
