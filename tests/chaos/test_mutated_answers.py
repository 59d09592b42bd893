"""A thousand answers of the sandbox that something on the way has changed, for every method of both clients.

Each ends well or as an error of ``crmsync.errors``; none asks something of a person, unless the service's own code is
still in the answer; and a reading gets over one that is changed once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from crmsync.dynamics.client import DynamicsClient
from crmsync.dynamics.write_batch import Write
from crmsync.engine.session import utc_now
from crmsync.errors import CrmsyncError, OperatorMustAct
from crmsync.marketo.activities import ADD_TO_LIST, MERGE_LEADS
from crmsync.marketo.client import MarketoClient
from crmsync.marketo.schema import NewCustomObject, NewObjectField, NewPersonField
from tests.chaos import REPEAT
from tests.chaos.between import Between, Noted, PassingTime, clients, key_of
from tests.chaos.mutations import ANY, Heard
from tests.world import World, connected_world

CASES = 1_000 * REPEAT
NEW = "00000000-0000-4000-8000-00000000000{}"


@dataclass
class Facts:
    """What is there to be asked for."""

    user: str
    leads: list[str]
    link: str
    people: list[int]
    company: str
    since: datetime


@dataclass(frozen=True)
class Method:
    """One thing that a client does. One that ``writes`` may end without an answer."""

    name: str
    call: Callable[[DynamicsClient, MarketoClient, Facts], Awaitable[Any]]
    writes: bool = False
    administrator: bool = False


async def drained(pages: AsyncGenerator[Any, None]) -> list[Any]:
    return [page async for page in pages]


async def lead_pages(dynamics: DynamicsClient, link: str | None, *, first: bool = False) -> list[Any]:
    lead = await dynamics.entity("lead")
    select = ["leadid", "lastname", "donotbulkemail", "revenue", "createdon", "_ownerid_value"]
    if first:
        return await drained(dynamics.read(lead, select, page_size=10, lookup_types=True))
    return await drained(dynamics.changes(lead, select, link=link, page_size=10))


async def by_ids(dynamics: DynamicsClient, facts: Facts) -> Any:
    return await dynamics.read_by_ids(await dynamics.entity("lead"), ["leadid", "lastname"], facts.leads)


async def imported(marketo: MarketoClient) -> None:
    """An import of which one row fails, to its end."""
    imports = marketo.imports()
    job = await imports.start(b"dynamicsId,lastName\r\n" + NEW.format(7).encode() + b",Seven\r\n,Nobody\r\n")
    status = await imports.status(job)
    for _ in range(200):
        if status.is_over:
            break
        status = await imports.status(job)
    if status.status == "Complete":
        await imports.failures(job)
        if status.warnings:
            await imports.warnings(job)


async def happened(marketo: MarketoClient, facts: Facts, what: str) -> list[Any]:
    """What happened to people since the sandbox was filled."""
    token = await marketo.paging_token(facts.since)
    if what == "changes":
        return await drained(marketo.lead_changes(token, ["title", "lastName"]))
    if what == "deletions":
        return await drained(marketo.deletions(token))
    return await drained(marketo.activities(token, [ADD_TO_LIST, MERGE_LEADS]))


def attribute() -> dict[str, Any]:
    label = {"LocalizedLabels": [{"Label": "Mutated", "LanguageCode": 1033}]}
    return {
        "@odata.type": "Microsoft.Dynamics.CRM.StringAttributeMetadata",
        "AttributeType": "String",
        "AttributeTypeName": {"Value": "StringType"},
        "SchemaName": "new_Mutated",
        "MaxLength": 100,
        "FormatName": {"Value": "Text"},
        "RequiredLevel": {"Value": "None"},
        "DisplayName": label,
        "Description": label,
    }


OBJECT = NewCustomObject(
    name="mutated_c",
    display_name="Mutated",
    plural_name="Mutated Ones",
    fields=(NewObjectField(name="dynamicsId", display_name="Dynamics Id", data_type="string", is_dedupe=True),),
)
ROLE = {"externalOpportunityId": "mutated", "role": "Buyer"}
COMPANY_FIELDS = ["externalCompanyId", "company"]

METHODS = (
    Method("sign_in", lambda d, m, f: d.sign_in()),
    Method("who_am_i", lambda d, m, f: d.who_am_i()),
    Method("organization", lambda d, m, f: d.organization()),
    Method("friendly_name", lambda d, m, f: d.friendly_name()),
    Method("user", lambda d, m, f: d.user(f.user)),
    Method("privileges", lambda d, m, f: d.privileges(f.user)),
    Method("schema", lambda d, m, f: d.schema(["lead", "systemuser"])),
    Method("record_counts", lambda d, m, f: d.record_counts(["lead", "contact"])),
    Method("glance", lambda d, m, f: d.glance({"lead": f.link})),
    Method("changes", lambda d, m, f: lead_pages(d, None)),
    Method("later changes", lambda d, m, f: lead_pages(d, f.link)),
    Method("read", lambda d, m, f: lead_pages(d, None, first=True)),
    Method("read_by_ids", lambda d, m, f: by_ids(d, f)),
    Method("create", lambda d, m, f: d.create("leads", {"lastname": "New"}), writes=True, administrator=True),
    Method("update", lambda d, m, f: d.update("leads", f.leads[0], {"jobtitle": "A"}), writes=True),
    Method(
        "upsert", lambda d, m, f: d.upsert("leads", NEW.format(1), {"lastname": "B"}), writes=True, administrator=True
    ),
    Method("delete", lambda d, m, f: d.delete("leads", NEW.format(1)), writes=True, administrator=True),
    Method(
        "write_many",
        lambda d, m, f: d.write_many([Write("leads", one, {"jobtitle": "C"}, "*") for one in f.leads], entity="lead"),
        writes=True,
    ),
    Method(
        "create_attribute", lambda d, m, f: d.create_attribute("lead", attribute()), writes=True, administrator=True
    ),
    Method(
        "delete_attribute", lambda d, m, f: d.delete_attribute("lead", "new_mutated"), writes=True, administrator=True
    ),
    Method("identity", lambda d, m, f: m.identity()),
    Method("usage_today", lambda d, m, f: m.usage_today()),
    Method("permissions", lambda d, m, f: m.permissions(custom_objects=True)),
    Method("native_sync_is_on", lambda d, m, f: m.native_sync_is_on()),
    Method("marketo schema", lambda d, m, f: m.schema()),
    Method(
        "create_person_fields",
        lambda d, m, f: m.create_person_fields([NewPersonField(name="mutated", display_name="M", data_type="string")]),
        writes=True,
    ),
    Method("people", lambda d, m, f: m.people("dynamicsId", f.leads, ["id", "dynamicsId", "lastName", "email"])),
    Method(
        "sync_people",
        lambda d, m, f: m.sync_people([{"dynamicsId": one, "title": "D"} for one in f.leads]),
        writes=True,
    ),
    Method("merge_people", lambda d, m, f: m.merge_people(f.people[-1], [f.people[-2]]), writes=True),
    Method("delete_people", lambda d, m, f: m.delete_people(f.people[-3:]), writes=True),
    Method("lead_changes", lambda d, m, f: happened(m, f, "changes")),
    Method("deletions", lambda d, m, f: happened(m, f, "deletions")),
    Method("activities", lambda d, m, f: happened(m, f, "activities")),
    Method("static_lists", lambda d, m, f: m.static_lists(name="no such list")),
    Method("companies", lambda d, m, f: m.companies("externalCompanyId", [f.company], COMPANY_FIELDS)),
    Method("sync_companies", lambda d, m, f: m.sync_companies([{"externalCompanyId": f.company}]), writes=True),
    Method(
        "sync_sales_persons",
        lambda d, m, f: m.sync_sales_persons(
            [{"externalSalesPersonId": "mutated", "email": "mutated@example.com", "lastName": "M"}]
        ),
        writes=True,
    ),
    Method("sales_persons", lambda d, m, f: m.sales_persons("externalSalesPersonId", ["mutated"], ["id", "email"])),
    Method(
        "sync_opportunities",
        lambda d, m, f: m.sync_opportunities([{"externalOpportunityId": "mutated", "name": "M"}]),
        writes=True,
    ),
    Method("opportunities", lambda d, m, f: m.opportunities("externalOpportunityId", ["mutated"], ["name"])),
    Method("sync_roles", lambda d, m, f: m.sync_roles([ROLE | {"leadId": f.people[0]}]), writes=True),
    Method("roles", lambda d, m, f: m.roles("externalOpportunityId", ["mutated"], ["leadId", "role"])),
    Method("roles_by_key", lambda d, m, f: m.roles_by_key([ROLE | {"leadId": f.people[0]}], ["leadId", "role"])),
    Method("delete_roles", lambda d, m, f: m.delete_roles([ROLE | {"leadId": f.people[0]}]), writes=True),
    Method("delete_opportunities", lambda d, m, f: m.delete_opportunities(["mutated"]), writes=True),
    Method("make_custom_object", lambda d, m, f: m.make_custom_object(OBJECT), writes=True),
    Method("custom_object_types", lambda d, m, f: m.custom_object_types()),
    Method(
        "sync_custom_objects",
        lambda d, m, f: m.sync_custom_objects("mutated_c", "dynamicsId", [{"dynamicsId": "m"}]),
        writes=True,
    ),
    Method("custom_objects", lambda d, m, f: m.custom_objects("mutated_c", "dynamicsId", ["m"], ["dynamicsId"])),
    Method(
        "delete_custom_objects", lambda d, m, f: m.delete_custom_objects("mutated_c", "dynamicsId", ["m"]), writes=True
    ),
    Method("imports", lambda d, m, f: imported(m), writes=True),
)


async def facts_of(world: World) -> Facts:
    since = utc_now() - timedelta(hours=1)
    rows = await world.rows("lead", "leadid", filter="new_synctomkto eq true and statecode eq 0")
    people = await world.people([row["leadid"] for row in rows])
    accounts = await world.rows("account", "accountid")
    companies = await (await world.marketo()).companies(
        "externalCompanyId", [row["accountid"] for row in accounts], ["externalCompanyId"]
    )
    admin = await world.admin()
    link = (await lead_pages(admin, None))[-1].delta_link
    [user] = await world.rows(
        "systemuser", "systemuserid", filter=f"applicationid eq {world.facts['dynamics']['client_id']}"
    )
    leads = sorted(people)[:3]
    await admin.update("leads", leads[0], {"jobtitle": "Changed"})
    await (await world.marketo()).sync_people([{"dynamicsId": leads[1], "title": "Changed"}])
    numbers = sorted(found[0]["id"] for found in people.values())
    return Facts(user["systemuserid"], leads, link, numbers, companies[0]["externalCompanyId"], since)


async def noted(world: World, facts: Facts, method: Method) -> list[tuple[str, Heard]]:
    """The sandbox's answers to this method, sign-ins first."""
    answers: list[tuple[str, Heard]] = []

    def note(request: Any, heard: Heard) -> Heard:
        answers.append((key_of(request), heard))
        return heard

    between, at = Between(world, note), PassingTime()
    async with clients(world, between, at, administrator=method.administrator) as (dynamics, marketo):
        await method.call(dynamics, marketo, facts)
    return answers


