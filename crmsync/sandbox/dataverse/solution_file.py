"""A solution's zip file: what ``solution.xml`` says about it, and what ``customizations.xml`` brings.

Read are tables with their columns, lookups, security roles and SDK message processing steps; other components (forms,
views, web resources, assemblies) are passed over.

"Solution file reference" and "Work with solutions" (Power Platform documents); element names as an export writes them.
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from xml.etree import ElementTree

from crmsync.sandbox.dataverse.errors import ODataError

Element = ElementTree.Element
_RELATIONSHIPS = "EntityRelationships/EntityRelationship"


@dataclass(frozen=True)
class PublisherPart:
    """Who published the solution."""

    unique_name: str
    label: str
    prefix: str
    option_prefix: int


@dataclass(frozen=True)
class Required:
    """A component that must be there before: ``type`` 1 is a table, 2 a column (of ``parent``)."""

    type: str
    name: str
    label: str
    parent: str
    solution: str


@dataclass(frozen=True)
class AttributePart:
    """A column of a table."""

    schema_name: str
    label: str
    type: str
    length: int | None = None
    primary_name: bool = False

    @property
    def name(self) -> str:
        return self.schema_name.lower()


@dataclass(frozen=True)
class EntityPart:
    """A table, new or extended by columns."""

    schema_name: str
    label: str
    plural_label: str
    set_name: str
    user_owned: bool
    attributes: tuple[AttributePart, ...]

    @property
    def name(self) -> str:
        return self.schema_name.lower()


@dataclass(frozen=True)
class LookupPart:
    """A one-to-many relationship and the lookup that makes it."""

    schema_name: str
    table: str
    column: str
    target: str
    label: str


@dataclass(frozen=True)
class RolePart:
    """A security role: privilege names and depths."""

    id: str
    name: str
    privileges: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class StepPart:
    """An SDK message processing step; ``table`` is empty for a step on every table."""

    id: str
    name: str
    message_id: str
    table: str
    stage: int
    mode: int
    rank: int
    disabled: bool


@dataclass(frozen=True)
class SolutionFile:
    """One solution, as its file describes it."""

    unique_name: str
    label: str
    version: str
    managed: bool
    publisher: PublisherPart
    required: tuple[Required, ...] = ()
    entities: tuple[EntityPart, ...] = ()
    lookups: tuple[LookupPart, ...] = ()
    roles: tuple[RolePart, ...] = ()
    steps: tuple[StepPart, ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        return version_numbers(self.version)


def version_numbers(version: str) -> tuple[int, ...]:
    """``5.0.2.1`` to compare by."""
    return tuple(int(part) for part in version.split("."))


def unusable(reason: str) -> ODataError:
    """The file is no solution."""
    return ODataError(400, "0x8004801E", f"The import file is invalid: {reason}")


def read_solution(data: bytes) -> SolutionFile:
    """Read a solution's zip file."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = {name.lower(): name for name in archive.namelist()}
            manifest = _document(archive, names, "solution.xml")
            brought = _document(archive, names, "customizations.xml") if "customizations.xml" in names else None
    except zipfile.BadZipFile:
        raise unusable("it is not a zip file.") from None
    root = manifest.find("SolutionManifest")
    if root is None or not _text(root, "UniqueName"):
        raise unusable("solution.xml has no SolutionManifest with a UniqueName.")
    version = _text(root, "Version")
    if not re.fullmatch(r"\d+(\.\d+){1,3}", version):
        raise unusable(f"the version '{version}' is not of the form 1.0.0.0.")
    brought = Element("ImportExportXml") if brought is None else brought
    return SolutionFile(
        unique_name=_text(root, "UniqueName"),
        label=_label(root.find("LocalizedNames"), "LocalizedName") or _text(root, "UniqueName"),
        version=version,
        managed=_text(root, "Managed") == "1",
        publisher=_publisher(root.find("Publisher")),
        required=tuple(_required(one) for one in root.iterfind("MissingDependencies/MissingDependency/Required")),
        entities=tuple(_entity(one) for one in brought.iterfind("Entities/Entity")),
        lookups=tuple(_lookup(one) for one in brought.iterfind(_RELATIONSHIPS) if _is_lookup(one)),
        roles=tuple(_role(one) for one in brought.iterfind("Roles/Role")),
        steps=tuple(_step(one) for one in brought.iterfind("SdkMessageProcessingSteps/SdkMessageProcessingStep")),
    )


