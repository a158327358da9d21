"""How the stand-in ad network responds under each path prefix.

The idempotency key decides, so that every run and every retry gives the same result.
"""

import hashlib
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus

_SERVER_ERROR_SHARE = 0.04
_RATE_LIMIT_SHARE = 0.03
_NOT_FOUND_SHARE = 0.12
_SLOW_SHARE = 0.05
_MIN_DELAY = 0.150
_MAX_DELAY = 0.400


@dataclass(frozen=True, slots=True)
class PathBehavior:
    """The behavior of one path prefix; shares are of the idempotency keys, from 0 to 1."""

    server_errors: float = 0.0
    rate_limits: float = 0.0
    not_found: float = 0.0
    slow: float = 0.0


BEHAVIORS = {
    "ok": PathBehavior(),
    "flaky": PathBehavior(server_errors=_SERVER_ERROR_SHARE),
    "limited": PathBehavior(rate_limits=_RATE_LIMIT_SHARE),
    "slow": PathBehavior(slow=_SLOW_SHARE),
    "picky": PathBehavior(not_found=_NOT_FOUND_SHARE),
    "moody": PathBehavior(
        server_errors=_SERVER_ERROR_SHARE, rate_limits=_RATE_LIMIT_SHARE, slow=_SLOW_SHARE
    ),
}


class PartnerBehavior:
    """Decides each response; server errors and rate limits hit only the first try of a key."""

    def __init__(self) -> None:
        self._refused: set[str] = set()
        self._lock = threading.Lock()

    def respond(self, path: str, key: str, *, accepted_before: bool) -> HTTPStatus:
        """Return the status for a request, after the delay of its path.

        A request without a key is always accepted: its retry could not be recognized.
        """
        if not key:
            return HTTPStatus.OK
        behavior = behavior_of(path)
        if delay := response_delay(behavior, key):
            time.sleep(delay)
        status = first_status(behavior, key)
        if status in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            return status
        return HTTPStatus.OK if accepted_before or self._was_refused(key) else status

    def _was_refused(self, key: str) -> bool:
        """Return whether the key was refused before, and remember that it is now."""
        with self._lock:
            was_refused = key in self._refused
            self._refused.add(key)
        return was_refused


def behavior_of(path: str) -> PathBehavior:
    """Return the behavior that the path's first segment names, otherwise that of “ok”."""
    return BEHAVIORS.get(path.lstrip("/").partition("/")[0], BEHAVIORS["ok"])


def first_status(behavior: PathBehavior, key: str) -> HTTPStatus:
    point = _point(key, "verdict")
    for share, status in (
        (behavior.server_errors, HTTPStatus.INTERNAL_SERVER_ERROR),
        (behavior.rate_limits, HTTPStatus.TOO_MANY_REQUESTS),
        (behavior.not_found, HTTPStatus.NOT_FOUND),
    ):
        if point < share:
            return status
        point -= share
    return HTTPStatus.OK


def response_delay(behavior: PathBehavior, key: str) -> float:
    """Return the delay in seconds, 0 for most keys."""
    point = _point(key, "delay")
    if point >= behavior.slow:
        return 0.0
    return _MIN_DELAY + (_MAX_DELAY - _MIN_DELAY) * point / behavior.slow


def _point(key: str, purpose: str) -> float:
    """Hash the key to a number from 0 to 1, the same on every machine."""
    digest = hashlib.sha256(f"{purpose}:{key}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
