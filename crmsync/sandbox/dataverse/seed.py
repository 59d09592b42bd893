"""What every new organization holds: itself, its root business unit, currencies, roles, privileges and first users.

"Security roles and privileges", "Manage application users" (Power Platform administration documents).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.core import AppRegistration, Organization
from crmsync.sandbox.dataverse.privileges import PRIVILEGES, SYNC_ROLE_PRIVILEGES, privilege_id

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.store import DataverseStore

ADMINISTRATOR_ROLE = "System Administrator"
SYNC_ROLE = "Marketo Sync User"


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

    def _named(self, name: str) -> str:
        return str(uuid.uuid5(self._space, name))


def seed(store: DataverseStore) -> None:
    """Fill a new organization."""
    org, ids = store.org, store.ids
    store.insert_many("transactioncurrency", _currencies(ids))
    store.insert_many("businessunit", [{"businessunitid": ids.business_unit, "name": org.name}])
    store.insert_many("organization", [_organization(org, ids)])
    team = {"teamid": ids.team, "name": org.name, "isdefault": 1, "businessunitid": ids.business_unit}
    store.insert_many("team", [team])
    store.insert_many("role", _roles(ids))
    _privileges(store)
    users = [
        {"systemuserid": ids.system_user, "lastname": "SYSTEM", "fullname": "SYSTEM", "accessmode": 3},
        _application_user(ids.sync_user, org.sync_app, org.sync_user_email or f"sync@{org.directory.domain}"),
        _application_user(ids.admin_user, org.admin_app, f"admin@{org.directory.domain}"),
    ]
    store.insert_many("systemuser", ({**user, "businessunitid": ids.business_unit, "isdisabled": 0} for user in users))
    assigned = [(ids.sync_user, ids.sync_role), (ids.admin_user, ids.administrator_role)]
    store.database.writer.executemany("INSERT INTO _user_role VALUES (?, ?)", assigned)


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


def _roles(ids: Ids) -> list[dict[str, Any]]:
    named = {ids.administrator_role: ADMINISTRATOR_ROLE, ids.sync_role: SYNC_ROLE}
    return [
        {"roleid": role, "name": name, "businessunitid": ids.business_unit, "parentrootroleid": role}
        for role, name in named.items()
    ]


def _privileges(store: DataverseStore) -> None:
    everywhere = dict.fromkeys(("canbebasic", "canbelocal", "canbedeep", "canbeglobal"), 1)
    rows = [{"privilegeid": privilege_id(name), "name": name, **everywhere} for name in PRIVILEGES]
    store.insert_many("privilege", rows)
    held = [(store.ids.administrator_role, privilege_id(name), "Global") for name in PRIVILEGES]
    held += [(store.ids.sync_role, privilege_id(name), "Global") for name in SYNC_ROLE_PRIVILEGES]
    store.database.writer.executemany("INSERT INTO _role_privilege VALUES (?, ?, ?)", held)


def _application_user(user_id: str, app: AppRegistration, email: str) -> dict[str, Any]:
    return {
        "systemuserid": user_id,
        "firstname": "#",
        "lastname": app.display_name,
        "domainname": email,
        "internalemailaddress": email,
        "accessmode": 4,
        "applicationid": app.client_id.lower(),
        "azureactivedirectoryobjectid": app.object_id.lower(),
    }
