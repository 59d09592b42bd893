"""Step 1 of ``prepare``: the solution, the security role, the filter columns, change tracking.

With a file, that is what is imported (Marketo's own, which its customers download). Without one, and where Marketo's is
not there already, it is crmsync's own small set in the unmanaged solution ``crmsync``.

"Step 1 of 3: Install the Marketo Solution", "Create a Custom Dynamics Sync Filter" (Marketo's documents).
"""

from __future__ import annotations

from datetime import UTC, datetime

from crmsync.dynamics import setup_import, setup_roles, setup_solutions, setup_tables, setup_users
from crmsync.dynamics.privileges import DEPTH, ROLE, needs
from crmsync.dynamics.schema import DynamicsSchema
from crmsync.dynamics.setup_import import SolutionFile
from crmsync.dynamics.setup_roles import Role
from crmsync.dynamics.setup_solutions import IN_OURS, OURS, Part, Solution
from crmsync.engine.custom.making import with_middles
from crmsync.engine.names import filterable_names
from crmsync.engine.prepare.stage import Change, Found, Stage, Step
from crmsync.errors import EntityMissing, PermissionMissing, SolutionRefused
from crmsync.fields.custom_links import link_of
from crmsync.tenants import OPTIONAL

SHOWN_WARNINGS = 5
NOT_NEWER = "0x80048541"


async def look_at_solution(stage: Stage) -> Found:
    """The solution of the file, else Marketo's or our own."""
    path = stage.choices.solution_file
    file = setup_import.read_solution(path) if path is not None else None
    installed = await setup_solutions.find_solutions(stage.channel, OURS, *([file.unique_name] if file else []))
    marketos = next((one for one in installed if one.is_marketos), None)
    if file is None:
        stage.is_marketos = marketos is not None
        ours = next((one for one in installed if one.unique_name == OURS), None)
        return _own_set(stage, marketos or ours)
    mine = next((one for one in installed if one.unique_name == file.unique_name), None)
    stage.is_marketos = True
    if mine is not None and setup_import.version_numbers(mine.version) >= file.numbers:
        return Found(f"{mine} is there already; the file's version {file.version} is not newer")
    stage.to_import = stage.publish_everything = True
    there = f"{mine} is there, the file is newer" if mine else f"{file.unique_name} is not there"
    return Found(there, (Change(f"Import {file.unique_name} {file.version}", lambda: _import(stage, file)),))


def _own_set(stage: Stage, there: Solution | None) -> Found:
    if there is not None:
        return Found(f"{there} is there already")

    async def create() -> None:
        await setup_solutions.create_ours(stage.channel)

    return Found("Neither Marketo's solution nor crmsync's own is there", (Change(f"Make solution '{OURS}'", create),))


async def _import(stage: Stage, file: SolutionFile) -> str:
    try:
        warnings = await setup_import.import_solution(stage.channel, file, sleep=stage.sleep, tell=stage.tell)
    except SolutionRefused as error:
        if error.code != NOT_NEWER:
            raise
        warnings = ["somebody else imported it meanwhile"]
    stage.to_import = False
    done = f"Imported {file.unique_name} {file.version}"
    if not warnings:
        return done
    shown = "; ".join(warnings[:SHOWN_WARNINGS])
    more = f"; and {len(warnings) - SHOWN_WARNINGS} more" if len(warnings) > SHOWN_WARNINGS else ""
    return f"{done}, completed with warnings, which is usual: {shown}{more}"


async def undo_solution(stage: Stage) -> Found:
    """Remove our own solution (its parts stay), or the one that the file names (its parts go along)."""
    path = stage.choices.solution_file
    name = setup_import.read_solution(path).unique_name if path is not None else OURS
    found = await setup_solutions.find_solutions(stage.channel, name)
    mine = next((one for one in found if one.unique_name == name), None)
    if mine is None:
        hint = "" if path else "; to remove Marketo's own, name its file"
        return Found(f"No solution '{name}' is there{hint}")

    async def delete() -> None:
        await setup_import.when_free(
            lambda: setup_solutions.delete_solution(stage.channel, mine.id), sleep=stage.sleep, tell=stage.tell
        )

    what = ", with everything that came with it" if mine.managed else "; what is in it stays"
    return Found(f"{mine} is there", (Change(f"Remove {mine}{what}", delete),))


