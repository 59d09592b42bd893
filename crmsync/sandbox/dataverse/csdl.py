"""``$metadata``: the organization's entity data model as OData clients read it.

"Web API types and operations", "Web API navigation properties" (Power Apps developer documents) and OData CSDL 4.0.
With ``annotations=true`` the sets say whether changes of them are tracked.
"""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from crmsync.sandbox.dataverse.columns import Column
from crmsync.sandbox.dataverse.literals import edm_type
from crmsync.sandbox.dataverse.messages import Answer, Request
from crmsync.sandbox.dataverse.schema import Collection, LiveTable, Navigation
from crmsync.sandbox.dataverse.store import DataverseStore

_BASE = "mscrm.crmbaseentity"
_HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>'
    '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">'
    '<edmx:Reference Uri="http://vocabularies.odata.org/OData.Community.Keys.V1.xml">'
    '<edmx:Include Namespace="OData.Community.Keys.V1" Alias="Keys"/></edmx:Reference>'
    '<edmx:Reference Uri="http://vocabularies.odata.org/OData.Community.Display.V1.xml">'
    '<edmx:Include Namespace="OData.Community.Display.V1" Alias="Display"/></edmx:Reference>'
    '<edmx:DataServices><Schema Namespace="Microsoft.Dynamics.CRM" Alias="mscrm" '
    'xmlns="http://docs.oasis-open.org/odata/ns/edm">'
    '<EntityType Name="crmbaseentity" Abstract="true"/>'
)
_TAIL = "</Schema></edmx:DataServices></edmx:Edmx>"
_OPERATIONS = (
    '<ComplexType Name="WhoAmIResponse"><Property Name="BusinessUnitId" Type="Edm.Guid" Nullable="false"/>'
    '<Property Name="UserId" Type="Edm.Guid" Nullable="false"/>'
    '<Property Name="OrganizationId" Type="Edm.Guid" Nullable="false"/></ComplexType>'
    '<ComplexType Name="RetrieveVersionResponse"><Property Name="Version" Type="Edm.String" Unicode="false"/>'
    "</ComplexType>"
    '<Function Name="WhoAmI"><ReturnType Type="mscrm.WhoAmIResponse" Nullable="false"/></Function>'
    '<Function Name="RetrieveVersion"><ReturnType Type="mscrm.RetrieveVersionResponse" Nullable="false"/></Function>'
    '<Action Name="PublishAllXml"/>'
    '<Action Name="PublishXml"><Parameter Name="ParameterXml" Type="Edm.String" Unicode="false"/></Action>'
)
_OPERATION_IMPORTS = (
    '<FunctionImport Name="WhoAmI" Function="mscrm.WhoAmI"/>'
    '<FunctionImport Name="RetrieveVersion" Function="mscrm.RetrieveVersion"/>'
    '<ActionImport Name="PublishAllXml" Action="mscrm.PublishAllXml"/>'
    '<ActionImport Name="PublishXml" Action="mscrm.PublishXml"/>'
)
_TRACKED = (
    '<Annotation Term="Org.OData.Capabilities.V1.ChangeTracking"><Record>'
    '<PropertyValue Property="Supported" Bool="{}"/></Record></Annotation>'
)


def csdl(store: DataverseStore, request: Request) -> Answer:
    """The model as XML."""
    annotated = request.query.get("annotations", "").lower() == "true"
    tables = sorted(store.schema.tables.values(), key=lambda table: table.name)
    types = "".join(_entity_type(store, table) for table in tables)
    sets = "".join(_entity_set(store, table, annotated=annotated) for table in tables)
    container = f'<EntityContainer Name="System">{sets}{_OPERATION_IMPORTS}</EntityContainer>'
    document = f"{_HEAD}{types}{_OPERATIONS}{container}{_TAIL}"
    return Answer(200, {"Content-Type": "application/xml"}, document.encode())


def _entity_type(store: DataverseStore, table: LiveTable) -> str:
    parts = [f'<EntityType Name="{table.name}" BaseType="{_BASE}">']
    parts.append(f'<Key><PropertyRef Name="{table.primary_id}"/></Key>')
    parts += [_property(column) for column in table.properties.values()]
    parts += [_navigation(store, one) for one in table.navigations.values()]
    parts += [_collection(store, table, one) for one in store.schema.collections(table.name).values()]
    for key in table.definition.keys:
        names = "".join(
            f'<Record><PropertyValue Property="Name" PropertyPath="{table.stored[name].property_name}"/></Record>'
            for name in key.columns
        )
        parts.append(
            '<Annotation Term="OData.Community.Keys.V1.AlternateKeys"><Collection><Record>'
            f'<PropertyValue Property="Key"><Collection>{names}</Collection></PropertyValue>'
            "</Record></Collection></Annotation>"
        )
    return "".join([*parts, "</EntityType>"])


def _property(column: Column) -> str:
    kind = edm_type(column)
    facets = ' Unicode="false"' if kind == "Edm.String" else ' Scale="Variable"' if kind == "Edm.Decimal" else ""
    nullable = ' Nullable="false"' if column.primary else ""
    read_only = not column.creatable and not column.updatable
    computed = '<Annotation Term="Org.OData.Core.V1.Permissions"><EnumMember>Org.OData.Core.V1.PermissionType/Read'
    computed = f"{computed}</EnumMember></Annotation>" if read_only else ""
    opened = f"<Property Name={quoteattr(column.property_name)} Type={quoteattr(kind)}{nullable}{facets}"
    return f"{opened}>{computed}</Property>" if computed else f"{opened}/>"


def _navigation(store: DataverseStore, one: Navigation) -> str:
    """A lookup; its partner is the collection at the other end. An owner may be a user or a team: a ``principal``."""
    key = store.schema.tables[one.target].primary_id
    partner = f" Partner={quoteattr(one.schema_name)}"
    return (
        f'<NavigationProperty Name={quoteattr(one.name)} Type="mscrm.{one.target}" Nullable="true"{partner}>'
        f'<ReferentialConstraint Property="{one.column.property_name}" ReferencedProperty="{key}"/>'
        "</NavigationProperty>"
    )


def _collection(store: DataverseStore, table: LiveTable, one: Collection) -> str:
    partner = ""
    if one.column is not None:
        lookup = store.schema.tables[one.target].columns[one.column]
        reference = store.schema.tables[one.target].reference(lookup, table.name)
        partner = f" Partner={quoteattr(reference.navigation)}" if reference else ""
    kind = f"Collection(mscrm.{one.target})"
    return f"<NavigationProperty Name={quoteattr(one.name)} Type={quoteattr(kind)}{partner}/>"


def _entity_set(store: DataverseStore, table: LiveTable, *, annotated: bool) -> str:
    bound = {one.name: one.target for one in table.navigations.values()}
    bound |= {one.name: one.target for one in store.schema.collections(table.name).values()}
    bindings = "".join(
        f'<NavigationPropertyBinding Path={quoteattr(name)} Target="{store.schema.tables[target].set_name}"/>'
        for name, target in bound.items()
    )
    notes = _TRACKED.format(str(table.tracked).lower()) if annotated else ""
    return f'<EntitySet Name="{table.set_name}" EntityType="mscrm.{table.name}">{bindings}{notes}</EntitySet>'
