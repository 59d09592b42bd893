"""Who calls: the application user of a token's app; and the making of new application users.

"Use single-tenant server-to-server authentication" and "Manage application users" (Microsoft documents).
"""

from __future__ import annotations

from typing import Any

from crmsync.sandbox.dataverse.errors import ODataError, not_a_member, user_disabled
from crmsync.sandbox.dataverse.privileges import Caller, privileges_of
from crmsync.sandbox.dataverse.store import DataverseStore


def find_caller(store: DataverseStore, application_id: str) -> Caller:
    """The user bound to an app, with its privileges; 403 when there is none or it is disabled."""
    found = store.database.look(
        "SELECT systemuserid, isdisabled FROM systemuser WHERE applicationid = ? AND coalesce(deletedstate, 0) = 0",
        (application_id.lower(),),
    )
    if not found:
        raise not_a_member()
    user_id, disabled = found[0]
    if disabled:
        raise user_disabled(user_id)
    return Caller(user_id, privileges_of(store, user_id))


def complete_application_user(store: DataverseStore, values: dict[str, Any]) -> None:
    """Fill in a new application user from Entra, as Dataverse does when ``applicationid`` is given."""
    application_id = values.get("applicationid")
    if not application_id:
        return
    app = next((one for one in store.org.directory.apps.values() if one.client_id.lower() == application_id), None)
    if app is None:
        raise ODataError(400, "0x8004F510", f"The application id {application_id} was not found in the directory.")
    taken = "SELECT 1 FROM systemuser WHERE applicationid = ?"
    if store.database.look(taken, (application_id,)):
        raise ODataError(400, "0x8004F511", f"A user with the application id {application_id} exists already.")
    values |= {
        "firstname": "#",
        "lastname": app.display_name,
        "azureactivedirectoryobjectid": app.object_id.lower(),
        "domainname": f"{application_id}@{store.org.directory.domain}",
    }