@dataclass
class Played:
    """How it ended: well, or the error; ``own``: the service's own code was in what was changed."""

    told: str
    once: bool
    error: BaseException | None
    own: bool

    def wrong(self, method: Method, secrets: Collection[str]) -> str | None:
        """What is wrong about it."""
        if self.error is None:
            return None
        if not isinstance(self.error, CrmsyncError):
            return f"{self.told}: {type(self.error).__name__}: {self.error}"
        if isinstance(self.error, OperatorMustAct) and not self.own:
            return f"{self.told}: a person must act: {self.error}"
        if self.once and not (method.writes or self.own):
            return f"{self.told}: a reading did not get over it: {self.error}"
        return f"{self.told}: a secret" if any(secret in str(self.error) for secret in secrets) else None


async def played(
    world: World, facts: Facts, method: Method, answers: list[tuple[str, Heard]], random: Random
) -> Played:
    """One of the answers is changed, once or always."""
    key, _ = random.choice(answers)
    kind, once = random.choice(sorted(ANY)), random.random() < 0.5
    hits: list[Heard] = []

    def change(asked: str, heard: Heard) -> Heard:
        if asked != key or (once and hits):
            return heard
        hits.append(ANY[kind](heard, random))
        return hits[-1]

    ended: BaseException | None = None
    try:
        async with clients(world, Noted(answers, change), PassingTime(), administrator=method.administrator) as both:
            for client in both:
                client.address_is_proven()
            await method.call(*both, facts)
    except Exception as error:
        ended = error
    told = f"{method.name}: {kind} of {key}, {'once' if once else 'always'}, {hits[:1]}"
    return Played(told, once, ended, any(heard.has_own_code for heard in hits))


async def test_a_thousand_changed_answers_end_well_or_as_an_error_of_ours(tmp_path: Path) -> None:
    async with connected_world(tmp_path) as world:
        facts = await facts_of(world)
        recordings = [(method, await noted(world, facts, method)) for method in METHODS]
        secrets = (world.facts["dynamics"]["client_secret"], world.facts["marketo"]["client_secret"])
    random, wrong, ends = Random(8), list[str](), Counter[str]()
    for number in range(CASES):
        method, answers = recordings[number % len(recordings)]
        end = await played(world, facts, method, answers, random)
        ends["well" if end.error is None else type(end.error).__name__] += 1
        if (found := end.wrong(method, secrets)) is not None:
            wrong.append(found)

    assert wrong == []
    assert ends["well"] > CASES / 4, ends
    assert ends["TransportFailed"] > CASES / 20, ends
