"""Tables, columns, relationships and option sets as the Web API describes them.

"Query table definitions using the Web API", "Column data types" and the AttributeMetadata reference (Power Apps
developer documents).
"""

from __future__ import annotations

import uuid
from typing import Any

from crmsync.sandbox.dataverse.columns import CHOICE_KINDS, AlternateKey, Column, OptionSet
from crmsync.sandbox.dataverse.field_security import can_be_secured
from crmsync.sandbox.dataverse.options import Option
from crmsync.sandbox.dataverse.privileges import DEPTHS, RIGHTS, privilege_id, table_privileges
from crmsync.sandbox.dataverse.schema import NAMES, LiveTable

NAMESPACE = "Microsoft.Dynamics.CRM."
LANGUAGE = 1033
_CLASS_NAMES = {"Customer": "Lookup", "Owner": "Lookup", "Uniqueidentifier": "UniqueIdentifier", "Virtual": ""}
_VIRTUAL = {"MultiSelectPicklist", "Image", "File"}
OPTION_KINDS = CHOICE_KINDS | {"MultiSelectPicklist", "Boolean"}


def class_name(column: Column) -> str:
    """``StringAttributeMetadata`` and so on."""
    return f"{_CLASS_NAMES.get(column.kind, column.kind)}AttributeMetadata"


def metadata_id(*names: str) -> str:
    return str(uuid.uuid5(NAMES, ".".join(names)))


def label(text: str | None) -> dict[str, Any]:
    """A label with its English text."""
    if not text:
        return {"LocalizedLabels": [], "UserLocalizedLabel": None}
    one = {
        "Label": text,
        "LanguageCode": LANGUAGE,
        "IsManaged": True,
        "MetadataId": metadata_id("label", text),
        "HasChanged": None,
    }
    return {"LocalizedLabels": [one], "UserLocalizedLabel": dict(one)}


def managed(value: bool, name: str = "") -> dict[str, Any]:
    """A managed property."""
    return {"Value": value, "CanBeChanged": True, "ManagedPropertyLogicalName": name}


def entity_json(table: LiveTable) -> dict[str, Any]:
    """All simple and complex properties of a table's definition."""
    one = table.definition
    return {
        "MetadataId": one.metadata_id,
        "HasChanged": None,
        "LogicalName": one.name,
        "SchemaName": one.schema_name,
        "EntitySetName": one.set_name,
        "LogicalCollectionName": one.set_name,
        "CollectionSchemaName": f"{one.schema_name}s",
        "PrimaryIdAttribute": one.primary_id,
        "PrimaryNameAttribute": one.primary_name,
        "ObjectTypeCode": one.type_code,
        "OwnershipType": one.ownership,
        "TableType": "Standard",
        "DisplayName": label(one.label),
        "DisplayCollectionName": label(one.plural_label),
        "Description": label(one.description),
        "IsCustomEntity": one.custom,
        "IsPrivate": False,
        "IsIntersect": False,
        "IsLogicalEntity": False,
        "IsManaged": not one.custom,
        "IsActivity": False,
        "IsOptimisticConcurrencyEnabled": True,
        "ChangeTrackingEnabled": table.tracked,
        "CanChangeTrackingBeEnabled": managed(one.can_be_tracked, "canchangetrackingbeenabled"),
        "CanCreateAttributes": managed(one.ownership != "None", "cancreateattributes"),
        "IsCustomizable": managed(True, "iscustomizable"),
        "IsAuditEnabled": managed(False, "canmodifyauditsettings"),
        "IntroducedVersion": "5.0.0.0",
        "Privileges": privileges_json(table),
    }


def privileges_json(table: LiveTable) -> list[dict[str, Any]]:
    """The table's privileges, in the fixed order of rights."""
    return [
        {
            "Name": name,
            "PrivilegeId": privilege_id(name),
            "PrivilegeType": right,
            **{f"CanBe{depth}": depth in depths for depth in DEPTHS},
        }
        for right, (name, depths) in zip(RIGHTS, table_privileges(table.definition).items(), strict=True)
    ]


def attribute_json(table: LiveTable, column: Column) -> dict[str, Any]:
    """All properties that every column has."""
    return {
        "MetadataId": column.metadata_id,
        "HasChanged": None,
        "LogicalName": column.name,
        "SchemaName": column.schema_name,
        "EntityLogicalName": table.name,
        "AttributeType": "Virtual" if column.kind in _VIRTUAL else column.kind,
        "AttributeTypeName": {"Value": f"{column.kind}Type"},
        "AttributeOf": column.of,
        "ColumnNumber": list(table.columns).index(column.name) + 1,
        "DisplayName": label(column.label if column.of is None else None),
        "Description": label(column.description),
        "IsPrimaryId": column.primary,
        "IsPrimaryName": column.primary_name,
        "IsLogical": column.logical or column.of is not None,
        "IsCustomAttribute": column.custom,
        "IsManaged": not column.custom,
        "IsSecured": column.secured,
        **dict.fromkeys(
            ("CanBeSecuredForRead", "CanBeSecuredForCreate", "CanBeSecuredForUpdate"), can_be_secured(column)
        ),
        "IsValidForRead": column.readable,
        "IsValidForCreate": column.creatable,
        "IsValidForUpdate": column.updatable,
        "IsFilterable": False,
        "IsSearchable": False,
        "IsRetrievable": True,
        "IsRequiredForForm": False,
        "IsCustomizable": managed(True, "iscustomizable"),
        "IsRenameable": managed(True, "isrenameable"),
        "IsValidForAdvancedFind": managed(column.of is None, "canmodifysearchsettings"),
        "RequiredLevel": {
            "Value": column.required,
            "CanBeChanged": column.required != "SystemRequired",
            "ManagedPropertyLogicalName": "canmodifyrequirementlevelsettings",
        },
        "SourceType": None if column.kind in {"Uniqueidentifier", "Virtual", "BigInt", "EntityName"} else 0,
        "IntroducedVersion": "1.0.0.0" if column.custom else "5.0.0.0",
        "DeprecatedVersion": None,
        "ExternalName": None,
        "LinkedAttributeId": None,
    }


