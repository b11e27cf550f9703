"""What `kanal rebuild` does when nothing serves, timed without the start of Python, in a process of its own.

Reads one job as JSON from standard input, writes seconds and memory as JSON to standard output.
"""

import json
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
        before = _peak_mib()
        began = time.perf_counter()
        steps = list(work.run())
        return {
            "seconds": time.perf_counter() - began,
            "head": steps[-1].head,
            "differences": [difference.table for difference in work.differences],
            "peak_mib": _peak_mib(),
            "before_mib": before,
        }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    json.dump(rebuild(json.loads(sys.stdin.readline())), sys.stdout)
