"""What django-q2 runs. Like the API's views, each task calls one function of ours.

The queue may lose tasks: in Redis a killed worker's are gone. Rows are the truth, and the
supervisor enqueues again what gives no sign of life.
"""

import functools
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from redis import RedisError

from apps_registry.audit.actors import SYSTEM, acting_as
from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.alerts import evaluation as alert_evaluation
from postbacks.alerts import sending as alert_sending
from postbacks.callbacks import rendering
from postbacks.delivery import lasting_failure, suspension_notices
from postbacks.delivery.breaker import delete_old_breakers
from postbacks.delivery.dead_pumps import (
    BegunRequests,
    ClaimIds,
    delete_old_journals,
    return_claims_of_dead_pumps,
)
from postbacks.delivery.http.opening import open_transport
from postbacks.delivery.loads import Loads
from postbacks.delivery.pump import Pump
from postbacks.delivery.shares import Speeds
from postbacks.delivery.wakeups import SharedNotifications
from postbacks.infrastructure import caches
from postbacks.infrastructure.database import partitions
from postbacks.infrastructure.processes import exempt_loaded_objects, is_running
from postbacks.infrastructure.rate_limits import limiter
from postbacks.insights import (
    device_identifiers,
    export_schedules,
    exports,
    figure_changes,
    fraud_report,
)
from postbacks.intake.claims import apple_ads
from postbacks.intake.events.queue import requeue_failed
from postbacks.intake.skadnetwork.recording import hand_over_copies
from postbacks.intake.skadnetwork.unclaimed import delete_expired_copies
from postbacks.models.heartbeats import CLUSTER, WorkerHeartbeat, wake_pumps
from postbacks.privacy import device_marks, erasure, retention
from postbacks.rulebook import discrepancies, dry_run, held_postbacks, replaying, saving
from postbacks.rulebook.test_sender import TestSender
from postbacks.worker.slots import Seat, exclusive
from postbacks.worker.task_queue import enqueue

logger = logging.getLogger(__name__)

_REQUEUE_SECONDS = 5.0
# Short, for the cluster shows that it lives by short tasks of the same workers.
_ERASE_SECONDS = 5.0
_ASK_APPLE_SECONDS = 5.0
_MOVE_SECONDS = 5.0
_HELD_SECONDS = 5.0
_FOLD_SECONDS = 5.0
_ALERT_SECONDS = 3.0
_APART_SECONDS = 0.5  # of processor time
_TIDY_SECONDS = 60.0
_APPLE_SLOT = -1  # no pump's
_MOVE_SLOT = -2
_LONG_WORK_SLOT = -3
_APART_SLOT = -4
_FIGURES_SLOT = -5
_ALERTS_SLOT = -6
_NOTICES_SLOT = -7
_SPEEDS: Speeds = {}  # of lanes, for the next pump of this process


def run_pump(slot: int) -> None:
    """Decide and deliver until the task's time is over, then hand on to the next task.

    The advisory lock keeps a slot to one pump: a task may come back after its worker was killed
    although another one has taken its place.
    """
    seat = Seat(slot)
    if not seat.take():
        return
    exempt_loaded_objects()
    ids = ClaimIds.make()
    beat_pump = PumpBeat(_heartbeat_name(f"pump:{slot}:{os.getpid()}"), ids, seat.keep)
    journal = BegunRequests(ids.journal)
    notifications = SharedNotifications(settings.DATA_DIR / "pump_notifications")
    loads = Loads(slot, settings.PUMPS, settings.DATA_DIR / "pump_loads")
    try:
        with TestSender() as tests, open_transport() as transport:

            def beat_or_stop() -> bool:
                should_continue = beat_pump()
                if not should_continue:
                    tests.stop()  # while the pump ends what it has begun, so that both end in time
                return should_continue

            Pump(
                transport=transport,
                decide=functools.partial(
                    pipeline.work, decide_elsewhere=decide_elsewhere, loads=loads
                ),
                prepare=rendering.render_postbacks,
                beat=beat_or_stop,
                hand_on=seat.hand_on,
                claim_ids=ids,
                journal=journal,
                notifications=notifications,
                loads=loads,
                speeds=_SPEEDS,
            ).run(seconds_until_turn(slot))
        journal.close()
        WorkerHeartbeat.objects.filter(name=beat_pump.name).delete()
    finally:
        notifications.close()
        loads.close()
        seat.release()
        ids.release_lock()


def seconds_until_turn(slot: int) -> float:
    """Return how long a pump works. Slots end at different times, so that some always work."""
    turn = settings.PUMP_SECONDS * slot / settings.PUMPS
    seconds = (turn - time.monotonic()) % settings.PUMP_SECONDS
    return seconds if seconds >= settings.PUMP_SECONDS / 4 else seconds + settings.PUMP_SECONDS


def decide_elsewhere(organization_id: int) -> None:
    """Have a worker of short tasks decide events whose rules take long."""
    try:
        enqueue("decide_apart", organization_id, cluster=settings.WORKER_NAME)
    except RedisError as error:  # the pump asks again
        logger.warning("The queue can't be reached: %s", error)


