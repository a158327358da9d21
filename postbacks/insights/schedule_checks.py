"""What a scheduled export needs before it is saved, whichever door it comes through."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from django.conf import settings
from django.http import QueryDict
from django.utils.text import slugify

from apps_registry.audit.audited_model import may_name_a_person
from apps_registry.csv_format import FileFormat
from postbacks.delivery.http.destinations import Destinations, problem_with_url
from postbacks.infrastructure.database.jobs import take_turns
from postbacks.insights import parquet_files
from postbacks.insights.schedule_filters import RESERVED, view_of
from postbacks.models import ExportSchedule, ExportTarget
from postbacks.models.export_schedules import MOST_SCHEDULES
from postbacks.values.refusals import no_room

_NO_NAME = "Use at least one letter or digit: the name becomes a folder."
_NO_PERSON = (
    "A filter of a schedule may not name a person or device: it would outlive the erasure of their "
    "data. Use event_name, app, partner, status or the like."
)
_NO_HTTPS = "Use https://: the files hold personal data."
_NO_PATH = "Leave path and query out: bucket and prefix have fields of their own."
NO_FOLDER = "The operator has set no EXPORT_DIR: choose a store, or ask for a folder."
_NEEDED = "A store needs it."
_SECRET_AGAIN = "Enter it again: it belonged to another address or access key."  # noqa: S105


def problems(
    schedule: ExportSchedule, *, secret: str, before: ExportSchedule | None
) -> Mapping[str, str]:
    """Return what is wrong with a schedule, by field; `secret` is empty if none was entered."""
    sentences = {
        "name": _name_problem(schedule),
        "filters": filter_problem(schedule.list_name, schedule.filters),
        "format": _format_problem(schedule),
    }
    if schedule.target == ExportTarget.FOLDER:
        sentences["target"] = "" if settings.EXPORT_DIR else NO_FOLDER
    else:
        sentences |= _store_problems(schedule, secret=secret, before=before)
    return {name: sentence for name, sentence in sentences.items() if sentence}


def filter_problem(list_name: str, filters: str) -> str:
    """Return what is wrong with the filters of a list's address, empty if nothing is."""
    query = QueryDict(filters)
    if name := next((name for name in RESERVED if name in query), ""):
        return f"Leave “{name}” out: each file has the rows of its own hour or day."
    if may_name_a_person(query):
        return _NO_PERSON
    return str(view_of(list_name).filter_problem(filters))


def _name_problem(schedule: ExportSchedule) -> str:
    if not slugify(schedule.name):
        return _NO_NAME
    take_turns("export_schedule")
    others = ExportSchedule.objects.exclude(pk=schedule.pk).count()
    return no_room(others, MOST_SCHEDULES, "scheduled exports", "Delete one that nobody needs.")


def _format_problem(schedule: ExportSchedule) -> str:
    is_parquet = schedule.format == FileFormat.PARQUET
    return parquet_files.IS_MISSING if is_parquet and not parquet_files.is_available() else ""


def _store_problems(
    schedule: ExportSchedule, *, secret: str, before: ExportSchedule | None
) -> dict[str, str]:
    needed = ("endpoint", "region", "bucket", "access_key_id")
    sentences = {name: "" if getattr(schedule, name) else _NEEDED for name in needed}
    if schedule.endpoint:
        sentences["endpoint"] = _endpoint_problem(schedule.endpoint)
    if not secret:
        sentences["secret"] = _missing_secret(schedule, before)
    return sentences


def _endpoint_problem(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    if parts.path.strip("/") or parts.query or parts.fragment:
        return _NO_PATH
    if parts.scheme != "https" and not settings.ALLOW_PRIVATE_DESTINATIONS:
        return _NO_HTTPS
    return problem_with_url(endpoint, Destinations(settings.ALLOW_PRIVATE_DESTINATIONS)) or ""


def _missing_secret(schedule: ExportSchedule, before: ExportSchedule | None) -> str:
    if before is None or before.target != ExportTarget.S3 or not before.has_secret:
        return _NEEDED
    same = ("endpoint", "access_key_id")
    is_same = all(getattr(schedule, name) == getattr(before, name) for name in same)
    return "" if is_same else _SECRET_AGAIN
