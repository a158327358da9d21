"""Child processes that never outlive their parent."""

import ctypes
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


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
