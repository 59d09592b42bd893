"""What all tests share: one Prefect server, started only when a test asks for it; an eye on Marketo's wire."""

from __future__ import annotations

import pytest

from tests import prefectserver
from tests.openapi.recorder import OpenApiCheck


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(OpenApiCheck(), "marketo-openapi")
    port = prefectserver.announce()
    # Prefect's client leaves a socket to its server open now and then; nobody else's are forgiven.
    config.addinivalue_line("filterwarnings", rf"ignore:unclosed <socket\.socket .*raddr=.*, {port}:ResourceWarning")


@pytest.fixture(scope="session")
def prefect_server(pytestconfig: pytest.Config) -> str:
    """The API URL of the session's Prefect server."""
    return prefectserver.ensure(pytestconfig.cache.mkdir("crmsync"))
