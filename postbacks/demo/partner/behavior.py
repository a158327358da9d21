"""How the stand-in ad network behaves under each path: decided by the key, so it can be retold."""

import hashlib
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus

_SERVER_ERROR_SHARE = 0.04
_RATE_LIMIT_SHARE = 0.03
_NOT_FOUND_SHARE = 0.12
_SLOW_SHARE = 0.05
_SHORTEST_WAIT = 0.150
_LONGEST_WAIT = 0.400


@dataclass(frozen=True, slots=True)
class PathBehavior:
    """This is what one path prefix does; shares are of the idempotency keys, from 0 to 1."""

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


def behavior_of(path: str) -> PathBehavior:
    """Return the mood that the first segment of the path asks for; by default a good one."""
    return BEHAVIORS.get(path.lstrip("/").partition("/")[0], BEHAVIORS["ok"])


def first_status(mood: PathBehavior, key: str) -> HTTPStatus:
    """Return what the mood says to a key that it meets for the first time."""
    point = _point(key, "verdict")
    for share, status in (
        (mood.server_errors, HTTPStatus.INTERNAL_SERVER_ERROR),
        (mood.rate_limits, HTTPStatus.TOO_MANY_REQUESTS),
        (mood.not_found, HTTPStatus.NOT_FOUND),
    ):
        if point < share:
            return status
        point -= share
    return HTTPStatus.OK


def response_delay(mood: PathBehavior, key: str) -> float:
    """Return the seconds that the mood takes over this key, for most keys none."""
    point = _point(key, "delay")
    if point >= mood.slow:
        return 0.0
    return _SHORTEST_WAIT + (_LONGEST_WAIT - _SHORTEST_WAIT) * point / mood.slow


class PartnerBehavior:
    """This remembers whom it turned away, because most refusals are for the first time only."""

    def __init__(self) -> None:
        self._turned_away: set[str] = set()
        self._lock = threading.Lock()

    def react(self, path: str, key: str, *, accepted_before: bool) -> HTTPStatus:
        """Return the status for this request, after the time that the path takes over it.

        A request without a key is always welcome: without one no second try can be known.
        """
        if not key:
            return HTTPStatus.OK
        mood = behavior_of(path)
        if wait := response_delay(mood, key):
            time.sleep(wait)
        status = first_status(mood, key)
        if status in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            return status
        return HTTPStatus.OK if accepted_before or self._seen(key) else status

    def _seen(self, key: str) -> bool:
        """Return whether the key was turned away before, and remember that it is now."""
        with self._lock:
            seen = key in self._turned_away
            self._turned_away.add(key)
        return seen


def _point(key: str, question: str) -> float:
    """Return where the key falls between 0 and 1 for one question, the same on every machine."""
    digest = hashlib.sha256(f"{question}:{key}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