def decide_apart(organization_id: int) -> None:
    """Decide events of an organization whose rules take long; pumps ask for it again and again.

    One at a time, and not for long: the other worker of short tasks is left.
    """
    with exclusive(_APART_SLOT) as is_ours:
        if is_ours:
            pipeline.decide_apart(organization_id, _APART_SECONDS)
            wake_pumps()


def beat() -> None:
    """Show that the cluster takes and finishes tasks."""
    WorkerHeartbeat.beat(_heartbeat_name(CLUSTER))
    WorkerHeartbeat.beat(CLUSTER)


def tidy_up() -> None:
    """Make the coming days' partitions, look for fraud, and delete what has expired.

    Each run is time-boxed; leftovers wait for the next run.
    """
    partitions.ensure_partitions()
    delete_old_journals()
    retention.drop_old_days()
    fraud_report.record_outliers()
    exports.delete_orphans()
    until = time.monotonic() + _TIDY_SECONDS
    for delete_batch in (
        retention.delete_old_touchpoint_keys,
        retention.delete_old_repeats,
        retention.delete_old_refusals,
        retention.delete_old_event_keys,
        retention.delete_old_held,
        retention.delete_old_jobs,
        retention.delete_old_replays,
        retention.delete_old_incidents,
        retention.delete_ended_sessions,
        figure_changes.delete_old_figures,
        device_identifiers.delete_old_identifiers,
        delete_old_breakers,
        device_marks.delete_ended_marks,
        limiter.delete_expired_counts,
        caches.delete_expired_entries,
        delete_expired_copies,
        retention.shorten_touchpoints,
        retention.shorten_events,
    ):
        while time.monotonic() < until and delete_batch():
            pass


def tenant_task(task: Callable[[int], None]) -> Callable[[int, int], None]:
    """Run a task for one organization, whose id comes first, and for no other.

    The queue knows nothing of tenants: a payload holds ids, never what they lead to.
    """

    @functools.wraps(task)
    def of_organization(organization_id: int, row_id: int) -> None:
        with acting_as(SYSTEM), tenant(organization_id):
            task(row_id)

    return of_organization


@tenant_task
def notify_of_suspension(rule_id: int) -> None:
    """Mail the owners of a suspended rule's organization."""
    suspension_notices.notify_of_suspension(rule_id)


@tenant_task
def warn_of_failure(rule_id: int) -> None:
    """Mail the owners of a failing rule's organization."""
    suspension_notices.warn_of_failure(rule_id, now=datetime.now(UTC))


def judge_failing_rules() -> None:
    """Suspend rules that have failed for days, and enqueue mails about those on the way."""
    with acting_as(SYSTEM):
        failing = lasting_failure.judge_failing_rules(now=datetime.now(UTC))
    for organization_id, rule_id in failing:
        enqueue("warn_of_failure", organization_id, rule_id, cluster=settings.WORKER_NAME)


def enqueue_notices() -> None:
    """Enqueue a mail for each suspended rule and failing export whose owners had none yet."""
    for organization_id, rule_id in suspension_notices.unnotified_suspensions():
        enqueue("notify_of_suspension", organization_id, rule_id, cluster=settings.WORKER_NAME)
    for organization_id, schedule_id in export_schedules.unnotified_failures():
        enqueue(
            "notify_of_failed_export", organization_id, schedule_id, cluster=settings.WORKER_NAME
        )


@tenant_task
def notify_of_failed_export(schedule_id: int) -> None:
    """Mail the owners of a failing scheduled export's organization."""
    export_schedules.notify_of_failure(schedule_id)


def erase_devices() -> None:
    """Work off requests to erase a device; leftovers wait for the next run."""
    erasure.work(_ERASE_SECONDS)


def ask_apple() -> None:
    """Ask Apple about the installs that are due, for at most as long as a short task may take."""
    until = time.monotonic() + _ASK_APPLE_SECONDS
    with (
        exclusive(_APPLE_SLOT) as is_ours,  # two of them would leave no worker for anything else
        open_transport() as transport,
    ):
        while (
            is_ours
            and time.monotonic() < until
            and apple_ads.ask_about_next(transport, settings.ADSERVICES_URL)
        ):
            pass


def move_queued() -> None:
    """Move queued postbacks of saved rules to their lane; leftovers wait for the next run."""
    with exclusive(_MOVE_SLOT) as is_ours:
        if is_ours:
            saving.move_queued(_MOVE_SECONDS)


def work_on_held() -> None:
    """Send, drop or expire what rules hold; leftovers wait for the next run."""
    with acting_as(SYSTEM):
        held_postbacks.work(_HELD_SECONDS)


def work_on_replays() -> None:
    """Replay what people asked for; leftovers wait for the next run."""
    with acting_as(SYSTEM):
        replaying.work(_HELD_SECONDS)


def work_on_dry_runs() -> None:
    """Do a dry run; one at a time, so that the other worker of short tasks is left."""
    with exclusive(_LONG_WORK_SLOT) as is_ours:
        if is_ours:
            dry_run.work(show_life=beat)


