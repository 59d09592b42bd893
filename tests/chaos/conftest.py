from __future__ import annotations

import pytest

from tests.chaos import REPEAT
from tests.databases import own_postgresql, postgresql, state_url, stoppable_postgresql

__all__ = ["own_postgresql", "postgresql", "state_url", "stoppable_postgresql"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for ``repetition`` is played as often as the environment says."""
    if "repetition" in metafunc.fixturenames:
        metafunc.parametrize("repetition", range(REPEAT))
