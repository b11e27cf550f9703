"""A process that writes groups from many threads and prints each answer: `writing_process.py FILE`. Run by test_crash.py."""

import os
import sys
import threading
from functools import partial
from pathlib import Path

from kanal.domain.groups import create_group
from kanal.eventlog.migrate import migrate
from kanal.eventlog.sqlite import SqliteDatabase
from kanal.eventlog.writer import Writer
from kanal.projections.registry import CORE
from kanal.projections.runner import Inline, build_missing

THREADS = 16

database = SqliteDatabase(Path(sys.argv[1]))
stream_ids = migrate(database)
inline = Inline(CORE, database)
writer = Writer(database, stream_ids, [inline])
writer.start()
for _ in build_missing(database, writer.run_and_wait, CORE, inline):
    pass


def write() -> None:
    while True:
        title = os.urandom(8).hex()
        group_id = writer.submit_and_wait(partial(create_group, title=title)).result
        os.write(1, f"{group_id} {title}\n".encode())  # one line at once, whatever comes next


for _ in range(THREADS):
    threading.Thread(target=write).start()
