"""Tells the people of a tenant what became of a run.

Marketo's documentation, "Step 3 of 3: Connect Marketo and Dynamics": "You will receive an email when the initial sync
is complete".
"""

from __future__ import annotations

import asyncio
from email.message import EmailMessage

from prefect import runtime

from crmsync.engine import status
from crmsync.state.store import open_store
from tasks.mail import MOST_ERRORS, Told, compose, send
from tasks.policy import step
from tasks.secrets import saved_secrets
from tasks.telling import say, show
from tasks.tenant import TenantName, find_tenant


@step(minutes=5)
async def notify(tenant: TenantName, told: Told) -> None:
    """Send the e-mail to the addresses of the tenant file; without any, only say so."""
    found = find_tenant(tenant)
    if not found.notifications.to:
        say("Nobody to notify: the tenant file names no addresses")
        return
    async with open_store() as store:
        errors = await status.errors(store, tenant, limit=MOST_ERRORS)
    message = compose(found, told.model_copy(update={"errors": errors, "link": runtime.flow_run.ui_url}))
    smtp, password = found.notifications.smtp, None
    if smtp.password is not None:
        secrets = await saved_secrets(found)
        password = await secrets.get(smtp.password, tenant=tenant, purpose="password of the mail server")
    await asyncio.to_thread(send, message, found, password)
    await show(tenant, "mail", _as_markdown(message))
    say(f"Sent an e-mail to {message['To']}: {message['Subject']}")


def _as_markdown(message: EmailMessage) -> str:
    text = message.get_body(("plain",))
    content = text.get_content() if text is not None else ""
    return f"**{message['Subject']}**\n\nTo {message['To']}\n\n```\n{content}\n```"
