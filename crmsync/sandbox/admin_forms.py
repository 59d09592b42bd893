"""What the sandbox's own page takes, checked; a wrong request is told what to do, with an example."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import Request
from starlette.responses import JSONResponse

from crmsync.sandbox.admin_guide import EXAMPLES

Form = TypeVar("Form", bound=BaseModel)


class ClockChange(BaseModel):
    """Either a number of seconds to advance, or the time that it shall be."""

    model_config = ConfigDict(extra="forbid")

    advance_seconds: float | None = None
    now: AwareDatetime | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> ClockChange:
        if (self.advance_seconds is None) == (self.now is None):
            raise ValueError("give exactly one of 'advance_seconds' and 'now'")
        return self


class SwitchChange(BaseModel):
    """What to change in a tenant's Marketo subscription or Dynamics organization; what is left out stays as it is."""

    model_config = ConfigDict(extra="allow")

    tenant: str
    native_sync: bool | None = None
    permissions: set[str] | None = None


class AppChange(BaseModel):
    """An app registration to make (without ``client_id``) or to change."""

    model_config = ConfigDict(extra="forbid")

    tenant: str
    client_id: str | None = None
    display_name: str | None = None
    enabled: bool | None = None
    secret_expired: bool | None = None
    certificate: str | None = None


FieldType = Literal[
    "string",
    "text",
    "email",
    "phone",
    "url",
    "integer",
    "score",
    "percent",
    "float",
    "currency",
    "boolean",
    "date",
    "datetime",
]


class NewField(BaseModel):
    """A custom field that an administrator makes by hand in Marketo's Field Management."""

    model_config = ConfigDict(extra="forbid")

    tenant: str
    target: Literal["person", "company", "opportunity"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,254}$")]
    display_name: Annotated[str, Field(min_length=1, max_length=255)]
    type: FieldType


class NewType(BaseModel):
    """A custom field whose type an administrator changes in Marketo's Field Management."""

    model_config = ConfigDict(extra="forbid")

    tenant: str
    target: Literal["person", "company", "opportunity"]
    name: str
    type: FieldType


class NewList(BaseModel):
    """A static list that an administrator makes by hand in Marketo's Database, or in a program."""

    model_config = ConfigDict(extra="forbid")

    tenant: str
    name: Annotated[str, Field(min_length=1, max_length=255)]
    description: str | None = None
    program: str | None = None


class NewName(BaseModel):
    """Another name for a static list."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=255)]


class Deletion(BaseModel):
    """A record that somebody deletes in Marketo, though others name it."""

    model_config = ConfigDict(extra="forbid")

    tenant: str
    target: Literal["company", "sales_person", "opportunity"]
    key: Annotated[str, Field(min_length=1)]


class NewRefusal(BaseModel):
    """A value that a service is to refuse in a field; without a value, every one. Without a code Marketo says 1003, and
    Dynamics what it says when a plug-in refuses (0x80040265)."""

    model_config = ConfigDict(extra="forbid")

    tenant: str
    service: Literal["marketo", "dynamics"]
    field: Annotated[str, Field(min_length=1)]
    value: str | bool | int | float | None = None
    code: Annotated[str, Field(pattern=r"^(0x[0-9a-fA-F]{8}|\d{3,4})$")] | None = None
    message: str = "The value is not allowed"

    @model_validator(mode="after")
    def _speaks_the_services_language(self) -> NewRefusal:
        if self.code is not None and self.code.startswith("0x") != (self.service == "dynamics"):
            raise ValueError("a code of Marketo's has three or four digits, one of Dynamics' begins with 0x")
        return self


class AdminWrong(Exception):
    """A request that the pages cannot follow; the answer says what to do instead."""

    def __init__(self, status: int, what_to_do: list[str], example: object = None) -> None:
        super().__init__(what_to_do)
        body = {"error": "The sandbox cannot do that.", "what_to_do": what_to_do}
        self.answer = JSONResponse(body | ({"example": example} if example else {}), status_code=status)


async def read_form(request: Request, form: type[Form], page: str) -> Form:
    try:
        return form.model_validate_json(await request.body())
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_url=False, include_context=False):
            where = ".".join(str(part) for part in problem["loc"]) or "body"
            problems.append(f"{where}: {problem['msg'].removeprefix('Value error, ')}")
        raise AdminWrong(422, problems, EXAMPLES[page]) from None
