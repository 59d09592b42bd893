"""What goes wrong in the world: outages, contenders, late executions, answers that are not the service's.

``CRMSYNC_CHAOS=10 .venv/bin/python -m pytest tests/chaos`` plays each of them ten times; ``CRMSYNC_OUTAGE=120`` lets
PostgreSQL stay away for two minutes.
"""

from __future__ import annotations

import os

REPEAT = int(os.environ.get("CRMSYNC_CHAOS", "1"))
"""How often each trial is played."""

SECONDS_AWAY = float(os.environ.get("CRMSYNC_OUTAGE", "1"))
"""How long a server that is stopped stays away."""