async def look_at_role(stage: Stage) -> Found:
    """The role in the root business unit, with every privilege that this tenant needs."""
    unit = await setup_roles.root_unit(stage.channel)
    role = await setup_roles.find_role(stage.channel, ROLE, unit.id)
    wanted = await _wanted_privileges(stage)
    if role is None and stage.to_import:
        return Found("It comes with the solution", (Change("Add the privileges that it lacks", _nothing),))
    if role is None:

        async def create() -> None:
            headers = {} if stage.is_marketos else IN_OURS
            made = await setup_roles.create_role(stage.channel, ROLE, unit.id, headers=headers)
            await _give(stage, made, wanted)

        return Found(
            "It is not there", (Change(f"Make it, with {len(wanted)} privileges: {', '.join(wanted)}", create),)
        )
    held = await setup_roles.held(stage.channel, role.id)
    lacking = [name for name in wanted if held.get(name) != DEPTH]
    there = f"It is there, with {len(held)} privileges"
    if not lacking:
        return Found(f"{there}; all {len(wanted)} that the sync needs are among them")

    async def add() -> None:
        await _give(stage, role.id, lacking)

    return Found(there, (Change(f"Give it for the whole organization: {', '.join(lacking)}", add),))


async def _wanted_privileges(stage: Stage) -> list[str]:
    """What the sync needs, without what this organization does not know and the sync can do without."""
    config = await setup_users.find_config(stage.channel)
    custom = await _custom_privileges(stage)
    names = {one.name: one.right == "look" or one.entity in OPTIONAL for one in needs(stage.tenant)}
    names |= dict.fromkeys(custom, True)
    if config is not None:
        names[f"prvRead{config.schema_name}"] = True
    known = await setup_roles.privilege_ids(stage.channel, names)
    lacking = [name for name, optional in names.items() if name not in known and not optional]
    if lacking:
        raise PermissionMissing(
            f"The organization knows no privilege {', '.join(lacking)}",
            remedy="Install the sales tables (Dynamics 365 Sales) in this environment.",
            tenant=stage.channel.tenant,
        )
    return [name for name in names if name in known]


async def _custom_privileges(stage: Stage) -> list[str]:
    """What is needed to read the custom entities, and the tables through which they lead to somebody."""
    found: list[str | None] = []
    for wanted in stage.tenant.custom_entities:
        try:
            entity = await stage.admin.entity(wanted.entity)
            blank = DynamicsSchema(taken_at=datetime.now(UTC), entities={entity.logical_name: entity})
            schema = await with_middles(stage.admin, blank, entity, wanted)
            link = link_of(entity, schema.beside, wanted.link)
            between = [link.middle.entity] if link is not None and link.middle is not None else []
            found += [await setup_tables.read_privilege(stage.channel, one) for one in (wanted.entity, *between)]
        except EntityMissing:
            continue  # validate tells
    return [name for name in found if name is not None]


async def _give(stage: Stage, role_id: str, names: list[str]) -> None:
    ids = await setup_roles.privilege_ids(stage.channel, names)
    await setup_roles.add_privileges(stage.channel, role_id, ids.values(), DEPTH)


async def _nothing() -> None:
    """For a plan's line that cannot be known yet; when it is done, the look comes after the import."""


async def undo_role(stage: Stage) -> Found:
    """Delete the role if it is in our own solution; another's is left."""
    unit = await setup_roles.root_unit(stage.channel)
    role = await setup_roles.find_role(stage.channel, ROLE, unit.id)
    if role is None:
        return Found("It is not there")
    if not await _is_ours(stage, Part.ROLE, role.id):
        return Found(_not_ours(role))

    async def delete() -> None:
        await setup_roles.delete_role(stage.channel, role.id)

    return Found("It is there", (Change("Delete it; users who have it lose it", delete),))


