"""Runs that meet what goes wrong in the world: outages, contenders, late executions, answers that are not the service's.

``CRMSYNC_CHAOS=10 make test`` plays each of them ten times.
"""

import os

REPEAT = int(os.environ.get("CRMSYNC_CHAOS", "1"))
"""How often each is played."""
