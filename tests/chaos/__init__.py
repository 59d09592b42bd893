"""What goes wrong in the world: outages, contenders, late executions, answers that are not the service's.

``CRMSYNC_CHAOS=10 .venv/bin/python -m pytest tests/chaos`` plays each of them ten times.
"""

from __future__ import annotations

import os

REPEAT = int(os.environ.get("CRMSYNC_CHAOS", "1"))
"""How often each trial is played."""
