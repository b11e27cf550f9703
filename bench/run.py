"""`make bench`: Kanal beside bare baselines, each ratio taken in one run. bench/README.md says how to read it."""

import argparse
import json
import platform
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

import databases
import deliveries
import growth
import latency
import lists
import machine
import messages
import neighbours
import rebuild
import rules
import startup
import stats
import waiting
import what_if
import workers
from measuring import Bench, Measure
from report import Report

MEASURES: dict[str, Measure] = {
    "messages": messages.measure,
    "latency": latency.measure,
    "deliveries": deliveries.measure,
    "neighbours": neighbours.measure,
    "workers": workers.measure,
    "waiting": waiting.measure,
    "rebuild": rebuild.measure,
    "startup": startup.measure,
    "growth": growth.measure,
    "lists": lists.measure,
    "rules": rules.measure,
    "what_if": what_if.measure,
    "stats": stats.measure,
}


def main() -> int:
    given = _arguments()
    if platform.system() != "Linux":
        print("The measurements read /proc and compare clocks of processes: Linux only.")
        return 2
    # So that the children are ended and the folders removed.
    signal.signal(signal.SIGTERM, _interrupted)
    result: dict[str, Any] = {}
    failed = False
    with ExitStack() as stack:
        places = stack.enter_context(databases.opened(given.database_url))
        result["machine"] = _show_machine(places)
        bench = Bench(places, stack, quick=given.quick)
        for name in given.names or MEASURES:
            began = time.monotonic()
            print(f"\n## {name}\n", flush=True)
            try:
                report = MEASURES[name](bench)
            except Exception as error:  # noqa: BLE001 the others are still worth having
                print(f"{name} failed: {error}", flush=True)
                result[name] = {"failed": str(error)}
                failed = True
                continue
            print(report.text())
            print(f"\n{name} took {time.monotonic() - began:.0f} s.", flush=True)
            result[name] = report.plain()
            failed = failed or _missed(report, given.quick)
        result["machine"]["load at the end"] = machine.load()
        print(f"\nLoad at the end: {machine.load()}")
    if given.json:
        given.json.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    return int(failed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run.py", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="name",
        help=f"what to measure: {', '.join(MEASURES)}; all of them unless named",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="some minutes; shows that all of it works, its figures are rough",
    )
    parser.add_argument(
        "--database-url",
        default="",
        metavar="URL",
        help="a PostgreSQL server whose user may make databases; else one is started if there is one",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    given = parser.parse_args()
    unknown = set(given.names) - set(MEASURES)
    if unknown:
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    return given


def _interrupted(_: int, __: FrameType | None) -> None:
    sys.exit(143)


def _show_machine(places: databases.Databases) -> dict[str, str]:
    shown = machine.description(places.folder)
    if databases.POSTGRES in places.kinds:
        shown["postgresql"] = places.postgres_description()
    for name, value in shown.items():
        print(f"{name + ':':12} {value}")
    return shown


def _missed(report: Report, quick: bool) -> bool:
    """Rough figures are no verdict."""
    return not quick and any(not target.met for target in report.targets)


if __name__ == "__main__":
    sys.exit(main())
