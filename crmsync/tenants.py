"""A tenant: one YAML file that says which organization, which subscription, which fields, and whom to tell.

The file is checked by pydantic when it is read; a wrong one gets an error that names file, line and remedy. It never
holds a secret, only where each one is (``crmsync.secrets``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from yaml import Node

from crmsync.errors import TenantFileWrong
from crmsync.secrets import SecretSource
from crmsync.tenantyaml import line_of, read

TENANT_PATTERN = r"^[a-z0-9-]{1,40}$"
EntityName = Literal["systemuser", "account", "contact", "lead", "opportunity", "connection"]
MappedName = Literal["systemuser", "account", "contact", "lead", "opportunity"]
ENTITIES: tuple[EntityName, ...] = ("systemuser", "account", "lead", "contact", "opportunity", "connection")
"""The entities that are synced, in the white paper's order: owners and companies before the people that name them,
people before the opportunities that they take part in; connections say as what."""

OPTIONAL: tuple[EntityName, ...] = ("opportunity", "connection")
"""Entities that the rest does without, where the organization or the subscription does not have or show them."""

NEVER_SYNCED = {"list": "marketing lists", "listmember": "the members of marketing lists"}
"""Tables that Marketo's own sync leaves out, too ("Enable Sync for a Custom Entity")."""


def is_optional(name: str) -> bool:
    """Whether the rest does without this entity: some standard ones, and every custom one."""
    return name in OPTIONAL or name not in ENTITIES


_MUNCHKIN = re.compile(r"^(\d{3}-[A-Za-z]{3}-\d{3})\.")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Certificate(_Strict):
    """An Entra certificate credential: the PEM private key's place and the certificate's SHA-256 thumbprint."""

    private_key: SecretSource
    thumbprint: str


def _origin(url: str) -> str:
    parts = urlsplit(url.strip())
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError(f"'{url}' is no https URL; it should look like https://contoso.crm.dynamics.com")
    return f"https://{parts.netloc.lower()}"


class DynamicsConnection(_Strict):
    """The Dynamics side: organization, Entra tenant, application, and where its secret or certificate is."""

    organization_url: str
    entra_tenant_id: str
    client_id: str
    client_secret: SecretSource | None = None
    certificate: Certificate | None = None
    sync_user_email: str | None = None
    authority: str = "https://login.microsoftonline.com"

    @field_validator("organization_url", "authority")
    @classmethod
    def _reduce(cls, url: str) -> str:
        """Any of the organization, Web API or Organization.svc URL is understood: scheme and host are kept."""
        return _origin(url)

    @model_validator(mode="after")
    def _one_credential(self) -> DynamicsConnection:
        if (self.client_secret is None) == (self.certificate is None):
            raise ValueError("give either client_secret or certificate")
        return self


class MarketoConnection(_Strict):
    """The Marketo side. ``base_url`` may be the Identity or the REST endpoint as Marketo shows it."""

    base_url: str
    client_id: str
    client_secret: SecretSource
    munchkin_id: str | None = None

    @field_validator("base_url")
    @classmethod
    def _reduce(cls, url: str) -> str:
        return _origin(url)

    @model_validator(mode="after")
    def _one_subscription(self) -> MarketoConnection:
        """Nobody binds one subscription twice by another id for it."""
        found = _MUNCHKIN.match(urlsplit(self.base_url).netloc)
        if found and self.munchkin_id and found.group(1).upper() != self.munchkin_id.upper():
            raise ValueError(f"munchkin_id is {self.munchkin_id}, but base_url is that of {found.group(1).upper()}")
        return self

    @property
    def subscription(self) -> str:
        """What identifies the subscription: its Munchkin id, told or read from the host; else the host itself."""
        host = urlsplit(self.base_url).netloc
        found = _MUNCHKIN.match(host)
        return (self.munchkin_id or (found.group(1) if found else host)).upper()


