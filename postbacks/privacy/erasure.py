"""Works off requests to forget devices: a little at a time, from where the last worker came to.

An event whose request began before the device was forgotten may be stored a moment afterwards, so
that everything is looked at once more, a while after it was asked for, before it counts as done.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

from django.db import OperationalError, connection, transaction

from apps_registry.tenancy import tenant
from postbacks.models import (
    ErasureMode,
    ErasureReach,
    ErasureRequest,
    ErasureState,
    ErasureTrace,
    Event,
)
from postbacks.models.events import ERASED
from postbacks.privacy import emptying, tombstones
from postbacks.privacy.device import DeviceRows, look_through, look_up

logger = logging.getLogger(__name__)

SETTLE = timedelta(seconds=30)  # longer than the intake's longest transaction
_TURN_SECONDS = 5.0  # how long one request has the worker before the next has its turn


def work(seconds: float, *, settle: timedelta = SETTLE) -> int:
    """Work off requests that are due, for about so many seconds; return how many were finished.

    At least one has its turn, and each turn comes a step further.
    """
    ends_at = time.monotonic() + seconds
    finished = 0
    with _alone() as ours:
        while ours and (found := _next()) is not None:
            turn_ends_at = min(ends_at, time.monotonic() + _TURN_SECONDS)
            try:
                finished += _Erasure(*found, settle=settle).run(turn_ends_at)
            except OperationalError:
                raise  # the database's trouble, not a request's
            except Exception:
                logger.exception("Request %d to forget a device could not be worked off", found[1])
                _put_off(found[1])
            if time.monotonic() >= ends_at:
                break
    return finished


def _put_off(request_id: int) -> None:
    """Let the others have their turn before a request that can't be worked off."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE erasure_request SET due_at = now() + interval '5 minutes' WHERE id = %s",
            [request_id],
        )


def _next() -> tuple[int, int] | None:
    """Return the organization and the id of the request that waits longest."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT organization_id, id FROM erasure_request "
            "WHERE NOT state = %s AND due_at <= now() ORDER BY due_at LIMIT 1",
            [ErasureState.DONE],
        )
        row = cursor.fetchone()
    return (row[0], row[1]) if row else None


class _AskedAgainError(Exception):
    """Somebody asked for the same device meanwhile: the request is at its beginning again."""


class _Erasure:
    """One worker's turn at one request."""

    def __init__(self, organization_id: int, request_id: int, *, settle: timedelta) -> None:
        self.organization_id = organization_id
        self.request_id = request_id
        self.settle = settle
        with tenant(organization_id):
            self.request = ErasureRequest.objects.get(pk=request_id)
            self.device = DeviceRows.unpacked(ErasureTrace.objects.get(request=request_id).reveal())

    def run(self, ends_at: float) -> bool:
        """Empty what is left; tell whether the request is done. False: its turn is over."""
        try:
            return self._run(ends_at)
        except _AskedAgainError:
            return False

    def _run(self, ends_at: float) -> bool:
        if not self._empty_what_is_known(ends_at):
            return self._end_turn()
        for day in self._days():
            if look_through(self.device, day):  # more of its names: what was seen is seen anew
                self._note(swept_to=None)
                return self._end_turn()
            self._note(swept_to=day)
            if time.monotonic() >= ends_at:
                return self._end_turn()
        return self._finish()

    def _empty_what_is_known(self, ends_at: float) -> bool:
        """Find and empty all that indexes lead to; False if time was too short."""
        look_up(self.device)
        self._note()  # before anything is emptied by which it is found
        while self._counted(lambda: emptying.empty_touchpoints(self.device)):
            if time.monotonic() >= ends_at:
                return False
        return all(self._empty_name(name, ends_at) for name in sorted(self.device.devices))

    def _empty_name(self, name: str, ends_at: float) -> bool:
        stand_in = self._stand_in(name)
        self._counted(lambda: emptying.empty_installs(self.device, name, stand_in))
        emptying.replace_in_rules(
            self.device, name, stand_in, count_again=self.request.mode == ErasureMode.RESET
        )
        while self._counted(lambda: emptying.empty_events(self.device, name, stand_in)):
            if time.monotonic() >= ends_at:
                return False
        return True

    def _stand_in(self, name: str) -> str:
        """Return what stands for the device from now on: the same for all its rows.

        Forgotten it stays one device for good; reset for tests it is another one each time.
        """
        again = f":{self.request.runs}" if self.request.mode == ErasureMode.RESET else ""
        with tenant(self.organization_id):
            key = tombstones.ensure_key()
        return f"{ERASED}{tombstones.digest(key, self.device.app_id, f'{name}{again}').hex}"

    def _days(self) -> Iterator[date]:
        """Yield the days whose events have not been looked through, the newest first."""
        if self.request.reach == ErasureReach.INSTALL:
            return  # whatever carries an install ID is known by it
        with tenant(self.organization_id):
            oldest = Event.objects.order_by("received_at").values_list("received_at").first()
        if oldest is None:
            return
        first = oldest[0].date()
        if self.device.settled:  # only what may have come in at the last moment
            first = max(first, self.request.asked_at.date() - timedelta(days=1))
        before = self.request.swept_to or datetime.now(UTC).date() + timedelta(days=2)
        for back in range(1, (before - first).days + 1):
            yield before - timedelta(days=back)

    def _end_turn(self) -> bool:
        self._note(due_at=datetime.now(UTC))
        return False

    def _finish(self) -> bool:
        """Count the request as done, or have everything looked at once more a little later."""
        settled_at = self.request.asked_at + self.settle
        if not self.device.settled and self.settle:
            self.device.settled = True
            self._note(swept_to=None, due_at=settled_at)
            return False
        with tenant(self.organization_id):
            self._store(state=ErasureState.DONE, finished_at=datetime.now(UTC))
            ErasureTrace.objects.filter(request=self.request_id).delete()
        return True

    def _note(self, **progress: object) -> None:
        """Keep what is known of the device, and how far the work is."""
        with tenant(self.organization_id):
            self._store(state=ErasureState.RUNNING, **progress)
            trace = ErasureTrace.objects.get(request=self.request_id)
            trace.seal(self.device.packed())
            trace.save(update_fields=["sealed"])
            if self.request.mode == ErasureMode.FORGET:
                tombstones.block_device(self.device.app_id, self.device.own_ids)

    def _counted(self, empty: Callable[[], Counter[str]]) -> bool:
        """Empty a batch, and count it in the same transaction; tell whether there was any."""
        with transaction.atomic():
            counts = empty()
            if counts:
                total = Counter(self.request.counts)
                total.update(counts)
                with tenant(self.organization_id):
                    self._store(counts=dict(total))
        return bool(counts)

    def _store(self, **values: object) -> None:
        run = ErasureRequest.objects.filter(pk=self.request_id, runs=self.request.runs)
        if not run.update(**values):
            raise _AskedAgainError
        for name, value in values.items():
            setattr(self.request, name, value)


@contextmanager
def _alone() -> Iterator[bool]:
    """Tell whether no other worker is at it: two would find and count the same rows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext('postbacks.erasure'))")
        ours = bool(cursor.fetchone()[0])
    try:
        yield ours
    finally:
        if ours and connection.connection is not None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtext('postbacks.erasure'))")
