"""Workers that forget devices and are killed, each a statement later than the one before.

`python -m tests.privacy.dying_workers HOST USER DATABASE` goes on until nothing is left to do, and
then prints how many were killed.
"""

import gc
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django

DONE, NOTHING_DONE = 0, 3
_PATIENCE = 2_000  # workers: most find the lock of one that has just died


def _killed_at(turn: int) -> Callable[..., Any]:
    """Return what kills this process: in odd turns before a statement, in even ones after it."""
    left = (turn + 1) // 2

    def count(execute: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and turn % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        done = execute(*arguments)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    return count


def _main(host: str, user: str, name: str) -> None:
    # Loaded once for all, for loading takes longer than a worker lives.
    from django.db import connection

    from postbacks.infrastructure.database import roles
    from postbacks.infrastructure.database.statements import rows
    from postbacks.models import ErasureState
    from postbacks.privacy.erasure import work

    def work_once(turn: int) -> int:
        with connection.execute_wrapper(_killed_at(turn)):
            if work(60.0, last_pass_after=timedelta(0)):
                return DONE
        # One that is killed between its last commit and the end leaves nothing to the next.
        left = rows(
            "SELECT id FROM erasure_request WHERE state <> %(done)s", {"done": ErasureState.DONE}
        )
        return NOTHING_DONE if left else DONE

    connection.settings_dict.update(HOST=host, USER=user, NAME=name)
    connection.settings_dict["OPTIONS"]["assume_role"] = roles.WORKER
    gc.freeze()
    turn = killed = 0
    for _ in range(_PATIENCE):
        pid = os.fork()
        if not pid:
            os._exit(work_once(turn + 1))
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            turn, killed = turn + 1, killed + 1
        elif os.WEXITSTATUS(status) == DONE:
            sys.stdout.write(f"{killed}\n")
            return
        elif os.WEXITSTATUS(status) != NOTHING_DONE:  # the dead one may still hold the lock
            raise SystemExit(f"A worker failed with {status}.")
    raise SystemExit(f"The work never ends: {killed} were killed.")


if __name__ == "__main__":
    django.setup()
    _main(*sys.argv[1:])
