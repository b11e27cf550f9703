"""A PostgreSQL server for one run, started as the tests start theirs, but durable and with autovacuum, as whoever runs Kanal has it: here the syncs and the plans are what is measured.

Prints its URL and runs until its input ends, so that it goes away with the run even if that is killed.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import postgres_server

postgres_server.OPTIONS.update(
    autovacuum="on", fsync="on", full_page_writes="on", max_wal_size="4GB"
)

if __name__ == "__main__":
    try:
        with postgres_server._kept_server() as server:
            print(server.url, flush=True)
            sys.stdin.read()
    except postgres_server.NoPostgres as error:
        sys.exit(str(error))
