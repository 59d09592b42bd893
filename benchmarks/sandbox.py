"""How fast the sandbox is by itself, and whether it holds up the engine's first sync.

    python benchmarks/sandbox.py                      # 100,000 records; about a minute on two slow cores
    python benchmarks/sandbox.py --records 10000

One sandbox without limits and latency runs in a process of its own, over TLS. First the engine's first sync
(``benchmarks/first_sync.py``) runs against it, then a client that does nothing else reads the same rows through change
tracking and writes as many people, once through Sync Leads and once through bulk import. Beside rows a second stands
what a row costs the sandbox in CPU time, and the speed as a multiple of the first sync's.

The sandbox is not the bottleneck when reading and writing a row takes it less time than the first sync needs for a row,
and when it is idle for part of the first sync. Otherwise the exit status is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import json
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import first_sync
import httpx
import orjson
import psutil
from stage import running_sandbox

from crmsync.fields import default_map

TABLES = {"lead": "leads", "contact": "contacts", "account": "accounts"}
LOOKUPS = {"Lookup", "Customer", "Owner"}
PAGE, CALL, IN_PROGRESS, FILE_ROWS = 2_000, 300, 8, 25_000
PERSON = {
    "firstName": "Ann",
    "lastName": "Bergström",
    "title": "Head of Procurement",
    "phone": "+49 351 123456",
    "mobilePhone": "+49 171 123456",
    "address": "Hauptstraße 1",
    "city": "Dresden",
    "postalCode": "01067",
    "country": "Germany",
    "company": "Contoso GmbH",
    "leadSource": "Trade Show",
    "leadStatus": "New",
    "doNotCall": False,
    "unsubscribed": False,
}


@dataclass(frozen=True)
class Figures:
    """What one kind of work took."""

    name: str
    rows: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    @property
    def cost(self) -> float:
        """The sandbox's CPU time for a row, in microseconds."""
        return self.cpu / self.rows * 1e6


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000, help="rows in Dynamics, and people to write each way")
    records = parser.parse_args().records
    with tempfile.TemporaryDirectory() as name, running_sandbox(Path(name), first_sync.shared_out(records)) as sandbox:
        meter = Meter(psutil.Process(sandbox.pid))
        started = meter.cpu()
        engine = first_sync.run(Path(name), records)
        rows = round(engine["rate"] * engine["seconds"])
        first = Figures("first sync, by the engine", rows, engine["seconds"], meter.cpu() - started)
        work = asyncio.run(measure(json.loads((Path(name) / "ready.json").read_text()), records, meter))
    return judge(first, work)


class Meter:
    """Tells how much CPU time the sandbox has used."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process

    def cpu(self) -> float:
        """Seconds of all its threads."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    async def __call__(self, name: str, work: Callable[[], Awaitable[int]]) -> Figures:
        """Do the work; it returns how many rows it moved."""
        cpu, start = self.cpu(), time.perf_counter()
        rows = await work()
        return Figures(name, rows, time.perf_counter() - start, self.cpu() - cpu)


async def measure(ready: dict[str, Any], records: int, meter: Meter) -> list[Figures]:
    """Reading, then the two ways of writing."""
    tenant = ready["tenants"]["contoso"]
    trust = ssl.create_default_context(cafile=ready["ca_file"])
    async with dynamics(tenant["dynamics"], trust) as source, marketo(tenant["marketo"], trust) as target:
        columns = {table: await selected(source, table) for table in TABLES}
        return [
            await meter("read through change tracking", lambda: read(source, columns)),
            await meter("written through Sync Leads", lambda: sync_leads(target, records)),
            await meter("written through bulk import", lambda: bulk_import(target, records)),
        ]


@asynccontextmanager
async def dynamics(facts: dict[str, str], trust: ssl.SSLContext) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is signed in to the organization."""
    form = {
        "grant_type": "client_credentials",
        "client_id": facts["client_id"],
        "client_secret": facts["client_secret"],
        "scope": f"{facts['organization_url']}/.default",
    }
    base = f"{facts['organization_url']}/api/data/v9.2"
    async with httpx.AsyncClient(verify=trust, base_url=base, timeout=300) as client:
        answer = await client.post(f"{facts['authority']}/{facts['entra_tenant_id']}/oauth2/v2.0/token", data=form)
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


@asynccontextmanager
async def marketo(facts: dict[str, str], trust: ssl.SSLContext) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is signed in to the subscription."""
    query = {"grant_type": "client_credentials", **{name: facts[name] for name in ("client_id", "client_secret")}}
    async with httpx.AsyncClient(verify=trust, base_url=facts["base_url"], timeout=300) as client:
        answer = await client.get("/identity/oauth/token", params=query)
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


