"""The worker's part of test sends: claims what people ask for, sends each once, keeps the answer.

It runs beside a pump, in threads of its own: a partner that never answers holds neither a web
thread nor a task, and delays no postback. One thread talks to the database, the others to partners.
"""

import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from threading import Event, Thread
from types import TracebackType
from typing import Self

import msgspec
from django.db import DatabaseError, connection

from apps_registry.audit.actors import SYSTEM, acting_as
from apps_registry.crypto.encryption import SecretUnreadableError, decrypt
from apps_registry.tenancy import tenant
from postbacks.delivery.attempt import attempt
from postbacks.delivery.attempt_log import AttemptResult
from postbacks.delivery.breaker import close_after_test
from postbacks.delivery.http.opening import open_transport
from postbacks.delivery.outcome import Outcome
from postbacks.delivery.wakeups import Wakeup
from postbacks.infrastructure.database.outages import is_outage
from postbacks.models import AttemptKind, PostbackStatus, TestSend
from postbacks.rulebook import test_send
from postbacks.values.outgoing_request import ClaimedPostback, Lease, RenderedPostback
from postbacks.values.uuid7 import uuid7

logger = logging.getLogger(__name__)

MOST_IN_FLIGHT = 16  # of one pump; an organization has far fewer
_LOOK_SECONDS = 1.0
_TIDY_SECONDS = 5.0
_LOST = "The worker that should have sent the test has ended. Send it again."
_NOT_TAKEN = "No worker took the test within a minute. Send it again."

_CLAIM = """
UPDATE test_send SET claimed_at = now() FROM (
    SELECT id FROM test_send
    WHERE claimed_at IS NULL AND made_at > now() - interval '1 minute'
    ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
) AS due WHERE test_send.id = due.id RETURNING test_send.organization_id, test_send.id
"""
# 45 seconds are more than twice what a request may take.
_FIND_LOST = """
SELECT organization_id, id FROM test_send
WHERE finished_at IS NULL AND made_at < now() - interval '45 seconds'
  AND (claimed_at < now() - interval '45 seconds'
       OR claimed_at IS NULL AND made_at < now() - interval '1 minute')
"""
_DELETE_READ = "DELETE FROM test_send WHERE finished_at < now() - interval '1 minute'"


@dataclass(slots=True)
class TestSender:
    """Sends tests for as long as its block runs; those that have begun end with it."""

    __test__ = False  # no class of tests, whatever pytest makes of its name

    _stopped: Event = field(default_factory=Event)
    _answered: SimpleQueue[tuple[TestSend, AttemptResult]] = field(default_factory=SimpleQueue)
    _wakeup: Wakeup = field(default_factory=Wakeup)
    _in_flight: int = 0
    _is_notified: bool = False
    _session: object = None  # that listens
    _next_tidy: float = 0.0
    _thread: Thread | None = None

    def __enter__(self) -> Self:
        self._thread = Thread(target=self.run, name="test-sender", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """Take no more tests."""
        self._stopped.set()
        self._wakeup.notify(is_urgent=True, is_batch_full=False)

    def run(self) -> None:
        """Send until stopped. An outage of the database is waited for."""
        with self._wakeup, ThreadPoolExecutor(MOST_IN_FLIGHT, "test") as pool, acting_as(SYSTEM):
            while not self._stopped.is_set() or self._in_flight:
                try:
                    self._step(pool)
                except Exception as error:
                    if is_outage(error):
                        logger.warning("Tests wait for the database: %s", type(error).__name__)
                        connection.close()
                    else:  # of one test: the others are sent all the same
                        logger.exception("A test could not be worked on")
                    time.sleep(_LOOK_SECONDS)  # also once it is stopped: it has answers to keep
        connection.close()

    def _step(self, pool: ThreadPoolExecutor) -> None:
        self._listen()
        self._keep_answers()
        if time.monotonic() >= self._next_tidy:
            self._next_tidy = time.monotonic() + _TIDY_SECONDS
            _tidy()
        for row in [] if self._stopped.is_set() else _claim(MOST_IN_FLIGHT - self._in_flight):
            self._in_flight += 1
            pool.submit(self._send, row)
        with self._wakeup.sleeping():
            has_ended = self._stopped.is_set() and not self._in_flight
            if self._answered.empty() and not self._is_notified and not has_ended:
                self._wakeup.wait(_LOOK_SECONDS, connection.connection.fileno())

    def _listen(self) -> None:
        """Listen for tests that are asked for, again after a lost connection."""
        connection.ensure_connection()
        if connection.connection is not self._session:
            self._session = connection.connection
            connection.connection.add_notify_handler(self._note_notification)
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {test_send.CHANNEL}")
        self._is_notified = False

    def _note_notification(self, _notification: object) -> None:
        # Called while any statement runs: it no longer shows on the socket then.
        self._is_notified = True

    def _send(self, row: TestSend) -> None:
        try:
            result = _sent(row)
        except Exception as error:
            logger.exception("Test %s broke", row.public_id)
            result = _unsent(row, f"The test could not be sent: {type(error).__name__}.")
        self._answered.put((row, result))
        self._wakeup.notify(is_urgent=True, is_batch_full=False)

    def _keep_answers(self) -> None:
        self._wakeup.clear()
        while True:
            try:
                row, result = self._answered.get_nowait()
            except Empty:
                return
            try:
                _keep(row, result)
            except Exception as error:
                if is_outage(error):
                    self._answered.put((row, result))
                    raise
                logger.exception("The answer to test %s could not be kept", row.public_id)
            self._in_flight -= 1


def _claim(most: int) -> list[TestSend]:
    if most <= 0:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [most])
        claimed = cursor.fetchall()
    return [row for keys in claimed if (row := _load(*keys)) is not None]


