"""The sandbox's Marketo as an ASGI application.

It needs no lifespan: import and extract jobs start in the loop of the call that made them. Whoever started the
application should ``await app.state.close()`` at the end; a server that speaks lifespan does so by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Mount

from crmsync.sandbox.core import Subscription
from crmsync.sandbox.marketo.gate import Gate
from crmsync.sandbox.marketo.service import Marketo
from crmsync.sandbox.observing import Observed


def marketo_app(sub: Subscription) -> Starlette:
    """One subscription's REST, bulk and identity endpoints.

    ``app.state.marketo`` is the subscription at work, for those who run the sandbox: its ``add_field`` is what an
    administrator does by hand.
    """
    marketo = Marketo(sub)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        marketo.imports.wake()  # what a stopped sandbox left open
        marketo.exports.wake()
        yield
        await marketo.close()

    app = Starlette(routes=[Mount("/", app=Observed(Gate(marketo)))], lifespan=lifespan)
    app.state.marketo = marketo
    app.state.close = marketo.close
    return app
