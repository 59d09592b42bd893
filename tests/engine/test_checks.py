"""The checklist against services that are small callables: all green, and one red line after the other."""

from __future__ import annotations

import re

import httpx
import pytest

from crmsync.engine.checks import run, validate
from crmsync.secrets import SecretStore
from crmsync.tenants import ENTITIES, Tenant

USER = "00000000-0000-0000-0000-0000000000aa"

SEVEN = [
    "URL is valid", "Username and password are valid", "Sync user is assigned to the Marketo Sync User role",
    "Marketo solution is properly installed", "All steps in the solution are enabled",
    "Sync user is assigned to the Marketo solution", "Sync user matches username and password",
]  # fmt: skip
DYNAMICS = [
    *SEVEN, "Organization", "English labels",
    "Privilege to read systemuser", "Change tracking of systemuser", "Selected fields of systemuser",
    "Field security of systemuser",
    "Privilege to read account", "Change tracking of account", "Selected fields of account",
    "Field security of account", "Sync filter of account",
    "Privilege to read lead", "Privilege to write lead", "Change tracking of lead", "Selected fields of lead",
    "Field security of lead", "Sync filter of lead",
    "Privilege to read contact", "Privilege to write contact", "Change tracking of contact",
    "Selected fields of contact", "Field security of contact", "Sync filter of contact",
    "Privilege to read opportunity", "Change tracking of opportunity", "Selected fields of opportunity",
    "Field security of opportunity", "Sync filter of opportunity",
    "Privilege to read connection", "Change tracking of connection",
    "Clock of Dynamics",
]  # fmt: skip
MARKETO = [
    "Marketo sign-in", "Marketo permission Read-Write Lead", "Marketo permission Read-Write Company",
    "Marketo permission Read-Write Sales Person", "Marketo permission Read-Write Opportunity",
    "Marketo permission Read-Write Schema Custom Field", "Marketo permission Read-Only Activity",
    "Native sync is off", "Quota left today", "Custom-field budget left", "Clock of Marketo",
]  # fmt: skip
URL, SIGN_IN, ROLE, SOLUTION, STEPS = SEVEN[:5]
NEEDS_ROLE = [name for name in DYNAMICS if name not in (URL, SIGN_IN, ROLE, "Clock of Dynamics")]


def odata(status, code, message):
    return httpx.Response(status, json={"error": {"code": code, "message": message}})