class FieldChoice(_Strict):
    """Which fields to sync: the standard map, plus every custom column that can be mapped unless told otherwise.

    ``include`` and ``exclude`` list logical names per entity; ``rename`` sends a column to a Marketo field of your
    choice (REST name). ``owner`` and company links, the key and the ``ms...`` fields are always synced.

    ``time_zone`` is the zone of the dates that users pick in columns which keep them as moments (behavior User Local,
    format Date Only): with it they are dates in Marketo, too. A name of the IANA database, such as Pacific/Auckland.
    """

    custom: Literal["all", "none"] = "all"
    include: dict[MappedName, tuple[str, ...]] = {}
    exclude: dict[MappedName, tuple[str, ...]] = {}
    rename: dict[MappedName, dict[str, str]] = {}
    time_zone: str | None = None

    def including(self, columns: Mapping[str, Sequence[str]]) -> FieldChoice:
        """The same choice with these columns, by entity, as if they were named; what is excluded stays so."""
        more = {
            name: (
                *self.include.get(name, ()),
                *(one for one in columns[name] if one not in self.exclude.get(name, ())),
            )
            for name in ENTITIES
            if name != "connection" and name in columns
        }
        return self.model_copy(update={"include": self.include | more})

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is None or name in (known := available_timezones()):
            return name
        near = sorted(zone for zone in known if name.lower().replace(" ", "_") in zone.lower())[:3]
        near = near or get_close_matches(name, sorted(known), n=3, cutoff=0.6)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; give an IANA name, such as Pacific/Auckland"
        raise ValueError(f"'{name}' is no time zone{hint}")


PersonEntity = Literal["lead", "contact"]
Side = Literal["marketo", "dynamics"]


class Conflicts(_Strict):
    """Who wins when a field was changed on both sides: by entity, and by ``entity.column`` where that is another.

    An opt-out (``donotbulkemail`` and its kin) wins in any case, whichever side it was made on.
    """

    lead: Side = "marketo"
    contact: Side = "dynamics"
    fields: dict[Annotated[str, Field(pattern=r"^(lead|contact)\.[a-z0-9_]+$")], Side] = {}

    def rule(self, entity: str, attribute: str) -> tuple[Side, str]:
        """The winner, and which rule says so."""
        if (side := self.fields.get(f"{entity}.{attribute}")) is not None:
            return side, "field"
        if entity == "contact":
            return self.contact, "entity" if "contact" in self.model_fields_set else "default"
        return self.lead, "entity" if "lead" in self.model_fields_set else "default"


