"""``compare``: the flow, run here and now, and what it found as a table or as JSON."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from crmsync.cli.options import DEFAULT_TENANTS, Allow, Json, TenantArgument, TenantsFolder, Verbose
from crmsync.cli.running import heard, prepare
from crmsync.cli.story import terminal
from crmsync.engine.comparison import Comparison, in_words
from crmsync.engine.names import COMPARABLE, check_names, comparable_names
from crmsync.tenants import load_tenant

MOST_SHOWN = 50
COLUMNS = (
    "read", "filtered", "tombstones", "equal", "missing", "differing", "vanished", "surplus", "twice", "waiting",
    "refused", "repaired",
)  # fmt: skip


async def compare(
    tenant: TenantArgument,
    /,
    *,
    repair: Annotated[bool, Parameter(negative="", help="Write what differs to Marketo.")] = False,
    entity: Annotated[
        tuple[str, ...], Parameter(negative="", help="Only this entity; may be given several times.")
    ] = (),
    allow: Allow = False,
    json: Json = False,
    tenants: TenantsFolder = DEFAULT_TENANTS,
    verbose: Verbose = False,
) -> int:
    """Read everything from both sides and tell what differs: by record and by field, never by value.

    A record is equal when both sides hold the same values; it differs; it is waiting (a change in Marketo that Dynamics
    has not got yet, an owner or a company that is not in Marketo yet), with since when; or it was refused, see
    crmsync errors. An opt-out that only one side has differs. Opportunity roles (opportunityrole) and the tenant's
    custom entities, by their logical names, are compared too.

    Nothing is written without --repair, which brings opt-outs to the other side and never takes one back. Exit status 0
    only when every record is equal or was repaired, every entity could be compared, and no field is parked.

        crmsync compare contoso

        crmsync compare contoso --entity contact --repair

    For programs:

        crmsync compare contoso --json
    """
    console = terminal(stderr=json)
    file = load_tenant(tenant, tenants)
    check_names(entity, comparable_names(file), tenant=tenant, which=COMPARABLE)
    prepare(console, tenants=tenants, verbose=verbose)
    from flows.compare import compare as flow
    from flows.options import CompareOptions

    options = CompareOptions(repair=repair, entities=list(entity), allow=allow)
    console.print(f"[bold]Comparing {tenant}[/]")
    state = await heard(console, lambda: flow(tenant, options, return_state=True))
    found = await state.aresult(raise_on_failure=False)
    if isinstance(found, BaseException):
        raise found
    if json:
        print(found.model_dump_json(indent=2))
    else:
        _show_differences(console, found)
    return 0 if found.in_step else 1


def _show_differences(console: Console, found: Comparison) -> None:
    counts = Table("entity", *COLUMNS, box=SIMPLE)
    for name, one in found.entities.items():
        counts.add_row(name, *[f"{getattr(one, column):,}" for column in COLUMNS])
    console.print(counts)
    for name, why in found.left_out.items():
        console.print(f"  not compared: {name}: {why}", style="yellow", markup=False)
    for field in found.parked:
        text = f"  not compared: {field.entity}.{field.attribute} is parked: {field.reason}"
        console.print(text, style="yellow", markup=False)
    for difference in found.differences[:MOST_SHOWN]:
        console.print(f"  {difference.entity} {difference.record_id}: {in_words(difference)}", markup=False)
    if (rest := len(found.differences) - MOST_SHOWN) > 0:
        console.print(f"  … and {rest:,} more; --json lists up to 1,000", style="dim")
    for note in found.notes:
        console.print(f"  {note}", markup=False)
