"""How fast a first sync is and how much memory it takes, at 100,000 and at 1,000,000 records.

    python benchmarks/first_sync.py                    # both sizes; about twenty minutes on two slow cores
    python benchmarks/first_sync.py --records 20000 40000

For each size a sandbox without limits is started in a process of its own, and the first sync runs in another, so that
the memory shown is that of the engine alone. Half the records are contacts, the rest leads and accounts. Memory is the
peak resident size as the operating system accounts it; it must not grow with the table (invariant 8).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from stage import enabled, running_sandbox

SHARES = {"leads": 0.4, "contacts": 0.5, "accounts": 0.1}
ALLOWED_GROWTH = 1.10


def main() -> int:
    """Run both sizes, print a line each, then the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--run", nargs=2, metavar=("FOLDER", "RECORDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        asyncio.run(first_sync(Path(options.run[0])))
        return 0
    results = [measure(records) for records in options.records]
    small, large = results[0], results[-1]
    growth = large["peak_mib"] / small["peak_mib"]
    print(f"memory at {large['records']:,} / at {small['records']:,} records: {growth:.3f}")
    print(f"speed  at {large['records']:,} / at {small['records']:,} records: {large['rate'] / small['rate']:.3f}")
    return 0 if growth <= ALLOWED_GROWTH else 1


def measure(records: int) -> dict[str, float]:
    """One sandbox, one first sync in a process of its own; returns and prints its figures."""
    with tempfile.TemporaryDirectory() as folder, running_sandbox(Path(folder), shared_out(records)):
        figures = run(Path(folder), records)
    print(
        f"{records:>9,} records: {figures['rate']:>7,.0f} records/s, {figures['seconds']:>6.1f} s, "
        f"{figures['cpu']:>6.1f} s CPU, peak memory {figures['peak_mib']:.0f} MiB, "
        f"{figures['created']:,.0f} created, {figures['failed']:,.0f} sync errors",
        flush=True,
    )
    return figures | {"records": records}


def shared_out(records: int) -> dict[str, int]:
    """How many of these records are leads, contacts and accounts."""
    return {name: int(records * share) for name, share in SHARES.items()}


def run(folder: Path, records: int) -> dict[str, float]:
    """The first sync in a process of its own; its figures."""
    command = [sys.executable, __file__, "--run", str(folder), str(records)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, float] = json.loads(output.splitlines()[-1])
    return figures


async def first_sync(folder: Path) -> None:
    """The first sync itself; prints its figures as JSON."""
    from crmsync.engine import sync

    async with enabled(folder) as session:
        report = await sync.first_sync(session)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "seconds": report.seconds,
        "rate": report.total.read / report.seconds,
        "created": report.total.created,
        "failed": report.total.failed,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    sys.exit(main())