def _load(organization_id: int, id_: int) -> TestSend | None:
    """Return a row; None if its device or organization has just been forgotten."""
    with tenant(organization_id):
        return TestSend.objects.filter(pk=id_).first()


def _sent(row: TestSend) -> AttemptResult:
    with open_transport() as transport:
        result = attempt(_lease(row), _rendered(row), transport)
    if mark := test_send.mark_of(row):
        result = replace(result, detail=f"{mark} {result.detail}".strip())
    is_over = result.status != PostbackStatus.PENDING  # a test is tried once, whatever failed
    return result if is_over else replace(result, status=PostbackStatus.FAILED, wait_seconds=None)


def _rendered(row: TestSend) -> RenderedPostback:
    opened = decrypt(row.sealed, context=row.seal_context)
    return msgspec.json.decode(opened, type=RenderedPostback)


def _lane(row: TestSend) -> str:
    try:
        return _rendered(row).lane or ""
    except SecretUnreadableError:  # its key is gone: nothing was sent
        return ""


def _unsent(row: TestSend, detail: str) -> AttemptResult:
    lease = _lease(row)
    return AttemptResult(
        organization_id=row.organization_id,
        postback_id=0,
        event_received_at=row.made_at,
        rule_id=0,
        claim_id=lease.claim_id,
        number=1,
        rule_version=row.rule_version,
        kind=AttemptKind.TEST,
        started_at=datetime.now(UTC),
        duration_ms=0,
        timings=None,
        outcome=Outcome.FAILED,
        status=PostbackStatus.FAILED,
        status_code=None,
        error="internal",
        detail=detail,
        request={},
        response={},
        fingerprint="",
        wait_seconds=None,
    )


def _lease(row: TestSend) -> Lease:
    postback = ClaimedPostback(
        organization_id=row.organization_id,
        id=0,
        public_id=row.public_id,
        rule_id=0,
        rule_version=0,
        event_id=0,
        event_received_at=row.made_at,
        installed_at=None,
        created_at=row.made_at,
        attempts_made=0,
        fingerprint="",
    )
    return Lease(uuid7(datetime.now(UTC)), "", AttemptKind.TEST, 0, postback)


def _keep(row: TestSend, result: AttemptResult) -> None:
    """Store the answer for the request that waits, and in the log if the rule is saved."""
    bare = replace(result, request={}, response={})
    for candidate in (result, bare):
        try:
            with tenant(row.organization_id):
                _store(row, candidate)
        except DatabaseError as error:
            if is_outage(error):
                raise
            logger.exception("The answer to test %s was refused", row.public_id)
        else:
            return


def _store(row: TestSend, result: AttemptResult) -> None:
    # What the next probe would find out is known now.
    if row.sealed and close_after_test(result, _lane(row)):
        result = replace(result, detail=f"{result.detail} {test_send.HOST_ANSWERS}".strip())
    stored: Mapping[str, object] = msgspec.to_builtins(result)
    now = datetime.now(UTC)
    unfinished = TestSend.objects.filter(pk=row.pk, finished_at=None)
    if unfinished.update(sealed="", result=stored, finished_at=now) and row.rule_id is not None:
        test_send.log_test(row, result)


def _tidy() -> None:
    """End the tests that nobody sent or whose worker died; delete those whose answer is old."""
    with connection.cursor() as cursor:
        cursor.execute(_FIND_LOST)
        lost = cursor.fetchall()
        cursor.execute(_DELETE_READ)
    for organization_id, id_ in lost:
        row = _load(organization_id, id_)
        if row is not None:
            _keep(row, _unsent(row, _NOT_TAKEN if row.claimed_at is None else _LOST))
