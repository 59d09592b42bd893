"""What the client reads of an entity's definition."""

from __future__ import annotations

import re

import httpx
import pytest

from crmsync.dynamics.metadata import CASTS, label
from crmsync.errors import EntityMissing
from tests.dynamics.conftest import refused


def labelled(english=None, own=None):
    return {
        "LocalizedLabels": [{"Label": english, "LanguageCode": 1033}] if english else [],
        "UserLocalizedLabel": {"Label": own, "LanguageCode": 1031} if own else None,
    }


def column(name, kind, **more):
    row = {
        "LogicalName": name, "SchemaName": name.title(), "MetadataId": f"id-{name}",
        "AttributeTypeName": {"Value": kind}, "DisplayName": labelled(name.upper()), "RequiredLevel": {"Value": "None"},
        "IsValidForRead": True, "IsValidForCreate": True, "IsValidForUpdate": True,
    }  # fmt: skip
    return row | more


def option(value, text):
    return {"Value": value, "Label": labelled(text)}


DEFINITION = {
    "LogicalName": "lead", "SchemaName": "Lead", "EntitySetName": "leads", "PrimaryIdAttribute": "leadid",
    "PrimaryNameAttribute": "fullname", "ObjectTypeCode": 4, "IsCustomEntity": False, "ChangeTrackingEnabled": True,
    "DisplayName": labelled(own="Interessent"),
}  # fmt: skip

COLUMNS = [
    column("leadid", "UniqueidentifierType", IsPrimaryId=True, RequiredLevel={"Value": "SystemRequired"}),
    column("fullname", "StringType", IsPrimaryName=True),
    column("new_notes", "MemoType", IsCustomAttribute=True, DisplayName=labelled()),
    column("new_score", "IntegerType"),
    column("new_rate", "DecimalType"),
    column("versionnumber", "BigIntType"),
    column("revenue", "MoneyType"),
    column("createdon", "DateTimeType", IsValidForUpdate=False),
    column("leadsourcecode", "PicklistType"),
    column("new_topics", "MultiSelectPicklistType"),
    column("statecode", "StateType"),
    column("donotemail", "BooleanType"),
    column("ownerid", "OwnerType"),
    column("owneridname", "StringType", AttributeOf="ownerid"),
    column("entityimage", "VirtualType"),
]

CAST_ROWS = {
    "String": [{"LogicalName": "fullname", "MaxLength": 160, "FormatName": {"Value": "Text"}}],
    "Memo": [{"LogicalName": "new_notes", "MaxLength": 2000}],
    "Integer": [{"LogicalName": "new_score", "Format": "None", "MinValue": 0, "MaxValue": 100}],
    "BigInt": [{"LogicalName": "versionnumber", "MinValue": -(2**63), "MaxValue": 2**63 - 1}],
    "Decimal": [{"LogicalName": "new_rate", "Precision": 3, "MinValue": -0.5, "MaxValue": 0.5}],
    "Money": [{"LogicalName": "revenue", "Precision": 2, "MinValue": 0.0, "MaxValue": 922337203685477.0}],
    "DateTime": [{"LogicalName": "createdon", "Format": "DateAndTime", "DateTimeBehavior": {"Value": "UserLocal"}}],
    "Picklist": [{"LogicalName": "leadsourcecode", "OptionSet": {"Options": [option(1, "Web"), option(2, None)]}}],
    "MultiSelectPicklist": [
        {"LogicalName": "new_topics", "OptionSet": None, "GlobalOptionSet": {"Options": [option(7, "Sport")]}}
    ],
    "State": [{"LogicalName": "statecode", "OptionSet": {"Options": [option(0, "Open")]}}],
    "Boolean": [
        {
            "LogicalName": "donotemail",
            "OptionSet": {"TrueOption": option(1, "Do Not Allow"), "FalseOption": option(0, "Allow")},
        }
    ],
    "Lookup": [{"LogicalName": "ownerid", "Targets": ["systemuser", "team"]}],
}