def _document(archive: zipfile.ZipFile, names: dict[str, str], name: str) -> Element:
    if name not in names:
        raise unusable(f"there is no {name} in it.")
    try:
        return ElementTree.fromstring(archive.read(names[name]))  # noqa: S314 - a caller harms only its own sandbox
    except ElementTree.ParseError as error:
        raise unusable(f"{name} is not XML: {error}") from None


def _text(element: Element | None, name: str) -> str:
    return ("" if element is None else element.findtext(name) or "").strip()


def _label(element: Element | None, name: str) -> str:
    """The description of the first localized name."""
    one = None if element is None else element.find(name)
    return "" if one is None else one.get("description", "")


def _guid(text: str | None) -> str:
    return (text or "").strip("{} ").lower()


def _publisher(element: Element | None) -> PublisherPart:
    name = _text(element, "UniqueName") or "unknown"
    label = "" if element is None else _label(element.find("LocalizedNames"), "LocalizedName")
    prefix, option_prefix = _text(element, "CustomizationPrefix"), _text(element, "CustomizationOptionValuePrefix")
    return PublisherPart(name, label or name, prefix or "new", int(option_prefix or 10000))


def _required(one: Element) -> Required:
    name = one.get("schemaName", "")
    solution = one.get("solution", "").partition(" (")[0]
    return Required(one.get("type", ""), name, one.get("displayName", name), one.get("parentSchemaName", ""), solution)


def _entity(element: Element) -> EntityPart:
    info = element.find("EntityInfo/entity")
    schema_name = info.get("Name", "") if info is not None else _text(element, "Name")
    attributes = () if info is None else info.iterfind("attributes/attribute")
    label = "" if info is None else _label(info.find("LocalizedNames"), "LocalizedName")
    plural = "" if info is None else _label(info.find("LocalizedCollectionNames"), "LocalizedCollectionName")
    return EntityPart(
        schema_name=schema_name,
        label=label or schema_name,
        plural_label=plural or label or schema_name,
        set_name=_text(info, "EntitySetName") or f"{schema_name.lower()}s",
        user_owned=_text(info, "OwnershipTypeMask") == "UserOwned",
        attributes=tuple(_attribute(one) for one in attributes),
    )


def _attribute(element: Element) -> AttributePart:
    schema_name = element.get("PhysicalName", "")
    length = _text(element, "Length") or _text(element, "MaxLength")
    return AttributePart(
        schema_name,
        _label(element.find("displaynames"), "displayname") or schema_name,
        _text(element, "Type"),
        int(length) if length else None,
        "PrimaryName" in _text(element, "DisplayMask"),
    )


def _is_lookup(element: Element) -> bool:
    return _text(element, "EntityRelationshipType") == "OneToMany"


def _lookup(element: Element) -> LookupPart:
    return LookupPart(
        element.get("Name", ""),
        _text(element, "ReferencingEntityName").lower(),
        _text(element, "ReferencingAttributeName"),
        _text(element, "ReferencedEntityName").lower(),
        _label(element.find("RelationshipDescription/Descriptions"), "Description"),
    )


def _role(element: Element) -> RolePart:
    held = element.iterfind("RolePrivileges/RolePrivilege")
    privileges = tuple((one.get("name", ""), one.get("level", "")) for one in held)
    return RolePart(_guid(element.get("id")), element.get("name", ""), privileges)


def _step(element: Element) -> StepPart:
    return StepPart(
        id=_guid(element.get("SdkMessageProcessingStepId")),
        name=element.get("Name", ""),
        message_id=_guid(_text(element, "SdkMessageId")),
        table=_text(element, "PrimaryEntity").lower(),
        stage=int(_text(element, "Stage") or 40),
        mode=int(_text(element, "Mode") or 0),
        rank=int(_text(element, "Rank") or 1),
        disabled=_text(element, "StateCode") == "1",
    )
