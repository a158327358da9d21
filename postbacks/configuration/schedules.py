"""Scheduled exports in a configuration document, both ways, without their secret access keys."""

from typing import Any

from django.core.exceptions import ValidationError

from postbacks.configuration.document import SchedulePart
from postbacks.insights import export_schedules, schedule_checks
from postbacks.insights.schedule_filters import UnknownFilterError, address_of, names_of
from postbacks.models import ExportSchedule, ExportTarget, ScheduledList

SECRET = "secret access key"  # noqa: S105  # its name
SET_BY_SAVING = ("sealed", "ending", "next_period_at", "due_at")
_PLAIN = ("format", "interval", "target", "enabled")
_OF_STORES = ("endpoint", "region", "bucket", "prefix", "access_key_id")


def schedule_parts() -> list[SchedulePart]:
    """Return the schedules whose filters name nothing archived."""
    rows = ExportSchedule.objects.order_by("name")
    named = [(row, names_of(row.list_name, row.filters)) for row in rows]
    return [
        SchedulePart(
            name=row.name,
            list=row.list_name,
            filters=filters,
            **{name: getattr(row, name) for name in _PLAIN},
            **{name: getattr(row, name) for name in _OF_STORES if row.target == ExportTarget.S3},
        )
        for row, filters in named
        if filters is not None
    ]


def find_schedule(part: SchedulePart) -> tuple[ExportSchedule, dict[str, Any], bool]:
    """Return the schedule of a part, its values, and whether its secret must be entered.

    Then it is off. A secret is for one address and one access key. Raises ValidationError.
    """
    if part.list not in ScheduledList.values:
        raise ValidationError({"list": f"“{part.list}” is no list that can be scheduled."})
    try:
        filters = address_of(part.list, part.filters)
    except UnknownFilterError as error:
        raise ValidationError({"filters": str(error)}) from None
    row = ExportSchedule.objects.filter(name=part.name).first() or ExportSchedule(name=part.name)
    values = {"list_name": part.list, "filters": filters}
    values |= {name: getattr(part, name) for name in _PLAIN}
    if part.target != ExportTarget.S3:
        return row, values, False
    values |= {name: getattr(part, name) for name in _OF_STORES}
    lacks_secret = not (
        row.target == ExportTarget.S3
        and row.has_secret
        and row.endpoint == part.endpoint
        and row.access_key_id == part.access_key_id
    )
    return row, {**values, "enabled": part.enabled and not lacks_secret}, lacks_secret


def save_schedule(schedule: ExportSchedule) -> None:
    """Save an imported schedule, without the secret of another store. Raises ValidationError."""
    before = ExportSchedule.objects.filter(pk=schedule.pk).first()
    problems = dict(schedule_checks.problems(schedule, secret="", before=before))
    if problems.pop("secret", ""):
        schedule.seal("")
    if problems:
        raise ValidationError(problems)
    export_schedules.save(schedule)
