"""What the operating system says of processes: do they live, whose child, how many files."""

import ctypes
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_NEW_OBJECTS = 10_000  # after which Python looks for garbage among them


def die_with_parent(by: signal.Signals = signal.SIGTERM) -> Callable[[], None] | None:
    """Return a `preexec_fn` by which the kernel signals the child when its parent dies.

    Linux only; elsewhere None, and children must notice themselves that their parent is gone.
    The library is loaded here and not in the child, where a fork may hold the loader's lock.
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(by))

    return ask_kernel


def is_running(pid: int) -> bool:
    """Tell whether a process of this host has not ended, whoever it belongs to."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def raise_descriptor_limit(wanted: int) -> int:
    """Let this process open as many files and sockets as wanted, if it may; return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        return allowed
    return soft


def exempt_loaded_objects() -> None:
    """Have garbage collections pass over what is loaded by now; the first call counts.

    A full one walks all objects of Django and of our modules, which stay anyway, and stops every
    thread for a tenth of a second or two: requests and postbacks of everybody wait for it. What it
    writes to has to be copied where a fork shares it.

    Others come less often: the events of one request are some thousand objects, none of it garbage.
    """
    if not gc.get_freeze_count():
        gc.freeze()  # with the little garbage among them: to look for it would take as long
        gc.set_threshold(_NEW_OBJECTS)