class CreateInDynamics(_Strict):
    """People that are made in Dynamics: the members of a static list in Marketo, as leads or contacts.

    ``owner`` is a user's id; without it the person's own sales person, else the sync user.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    list: str
    as_: PersonEntity = Field("lead", alias="as")
    owner: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")] | None = None


class CustomEntity(_Strict):
    """A table that becomes a custom object in Marketo. Its logical name alone is enough.

    ``name`` is the custom object's API name, else the table's own. ``link`` is the lookup that leads to a person or a
    company, ``lookup`` or ``lookup.lookup``; without it the nearest is taken. ``include`` and ``exclude`` are columns.
    """

    entity: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,32}$")] | None = None
    link: Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)?$")] | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def including(self, columns: Sequence[str]) -> CustomEntity:
        """The same with these columns as if they were named; what is excluded stays so."""
        more = (one for one in columns if one not in self.exclude)
        return self.model_copy(update={"include": (*self.include, *more)})

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, given: Any) -> Any:
        return {"entity": given} if isinstance(given, str) else given

    @field_validator("entity")
    @classmethod
    def _not_synced_otherwise(cls, name: str) -> str:
        if name in ENTITIES:
            raise ValueError(f"{name} is no custom entity: it is synced anyway ('entities')")
        if name in NEVER_SYNCED:
            raise ValueError(f"{NEVER_SYNCED[name]} cannot be synced")
        return name

    @model_validator(mode="after")
    def _either(self) -> CustomEntity:
        both = sorted(set(self.include) & set(self.exclude))
        if both:
            raise ValueError(f"{', '.join(both)}: included and excluded")
        return self


class Smtp(_Strict):
    """A mail server. ``security`` is none, starttls or tls."""

    host: str = "localhost"
    port: Annotated[int, Field(ge=1, le=65535)] = 25
    security: Literal["none", "starttls", "tls"] = "starttls"
    username: str | None = None
    password: SecretSource | None = None


class Notifications(_Strict):
    """Whom to tell when a first sync or a resync is done or failed, from which address, through which server."""

    to: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = ()
    sender: str = "crmsync@localhost"
    smtp: Smtp = Smtp()


class Quota(_Strict):
    """Our share of what the services allow. Defaults are what Adobe asks of one integration ("Best practices")."""

    marketo_calls_per_20_seconds: Annotated[int, Field(ge=1)] = 50
    marketo_concurrent_calls: Annotated[int, Field(ge=1)] = 5
    marketo_calls_per_day: Annotated[int, Field(ge=1)] = 25_000
    dynamics_concurrent_requests: Annotated[int, Field(ge=1, le=52)] = 8


class Safety(_Strict):
    """The brake: what a run may take away without being allowed to, in either direction.

    A run that would delete, flag or merge away more than ``percent`` of an entity's records, or clear a field of (or
    take an opt-out back from) more of them, and of more than ``at_least`` records, stops before it does. So does one
    that would give a field another value in more than ``overwrite_percent``; mass updates are ordinary, so it is off.
    """

    percent: Annotated[float, Field(strict=True, ge=0, le=100)] = 5
    at_least: Annotated[int, Field(strict=True, ge=0)] = 50
    overwrite_percent: Annotated[float, Field(strict=True, ge=0, le=100)] | None = None


class Tenant(_Strict):
    """One tenant, as its file says. ``folder`` is where the file lies: relative paths in it start there.

    ``entities`` leaves some out. ``accounts`` says which ones come to Marketo: all, or those that a synced contact
    belongs to; an account that has come stays.
    ``to_dynamics`` false leaves Dynamics untouched. ``deleted_in_marketo``: whether a later change in Dynamics creates
    the person anew. ``deleted_in_dynamics``: what becomes of the person. ``duplicate_detection``: whether Dynamics'
    duplicate rules may refuse what crmsync writes there. ``custom_entities`` are tables that become custom
    objects in Marketo. ``safety`` is what a run may take away without being allowed to.
    """

    tenant: Annotated[str, Field(pattern=TENANT_PATTERN)]
    dynamics: DynamicsConnection
    marketo: MarketoConnection
    entities: tuple[EntityName, ...] = ENTITIES
    custom_entities: tuple[CustomEntity, ...] = ()
    accounts: Literal["all", "with_synced_people"] = "all"
    fields: FieldChoice = FieldChoice()
    notifications: Notifications = Notifications()
    quota: Quota = Quota()
    safety: Safety = Safety()
    to_dynamics: bool = True
    conflicts: Conflicts = Conflicts()
    create_in_dynamics: CreateInDynamics | None = None
    deleted_in_marketo: Literal["tombstone", "recreate"] = "tombstone"
    deleted_in_dynamics: Literal["flag", "delete", "ignore"] = "flag"
    duplicate_detection: Literal["suppress", "detect"] = "suppress"
    interval_minutes: Annotated[int, Field(ge=1, le=1440)] = 5
    ca_file: Path | None = None
    folder: Path = Path()

    @field_validator("entities")
    @classmethod
    def _in_order(cls, names: tuple[EntityName, ...]) -> tuple[EntityName, ...]:
        """In the order in which they are synced, each once."""
        if not {"lead", "contact"} & set(names):
            raise ValueError("name lead or contact at least: without people there is nothing to sync")
        return tuple(name for name in ENTITIES if name in names)

    @field_validator("custom_entities")
    @classmethod
    def _each_once(cls, wanted: tuple[CustomEntity, ...]) -> tuple[CustomEntity, ...]:
        for names in ([one.entity for one in wanted], [(one.name or one.entity).lower() for one in wanted]):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{', '.join(twice)}: named twice")
        return wanted

    @field_validator("create_in_dynamics")
    @classmethod
    def _creates_what_is_synced(cls, wanted: CreateInDynamics | None, info: ValidationInfo) -> CreateInDynamics | None:
        if wanted is not None and wanted.as_ not in info.data.get("entities", ENTITIES):
            raise ValueError(f"no {wanted.as_} can be created while 'entities' leaves {wanted.as_} out")
        return wanted

    @property
    def custom_names(self) -> tuple[str, ...]:
        """The custom entities' logical names."""
        return tuple(one.entity for one in self.custom_entities)

    @property
    def ca_path(self) -> Path | None:
        """The certificate authority to trust besides the public ones, for example of an inspecting proxy."""
        return None if self.ca_file is None else self.folder / self.ca_file


