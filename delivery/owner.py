"""Who owns a lane: a process, named so that another one on the same machine can tell for certain that it has ended."""

import os
import secrets
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
BOOT_ID: Final = PROC / "sys/kernel/random/boot_id"
START_TIME: Final = 19
"""Which field after the command's name in /proc/<pid>/stat: a pid is given out again, a pid with its start is not."""


def own_name() -> str:
    """`machine/pid/start/random`. Where there is no /proc only the random part, and such an owner's lease has to expire."""
    unique = secrets.token_hex(6)
    machine, pid = _machine(), os.getpid()
    return f"{machine}/{pid}/{_started(pid)}/{unique}" if machine else unique


def has_ended(name: str) -> bool:
    """Whether this is certain. Of a process on another machine, or in another container, nothing is known."""
    machine, _, process = name.partition("/")
    pid, _, rest = process.partition("/")
    if not pid or machine != _machine():
        return False
    return _started(int(pid)) != rest.partition("/")[0]


def _machine() -> str:
    """One boot of one machine, seen from one namespace of process ids."""
    try:
        namespace = os.readlink(PROC / "self/ns/pid")
        return f"{BOOT_ID.read_text().strip()}.{namespace.strip('pid:[]')}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state == "Z" else fields[START_TIME - 1]