class World:
    """Entra, an organization and a subscription in which all is well; ``wrong[path]`` answers instead."""

    def __init__(self):
        self.wrong = {}
        self.privileges = {"prvReadUser": "Global", "prvReadAccount": "Global", "prvReadLead": "Global",
                           "prvReadContact": "Global", "prvReadOpportunity": "Global",
                           "prvReadConnection": "Global", "prvWriteLead": "Global",
                           "prvWriteContact": "Global"}  # fmt: skip
        where = "Bearer authorization_uri=https://login.test/t/oauth2/authorize, resource_id=https://contoso.test/"
        self.challenge = {"WWW-Authenticate": where}
        self.language = 1033
        self.labels = [{"Label": "Lead", "LanguageCode": 1036}]
        self.tracked = dict.fromkeys(ENTITIES, True)
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        path = request.url.path.removeprefix("/api/data/v9.2/")
        for part, answer in self.wrong.items():
            if part in path:
                return answer
        host = request.url.host
        return getattr(self, host.split(".")[0])(request, path)

    def login(self, request, path):
        base = "https://login.test/t/oauth2/v2.0"
        endpoints = {"authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/token"}
        return httpx.Response(200, json={"access_token": "t", "expires_in": 3599, **endpoints})

    def contoso(self, request, path):
        if "authorization" not in request.headers:
            return httpx.Response(401, headers=self.challenge)
        if path == "WhoAmI":
            body = {"UserId": USER, "BusinessUnitId": "b", "OrganizationId": "o-1"}
        elif path == "organizations":
            body = {
                "value": [
                    {
                        "organizationid": "o-1",
                        "name": "Contoso",
                        "expirechangetrackingindays": 7,
                        "languagecode": self.language,
                    }
                ]
            }
        elif path.startswith("RetrieveCurrentOrganization"):
            body = {"Detail": {"FriendlyName": "Contoso Ltd"}}
        elif path.endswith("systemuserroles_association"):
            body = {"value": [{"roleid": "r-1", "name": "Marketo Sync User"}]}
        elif path == "solutions":
            body = {"value": [{"solutionid": "s-1", "uniquename": "crmsync", "version": "1.0.0.0", "ismanaged": False}]}
        elif path.endswith("RetrieveUserPrivileges"):
            rows = self.privileges.items()
            body = {"RolePrivileges": [{"PrivilegeName": name, "Depth": depth} for name, depth in rows]}
        elif path.startswith("systemusers("):
            body = {
                "systemuserid": USER,
                "fullname": "# crmsync",
                "internalemailaddress": "sync@contoso.test",
                "applicationid": "app-1",
            }
        elif path.endswith("/Attributes"):
            column = {"LogicalName": "createdon", "MetadataId": "m-1", "AttributeTypeName": {"Value": "OtherType"}}
            body = {"value": [column] if "IsSecured%20eq" not in str(request.url) else []}
        elif found := re.match(r"EntityDefinitions\(LogicalName='(\w+)'\)$", path):
            name = found.group(1)
            body = {
                "LogicalName": name,
                "EntitySetName": f"{name}s",
                "PrimaryIdAttribute": f"{name}id",
                "ChangeTrackingEnabled": self.tracked[name],
                "DisplayName": {"LocalizedLabels": self.labels},
            }
        else:
            assert request.headers["prefer"] == "odata.track-changes,odata.maxpagesize=1"
            key = f"{path.split('?')[0].removesuffix('s')}id"
            body = {"value": [{key: "1"}], "@odata.nextLink": "https://contoso.test/never-asked-for"}
        return httpx.Response(200, json=body)

    def marketo(self, request, path):
        if "oauth" in path:
            return httpx.Response(200, json={"access_token": "m", "expires_in": 3599, "scope": "api@contoso.test"})
        if "describe" in path or "schema" in path:
            email = {"name": "email", "dataType": "email"}
            described = {"name": "x", "fields": [email], "searchableFields": [], "apiName": "x"}
            return httpx.Response(200, json={"success": True, "requestId": "r", "result": [described]})
        skipped = {"status": "skipped", "reasons": [{"code": "1013", "message": "Object not found"}]}
        usage = {"date": "2024-05-01", "total": 900, "users": [{"userId": "api@contoso.test", "count": 400}]}
        result = [usage] if "stats" in path or "usage" in path else [skipped]
        body = {"success": True, "requestId": "r", "result": result}
        return httpx.Response(200, json=body | ({"nextPageToken": "t"} if "pagingtoken" in path else {}))


@pytest.fixture
def world():
    return World()


def tenant(folder, **dynamics):
    connection = {
        "organization_url": "https://contoso.test", "entra_tenant_id": "t", "client_id": "app-1",
        "client_secret": {"env": "ENTRA"}, "authority": "https://login.test", **dynamics,
    }  # fmt: skip
    marketo = {"base_url": "https://marketo.test", "client_id": "m-1", "client_secret": {"env": "MARKETO"}}
    data = {"tenant": "contoso", "dynamics": connection, "marketo": marketo, "folder": folder}
    return Tenant.model_validate(data)


@pytest.fixture
def check(world, tmp_path):
    """Runs the checklist in the world and gives its lines by name."""

    async def no_wait(seconds):
        pass

    async def lines(environment=None, **dynamics):
        secrets = SecretStore(tmp_path, environment=environment or {"ENTRA": "e", "MARKETO": "m"})
        found = await validate(
            tenant(tmp_path, **dynamics), secrets, transport=httpx.MockTransport(world), sleep=no_wait
        )
        return {line.name: line for line in found}

    return lines


def red(lines):
    return [name for name, line in lines.items() if line.status == "red"]