def load_tenant(name: str, folder: Path) -> Tenant:
    """Read ``folder/name.yaml``; raises ``TenantFileWrong`` naming file, line and remedy."""
    check_name(name)
    path = folder / f"{name}.yaml"
    if not path.is_file():
        raise _missing(path, name)
    data, node = read(path, name)
    try:
        tenant = Tenant.model_validate({"tenant": name} | data | {"folder": folder})
    except ValidationError as error:
        raise _wrong(path, name, node, error) from None
    if tenant.tenant != name:
        raise TenantFileWrong(
            f"{path}:{line_of(node, ('tenant',))}: the file's name says '{name}', its text '{tenant.tenant}'",
            tenant=name,
            remedy="Name the file after the tenant, or leave 'tenant:' out.",
        )
    return tenant


def check_name(name: str) -> None:
    """Raise ``TenantFileWrong`` for what cannot be a tenant's name."""
    if not re.match(TENANT_PATTERN, name):
        raise TenantFileWrong(
            f"'{name}' cannot be a tenant's name",
            remedy="Use 1 to 40 lower-case letters, digits and dashes.",
        )


def tenant_names(folder: Path) -> list[str]:
    """The tenants that have a file in ``folder``, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml") if re.match(TENANT_PATTERN, path.stem))


def _missing(path: Path, name: str) -> TenantFileWrong:
    names = ", ".join(tenant_names(path.parent))
    other = f"name one of the tenants in {path.parent}: {names}" if names else "give another folder: --tenants FOLDER"
    return TenantFileWrong(
        f"There is no tenant file {path}" if path.parent.is_dir() else f"There is no folder {path.parent}",
        tenant=name,
        remedy=f"Create it (README, 'Connect a real tenant'), or {other}.",
    )


PLAIN = {
    "extra_forbidden": "there is no such setting",
    "missing": "this is missing",
    "tuple_type": "this should be a list",
    "bool_parsing": "this should be true or false",
    "int_parsing": "this should be a number",
    "int_type": "this should be a whole number",
    "float_type": "this should be a number",
    "greater_than_equal": "this is too small",
    "less_than_equal": "this is too large",
}
"""Pydantic's kinds of problems whose own words speak of Python."""


def _wrong(path: Path, name: str, node: Node, error: ValidationError) -> TenantFileWrong:
    lines, remedies = [], []
    for problem in error.errors(include_url=False, include_input=False):
        where = tuple(problem["loc"])
        label = ".".join(str(part) for part in where) or "file"
        message = PLAIN.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
        lines.append(f"{path}:{line_of(node, where)}: {label}: {message}")
        if problem["type"] == "extra_forbidden":
            remedies.append(f"remove '{label}' or correct its spelling")
        elif problem["type"] == "missing":
            remedies.append(f"add '{label}'")
        else:
            remedies.append(f"correct '{label}'")
    return TenantFileWrong(
        "\n".join(lines),
        tenant=name,
        remedy=f"In {path}: {'; '.join(dict.fromkeys(remedies))}. README, 'Connect a real tenant', shows a whole file.",
    )
