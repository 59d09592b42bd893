"""The notification: what the subject tells, what both texts hold, and how a mail server's refusals are told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from crmsync.cli.local_server import free_port
from crmsync.engine.report import Counts, ParkedField, SyncReport
from crmsync.errors import CredentialsRefused, CrmsyncError, NotificationFailed, ServiceUnavailable, TransportFailed
from crmsync.tenants import Notifications, Smtp, Tenant
from tasks.mail import Told, compose, send

BEGAN = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
REPORT = SyncReport(
    tenant="contoso",
    kind="first sync",
    started_at=BEGAN,
    ended_at=BEGAN + timedelta(seconds=184),
    entities={"lead": Counts(read=5000, created=4988, failed=12), "contact": Counts(read=10000, created=10000)},
)
ERRORS = [{"entity": "lead", "record_id": "8b54f273", "reason": "<script> & no e-mail", "remedy": "Correct it."}]


class MailServer:
    """Answers every message with one line, and keeps what it accepted."""

    def __init__(self) -> None:
        self.answer = "250 Message accepted"
        self.messages: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answer.startswith("250"):
            self.messages.append(envelope)
        return self.answer


@pytest.fixture
def mail_server() -> Iterator[tuple[MailServer, int]]:
    handler = MailServer()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield handler, int(controller.port)
    controller.stop()


def contoso(port: int = 25, security: str = "none") -> Tenant:
    smtp = Smtp.model_validate({"host": "127.0.0.1", "port": port, "security": security})
    return Tenant.model_validate(
        {
            "tenant": "contoso",
            "dynamics": {
                "organization_url": "https://contoso.crm.dynamics.com",
                "entra_tenant_id": "contoso.onmicrosoft.com",
                "client_id": "crmsync",
                "client_secret": {"env": "DYNAMICS"},
            },
            "marketo": {
                "base_url": "https://123-abc-456.mktorest.com",
                "client_id": "crmsync",
                "client_secret": {"env": "MARKETO"},
            },
            "notifications": Notifications(to=("ops@contoso.example", "it@contoso.example"), smtp=smtp).model_dump(),
        }
    )


def text_of(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def test_a_done_first_sync_tells_counts_errors_and_durations() -> None:
    message = compose(contoso(), Told(flow="connect", report=REPORT, errors=ERRORS, link="http://prefect/run/1"))

    assert message["Subject"] == "[crmsync] contoso: first sync done, 15,000 records in 3 min 4 s, 12 not synced"
    assert message["To"] == "ops@contoso.example, it@contoso.example"
    plain, html = text_of(message, "plain"), text_of(message, "html")
    assert "lead: 5,000 read, 4,988 created, 12 failed" in plain
    assert "took 3 min 4 s" in plain
    assert "lead 8b54f273: <script> & no e-mail" in plain
    assert "&lt;script&gt; &amp; no e-mail" in html
    assert "<script>" not in html
    assert "http://prefect/run/1" in plain


def test_a_failure_tells_what_was_found_and_what_to_do() -> None:
    error = CredentialsRefused("Entra refused\nthe secret", remedy="Give a new one.", tenant="contoso", code="7000215")

    message = compose(contoso(), Told.failed("connect", error))

    assert message["Subject"] == "[crmsync] contoso: connect failed: Entra refused"
    for kind in ("plain", "html"):
        assert "Give a new one." in text_of(message, kind)
        assert "7000215" in text_of(message, kind)


def test_of_an_unexpected_error_only_its_kind_is_told() -> None:
    message = compose(contoso(), Told.failed("resync", ValueError("a secret may be in here")))

    assert message["Subject"] == "[crmsync] contoso: resync failed: An unexpected error of the kind ValueError"
    assert "a secret may be in here" not in message.as_string()


def test_parked_fields_are_told() -> None:
    field = ParkedField(
        entity="lead", attribute="cr_region", marketo_field="cr_region", since=BEGAN, reason="it is gone"
    )
    report = REPORT.model_copy(update={"kind": "cycle", "parked": [field]})

    message = compose(contoso(), Told(flow="sync", report=report))

    assert str(message["Subject"]).endswith("1 field parked")
    for kind in ("plain", "html"):
        assert "lead.cr_region" in text_of(message, kind)
        assert "crmsync resync contoso" in text_of(message, kind)


def test_a_message_arrives_with_both_texts(mail_server: tuple[MailServer, int]) -> None:
    server, port = mail_server
    tenant = contoso(port)

    send(compose(tenant, Told(flow="connect", report=REPORT)), tenant, None)

    (envelope,) = server.messages
    assert envelope.rcpt_tos == ["ops@contoso.example", "it@contoso.example"]
    assert b"multipart/alternative" in envelope.content


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("451 Try again later", ServiceUnavailable),
        ("554 Your mail is not welcome", NotificationFailed),
    ],
)
def test_a_refusal_is_retried_when_the_server_says_so(
    answer: str, kind: type[CrmsyncError], mail_server: tuple[MailServer, int]
) -> None:
    server, port = mail_server
    server.answer, tenant = answer, contoso(port)

    with pytest.raises(kind, match=answer[:3]):
        send(compose(tenant, Told(flow="connect", report=REPORT)), tenant, None)


def test_a_server_without_starttls_is_an_operators_matter(mail_server: tuple[MailServer, int]) -> None:
    _, port = mail_server
    tenant = contoso(port, security="starttls")

    with pytest.raises(NotificationFailed, match="SMTPNotSupportedError"):
        send(compose(tenant, Told(flow="connect", report=REPORT)), tenant, None)


def test_no_server_at_all_may_pass() -> None:
    tenant = contoso(free_port())

    with pytest.raises(TransportFailed, match="does not answer"):
        send(compose(tenant, Told(flow="connect", report=REPORT)), tenant, None)