def specific_json(column: Column) -> dict[str, Any]:
    """The properties of a column's own type, without option sets."""
    kind = column.kind
    if kind == "String":
        return {
            "MaxLength": column.max_length,
            "Format": column.format
            if column.format in {"Text", "Email", "Url", "Phone", "TextArea", "TickerSymbol"}
            else "Text",
            "FormatName": {"Value": column.format},
            "DatabaseLength": 2 * (column.max_length or 0),
            "FormulaDefinition": None,
        }
    if kind == "Memo":
        return {"MaxLength": column.max_length, "Format": column.format, "FormatName": {"Value": column.format}}
    if kind == "Integer":
        return {"MinValue": column.minimum, "MaxValue": column.maximum, "Format": column.format}
    if kind in {"BigInt", "Decimal", "Double", "Money"}:
        return {"MinValue": column.minimum, "MaxValue": column.maximum, **_precision(column)}
    if kind == "DateTime":
        return {
            "Format": column.format,
            "DateTimeBehavior": {"Value": column.behavior},
            "CanChangeDateTimeBehavior": managed(False, "canchangedatetimebehavior"),
        }
    if column.is_lookup:
        return {"Targets": [one.target for one in column.references], "Format": "None"}
    if kind == "Image":
        return {
            "MaxSizeInKB": 10240,
            "CanStoreFullImage": False,
            "IsPrimaryImage": True,
            "MaxHeight": 144,
            "MaxWidth": 144,
        }
    if kind == "File":
        return {"MaxSizeInKB": 32768}
    if kind == "Boolean":
        return {"DefaultValue": bool(column.default)}
    if kind in OPTION_KINDS:
        return {"DefaultFormValue": -1 if column.default is None else column.default, "ParentPicklistLogicalName": None}
    return {}


def _precision(column: Column) -> dict[str, Any]:
    if column.kind == "BigInt":
        return {}
    if column.kind == "Money":
        base = column.name.endswith("_base")
        twin = column.name if base else f"{column.name}_base"
        return {
            "Precision": column.precision,
            "PrecisionSource": 2,
            "IsBaseCurrency": base,
            "CalculationOf": twin if base else None,
        }
    return {"Precision": column.precision}


def option_set_json(table: LiveTable, column: Column) -> dict[str, Any]:
    """A column's option set; a Two Options column has a true and a false option."""
    name = column.global_options or f"{table.name}_{column.name}"
    base = {
        "MetadataId": metadata_id("optionset", name),
        "HasChanged": None,
        "Name": name,
        "DisplayName": label(column.label),
        "Description": label(None),
        "IsGlobal": column.global_options is not None,
        "IsCustomOptionSet": column.custom,
        "IsManaged": not column.custom,
        "OptionSetType": column.kind if column.kind in {"Boolean", "State", "Status"} else "Picklist",
    }
    options = [option_json(column, one) for one in column.options]
    if column.kind == "Boolean":
        return {**base, "FalseOption": options[0], "TrueOption": options[1]}
    return {**base, "Options": options}


def global_option_set_json(one: OptionSet) -> dict[str, Any]:
    """A global option set by itself."""
    column = Column("", "Picklist", one.label, options=one.options, custom=one.custom)
    return {
        "@odata.type": f"#{NAMESPACE}OptionSetMetadata",
        "MetadataId": one.metadata_id,
        "HasChanged": None,
        "Name": one.name,
        "DisplayName": label(one.label),
        "Description": label(None),
        "IsGlobal": True,
        "IsCustomOptionSet": one.custom,
        "IsManaged": not one.custom,
        "OptionSetType": "Picklist",
        "Options": [option_json(column, option) for option in one.options],
    }


def key_json(table: LiveTable, key: AlternateKey, status: str) -> dict[str, Any]:
    """An alternate key."""
    return {
        "MetadataId": key.metadata_id,
        "HasChanged": None,
        "SchemaName": key.schema_name,
        "LogicalName": key.name,
        "EntityLogicalName": table.name,
        "DisplayName": label(key.label),
        "KeyAttributes": list(key.columns),
        "EntityKeyIndexStatus": status,
        "IsManaged": False,
        "IsCustomizable": managed(True, "iscustomizable"),
        "IsSynchronous": False,
        "IsExportKey": False,
        "IntroducedVersion": "1.0.0.0",
    }


def option_json(column: Column, option: Option) -> dict[str, Any]:
    one: dict[str, Any] = {
        "Value": option.value,
        "Color": None,
        "ExternalValue": "",
        "IsManaged": not column.custom,
        "MetadataId": None,
        "HasChanged": None,
        "Label": label(option.label),
        "Description": label(None),
    }
    if column.kind == "Status":
        one |= {"@odata.type": f"#{NAMESPACE}StatusOptionMetadata", "State": option.state, "TransitionData": None}
    if column.kind == "State":
        one |= {"@odata.type": f"#{NAMESPACE}StateOptionMetadata", "DefaultStatus": option.default_status}
        one |= {"InvariantName": option.label.replace(" ", "")}
    return one
