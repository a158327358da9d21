"""Scheduled exports: the hours and days of a zone, and when the file of each is made.

Each hour or day has one file, named by its beginning: who makes it again writes over it. Rows are
chosen by when they came, so none is late; a row that changes later is exported as it was.
"""

import re
from datetime import UTC, datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.http import QueryDict
from django.urls import reverse
from django.utils.text import slugify

from apps_registry.audit.actions import Action
from apps_registry.audit.actors import current_actor
from apps_registry.audit.audited_model import log_action
from apps_registry.mail_text import one_line
from apps_registry.models import Organization
from apps_registry.people.owner_mails import mail_owners
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database.jobs import take_turns
from postbacks.infrastructure.database.statements import rows
from postbacks.models import (
    Export,
    ExportDoor,
    ExportInterval,
    ExportSchedule,
    ExportTarget,
    JobStatus,
)
from postbacks.models.exports import new_file_name
from postbacks.models.jobs import KEPT_FOR
from postbacks.values.refusals import no_room

SETTLING = timedelta(minutes=10)  # until all that came in a period is certainly stored
MOST_RUNNING = 3  # of a schedule, that people start
CAUGHT_UP = KEPT_FOR  # periods that ended before are not made, if no worker ran
_QUARTER = timedelta(minutes=15)  # all zones are apart by whole ones
_DAY = timedelta(days=1)
_DUE = """
SELECT organization_id, id FROM export_schedule WHERE enabled AND due_at <= now()
ORDER BY due_at LIMIT 100
"""
_UNNOTIFIED = """
SELECT organization_id, id FROM export_schedule
WHERE failing_since IS NOT NULL AND notified_at IS NULL ORDER BY id LIMIT 200
"""
_LIST_WORDS = re.compile(r"[^a-z0-9]+")


class ExportRefusedError(Exception):
    """No export can be started now; the message says why and what to do."""


def next_boundary(after: datetime, interval: str, zone: ZoneInfo) -> datetime:
    """Return when the period ends that holds a moment: the next full hour or midnight there."""
    if interval == ExportInterval.DAILY:
        day = after.astimezone(zone).date() + _DAY
        return datetime.combine(day, time(), zone).astimezone(UTC)
    past = timedelta(
        minutes=after.minute % 15, seconds=after.second, microseconds=after.microsecond
    )
    moment = after.astimezone(UTC) - past + _QUARTER
    while moment.astimezone(zone).minute:
        moment += _QUARTER
    return moment


