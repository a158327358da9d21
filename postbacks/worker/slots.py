"""Has what must not run twice at once run once in a cluster, by locks of PostgreSQL.

A pump has the slot of its number; other tasks have negative ones.
"""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from redis import RedisError

from postbacks.infrastructure.database.outages import is_outage
from postbacks.worker.task_queue import enqueue

logger = logging.getLogger(__name__)

_SESSION_ENDS_SECONDS = 10.0  # until PostgreSQL has certainly ended one that was broken off


class Seat:
    """A pump's slot, of which one pump at a time takes what is due."""

    def __init__(self, slot: int) -> None:
        self._slot = slot
        self._is_ours = False
        self._session: object = None
        self._lost_at = math.inf

    def take(self) -> bool:
        self._is_ours = _try_lock(self._slot)
        self._session = connection.connection
        return self._is_ours

    def keep(self) -> bool:
        """Take the slot anew if its lock has gone with its database session.

        False: another pump has it for so long that it can't be the session before, which
        PostgreSQL may not have ended yet.
        """
        if not self._is_ours or connection.connection is self._session:
            return True
        if _try_lock(self._slot):
            self._session = connection.connection
            self._lost_at = math.inf
            return True
        self._lost_at = min(self._lost_at, time.monotonic())
        return time.monotonic() - self._lost_at < _SESSION_ENDS_SECONDS

    def hand_on(self) -> bool:
        """Have a successor start; False if the queue can't be reached, and the slot is still ours.

        The slot is free before the successor looks: it would end at once otherwise.
        """
        self.release()
        try:
            enqueue("run_pump", self._slot, cluster=settings.WORKER_NAME)
        except (RedisError, DatabaseError) as error:
            if not (isinstance(error, RedisError) or is_outage(error)):
                raise
            logger.warning("The queue can't be reached; the pump goes on: %s", error)
            return not self.take()
        return True

    def release(self) -> None:
        if self._is_ours:
            self._is_ours = False
            if connection.connection is self._session:  # it has gone with another one
                _unlock(self._slot)


@contextmanager
def exclusive(slot: int) -> Iterator[bool]:
    """Hold a slot; gives False if somebody else in the cluster holds it."""
    is_ours = _try_lock(slot)
    try:
        yield is_ours
    finally:
        if is_ours:
            _unlock(slot)


def _try_lock(slot: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_lock(hashtext(%s), %s)", [settings.WORKER_NAME, slot]
        )
        return bool(cursor.fetchone()[0])


def _unlock(slot: int) -> None:
    if connection.connection is None:
        return  # the lock has gone with its connection
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(hashtext(%s), %s)", [settings.WORKER_NAME, slot])
