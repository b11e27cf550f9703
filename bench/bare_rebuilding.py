"""The baseline of rebuilding: a bare read of the log, its JSON parsed, one row for each event through `executemany`.

Same chunks and same durability as Kanal's. Reads one job as JSON from standard input, writes the seconds to standard output.
"""

import json
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from kanal.bootstrap import DATABASE_FILE
from kanal.eventlog.sqlite import PRAGMAS
from kanal.projections.runner import IDLE_CHUNK

COLUMNS = "(position BIGINT PRIMARY KEY, name TEXT, at BIGINT, case_id BIGINT, content TEXT)"
decode = msgspec.json.decode


def rows(events: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    for position, name, body in events:
        parsed = decode(body)
        data = parsed["d"]
        yield position, name, parsed["m"]["at"], data.get("case_id"), data.get("content")


def on_sqlite(path: Path) -> int:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("DROP TABLE IF EXISTS bench_bare")
    connection.execute(f"CREATE TABLE bench_bare {COLUMNS}")
    position = done = 0
    query = "SELECT rowid, topic, state FROM events WHERE rowid > ? ORDER BY rowid LIMIT ?"
    while events := connection.execute(query, (position, IDLE_CHUNK)).fetchall():
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO bench_bare VALUES (?,?,?,?,?)", rows(events))
        connection.execute("COMMIT")
        position, done = events[-1][0], done + len(events)
    connection.execute("DROP TABLE bench_bare")
    connection.close()
    return done


def on_postgres(url: str) -> int:
    position = done = 0
    query = (
        "SELECT notification_id, topic, state FROM events "
        "WHERE notification_id > %s ORDER BY notification_id LIMIT %s"
    )
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_bare")
        cursor.execute(f"CREATE TABLE bench_bare {COLUMNS}".encode())
        while events := cursor.execute(query, (position, IDLE_CHUNK)).fetchall():
            cursor.executemany("INSERT INTO bench_bare VALUES (%s,%s,%s,%s,%s)", rows(events))
            connection.commit()
            position, done = events[-1][0], done + len(events)
        cursor.execute("DROP TABLE bench_bare")
    return done


def measure(job: dict[str, Any]) -> dict[str, Any]:
    began, used = time.perf_counter(), time.process_time()
    if job["database_url"]:
        done = on_postgres(job["database_url"])
    else:
        done = on_sqlite(Path(job["data_dir"]) / DATABASE_FILE)
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - used,
        "events": done,
    }


if __name__ == "__main__":
    json.dump(measure(json.loads(sys.stdin.readline())), sys.stdout)
