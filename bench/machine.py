"""What the figures were taken on; without it they mean nothing."""

import os
import platform
import sqlite3
import sys
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile

LIBRARIES = ("aiohttp", "uvloop", "eventsourcing", "SQLAlchemy", "msgspec", "psycopg", "kanal")
SYNCS = 200
"""Under half a second on anything but a spinning disk."""


def description(folder: Path) -> dict[str, str]:
    """`folder`: where the databases of this run lie."""
    usable = len(os.sched_getaffinity(0))
    return {
        "processor": f"{_processor()}, {usable} of {os.cpu_count()} cores usable",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "sync": f"{sync_microseconds(folder):.0f} µs for 4 KiB and fdatasync (median)",
        "load": load(),
        "python": f"{platform.python_version()} ({platform.python_compiler()})",
        "sqlite": sqlite3.sqlite_version,
        "libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
        "command": " ".join(["bench/run.py", *sys.argv[1:]]),
        "began": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }


def load() -> str:
    return f"{os.getloadavg()[0]:.2f} (one-minute average)"


def sync_microseconds(folder: Path) -> float:
    """How long this disk takes to make a page durable: the price of a commit."""
    page, took = os.urandom(4096), []
    with TemporaryFile(dir=folder) as file:
        for _ in range(SYNCS):
            began = time.perf_counter_ns()
            os.pwrite(file.fileno(), page, 0)
            os.fdatasync(file.fileno())
            took.append((time.perf_counter_ns() - began) / 1000)
    return median(took)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
