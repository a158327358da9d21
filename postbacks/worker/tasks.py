"""What django-q2 runs. Doors like the API's: each opens onto a function of ours.

The queue may lose tasks: in Redis a killed worker's are gone. Rows are the truth, and the
supervisor asks again for what gives no sign of life.
"""

import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection, transaction
from django_q.brokers import get_broker
from django_q.tasks import async_task

from apps_registry.audit.actors import SYSTEM, acting
from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.callbacks import rendering
from postbacks.delivery import suspension_notices
from postbacks.delivery.http.destinations import Destinations
from postbacks.delivery.http.sender import Sender
from postbacks.delivery.pump import Pump
from postbacks.infrastructure import caches
from postbacks.infrastructure.database import partitions
from postbacks.infrastructure.rate_limits import stores
from postbacks.insights import outlier_sites
from postbacks.intake.claims import apple_ads as asking
from postbacks.intake.events.queue import requeue_failed
from postbacks.intake.skadnetwork.handing_over import hand_over_copies
from postbacks.intake.skadnetwork.unclaimed import forget_old_copies
from postbacks.models.heartbeats import CLUSTER, WorkerHeartbeat
from postbacks.privacy import address_shortening, erasure, retention

_BRING_BACK_SECONDS = 5.0
# Short, for the cluster shows that it lives by short tasks of the same workers.
_ERASE_SECONDS = 5.0
_CLAIMS_SECONDS = 5.0
_TIDY_SECONDS = 60.0  # each hour
_CLAIMS_SLOT = -1  # no pump's


def pump(slot: int) -> None:
    """Decide and deliver until the task's time is over, then hand on to the next task.

    The advisory lock keeps a slot to one pump: a task may come back after its worker was killed
    although another one has taken its place.
    """
    with _slot(slot) as ours:
        if not ours:
            return
        with Sender(Destinations(settings.ALLOW_PRIVATE_DESTINATIONS)) as sender:
            Pump(
                sender=sender,
                decide=pipeline.work,
                prepare=rendering.prepare,
                beat=_Beat(_name(f"pump:{slot}")),
            ).run(settings.PUMP_SECONDS)
    if _supervisor_is_gone() or WorkerHeartbeat.beat(_name(f"pump:{slot}")):
        WorkerHeartbeat.objects.filter(name=_name(f"pump:{slot}")).delete()  # it has stopped
    else:
        start_pump(slot, cluster=settings.WORKER_NAME)


def beat() -> None:
    """Show that the cluster takes and finishes tasks."""
    WorkerHeartbeat.beat(_name(CLUSTER))
    WorkerHeartbeat.beat(CLUSTER)


def housekeeping() -> None:
    """Make the coming days' partitions, look for fraud, forget what nobody asks for any more.

    What there is too much of for one time is gone on with the next time.
    """
    partitions.ensure_partitions()
    retention.drop_old_days()
    outlier_sites.look_for_outliers()
    until = time.monotonic() + _TIDY_SECONDS
    for forget in (
        retention.forget_old_touchpoint_keys,
        retention.forget_old_repeats,
        partitions.forget_old_event_keys,
        stores.forget_old_counts,
        caches.forget_old_entries,
        forget_old_copies,
        address_shortening.shorten_touchpoints,
        address_shortening.shorten_events,
    ):
        while time.monotonic() < until and forget():
            pass


def tenant_task(task: Callable[[int], None]) -> Callable[[int, int], None]:
    """Have a task work for one organization, whose id comes first, and for no other.

    The queue knows nothing of tenants: a payload holds ids, never what they lead to.
    """

    @functools.wraps(task)
    def of_organization(organization_id: int, row_id: int) -> None:
        with acting(SYSTEM), tenant(organization_id):
            task(row_id)

    return of_organization


@tenant_task
def tell_of_suspension(rule_id: int) -> None:
    """Tell the owners that a rule was suspended."""
    suspension_notices.tell_of_suspension(rule_id)


def notice() -> None:
    """Have somebody told of whatever happened to their organization."""
    for organization_id, rule_id in list(suspension_notices.untold_suspensions()):
        async_task(
            "postbacks.worker.tasks.tell_of_suspension",
            organization_id,
            rule_id,
            cluster=settings.WORKER_NAME,
        )


def forget_devices() -> None:
    """Work off requests to forget a device for a while; what is left waits for the next time."""
    erasure.work(_ERASE_SECONDS)


def start_forgetting(*, cluster: str) -> None:
    """Have a worker forget the devices that somebody asked to forget."""
    async_task("postbacks.worker.tasks.forget_devices", cluster=cluster)


def claims() -> None:
    """Ask Apple about the installs that are due, for at most as long as a short task may take."""
    until = time.monotonic() + _CLAIMS_SECONDS
    with (
        _slot(_CLAIMS_SLOT) as ours,  # one of them at a time, or none is left for anything else
        Sender(Destinations(settings.ALLOW_PRIVATE_DESTINATIONS)) as sender,
    ):
        while (
            ours
            and time.monotonic() < until
            and asking.ask_about_one(sender, settings.ADSERVICES_URL)
        ):
            pass


def start_claims(*, cluster: str) -> None:
    """Have a worker ask Apple, if there is anything to ask."""
    if settings.ADSERVICES_URL and asking.is_any_due():
        async_task("postbacks.worker.tasks.claims", cluster=cluster)


def start_notice(*, cluster: str) -> None:
    """Have a worker look whether somebody must be told of something."""
    async_task("postbacks.worker.tasks.notice", cluster=cluster)


def start_pump(slot: int, *, cluster: str) -> None:
    """Have a worker of the cluster run a pump."""
    async_task("postbacks.worker.tasks.pump", slot, cluster=cluster)


def ask_for_beat(*, cluster: str) -> None:
    """Have a worker show that its cluster works."""
    async_task("postbacks.worker.tasks.beat", cluster=cluster)


def start_housekeeping(*, cluster: str) -> None:
    """Have a worker tidy up."""
    async_task("postbacks.worker.tasks.housekeeping", cluster=cluster)


def forget_waiting_tasks(*, cluster: str) -> None:
    """Empty a cluster's queue of tasks: when it starts anew they are all asked for anew."""
    get_broker(cluster).purge_queue()


class _Beat:
    """Gives a pump's sign of life, and brings back what waits: events whose decision had failed,
    and copies of Apple's whose app was nobody's.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.next_bring_back = 0.0

    def __call__(self) -> bool:
        if time.monotonic() >= self.next_bring_back:
            self.next_bring_back = time.monotonic() + _BRING_BACK_SECONDS
            with transaction.atomic():
                requeue_failed()
            hand_over_copies()
        return not WorkerHeartbeat.beat(self.name) and not _supervisor_is_gone()


def _name(part: str) -> str:
    return f"{settings.WORKER_NAME}:{part}"


def _supervisor_is_gone() -> bool:
    """Tell whether the supervisor was killed: its cluster must not go on without it."""
    if not settings.SUPERVISOR_PID:
        return False
    try:
        os.kill(settings.SUPERVISOR_PID, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


@contextmanager
def _slot(slot: int) -> Iterator[bool]:
    key: tuple[str, int] = (settings.WORKER_NAME, slot)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s), %s)", key)
        ours = bool(cursor.fetchone()[0])
    try:
        yield ours
    finally:
        if ours and connection.connection is not None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtext(%s), %s)", key)
