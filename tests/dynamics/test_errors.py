"""Which answer of Dataverse becomes which error."""

from __future__ import annotations

import re

import httpx
import pytest

from crmsync import errors
from crmsync.dynamics.codes import KNOWN
from crmsync.dynamics.errors import error_from, retry_after
from tests.dynamics.conftest import ORGANIZATION, challenged, refused

# Every code that "Web service error codes" and the pages around it made us expect.
DOCUMENTED = """
0x8005F101 0x80044302 0x80044300 0x8004A101 0x8004A100 0x8004A102 0x80072560 0x80040225 0x8004A112 0x80040220 0x80095ffc
0x80060888 0x0 0x8006088A 0x80048d19 0x80040217 0x80060891 0x80060890 0x80040237 0x80060892 0x80060882 0x80040333
0x80044331 0x80040203 0x80040265 0x80040224 0x80040216 0x80048306 0x80048405 0x80040299 0x8004F507 0x8004F502 0x8004F504
0x80040227 0x8004023B 0x80040315 0x8004418A 0x80072322 0x80072321 0x80072326 0x80071151 0x80044150 0x80044151 0x80048573
0x80048574 0x80048544 0x8004E023 0x80044352 0x80072491 0x80072492 0x80040219 0x8004A001
""".strip()


def error(response: httpx.Response) -> errors.CrmsyncError:
    response.request = httpx.Request("GET", f"{ORGANIZATION}/api/data/v9.2/leads")
    return error_from(response, tenant="contoso", entity="lead")


@pytest.mark.parametrize("code", re.split(r"\s+", DOCUMENTED))
def test_every_documented_code_has_exactly_one_error(code):
    rows = [row for row in KNOWN if row.code.lower() == code.lower()]

    assert len(rows) == 1
    assert type(error(refused(400, code, "text"))) is rows[0].error
    assert rows[0].meaning


def test_no_code_is_listed_twice():
    codes = [row.code.lower() for row in KNOWN]
    assert sorted(codes) == sorted(set(codes))


def test_whatever_an_operator_must_do_is_said():
    silent = [row.code for row in KNOWN if issubclass(row.error, errors.OperatorMustAct) and not row.remedy]
    assert silent == []


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (401, "", "No.", errors.TransportFailed),
        (403, "", "No.", errors.TransportFailed),
        (401, "0x1234", "No.", errors.CredentialsRefused),
        (403, "0x1234", "No.", errors.PermissionMissing),
        (404, "0x80060888", "Could not find an entity with name 'new_x'.", errors.EntityMissing),
        (404, "", "No HTTP resource was found that matches the request URI.", errors.RequestRefused),
        (412, "", "The version of the existing record doesn't match.", errors.VersionConflict),
        (413, "0x0", "Too large.", errors.BatchTooLarge),
        (429, "0x1234", "Slow down.", errors.Throttled),
        (500, "0x1234", "Oh.", errors.ServiceUnavailable),
        (502, "", "", errors.ServiceUnavailable),
        (503, "0x0", "", errors.ServiceUnavailable),
        (400, "0x1234", "New.", errors.RequestRefused),
    ],
)
def test_without_a_known_code_the_status_decides(status, code, message, expected):
    assert type(error(refused(status, code, message))) is expected


@pytest.mark.parametrize(
    "message",
    [
        "Could not find a property named 'new_gone' on type 'Microsoft.Dynamics.CRM.lead'.",
        "Invalid property 'new_gone' was found in entity 'Microsoft.Dynamics.CRM.lead'.",
        "The property 'new_gone' does not exist on type 'Microsoft.Dynamics.CRM.lead'.",
    ],
)
@pytest.mark.parametrize("code", ["0x80060888", "0x0", "0x80048d19"])
def test_a_missing_column_is_named(code, message):
    missing = error(refused(400, code, message))

    assert isinstance(missing, errors.ColumnMissing)
    assert missing.column == "new_gone"


