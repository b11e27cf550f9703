"""What `kanal rebuild` does when nothing serves, timed without the start of Python, in a process of its own.

Reads one job as JSON from standard input, writes seconds and memory as JSON to standard output.
"""

import json
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any

from kanal.bootstrap import opened
from kanal.projections.registry import CORE
from kanal.settings import Settings


def rebuild(job: dict[str, Any]) -> dict[str, Any]:
    settings = Settings.load(data_dir=Path(job["data_dir"]), database_url=job["database_url"])
    with opened(settings) as store:
        work = store.rebuild(tuple(model.name for model in CORE))
        began, used, anonymous = time.perf_counter(), time.process_time(), 0.0
        for _ in work.run():
            anonymous = max(anonymous, _anonymous_mib())
        return {
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - used,
            "differences": [difference.table for difference in work.differences],
            "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "anonymous_mib": anonymous,
        }


def _anonymous_mib() -> float:
    """Resident memory without pages of files: SQLite maps up to 256 MiB of its own, which the system takes back at will."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")


if __name__ == "__main__":
    json.dump(rebuild(json.loads(sys.stdin.readline())), sys.stdout)