def last_period(now: datetime, interval: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the latest period that has ended."""
    start = next_boundary(now - 3 * _DAY, interval, zone)
    while (end := next_boundary(start, interval, zone)) <= now:
        last, start = (start, end), end
    return last


def period_name(start: datetime, interval: str, zone: ZoneInfo) -> str:
    """Return a period as files name it; no two of a zone have the same name.

    An hour that is repeated when clocks go back has a “b”; a period that a changed zone cut has its
    minute.
    """
    local = start.astimezone(zone)
    if interval == ExportInterval.DAILY:
        is_cut = next_boundary(start - timedelta.resolution, interval, zone) != start
        return f"{local:%Y-%m-%d}" + (f"T{local:%H%M}" if is_cut else "")
    minute = f"{local:%M}" if local.minute else ""
    return f"{local:%Y-%m-%dT%H}{minute}" + ("b" if local.fold else "")


def save(schedule: ExportSchedule, *, secret: str = "") -> None:
    """Save a schedule that was checked; a new one begins with the hour or day of now.

    So does one that was off, or whose interval changed. `secret` is empty if it stays.
    """
    before = ExportSchedule.objects.filter(pk=schedule.pk).first() if schedule.pk else None
    schedule.folder = slugify(schedule.name)
    if secret or not schedule.sealed:
        schedule.seal(secret)
    if before is None:
        schedule.created_by = current_actor().name
    is_new = before is None or before.interval != schedule.interval
    if is_new or (before is not None and schedule.enabled and not before.enabled):
        zone = zone_of(schedule.organization_id)
        _, schedule.next_period_at = last_period(datetime.now(UTC), schedule.interval, zone)
        end = next_boundary(schedule.next_period_at, schedule.interval, zone)
        schedule.due_at = end + SETTLING
    schedule.save()


def start_due(now: datetime | None = None) -> None:
    """Start the exports whose period has ended. Only the role worker sees every schedule."""
    for organization_id, schedule_id in rows(_DUE, {}):
        with tenant(organization_id):
            take_turns("export")  # somebody may just be exporting the same period
            due = ExportSchedule.objects.select_for_update(skip_locked=True)
            schedule = due.filter(pk=schedule_id, enabled=True).first()
            if schedule is not None:
                _start_next(schedule, now or datetime.now(UTC))


def delete(schedule: ExportSchedule) -> None:
    """Delete a schedule with its history and what it has in the operator's folder."""
    # Locked first, so that no worker starts its next file meanwhile.
    if not ExportSchedule.objects.select_for_update().filter(pk=schedule.pk).exists():
        return
    for export in Export.objects.filter(schedule=schedule):
        export.delete()
        transaction.on_commit(export.delete_files)
    schedule.delete()


def run_now(schedule: ExportSchedule) -> Export:
    """Export the latest period that has ended, in place of its file. Raises ExportRefusedError."""
    zone = zone_of(schedule.organization_id)
    start, end = last_period(datetime.now(UTC), schedule.interval, zone)
    return run_again(schedule, start, end)


def run_again(schedule: ExportSchedule, start: datetime, end: datetime) -> Export:
    """Export a period in place of its file. Raises ExportRefusedError."""
    take_turns("export")
    running = Export.objects.filter(schedule=schedule, status=JobStatus.RUNNING)
    if running.filter(period_start=start).exists():
        raise ExportRefusedError("This period is being exported; wait for it, or cancel it.")
    remedy = "Wait for one, or cancel it."
    whose = "A schedule"
    if refusal := no_room(running.count(), MOST_RUNNING, "exports under way", remedy, whose=whose):
        raise ExportRefusedError(refusal)
    log_action(Action.EXPORTED, name=f"{schedule.list_name} by schedule {schedule.name}")
    return _start(schedule, start, end, asked_by=current_actor().name)


def unnotified_failures() -> list[tuple[int, int]]:
    """Return organization and ID of the failing schedules whose owners had no mail yet."""
    return [
        (organization_id, schedule_id) for organization_id, schedule_id in rows(_UNNOTIFIED, {})
    ]


def notify_of_failure(schedule_id: int) -> None:
    """Mail the owners of the current organization that a schedule's exports fail."""
    unnotified = ExportSchedule.objects.filter(failing_since__isnull=False, notified_at=None)
    schedule = unnotified.select_for_update(skip_locked=True).filter(pk=schedule_id).first()
    if schedule is None:
        return
    _mark_notified(schedule_id, at=datetime.now(UTC))
    mail_owners(
        subject=f"Scheduled export failing: {one_line(schedule.name)}",
        body=_failure_text(schedule),
        undo=partial(_mark_notified, schedule_id, at=None),
    )


def _mark_notified(schedule_id: int, *, at: datetime | None) -> None:
    ExportSchedule.objects.filter(pk=schedule_id).update(notified_at=at)


def _failure_text(schedule: ExportSchedule) -> str:
    failed = Export.objects.filter(schedule=schedule, status=JobStatus.FAILED)
    last = failed.order_by("-id").values_list("failure", flat=True).first()
    page = reverse("admin:postbacks_exportschedule_change", args=[schedule.pk])
    return (
        f"A file of the scheduled export “{one_line(schedule.name)}” could not be delivered, "
        f"although it was tried for hours. {last or ''}\n\n"
        "The next files are tried all the same, and the first that arrives ends this. Files "
        "that failed can be exported again on the page:\n\n"
        f"{settings.PUBLIC_URL}{page}\n"
    )


def zone_of(organization_id: int) -> ZoneInfo:
    return ZoneInfo(Organization.objects.get(pk=organization_id).time_zone)


def _start_next(schedule: ExportSchedule, now: datetime) -> None:
    zone = zone_of(schedule.organization_id)
    start = schedule.next_period_at
    if start < now - CAUGHT_UP:
        start = next_boundary(now - CAUGHT_UP, schedule.interval, zone)
    end = next_boundary(start, schedule.interval, zone)
    if end + SETTLING <= now:
        _start(schedule, start, end, asked_by=schedule.created_by)
        start, end = end, next_boundary(end, schedule.interval, zone)
    schedule.next_period_at, schedule.due_at = start, end + SETTLING
    ExportSchedule.objects.filter(pk=schedule.pk).update(
        next_period_at=schedule.next_period_at, due_at=schedule.due_at
    )


def _start(schedule: ExportSchedule, start: datetime, end: datetime, *, asked_by: str) -> Export:
    now = datetime.now(UTC)
    zone = zone_of(schedule.organization_id)
    filters = QueryDict(schedule.filters, mutable=True)
    filters["since"], filters["until"] = start.isoformat(), end.isoformat()
    name = period_name(start, schedule.interval, zone)
    list_word = _LIST_WORDS.sub("-", schedule.list_name)
    key = f"{schedule.folder}/{list_word}-{name}.{schedule.format}"
    return Export.objects.create(
        schedule=schedule,
        period_start=start,
        period_end=end,
        key=f"{schedule.prefix}{key}" if schedule.target == ExportTarget.S3 else key,
        door=ExportDoor.API,
        list_name=schedule.list_name,
        title=schedule.list_name.replace("-", " "),
        format=schedule.format,
        filters=filters.urlencode(),
        asked_by=asked_by,
        created_at=now,
        expires_at=now + KEPT_FOR,
        worked_at=now,
        file_name=new_file_name(),
    )
