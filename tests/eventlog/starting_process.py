"""A process that sets the log up and writes to it: `starting_process.py URL NAME GROUPS`. Run by test_shared_log.py."""

import sys
from functools import partial

from kanal.domain.groups import create_group
from kanal.eventlog.migrate import migrate
from kanal.eventlog.postgres import PostgresDatabase
from kanal.eventlog.writer import Writer
from kanal.projections.registry import CORE, FOLLOWED
from kanal.projections.runner import Inline, build_missing

url, name, groups = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
database = PostgresDatabase(url)
stream_ids = migrate(database)
inline = Inline(CORE, database)
writer = Writer(database, stream_ids, [inline])
writer.start()
for _ in build_missing(database, writer.run_and_wait, (*CORE, *FOLLOWED), inline):
    pass
for number in range(int(groups)):
    print(writer.submit_and_wait(partial(create_group, title=f"{name} {number}")).result)
writer.close()
database.close()