async def test_all_is_well(check):
    lines = await check(sync_user_email="Sync@Contoso.test")

    assert list(lines) == DYNAMICS + MARKETO
    assert {line.status for line in lines.values()} == {"green"}
    assert all(line.proves and line.found and not line.remedy for line in lines.values())
    assert lines["Organization"].found == "Contoso Ltd (o-1); changes can be asked for 7 days back"
    assert lines[SIGN_IN].found == "# crmsync <sync@contoso.test>"
    assert lines["Privilege to read lead"].found == "prvReadLead at organization level"
    assert lines["Marketo sign-in"].found.startswith("API user api@contoso.test")
    assert lines["Quota left today"].found == "24600 of our 25000 calls"


async def test_nothing_is_written(check, world):
    await check()

    to_dynamics = {request.method for request in world.requests if request.url.host == "contoso.test"}
    to_marketo = [request for request in world.requests if request.url.host == "marketo.test"]
    assert to_dynamics == {"GET"}
    writes = [request.content for request in to_marketo if request.url.path.startswith("/rest/v1/")
              and request.method == "POST" and "_method" not in request.url.params]  # fmt: skip
    assert all(b'"updateOnly"' in body.replace(b" ", b"") for body in writes)


async def test_a_missing_secret_is_a_red_line_on_its_side_only(check):
    lines = await check({"MARKETO": "m"})

    assert red(lines) == [SIGN_IN]
    assert "environment variable ENTRA holds no secret" in lines[SIGN_IN].found
    assert lines[SIGN_IN].remedy
    assert lines[URL].status == "green"
    assert {lines[name].status for name in [ROLE, *NEEDS_ROLE]} == {"not run"}
    assert lines["Organization"].found == f"waits for '{ROLE}'"
    assert {lines[name].status for name in MARKETO} == {"green"}


async def test_a_wrong_secret(check, world):
    text = "AADSTS7000215: Invalid client secret provided."
    world.wrong["oauth2/v2.0/token"] = httpx.Response(401, json={"error": "invalid_client", "error_description": text})
    lines = await check()

    assert red(lines) == [SIGN_IN]
    assert "secret" in lines[SIGN_IN].remedy


async def test_no_application_user(check, world):
    world.wrong["WhoAmI"] = odata(403, "0x80072560", "The user is not a member of the organization.")
    lines = await check()

    assert red(lines) == [SIGN_IN]
    assert "Application users" in lines[SIGN_IN].remedy
    assert "crmsync prepare contoso" in lines[SIGN_IN].remedy
    assert lines[URL].status == "green"


async def test_another_user_than_the_tenant_file_means(check):
    lines = await check(sync_user_email="other@contoso.test")

    assert red(lines) == [SIGN_IN]
    assert "other@contoso.test" in lines[SIGN_IN].found


@pytest.mark.parametrize(
    ("depth", "found"), [(None, "prvReadLead is missing"), ("Local", "prvReadLead reaches its business unit only")]
)
async def test_a_privilege_that_does_not_reach_the_whole_organization(check, world, depth, found):
    del world.privileges["prvReadLead"]
    if depth:
        world.privileges["prvReadLead"] = depth
    lines = await check()

    assert red(lines) == ["Privilege to read lead"]
    assert lines["Privilege to read lead"].found.endswith(found)
    assert "prvReadLead" in lines["Privilege to read lead"].remedy
    assert lines["Change tracking of lead"].status == "not run"
    assert lines["Change tracking of contact"].status == "green"


async def test_change_tracking_off(check, world):
    world.tracked["account"] = False
    lines = await check()

    assert red(lines) == [STEPS]
    assert "Track changes" in lines[STEPS].remedy
    assert "off for account" in lines[STEPS].found
    assert lines["Change tracking of account"].status == "not run"
    assert lines["Change tracking of contact"].status == "green"


async def test_a_first_read_that_the_service_refuses(check, world):
    world.wrong["contacts"] = odata(400, "0x80072491", "Entity contact isn't enabled for change tracking.")
    assert red(await check()) == ["Change tracking of contact"]


