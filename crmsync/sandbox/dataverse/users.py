"""Who calls: the application user of a token's app; and the making, disabling and deleting of users.

"Use single-tenant server-to-server authentication" (Power Apps developer documents), "Manage application users"
(Power Platform administration documents), systemuser table reference.
"""

from __future__ import annotations

import re
from datetime import datetime

from crmsync.sandbox.core import AppRegistration, Organization
from crmsync.sandbox.dataverse.errors import ODataError, invalid_argument, not_a_member, user_disabled
from crmsync.sandbox.dataverse.field_security import forbidden_columns
from crmsync.sandbox.dataverse.messages import Request
from crmsync.sandbox.dataverse.privileges import Caller, privileges_of
from crmsync.sandbox.dataverse.rules import TableRules
from crmsync.sandbox.dataverse.store import DataverseStore, Row
from crmsync.sandbox.dataverse.switches import number

NON_INTERACTIVE = 4


def find_caller(store: DataverseStore, application_id: str) -> Caller:
    """The user bound to an app, with its privileges; 403 when there is none, a very new or a disabled one."""
    found = store.database.look(
        "SELECT systemuserid, isdisabled, createdon FROM systemuser "
        "WHERE applicationid = ? AND coalesce(deletedstate, 0) = 0",
        (application_id.lower(),),
    )
    if not found:
        raise not_a_member()
    user_id, disabled, created = found[0]
    if store.org.clock.time() - datetime.fromisoformat(created).timestamp() < number(store.org, "new_user_seconds"):
        raise not_a_member()
    if disabled:
        raise user_disabled(user_id)
    roles = store.database.look("SELECT count(*) FROM _user_role WHERE systemuserid = ?", (user_id,))[0][0]
    return Caller(user_id, privileges_of(store, user_id), roles, forbidden_columns(store, user_id))


def email_of(org: Organization, app: AppRegistration) -> str:
    """The e-mail address that an app's user gets: there is none in Entra, so one is made of its name."""
    if app.client_id == org.sync_app.client_id and org.sync_user_email:
        return org.sync_user_email
    name = re.sub(r"[^a-z0-9]+", "-", app.display_name.lower()).strip("-")
    return f"{name}-{app.client_id[:8].lower()}@{org.directory.domain}"


class UserRules(TableRules):
    """Application users come from Entra; the first deletion of a user is soft, the second for good."""

    def before_create(self, store: DataverseStore, request: Request, values: Row) -> None:
        if not values.get("businessunitid"):
            raise invalid_argument("A user needs a business unit.")
        if values.get("applicationid"):
            _complete_application_user(store, values)

    def before_update(self, store: DataverseStore, request: Request, current: Row, changes: Row) -> None:
        if current["applicationid"]:
            _check_application_user(current, changes)
        if changes.get("businessunitid", current["businessunitid"]) != current["businessunitid"]:
            # Roles belong to a business unit, so they do not move along.
            store.database.write("DELETE FROM _user_role WHERE systemuserid = ?", (current["systemuserid"],))

    def delete(self, store: DataverseStore, request: Request, current: Row) -> bool:
        user_id = current["systemuserid"]
        if not current["deletedstate"]:
            store.update(store.schema.tables["systemuser"], user_id, {"deletedstate": 1})
            return True
        for link in ("_user_role", "_user_profile", "_team_member"):
            store.database.write(f"DELETE FROM {link} WHERE systemuserid = ?", (user_id,))
        return False


def _complete_application_user(store: DataverseStore, values: Row) -> None:
    """Fill in a new application user from Entra, as Dataverse does when ``applicationid`` is given."""
    application_id = values["applicationid"]
    app = next((one for one in store.org.directory.apps.values() if one.client_id.lower() == application_id), None)
    if app is None:
        raise ODataError(400, "0x8004F510", f"The application id {application_id} was not found in the directory.")
    # A user that is deleted softly keeps its application id.
    taken = "SELECT 1 FROM systemuser WHERE applicationid = ?"
    if store.database.look(taken, (application_id,)):
        raise ODataError(400, "0x8004F511", f"A user with the application id {application_id} exists already.")
    values |= {
        "firstname": "#",
        "lastname": app.display_name,
        "azureactivedirectoryobjectid": app.object_id.lower(),
        "domainname": f"{application_id}@{store.org.directory.domain}",
        "internalemailaddress": email_of(store.org, app),
    }
    if values.get("accessmode") is None:
        values["accessmode"] = NON_INTERACTIVE


def _check_application_user(current: Row, changes: Row) -> None:
    if changes.get("applicationid", current["applicationid"]) != current["applicationid"]:
        raise ODataError(400, "0x80041D48", "The application id of an application user cannot be updated.")
    if changes.get("accessmode", current["accessmode"]) != current["accessmode"]:
        raise ODataError(400, "0x80040D40", "The access mode of an application user cannot be changed.")
