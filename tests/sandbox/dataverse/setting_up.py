"""What an administrator does over the Web API, as short calls for tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx

from tests.sandbox.dataverse.conftest import Contoso, app_registration
from tests.sandbox.solutions import base64_of

ROLE_ACTIONS = "Microsoft.Dynamics.CRM."


def made_id(answer: httpx.Response) -> str:
    """The id in ``OData-EntityId``."""
    assert answer.status_code == 204, answer.text
    return str(answer.headers["odata-entityid"]).rpartition("(")[2].rstrip(")")


async def rows(client: httpx.AsyncClient, url: str) -> list[dict[str, Any]]:
    answer = await client.get(url)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["value"]
    return found


async def root_unit(contoso: Contoso) -> str:
    found = await rows(contoso.admin, "businessunits?$select=name&$filter=_parentbusinessunitid_value eq null")
    return str(found[0]["businessunitid"])


async def new_unit(contoso: Contoso, name: str, parent: str | None = None) -> str:
    above = parent or await root_unit(contoso)
    body = {"name": name, "parentbusinessunitid@odata.bind": f"/businessunits({above})"}
    return made_id(await contoso.admin.post("businessunits", json=body))


async def new_role(contoso: Contoso, name: str, depths: dict[str, str] | None = None, unit: str | None = None) -> str:
    """A role with these privileges (name to depth) at a business unit, the root by default."""
    body = {"name": name, "businessunitid@odata.bind": f"/businessunits({unit or await root_unit(contoso)})"}
    role = made_id(await contoso.admin.post("roles", json=body))
    if depths:
        answer = await give(contoso, role, depths)
        assert answer.status_code == 204, answer.text
    return role


async def give(
    contoso: Contoso, role: str, depths: dict[str, str], action: str = "AddPrivilegesRole"
) -> httpx.Response:
    """Give privileges to a role."""
    ids = await privilege_ids(contoso, depths)
    given = [{"PrivilegeId": ids[name], "Depth": depth} for name, depth in depths.items()]
    return await contoso.admin.post(f"roles({role})/{ROLE_ACTIONS}{action}", json={"Privileges": given})


async def privilege_ids(contoso: Contoso, names: Iterable[str]) -> dict[str, str]:
    wanted = " or ".join(f"name eq '{name}'" for name in names)
    found = await rows(contoso.admin, f"privileges?$select=name&$filter={wanted}")
    return {one["name"]: one["privilegeid"] for one in found}


async def new_user(
    contoso: Contoso, name: str = "Second app", unit: str | None = None
) -> tuple[str, httpx.AsyncClient]:
    """An application user without a role, and a client that calls as it."""
    app = app_registration(name)
    contoso.org.directory.register(app)
    bound = f"/businessunits({unit or await root_unit(contoso)})"
    body = {"applicationid": app.client_id, "accessmode": 4, "businessunitid@odata.bind": bound}
    user = made_id(await contoso.admin.post("systemusers", json=body))
    return user, contoso.connect(contoso.token(app))


async def assign(contoso: Contoso, user: str, role: str) -> httpx.Response:
    link = {"@odata.id": f"{contoso.org.url}/api/data/v9.2/roles({role})"}
    return await contoso.admin.post(f"systemusers({user})/systemuserroles_association/$ref", json=link)


async def order_import(contoso: Contoso, file: bytes, *, enable_steps: bool = True, **more: Any) -> httpx.Response:
    body = {"OverwriteUnmanagedCustomizations": False, "PublishWorkflows": enable_steps}
    return await contoso.admin.post("ImportSolutionAsync", json={**body, "CustomizationFile": base64_of(file), **more})


async def import_solution(contoso: Contoso, file: bytes, *, enable_steps: bool = True) -> dict[str, Any]:
    """Import a solution and wait for its end (by the sandbox's clock); the result."""
    ordered = await order_import(contoso, file, enable_steps=enable_steps)
    assert ordered.status_code == 200, ordered.text
    contoso.org.clock.advance(5)
    job = ordered.json()["ImportJobKey"]
    answer = await contoso.admin.get(f"RetrieveSolutionImportResult(ImportJobId={job})")
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()["SolutionOperationResult"]
    return result