def test_a_payload_error_that_names_no_column_is_the_values_fault():
    message = (
        "Error identified in Payload provided by the user for Entity :'leads'  ----> InnerException : Cannot convert "
        "the literal '2026-04-01' to the expected type 'Edm.DateTimeOffset'."
    )
    wrong = error(refused(400, "0x80048d19", message))

    assert isinstance(wrong, errors.RecordRefused)
    assert "resync" in wrong.remedy


@pytest.mark.parametrize("code", ["0x80044330", "0x8004432f", "0x80044331", "0x8004431a"])
def test_a_value_that_a_column_cannot_hold_is_no_defect_of_crmsync(code):
    wrong = error(refused(400, code, "A validation error occurred for lead.new_visits."))

    assert isinstance(wrong, errors.RecordRefused)
    assert "defect" not in wrong.remedy


def test_the_missing_privilege_is_named_in_the_remedy():
    message = "Principal user (Id=1, type=8) is missing prvReadLead privilege (Id=2) on OTC=4 for entity 'lead'."
    assert "the privilege prvReadLead at organization level" in error(refused(403, "0x80040220", message)).remedy


def test_an_error_tells_where_it_happened():
    answer = refused(404, "0x80040217", "lead With Id = 1 Does Not Exist", **{"x-ms-service-request-id": "r-1"})

    assert error(answer).details() == {
        "error": "RecordMissing",
        "message": "Dataverse: the record does not exist (HTTP 404): lead With Id = 1 Does Not Exist",
        "tenant": "contoso",
        "entity": "lead",
        "code": "0x80040217",
        "status": 404,
        "request_id": "r-1",
    }


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, html="<h1>Not Found</h1>"),
        httpx.Response(404),
        httpx.Response(302, headers={"location": "https://elsewhere.test/"}),
        httpx.Response(400, json=["not", "Dataverse"]),
        httpx.Response(403, html="<h1>Forbidden</h1>"),
        httpx.Response(403, json={"error": {"code": 403, "message": "Forbidden"}}),
        httpx.Response(403, json={"error": {"code": "AuthorizationFailed", "message": "Forbidden"}}),
        httpx.Response(401),
        httpx.Response(405, html="<h1>Not Allowed</h1>"),
        httpx.Response(407),
        httpx.Response(412),
    ],
)
def test_an_answer_that_is_not_dataverses_proves_nothing(answer):
    passing = error(answer)

    assert type(passing) is errors.TransportFailed
    assert f"GET /api/data/v9.2/leads: the answer is not Dataverse's (HTTP {answer.status_code})" in passing.message
    assert "proxy" in passing.remedy


@pytest.mark.parametrize("answer", [httpx.Response(501), httpx.Response(511, html="<h1>Sign in</h1>")])
def test_a_gateway_that_is_down_is_no_missing_feature(answer):
    assert type(error(answer)) is errors.ServiceUnavailable


def test_the_challenge_of_an_organization_is_its_own():
    refusal = error(challenged())

    assert isinstance(refusal, errors.CredentialsRefused)
    assert "sign-in logs" in refusal.remedy


def test_the_older_error_shape_is_understood():
    body = {"Message": "An error has occurred.", "ExceptionMessage": "Deadlock", "ErrorCode": "0x80044150"}
    assert isinstance(error(httpx.Response(500, json=body)), errors.ServiceUnavailable)


def test_a_very_long_message_is_cut():
    assert len(error(refused(400, "0x80040265", "x" * 10_000)).message) < 700


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "37"}, 37.0),
        ({"retry-after": "Wed, 01 May 2024 10:00:30 GMT", "date": "Wed, 01 May 2024 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 01 May 2024 09:00:00 GMT", "date": "Wed, 01 May 2024 10:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "Wed, 01 May 99999 10:00:00 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers, seconds):
    assert retry_after(httpx.Response(429, headers=headers)) == seconds
