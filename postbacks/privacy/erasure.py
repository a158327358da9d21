"""Works through requests to forget devices, in short turns that continue where the last one ended.

An event that was being stored when its device was blocked may be committed a moment later. So a
last pass over everything follows a while after the request, before it counts as done.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial

from django.db import connection, transaction

from apps_registry.tenancy import tenant
from postbacks.infrastructure.database.outages import is_outage
from postbacks.models import (
    ErasureMode,
    ErasureReach,
    ErasureRequest,
    ErasureState,
    ErasureTrace,
    Event,
    Postback,
)
from postbacks.models.events import ERASED
from postbacks.privacy import device_marks, emptying, tombstones
from postbacks.privacy.device import DeviceRows, find_by_index, find_in_day

logger = logging.getLogger(__name__)

LAST_PASS_AFTER = timedelta(seconds=30)  # longer than the intake's longest transaction
_TURN_SECONDS = 5.0  # how long one request has the worker before the next one


def work(seconds: float, *, last_pass_after: timedelta = LAST_PASS_AFTER) -> int:
    """Work through due requests for about so many seconds; return how many were finished.

    At least one has its turn, and each turn makes progress.
    """
    ends_at = time.monotonic() + seconds
    finished = 0
    with _alone() as ours:
        while ours and (due := _next()) is not None:
            turn_ends_at = min(ends_at, time.monotonic() + _TURN_SECONDS)
            try:
                finished += _Erasure(*due, last_pass_after=last_pass_after).run(turn_ends_at)
            except Exception as error:
                if is_outage(error):
                    raise  # the database failed, not a request
                logger.exception("Request %d to forget a device could not be worked off", due[1])
                _postpone(due[1])
            if time.monotonic() >= ends_at:
                break
    return finished


def _postpone(request_id: int) -> None:
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


class _RepeatedError(Exception):
    """The request was repeated meanwhile, and starts again."""


class _Erasure:
    """One worker's turn at one request."""

    def __init__(
        self, organization_id: int, request_id: int, *, last_pass_after: timedelta
    ) -> None:
        self.organization_id = organization_id
        self.request_id = request_id
        self.last_pass_after = last_pass_after
        with tenant(organization_id):
            self.request = ErasureRequest.objects.get(pk=request_id)
            self.device = DeviceRows.unpacked(ErasureTrace.objects.get(request=request_id).reveal())

    def run(self, ends_at: float) -> bool:
        """Empty the rows that are left; tell whether the request is done, or only its turn."""
        try:
            return self._run(ends_at)
        except _RepeatedError:
            return False

    def _run(self, ends_at: float) -> bool:
        if not self._empty_indexed(ends_at):
            return self._end_turn()
        for day in self._days():
            if find_in_day(self.device, day):  # new ids: read every day again
                self._save(swept_to=None)
                return self._end_turn()
            self._counted(partial(emptying.empty_tests_of_day, self.device, day))
            self._save(swept_to=day)
            if time.monotonic() >= ends_at:
                return self._end_turn()
        return self._finish()

    def _empty_indexed(self, ends_at: float) -> bool:
        """Find and empty all rows that indexes lead to; return False if time ran out."""
        find_by_index(self.device)
        self._save()  # before the rows that led here are emptied
        self._counted(lambda: emptying.delete_refused(self.device))
        emptying.delete_identifiers(self.device)
        while self._counted(lambda: emptying.empty_touchpoints(self.device)):
            if time.monotonic() >= ends_at:
                return False
        return all(self._empty_device(key, ends_at) for key in sorted(self.device.devices))

    def _empty_device(self, device_key: str, ends_at: float) -> bool:
        stand_in = self._stand_in(device_key)
        self._counted(lambda: emptying.empty_installs(self.device, device_key, stand_in))
        emptying.replace_in_rules(
            self.device, device_key, stand_in, count_again=self.request.mode == ErasureMode.RESET
        )
        while self._counted(lambda: emptying.empty_events(self.device, device_key, stand_in)):
            if time.monotonic() >= ends_at:
                return False
        return True

    def _stand_in(self, device_key: str) -> str:
        """Return the device key that replaces this one, the same in all rows.

        A forgotten device stays one device for good; a reset one is a new one each time.
        """
        again = f":{self.request.runs}" if self.request.mode == ErasureMode.RESET else ""
        with tenant(self.organization_id):
            key = tombstones.ensure_key()
        return f"{ERASED}{tombstones.digest(key, self.device.app_id, f'{device_key}{again}').hex}"

    def _days(self) -> Iterator[date]:
        """Yield the days whose events have not been read, the newest first."""
        if self.request.reach == ErasureReach.INSTALL:
            return  # indexes find everything with an install ID
        with tenant(self.organization_id):
            events = Event.objects.order_by("received_at").values_list("received_at", flat=True)
            # A test send may have an event that is stored nowhere.
            tests = Postback.objects.order_by("event_received_at")
            oldest = [events.first(), tests.values_list("event_received_at", flat=True).first()]
        if not any(oldest):
            return
        first = min(moment.date() for moment in oldest if moment)
        if self.device.settled:  # only events of the last moment before the block
            first = max(first, self.request.asked_at.date() - timedelta(days=1))
        before = self.request.swept_to or datetime.now(UTC).date() + timedelta(days=2)
        for back in range(1, (before - first).days + 1):
            yield before - timedelta(days=back)

    def _end_turn(self) -> bool:
        self._save(due_at=datetime.now(UTC))
        return False

    def _finish(self) -> bool:
        """Finish the request, or schedule the last pass."""
        self._counted(partial(emptying.forget_tests, self.device))
        emptying.delete_exports(self.device)
        emptying.delete_discrepancies(self.device)
        last_pass_at = self.request.asked_at + self.last_pass_after
        if not self.device.settled and self.last_pass_after:
            self.device.settled = True
            self._save(swept_to=None, due_at=last_pass_at)
            return False
        with tenant(self.organization_id):
            self._store(state=ErasureState.DONE, finished_at=datetime.now(UTC))
            ErasureTrace.objects.filter(request=self.request_id).delete()
        return True

    def _save(self, **progress: object) -> None:
        """Save the device's ids and the progress."""
        with tenant(self.organization_id):
            self._store(state=ErasureState.RUNNING, **progress)
            trace = ErasureTrace.objects.get(request=self.request_id)
            trace.seal(self.device.packed())
            trace.save(update_fields=["sealed"])
            if self.request.mode == ErasureMode.FORGET:
                tombstones.block_device(self.device.app_id, self.device.own_ids)
                device_marks.unmark_device(self.organization_id, self.device.own_ids)

    def _counted(self, empty: Callable[[], Counter[str]]) -> bool:
        """Empty and count a batch in one transaction; tell whether it had any rows."""
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
            raise _RepeatedError
        for name, value in values.items():
            setattr(self.request, name, value)


@contextmanager
def _alone() -> Iterator[bool]:
    """Tell whether no other worker erases: two would count the same rows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext('postbacks.erasure'))")
        ours = bool(cursor.fetchone()[0])
    try:
        yield ours
    finally:
        if ours and connection.connection is not None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtext('postbacks.erasure'))")
