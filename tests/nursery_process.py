"""Imports Kanal once and forks a `kanal` process for each line read, so that a start costs what Kanal's own start costs.

Each line is JSON: `arguments`, `environment`, `output` and `errors` (files), and what `nursery.Fate` holds. Prints
`started PID` for each and `ended PID STATUS` when one has ended. When its input ends it kills those that are left.
"""

import functools
import importlib
import inspect
import json
import os
import selectors
import signal
import sys
import time
import traceback
from typing import Any, NoReturn

from kanal.__main__ import main
from kanal.delivery.sender import Sender

HOUR = 3600 * 10**9


def run() -> None:
    reading, waking = os.pipe()
    for end in (reading, waking):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waking)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
    selector.register(reading, selectors.EVENT_READ)
    living: set[int] = set()
    left = b""
    while True:
        for key, _ in selector.select():
            if key.fd == reading:
                os.read(reading, 4096)
                continue
            data = os.read(key.fd, 65536)
            if not data:
                _end(living)
                return
            *lines, left = (left + data).split(b"\n")
            for line in lines:
                living.add(_forked(json.loads(line)))
        _reap(living)


def _forked(job: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        _become(job)
    _tell(f"started {pid}")
    return pid


def _become(job: dict[str, Any]) -> NoReturn:
    code: Any = 70
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.update(job["environment"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, name in ((1, "output"), (2, "errors")):
            os.dup2(os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
        _meet(**job["fate"])
        main(job["arguments"])
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # noqa: BLE001 the process ends here, whatever it was
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _meet(dies: str, lease_seconds: float, moving_clock: bool) -> None:
    if dies:
        _set_to_die(*dies.split(" "))
    if lease_seconds:
        Sender.__init__ = functools.partialmethod(Sender.__init__, lease_seconds=lease_seconds)  # type: ignore[method-assign]
    if moving_clock:
        _let_clock_be_moved()


def _let_clock_be_moved() -> None:
    real = time.time_ns
    ahead = 0

    def move(number: int, _: Any) -> None:
        nonlocal ahead
        ahead += HOUR if number == signal.SIGUSR1 else -HOUR

    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, move)
    time.time_ns = lambda: real() + ahead  # type: ignore[assignment]


def _set_to_die(when: str, place: str, turn: str = "1") -> None:
    module, _, path = place.partition(":")
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    called = getattr(owner, name)
    calls = iter(range(1, int(turn) + 1))

    def die(moment: str) -> None:
        if moment == when and next(calls) == int(turn):
            os.kill(os.getpid(), signal.SIGKILL)

    if inspect.iscoroutinefunction(called):

        @functools.wraps(called)
        async def call(*args: Any, **kwargs: Any) -> Any:
            die("before")
            result = await called(*args, **kwargs)
            die("after")
            return result

    else:

        @functools.wraps(called)
        def call(*args: Any, **kwargs: Any) -> Any:
            die("before")
            result = called(*args, **kwargs)
            die("after")
            return result

    setattr(owner, name, call)


def _reap(living: set[int]) -> None:
    for pid in list(living):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            living.discard(pid)
            _tell(f"ended {pid} {os.waitstatus_to_exitcode(status)}")


def _end(living: set[int]) -> None:
    for pid in living:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    run()
