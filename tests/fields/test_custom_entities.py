"""What a custom entity becomes in Marketo: whom it belongs to, its names and types, and what does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.dynamics.schema import Attribute, DynamicsSchema, Entity
from crmsync.errors import TenantFileWrong
from crmsync.fields.convert import Converter
from crmsync.fields.custom import MOST_FIELDS, api_name
from crmsync.fields.custom_links import leading, link_of
from crmsync.fields.model import Selection
from crmsync.fields.selection import select_fields
from crmsync.fields.typemap import of_object
from crmsync.marketo.schema import CustomObjects, CustomObjectType, Field, MarketoSchema
from crmsync.tenants import CustomEntity, FieldChoice
from tests.fields.schemas import column, entity, mapping, organization, reasons, subscription

VISIT = "new_visit"
PERSON = ("lead", "dynamicsid")


def lookup(name: str, *targets: str, **more: Any) -> Attribute:
    return column(name, "Lookup", targets=targets, **more)


def chosen(
    visit: Entity, *beside: Entity, types: dict[str, CustomObjectType] | None = None, **settings: Any
) -> Selection:
    """Select the fields of Contoso and of one custom entity."""
    schema: DynamicsSchema = organization().with_entities([visit])
    schema = schema.model_copy(update={"beside": {one.logical_name: leading(one) for one in beside}})
    marketo: MarketoSchema = subscription().model_copy(update={"custom_objects": CustomObjects(types=types or {})})
    wanted = CustomEntity(entity=visit.logical_name, **settings)
    return select_fields(schema, marketo, FieldChoice(), [wanted])


def there(*fields: Field, name: str = VISIT, **changes: Any) -> dict[str, CustomObjectType]:
    """A custom object type that crmsync made before."""
    mine = [Field(name=one, display_name=one, data_type="string") for one in ("dynamicsId", "linkToPerson")]
    found = CustomObjectType(
        name=name,
        display_name="Visit",
        is_approved=True,
        has_draft=False,
        dedupe_fields=("dynamicsId",),
        fields={one.name: one for one in (*mine, *fields)},
        links={"linkToPerson": PERSON},
    )
    return {name.lower(): found.model_copy(update=changes)}


CONTACT = lookup("new_contactid", "contact")


@pytest.mark.parametrize(
    ("lookups", "path", "to"),
    [
        ((CONTACT, lookup("new_accountid", "account")), "new_contactid", "person"),
        ((lookup("new_accountid", "account"), lookup("ownerid", "systemuser")), "new_accountid", "company"),
        (
            (lookup("new_a", "lead"), lookup("new_b", "contact", required_level="ApplicationRequired")),
            "new_b",
            "person",
        ),
        ((lookup("new_who", "account", "contact"),), "new_who", "person"),
        ((lookup("new_dealid", "opportunity"),), "new_dealid.customerid", "company"),
        ((lookup("new_tripid", "new_trip"),), "new_tripid.new_leadid", "person"),
        ((lookup("new_tripid", "new_trip"), lookup("new_accountid", "account")), "new_accountid", "company"),
    ],
)
def test_the_nearest_way_is_taken(lookups: tuple[Attribute, ...], path: str, to: str) -> None:
    deal = entity("opportunity", lookup("customerid", "account", "contact"), lookup("parentcontactid", "contact"))
    trip = entity("new_trip", lookup("new_leadid", "lead"), lookup("createdby", "systemuser"))

    link = link_of(entity(VISIT, *lookups), {"opportunity": leading(deal), "new_trip": leading(trip)})

    assert link is not None
    assert (link.path, link.to) == (path, to)


def test_the_tenant_file_may_name_another_way() -> None:
    deal = entity("opportunity", lookup("customerid", "account"), lookup("parentcontactid", "contact"))
    visit = entity(VISIT, CONTACT, lookup("new_dealid", "opportunity"))

    selection = chosen(visit, deal, link="new_dealid.parentcontactid")
    assert selection.custom_objects[VISIT].link.path == "new_dealid.parentcontactid"

    selection = chosen(visit, deal, link="new_nobody")
    assert VISIT not in selection.custom_objects
    assert "new_contactid, new_dealid.customerid" in selection.left_out[VISIT]


def test_what_belongs_to_nobody_is_left_out_and_the_rest_goes_on() -> None:
    selection = chosen(entity(VISIT, column("new_place", "String", 100)))

    assert VISIT not in selection.mappings
    assert "no lead, contact or account" in selection.left_out[VISIT]
    assert selection.mappings["lead"]


def test_the_object_is_keyed_and_linked_by_the_dynamics_id() -> None:
    selection = chosen(entity(VISIT, CONTACT, column("new_place", "String", 100), column("statecode", "State")))

    made = selection.custom_objects[VISIT].make
    assert made is not None
    assert [(one.name, one.data_type, one.is_dedupe, one.related) for one in made.fields] == [
        ("dynamicsId", "string", True, None),
        ("linkToPerson", "link", False, ("lead", "dynamicsId")),
        ("new_place", "string", False, None),
        ("statecode", "string", False, None),
    ]
    assert mapping(selection, VISIT, "new_contactid").field == "linkToPerson"


@pytest.mark.parametrize(
    ("attribute", "data_type", "lossy"),
    [
        (column("a", "String", 100), "string", None),
        (column("a", "String", 400), "text", None),
        (column("a", "String", 100, format="TextArea"), "text", None),
        (column("a", "String", 4000), "text", "cut to 2,000 characters"),
        (column("a", "String", 100, format="Url"), "string", None),
        (column("a", "String", 100, format="Email"), "email", "a record whose address is not ASCII is refused"),
        (column("a", "String", 50, format="Phone"), "phone", None),
        (column("a", "Memo", 2000), "text", None),
        (column("a", "Memo", 2001), "text", "cut to 2,000 characters"),
        (column("a", "BigInt"), "integer", None),
        (column("a", "DateTime", behavior="DateOnly"), "date", None),
        (column("a", "DateTime", behavior="TimeZoneIndependent"), "string", None),
        (lookup("a", "product"), "string", None),
    ],
)
def test_types_are_those_of_the_recommended_table(attribute: Attribute, data_type: str, lossy: str | None) -> None:
    fit = of_object(attribute)

    assert fit is not None
    assert (fit.data_type, fit.lossy) == (data_type, lossy)


@pytest.mark.parametrize("kind", ["Image", "File", "PartyList", "Virtual"])
def test_what_has_no_type_is_not_mapped(kind: str) -> None:
    assert of_object(column("a", kind)) is None


def test_a_text_is_cut_by_characters_not_bytes() -> None:
    visit = entity(VISIT, CONTACT, column("new_story", "Memo", 10_000))
    converter = Converter(visit, chosen(visit).mappings[VISIT])

    found = converter.convert({"new_visitid": "ABC", "new_story": "ü" * 3000, "_new_contactid_value": "DEF"})

    assert found == {"dynamicsId": "abc", "linkToPerson": "def", "new_story": "ü" * 2000}


def test_long_names_are_cut_and_stay_apart() -> None:
    one, other = (api_name(f"new_eventregistrationofthespring{end}") for end in ("summit", "school"))

    assert api_name("new_visit") == "new_visit"
    assert len(one) == len(other) == 33
    assert one != other


def test_the_second_time_nothing_is_to_be_made() -> None:
    place = Field(name="new_place", display_name="Place", data_type="string", length=255)

    selection = chosen(entity(VISIT, CONTACT, column("new_place", "String", 100)), types=there(place))

    assert selection.custom_objects[VISIT].make is None
    assert mapping(selection, VISIT, "new_place").field == "new_place"


def test_a_draft_that_was_left_is_approved() -> None:
    selection = chosen(entity(VISIT, CONTACT), types=there(is_approved=False, has_draft=True))

    made = selection.custom_objects[VISIT].make
    assert made is not None
    assert made.fields == ()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dedupe_fields": ("email",)}, "dedupe field is not dynamicsId"),
        ({"links": {}}, "not linked to persons"),
        ({"links": {"linkToPerson": ("lead", "email")}}, "not linked to persons"),
    ],
)
def test_somebody_elses_custom_object_is_not_written(changes: dict[str, Any], says: str) -> None:
    visit = entity(VISIT, CONTACT)

    assert says in chosen(visit, types=there(**changes)).left_out[VISIT]
    assert VISIT in chosen(visit, types=there(**changes), name="crm_visit").custom_objects


def test_a_field_of_another_type_keeps_its_column_out() -> None:
    place = Field(name="new_place", display_name="Place", data_type="boolean")

    selection = chosen(entity(VISIT, CONTACT, column("new_place", "String", 100)), types=there(place))

    assert "cannot hold String values" in reasons(selection, VISIT)["new_place"]


def test_more_columns_than_a_custom_object_holds_are_left_out_by_name() -> None:
    many = [column(f"new_c{number:02}", "Integer") for number in range(60)]

    selection = chosen(entity(VISIT, CONTACT, *many))
    made = selection.custom_objects[VISIT].make
    assert made is not None
    assert len(made.fields) == MOST_FIELDS
    assert "takes 50 fields" in reasons(selection, VISIT)["new_c59"]

    selection = chosen(entity(VISIT, CONTACT, *many), types=there())
    assert "takes 20 more fields" in reasons(selection, VISIT)["new_c20"]

    selection = chosen(entity(VISIT, CONTACT, *many), exclude=tuple(one.logical_name for one in many[:30]))
    assert "new_c59" not in reasons(selection, VISIT)


def test_an_eleventh_type_is_left_out() -> None:
    others = {key: one for number in range(10) for key, one in there(name=f"other{number}").items()}

    assert "takes 10 custom object types" in chosen(entity(VISIT, CONTACT), types=others).left_out[VISIT]
    assert VISIT in chosen(entity(VISIT, CONTACT), types=others | there()).custom_objects


def test_columns_are_chosen_by_the_tenant_file() -> None:
    visit = entity(VISIT, CONTACT, column("new_place", "String", 100), column("importsequencenumber", "Integer"))

    selection = chosen(visit, include=("importsequencenumber",), exclude=("new_place",))
    assert mapping(selection, VISIT, "importsequencenumber").data_type == "integer"
    assert reasons(selection, VISIT)["new_place"] == "left out by the tenant file"

    with pytest.raises(TenantFileWrong, match="did you mean new_place"):
        chosen(visit, exclude=("new_plac",))


def test_entities_that_others_lead_through_stand_first() -> None:
    trip = entity("new_trip", CONTACT)
    schema = organization().with_entities([entity(VISIT, lookup("new_tripid", "new_trip")), trip])
    schema = schema.model_copy(update={"beside": {"new_trip": leading(trip)}})

    selection = select_fields(
        schema, subscription(), FieldChoice(), [CustomEntity(entity=VISIT), CustomEntity(entity="new_trip")]
    )

    assert list(selection.custom_objects) == ["new_trip", VISIT]
