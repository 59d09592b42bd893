"""The notification: what became of a run, as one e-mail in plain text and HTML.

Composing is pure; sending is one blocking call that ``notify`` makes in a thread.

It is sent by the standard library. Apprise, which Prefect's notification blocks use, and ``prefect-email`` use that
library too, but both trust the system's certificate authorities only, so a tenant's ``ca_file`` would not count; and
Apprise answers every refusal with "False", so that nobody could be told what to do.

RFC 5322 (message format), RFC 3834 section 5 (Auto-Submitted), RFC 5321 section 4.2.1 (reply codes: 4yz passes by
itself, 5yz does not).
"""

from __future__ import annotations

import smtplib
import ssl
from email import policy
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from pydantic import BaseModel, SecretStr

from crmsync.engine.report import Counts, SyncReport
from crmsync.errors import CrmsyncError, NotificationFailed, ServiceUnavailable, TransportFailed
from crmsync.state.schemas import Parked
from crmsync.tenants import Tenant
from tasks.telling import counted, duration

MOST_ERRORS = 20
LONGEST_LINE = 900
"""Below the limit of 998, so that a subject is not folded: some programs show the fold."""
SECONDS_TO_CONNECT = 30.0
SERVER_REMEDY = "Compare host, port, security and credentials under 'notifications' in the tenant file."


class Told(BaseModel):
    """What a run has to tell: its report, or why it failed; the sync errors that are open; after a resync the parked
    fields that it cleared up."""

    flow: Literal["connect", "sync", "resync"]
    report: SyncReport | None = None
    failure: dict[str, Any] | None = None
    errors: list[dict[str, Any]] = []
    cleared_up: list[Parked] = []
    link: str | None = None

    @classmethod
    def failed(cls, flow: Literal["connect", "sync", "resync"], error: BaseException) -> Told:
        """Of an error that is not ours only the kind is told: its text may hold anything."""
        if isinstance(error, CrmsyncError):
            return cls(flow=flow, failure=error.details())
        message = f"An unexpected error of the kind {type(error).__name__}"
        return cls(flow=flow, failure={"message": message, "remedy": "See the log of the run."})

    @property
    def outcome(self) -> str:
        """The subject's last part."""
        if self.failure is not None:
            return f"{self.flow} failed: {str(self.failure['message']).splitlines()[0]}"
        if self.report is None or self.report.skipped:
            parts = [f"{self.flow} done, nothing had to be read"]
        else:
            total = self.report.total
            parts = [
                f"{self.report.kind} done",
                f"{counted(total.read, 'record')} in {duration(self.report.seconds)}",
                *([f"{total.failed:,} not synced"] if total.failed else []),
                *([f"{counted(len(self.report.parked), 'field')} parked"] if self.report.parked else []),
            ]
        if self.cleared_up:
            parts.append(f"{counted(len(self.cleared_up), 'field')} cleared up")
        return ", ".join(parts)


_templates = Environment(
    loader=PackageLoader("tasks", "templates"),
    autoescape=select_autoescape(enabled_extensions=("html.j2",)),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["duration"] = duration
_templates.filters["moment"] = lambda moment: f"{moment:%Y-%m-%d %H:%M:%S} UTC"
_templates.globals["kinds"] = list(Counts.model_fields)


def compose(tenant: Tenant, told: Told) -> EmailMessage:
    """The message; its subject tells tenant and outcome."""
    told = told.model_copy(update={"errors": told.errors[:MOST_ERRORS]})
    message = EmailMessage(policy.default.clone(max_line_length=LONGEST_LINE))
    message["Subject"] = " ".join(f"[crmsync] {tenant.tenant}: {told.outcome}".split())
    message["From"] = tenant.notifications.sender
    message["To"] = ", ".join(tenant.notifications.to)
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=tenant.notifications.sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_templates.get_template("mail.txt.j2").render(tenant=tenant.tenant, told=told))
    html = _templates.get_template("mail.html.j2").render(tenant=tenant.tenant, told=told)
    message.add_alternative(html, subtype="html")
    return message


def send(message: EmailMessage, tenant: Tenant, password: SecretStr | None) -> None:
    """Hand the message to the tenant's mail server. Raises ``TryAgainLater`` or ``NotificationFailed``."""
    smtp = tenant.notifications.smtp
    server = f"The mail server {smtp.host}:{smtp.port}"
    try:
        with _connect(tenant) as connection:
            if smtp.username is not None and password is not None:
                connection.login(smtp.username, password.get_secret_value())
            connection.send_message(message)
    except smtplib.SMTPResponseException as error:
        kind = ServiceUnavailable if 400 <= error.smtp_code < 500 else NotificationFailed
        raise kind(
            f"{server} refused the message with code {error.smtp_code}",
            tenant=tenant.tenant,
            code=str(error.smtp_code),
            remedy=SERVER_REMEDY,
        ) from None
    except (ssl.SSLCertVerificationError, smtplib.SMTPNotSupportedError, smtplib.SMTPRecipientsRefused) as error:
        raise NotificationFailed(
            f"{server} does not take the message: {type(error).__name__}",
            tenant=tenant.tenant,
            remedy=SERVER_REMEDY,
        ) from None
    except (OSError, smtplib.SMTPException) as error:
        raise TransportFailed(
            f"{server} does not answer: {type(error).__name__}", tenant=tenant.tenant, remedy=SERVER_REMEDY
        ) from None


def _connect(tenant: Tenant) -> smtplib.SMTP:
    smtp = tenant.notifications.smtp
    context = ssl.create_default_context()
    if tenant.ca_path is not None:
        context.load_verify_locations(tenant.ca_path)
    if smtp.security == "tls":
        return smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=SECONDS_TO_CONNECT, context=context)
    connection = smtplib.SMTP(smtp.host, smtp.port, timeout=SECONDS_TO_CONNECT)
    if smtp.security == "starttls":
        try:
            connection.starttls(context=context)
        except BaseException:
            connection.close()
            raise
    return connection