def fold_figures() -> None:
    """Fold what was counted since the last minute; one at a time, for its rows are the figures'."""
    with exclusive(_FIGURES_SLOT) as is_ours:
        if is_ours:
            figure_changes.fold(_FOLD_SECONDS)


def judge_alerts() -> None:
    """Judge organizations' alerts in turn; leftovers wait for the next run."""
    with acting_as(SYSTEM), exclusive(_ALERTS_SLOT) as is_ours:
        if is_ours:
            alert_evaluation.work(_ALERT_SECONDS)


def send_alert_notices() -> None:
    """Send what alerts tell people and programs."""
    with exclusive(_NOTICES_SLOT) as is_ours, open_transport() as transport:
        if is_ours:  # two of them would leave no worker for anything else
            alert_sending.work(transport, _ALERT_SECONDS)


def work_on_exports() -> None:
    """Write at one export's file; no dry run is done meanwhile, for the same reason."""
    with (
        acting_as(SYSTEM),
        exclusive(_LONG_WORK_SLOT) as is_ours,
        open_transport() as transport,
    ):
        if is_ours:
            exports.work(transport, show_life=beat)


def work_on_discrepancies() -> None:
    """Compare a partner's list, likewise."""
    with acting_as(SYSTEM), exclusive(_LONG_WORK_SLOT) as is_ours:
        if is_ours:
            discrepancies.work(show_life=beat)


def sweep_queue() -> None:
    """Take what suspended and archived rules have in the queue out of it."""
    held_postbacks.sweep_queue(_HELD_SECONDS)


def _is_apple_due() -> bool:
    return bool(settings.ADSERVICES_URL) and apple_ads.is_any_due()


@dataclass(frozen=True, slots=True)
class Periodic:
    """A task of this module that the supervisor enqueues regularly, where it is needed."""

    task: str
    every: timedelta
    is_needed: Callable[[], bool] = lambda: True


PERIODIC = (
    Periodic("beat", every=timedelta(seconds=4)),
    Periodic("tidy_up", every=timedelta(hours=1)),
    Periodic("enqueue_notices", every=timedelta(seconds=30)),
    Periodic("judge_failing_rules", every=timedelta(minutes=1)),
    Periodic("erase_devices", every=timedelta(seconds=10)),
    Periodic("move_queued", every=timedelta(seconds=2), is_needed=saving.is_any_to_move),
    Periodic("work_on_held", every=timedelta(seconds=2), is_needed=held_postbacks.is_any_due),
    Periodic("work_on_replays", every=timedelta(seconds=2), is_needed=replaying.is_any_due),
    Periodic("work_on_dry_runs", every=timedelta(seconds=2), is_needed=dry_run.is_any_due),
    Periodic("work_on_exports", every=timedelta(seconds=2), is_needed=exports.is_any_due),
    Periodic(
        "work_on_discrepancies", every=timedelta(seconds=2), is_needed=discrepancies.is_any_due
    ),
    Periodic("sweep_queue", every=timedelta(seconds=15)),
    Periodic("fold_figures", every=timedelta(minutes=1)),
    Periodic("judge_alerts", every=timedelta(seconds=5), is_needed=alert_evaluation.is_any_due),
    Periodic("send_alert_notices", every=timedelta(seconds=2), is_needed=alert_sending.is_any_due),
    Periodic("ask_apple", every=timedelta(seconds=2), is_needed=_is_apple_due),
)


class PumpBeat:
    """Gives a pump's sign of life, and does what no event or answer calls for.

    It returns the claims of dead pumps to the queue, and requeues what waits: events whose decision
    had failed, and Apple's copies that belonged to no app when they came.
    """

    def __init__(
        self, name: str, claim_ids: ClaimIds, keep_seat: Callable[[], bool] = lambda: True
    ) -> None:
        self.name = name
        self._claim_ids = claim_ids
        self._keep_seat = keep_seat
        self._next_requeue = 0.0
        self._connection: object = None
        self._connected_at = 0.0
        self._has_lock = False  # on this connection

    def __call__(self) -> bool:
        connection.ensure_connection()
        if connection.connection is not self._connection:
            self._connection = connection.connection
            self._connected_at = time.monotonic()
            self._has_lock = False
        if not self._has_lock:
            self._has_lock = self._claim_ids.hold_lock()
        stop_requested = WorkerHeartbeat.beat(self.name, self._claim_ids.first)
        return_claims_of_dead_pumps(watched_for=time.monotonic() - self._connected_at)
        if time.monotonic() >= self._next_requeue:
            self._next_requeue = time.monotonic() + _REQUEUE_SECONDS
            with transaction.atomic():
                requeue_failed()
            hand_over_copies()
        return self._keep_seat() and not stop_requested and not _supervisor_is_gone()


def _heartbeat_name(part: str) -> str:
    return f"{settings.WORKER_NAME}:{part}"


def _supervisor_is_gone() -> bool:
    """Tell whether the supervisor was killed: its cluster must not go on without it."""
    return bool(settings.SUPERVISOR_PID) and not is_running(settings.SUPERVISOR_PID)