async def selected(client: httpx.AsyncClient, table: str) -> str:
    """``$select`` with the columns of the default map that the table has, as the engine selects them."""
    path = f"/EntityDefinitions(LogicalName='{table}')/Attributes?$select=LogicalName,AttributeType"
    answer = (await client.get(path)).raise_for_status().json()
    kinds = {each["LogicalName"]: each["AttributeType"] for each in answer["value"]}
    wanted = [name for name in default_map().attributes(table) if name in kinds]
    return ",".join(f"_{name}_value" if kinds[name] in LOOKUPS else name for name in wanted)


async def read(client: httpx.AsyncClient, columns: dict[str, str]) -> int:
    """A first tracked read of every table, the tables side by side."""
    return sum(await asyncio.gather(*(_read_table(client, TABLES[table], columns[table]) for table in TABLES)))


async def _read_table(client: httpx.AsyncClient, table: str, columns: str) -> int:
    prefer = {"Prefer": f"odata.track-changes,odata.maxpagesize={PAGE}"}
    url, rows = f"/{table}?$select={columns}", 0
    while url:
        page = orjson.loads((await client.get(url, headers=prefer)).raise_for_status().content)
        rows += len(page["value"])
        url = page.get("@odata.nextLink", "")
    return rows


async def sync_leads(client: httpx.AsyncClient, records: int) -> int:
    """New people by their Dynamics id, several calls side by side."""
    gate = asyncio.Semaphore(IN_PROGRESS)

    async def call(start: int) -> int:
        rows = [_person("sync", number) for number in range(start, min(start + CALL, records))]
        body = orjson.dumps({"action": "createOrUpdate", "lookupField": "dynamicsId", "input": rows})
        headers = {"Content-Type": "application/json"}
        async with gate:
            answer = (await client.post("/rest/v1/leads.json", content=body, headers=headers)).json()
        return sum(row["status"] == "created" for row in answer["result"])

    return sum(await asyncio.gather(*(call(start) for start in range(0, records, CALL))))


async def bulk_import(client: httpx.AsyncClient, records: int) -> int:
    """New people by their Dynamics id, as files; at most as many jobs as Marketo queues."""
    gate = asyncio.Semaphore(IN_PROGRESS)
    query = {"format": "csv", "lookupField": "dynamicsId"}

    async def job(start: int) -> int:
        files = {"file": ("people.csv", _csv(range(start, min(start + FILE_ROWS, records))), "text/csv")}
        async with gate:
            answer = (await client.post("/bulk/v1/leads.json", params=query, files=files)).json()
            while True:
                status = (await client.get(f"/bulk/v1/leads/batch/{answer['result'][0]['batchId']}.json")).json()
                if status["result"][0]["status"] in ("Complete", "Failed"):
                    return int(status["result"][0]["numOfLeadsProcessed"])
                await asyncio.sleep(0.05)

    return sum(await asyncio.gather(*(job(start) for start in range(0, records, FILE_ROWS))))


def _csv(numbers: range) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["dynamicsId", "email", *PERSON])
    writer.writeheader()
    writer.writerows(_person("import", number) for number in numbers)
    return text.getvalue().encode()


def _person(way: str, number: int) -> dict[str, object]:
    return {"dynamicsId": f"{way}-{number:029}", "email": f"{way}{number}@benchmark.example", **PERSON}


def judge(first: Figures, work: list[Figures]) -> int:
    """Print the figures; 0 when the sandbox does not hold the engine up."""
    print(f"{'':<30}{'rows':>10}{'rows/s':>10}{'CPU µs/row':>12}{'× first sync':>14}")
    for each in (first, *work):
        print(f"{each.name:<30}{each.rows:>10,}{each.rate:>10,.0f}{each.cost:>12,.0f}{each.rate / first.rate:>14.1f}")
    reading, *writing = work
    alone = 1 / (1 / reading.rate + 1 / min(one.rate for one in writing))
    busy = first.cpu / first.seconds
    print(f"read and written, one after the other: {alone:,.0f} rows/s, {alone / first.rate:.1f} × the first sync")
    print(f"during the first sync the sandbox used {busy:.0%} of a core")
    held_up = alone <= first.rate or busy >= 0.95
    print("the sandbox is the bottleneck" if held_up else "the sandbox is not the bottleneck")
    return int(held_up)


if __name__ == "__main__":
    sys.exit(main())