@pytest.fixture
def asked():
    return []


@pytest.fixture
def dynamics(contoso, asked):
    def answer(request):
        asked.append(request.url.path.removeprefix("/api/data/v9.2/"))
        assert request.headers["consistency"] == "Strong"
        assert "$select=" in str(request.url)
        if cast := re.search(r"CRM\.(\w+)AttributeMetadata$", request.url.path):
            return httpx.Response(200, json={"value": CAST_ROWS[cast.group(1)]})
        if request.url.path.endswith("/Attributes"):
            return httpx.Response(200, json={"value": COLUMNS})
        return httpx.Response(200, json=DEFINITION)

    return contoso(answer)


async def test_an_entity_with_its_columns(dynamics):
    lead = await dynamics.entity("lead")

    assert (lead.entity_set_name, lead.primary_id, lead.object_type_code) == ("leads", "leadid", 4)
    assert lead.change_tracking_enabled
    assert lead.display_name == "Interessent"
    assert set(lead.attributes) == {one["LogicalName"] for one in COLUMNS}
    assert lead.attributes["leadid"].required_level == "SystemRequired"
    assert lead.attributes["fullname"].display_name == "FULLNAME"
    assert lead.attributes["new_notes"].display_name == "New_Notes"
    assert lead.attributes["new_notes"].is_custom
    assert not lead.attributes["createdon"].valid_for_update
    assert not lead.attributes["owneridname"].readable
    assert not lead.attributes["entityimage"].readable


async def test_what_only_a_cast_tells(dynamics):
    columns = (await dynamics.entity("lead")).attributes

    assert (columns["fullname"].max_length, columns["fullname"].format) == (160, "Text")
    assert columns["new_notes"].max_length == 2000
    assert (columns["new_rate"].precision, columns["revenue"].precision) == (3, 2)
    assert {name: (column.min_value, column.max_value) for name, column in columns.items() if column.max_value} == {
        "new_score": (0, 100),
        "versionnumber": (-9223372036854775808, 9223372036854775807),
        "new_rate": (-0.5, 0.5),
        "revenue": (0.0, 922337203685477.0),
    }
    assert (columns["createdon"].format, columns["createdon"].behavior) == ("DateAndTime", "UserLocal")
    assert columns["leadsourcecode"].options == {1: "Web", 2: "2"}
    assert columns["new_topics"].options == {7: "Sport"}
    assert columns["statecode"].options == {0: "Open"}
    assert columns["donotemail"].options == {0: "Allow", 1: "Do Not Allow"}
    assert columns["ownerid"].targets == ("systemuser", "team")
    assert columns["ownerid"].select_name == "_ownerid_value"


async def test_only_types_that_the_entity_has_are_asked_for(dynamics, asked):
    await dynamics.entity("lead")

    assert len(asked) == 2 + len(CAST_ROWS)
    assert not [path for path in asked if "Double" in path or "Status" in path]


async def test_a_schema_is_a_snapshot_of_several_entities(dynamics):
    assert set((await dynamics.schema(["lead"])).entities) == {"lead"}


async def test_an_unknown_entity(contoso):
    answer = refused(404, "0x80060888", "Could not find an entity with specified entity name: new_gone")
    with pytest.raises(EntityMissing) as missing:
        await contoso(lambda request: answer).entity("new_gone")

    assert missing.value.entity == "new_gone"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (labelled("English", "Deutsch"), "English"),
        (labelled(None, "Deutsch"), "Deutsch"),
        ({"LocalizedLabels": [{"Label": "Français", "LanguageCode": 1036}], "UserLocalizedLabel": None}, "Français"),
        (labelled(), None),
        (None, None),
    ],
)
def test_labels_are_english_when_there_is_english(value, text):
    assert label(value) == text


def test_no_attribute_type_is_cast_twice():
    types = [one for cast in CASTS for one in cast.types]
    assert len(types) == len(set(types))