def _not_ours(role: Role) -> str:
    where = "goes with the solution that it came with" if role.managed else f"is not in solution '{OURS}'"
    return f"It {where}: left as it is"


async def _is_ours(stage: Stage, kind: Part, object_id: str) -> bool:
    found = await setup_solutions.find_solutions(stage.channel, OURS)
    ours = next((one for one in found if one.unique_name == OURS), None)
    return ours is not None and object_id in await setup_solutions.components(stage.channel, ours.id, kind)


async def look_at_filter(stage: Stage) -> Found:
    """``new_synctomkto`` on the entities that were asked for."""
    wanted = stage.choices.sync_filter
    if not wanted:
        return Found("Not asked for")
    columns = {entity: await setup_tables.filter_column(stage.channel, entity) for entity in wanted}
    has = [entity for entity, column in columns.items() if column]
    lacking = [entity for entity, column in columns.items() if not column]
    stage.to_publish |= set(lacking)
    changes = tuple(_make_column(stage, entity) for entity in lacking)
    return Found(f"{', '.join(has)} has it" if has else "No entity that it was asked for has it", changes)


def _make_column(stage: Stage, entity: str) -> Change:
    async def create() -> None:
        headers = {} if stage.is_marketos else IN_OURS
        await setup_tables.create_filter_column(stage.channel, entity, headers=headers)

    return Change(f"Make {entity}.{setup_tables.FILTER_COLUMN} (new records get No; existing ones stay empty)", create)


async def undo_filter(stage: Stage) -> Found:
    """Delete the columns that are in our own solution, and those on entities named for it."""
    columns = {entity: await _filter_column(stage, entity) for entity in filterable_names(stage.tenant)}
    there = {entity: column for entity, column in columns.items() if column}
    ours = [
        entity
        for entity, column in there.items()
        if entity in stage.choices.sync_filter or await _is_ours(stage, Part.COLUMN, column)
    ]

    def change(entity: str) -> Change:
        async def delete() -> None:
            await stage.admin.delete_attribute(entity, setup_tables.FILTER_COLUMN)

        return Change(f"Delete {entity}.{setup_tables.FILTER_COLUMN} with its values", delete)

    return Found(f"On {', '.join(there) or 'no entity'}", tuple(change(entity) for entity in ours))


async def _filter_column(stage: Stage, entity: str) -> str | None:
    try:
        return await setup_tables.filter_column(stage.channel, entity)
    except EntityMissing:
        return None


async def look_at_tracking(stage: Stage) -> Found:
    """Change tracking of every entity that is synced."""
    names, custom = stage.tenant.entities, stage.tenant.custom_names
    found = await setup_tables.tracking_of(stage.channel, [*names, *custom], optional=(*OPTIONAL, *custom))
    off = [one for one in found if not one.on]
    stage.to_publish |= {one.entity for one in off}

    def change(one: setup_tables.Tracking) -> Change:
        async def enable() -> None:
            await setup_tables.enable_tracking(stage.channel, one)

        return Change(f"Enable it for {one.entity}, for ever", enable)

    on = ", ".join(one.entity for one in found if one.on)
    return Found(f"On for {on}" if on else "Off for every entity", tuple(change(one) for one in off))


STEPS: tuple[Step, ...] = (
    Step("solution", "Solution", look_at_solution, undo_solution),
    Step("role", f"Security role '{ROLE}'", look_at_role, undo_role),
    Step("sync-filter", f"Filter column {setup_tables.FILTER_COLUMN}", look_at_filter, undo_filter),
    Step(
        "change-tracking",
        "Change tracking",
        look_at_tracking,
        why_no_undo="Dynamics does not let change tracking be switched off again",
    ),
)