async def test_another_language_is_well_only_with_english_labels(check, world):
    world.language = 1036
    lines = await check()

    assert red(lines) == ["English labels"]
    assert "Languages" in lines["English labels"].remedy
    world.labels.append({"Label": "Lead", "LanguageCode": 1033})
    assert red(await check()) == []


async def test_an_address_that_asks_nobody_to_sign_in_is_no_organization(check, world):
    world.challenge = {"WWW-Authenticate": "Basic"}
    lines = await check()

    assert red(lines) == [URL]
    assert "organization_url" in lines[URL].remedy
    assert {lines[name].status for name in [SIGN_IN, ROLE, *NEEDS_ROLE, "Clock of Dynamics"]} == {"not run"}


async def test_no_solution_at_all(check, world):
    world.wrong["solutions"] = httpx.Response(200, json={"value": []})
    lines = await check()

    assert red(lines) == [SOLUTION]
    assert "crmsync prepare contoso" in lines[SOLUTION].remedy
    assert {lines[name].status for name in SEVEN[4:]} == {"not run"}


async def test_rights_through_another_role_are_as_good(check, world):
    roles = {"value": [{"roleid": "r-2", "name": "Integration"}]}
    world.wrong["systemuserroles_association"] = httpx.Response(200, json=roles)
    assert "'Integration'" in (await check())[ROLE].found

    del world.privileges["prvReadAccount"]
    assert red(await check()) == [ROLE]


async def test_marketo_refuses_the_client(check, world):
    body = {"error": "unauthorized", "error_description": "No client with requested id"}
    world.wrong["identity/oauth"] = httpx.Response(401, json=body)
    lines = await check()

    assert red(lines) == ["Marketo sign-in"]
    assert lines["Marketo sign-in"].remedy
    assert {lines[name].status for name in MARKETO[1:]} == {"not run"}


async def test_a_missing_marketo_permission(check, world):
    denied = {"success": False, "requestId": "r", "errors": [{"code": "603", "message": "Access denied"}]}
    world.wrong["salespersons"] = httpx.Response(200, json=denied)
    lines = await check()

    assert red(lines) == ["Marketo permission Read-Write Sales Person"]
    assert lines["Native sync is off"].status == "green"
    assert lines["Custom-field budget left"].status == "not run"
    assert lines["Quota left today"].status == "green"


async def test_native_sync_on(check, world):
    on = {"success": False, "requestId": "r", "errors": [{"code": "1018", "message": "CRM Enabled"}]}
    world.wrong["companies"] = httpx.Response(200, json=on)
    lines = await check()

    assert red(lines) == ["Native sync is off"]
    assert "switch the native sync off" in lines["Native sync is off"].remedy


async def test_the_days_calls_are_used_up(check, world):
    usage = {"date": "2024-05-01", "total": 30000, "users": [{"userId": "api@contoso.test", "count": 30000}]}
    world.wrong["usage"] = httpx.Response(200, json={"success": True, "requestId": "r", "result": [usage]})
    lines = await check()

    assert "Quota left today" in red(lines)
    assert "UTC" in lines["Quota left today"].remedy


async def test_services_that_are_down_are_red_lines_with_a_remedy(check, world):
    world.wrong["WhoAmI"] = httpx.Response(503)
    world.wrong["identity/oauth"] = httpx.Response(503)
    lines = await check()

    assert red(lines) == [SIGN_IN, "Marketo sign-in"]
    assert all(lines[name].remedy for name in red(lines))


async def test_no_secret_is_in_any_line(check, world):
    text = "AADSTS7000215: Invalid client secret provided."
    world.wrong["oauth2/v2.0/token"] = httpx.Response(401, json={"error": "invalid_client", "error_description": text})
    world.wrong["identity/oauth"] = httpx.Response(401, json={"error": "unauthorized"})
    lines = await check({"ENTRA": "s3cret-one", "MARKETO": "s3cret-two"})

    assert "s3cret" not in "".join(line.model_dump_json() for line in lines.values())


async def test_no_checks_no_lines():
    assert await run("Marketo", []) == []
