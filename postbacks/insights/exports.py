"""Exports: lists of any size that workers write into files, portion after portion.

A door knows how to read its lists (`ListToExport`); it is found by the address of an API's list or
the model of a page's. A worker that is killed loses at most a second: the next one goes on after
the last row that was stored, or begins again where the file isn't on its machine. Nobody is offered
a file before its end.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Protocol, cast

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.db import transaction
from django.http import QueryDict
from django.urls import resolve

from apps_registry import csv_format
from apps_registry.audit.actions import Action
from apps_registry.audit.actors import current_actor
from apps_registry.audit.audited_model import log_action, logged_filters
from apps_registry.csv_format import ColumnType, FileFormat
from apps_registry.tenancy import tenant
from postbacks.delivery.http.transport import Transport
from postbacks.infrastructure.database.jobs import held_job, take_turns
from postbacks.infrastructure.database.outages import is_outage
from postbacks.infrastructure.database.statements import rows
from postbacks.insights import export_delivery, export_schedules, parquet_files
from postbacks.insights.export_schedules import ExportRefusedError
from postbacks.insights.keyset import KeysetPosition
from postbacks.models import Export, ExportDoor, JobStatus
from postbacks.models.exports import exports_folder, new_file_name, stored_files
from postbacks.models.jobs import KEPT_FOR
from postbacks.values.refusals import no_room

logger = logging.getLogger(__name__)

MOST_RUNNING = 3  # of an organization
MOST_KEPT = 50  # likewise
TURN_SECONDS = 10.0  # of one export, then the next one has the worker
_SAVE_SECONDS = 1.0
_FREE_BYTES = 500_000_000  # of the disk, which are left to others
_ORPHAN_SECONDS = 60.0  # a file is older than its row: it is being made
_WAITING = """
SELECT organization_id, id FROM export
WHERE status = 'running' AND (next_try_at IS NULL OR next_try_at <= now())
ORDER BY worked_at LIMIT 100
"""
_IS_ANY_DUE = """
SELECT EXISTS (
        SELECT FROM export
        WHERE status = 'running' AND (next_try_at IS NULL OR next_try_at <= now())
    )
    OR EXISTS (SELECT FROM export WHERE expires_at < now())
    OR EXISTS (SELECT FROM export WHERE upload_id <> '' AND status <> 'running')
    OR EXISTS (SELECT FROM export_schedule WHERE enabled AND due_at <= now())
"""
_SIZES = """
SELECT coalesce(sum(size) FILTER (WHERE organization_id = %(organization)s), 0),
       coalesce(sum(size), 0)
FROM export
WHERE status = 'running' OR status = 'finished' AND (schedule_id IS NULL OR folder_path <> '')
"""
_DELETE_EXPIRED = """
DELETE FROM export WHERE expires_at < now() RETURNING organization_id, file_name, folder_path
"""
_FILE_NAMES = """
SELECT file_name FROM export WHERE status = 'running' OR status = 'finished' AND schedule_id IS NULL
"""


@dataclass(frozen=True, slots=True)
class FilePortion:
    """Some rows as bytes, and the position of the last of them, None if no row follows it."""

    data: bytes
    rows: int
    end: KeysetPosition | None


class ListToExport(Protocol):
    """A list under its filters, read newest first."""

    @property
    def heading(self) -> bytes:
        """What the file begins with."""

    @property
    def column_types(self) -> Mapping[str, ColumnType]:
        """What its columns hold, for a format that knows types."""

    def portion(self, start: KeysetPosition | None, size: int) -> FilePortion:
        """Return at most so many rows after a position."""

    def oldest(self) -> KeysetPosition | None:
        """Return the position of the list's oldest row, which tells how far an export is."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What a person asks for: a list, by the address or model of its door, and a format."""

    door: ExportDoor
    list_name: str
    title: str
    filters: str
    format: FileFormat
    holds_devices: bool = True


def stream(
    file: ListToExport,
    organization_id: int,
    *,
    start: KeysetPosition | None = None,
    truncated: bytes = b"",
) -> Iterator[bytes]:
    """Yield a file as it is read, up to MAX_ROWS; `truncated` says that there are more.

    It is sent after the request's transaction has ended, so each portion enters the tenant again.
    """
    yield file.heading
    position, left = start, csv_format.MAX_ROWS
    while left:
        with tenant(organization_id):
            portion = file.portion(position, min(left, csv_format.CHUNK_SIZE))
        yield portion.data
        if portion.end is None:
            return
        position, left = portion.end, left - portion.rows
    yield truncated


def start(request: ExportRequest) -> Export:
    """Have a worker write a file. Raises ExportRefusedError."""
    if request.format == FileFormat.PARQUET and not parquet_files.is_available():
        raise ExportRefusedError(parquet_files.IS_MISSING)
    now = datetime.now(UTC)
    take_turns("export")
    by_hand = Export.objects.filter(schedule=None)
    running = by_hand.filter(status=JobStatus.RUNNING).count()
    refusal = no_room(
        running, MOST_RUNNING, "exports under way", "Wait for one, or cancel it."
    ) or no_room(by_hand.count(), MOST_KEPT, "exports", "Delete some that you don't need.")
    if refusal:
        raise ExportRefusedError(refusal)
    export = Export.objects.create(
        door=request.door,
        list_name=request.list_name,
        title=request.title,
        holds_devices=request.holds_devices,
        format=request.format,
        filters=request.filters,
        asked_by=current_actor().name,
        created_at=now,
        expires_at=now + KEPT_FOR,
        worked_at=now,
        file_name=new_file_name(),
    )
    _log(export)
    return export


def cancel(export: Export) -> bool:
    """Stop an export and delete what there is of its file; tell whether it was running."""
    was_running = Export.end(export.pk, JobStatus.CANCELLED)
    if was_running:
        _delete_file_at_commit(export)
    return was_running


def delete(export: Export) -> None:
    """Delete an export with its file."""
    Export.objects.filter(pk=export.pk).delete()
    _delete_file_at_commit(export)


def open_to_download(export: Export) -> BinaryIO | None:
    """Open the file of an export that is ready, and log who takes it; None if it is not there."""
    is_ready = export.status == JobStatus.FINISHED and export.expires_at > datetime.now(UTC)
    if not is_ready:
        return None
    try:
        file = export.path.open("rb")
    except FileNotFoundError:
        return None
    _log(export, name=f"{export.title} (file)")
    return file


def is_any_due() -> bool:
    """Tell whether an export is to be written, or an old one to be deleted."""
    return bool(rows(_IS_ANY_DUE, {})[0][0])


def work(
    transport: Transport,
    seconds: float = TURN_SECONDS,
    *,
    show_life: Callable[[], None] = lambda: None,
) -> None:
    """Give the export that has waited longest one turn, and delete those that have expired.

    Those of schedules are started before. Only the role worker may do this; it sees every
    organization's rows.
    """
    delete_expired()
    export_schedules.start_due()
    export_delivery.abort_ended(transport)
    with held_job("export", _WAITING) as job:
        if job is not None and _begin_turn(*job):
            turn = _Turn(transport, time.monotonic() + seconds, show_life)
            _write_or_fail(*job, turn)
            Export.end_turn(*job)
            show_life()


@dataclass(frozen=True, slots=True)
class _Turn:
    """What a worker has for one export, and until when."""

    transport: Transport
    until: float
    show_life: Callable[[], None]


def _begin_turn(organization_id: int, export_id: int) -> bool:
    """Count a try; note for the owners of a schedule that its export is given up."""
    if Export.begin_turn(organization_id, export_id):
        return True
    with tenant(organization_id):
        export = Export.objects.filter(pk=export_id, status=JobStatus.FAILED).first()
        if export is not None:
            export_delivery.note_failed(export.schedule_id, datetime.now(UTC))
    return False


def delete_expired() -> None:
    """Delete exports whose time is over, with their files."""
    for organization_id, name, path in rows(_DELETE_EXPIRED, {}):
        Export(organization_id=organization_id, file_name=name, folder_path=path).delete_files()


def delete_orphans() -> int:
    """Delete files that no export names: of cancelled, erased and removed ones; return how many."""
    before = time.time() - _ORPHAN_SECONDS
    files = []
    for path in stored_files():
        with suppress(FileNotFoundError):  # deleted meanwhile
            if path.stat().st_mtime < before:
                files.append(path)
    named = {name for (name,) in rows(_FILE_NAMES, {})}
    orphans = [path for path in files if path.name not in named]
    for path in orphans:
        path.unlink(missing_ok=True)
    return len(orphans)


def open_list(export: Export) -> ListToExport:
    """Return the list of an export as its door reads it."""
    if export.door == ExportDoor.API:
        view = cast(Any, resolve(f"/api/v1/{export.list_name}").func).cls
        return cast(ListToExport, view.open_file(export.filters, export.format))
    page: Any = admin.site.get_model_admin(apps.get_model(export.list_name))
    return cast(ListToExport, page.open_file(export.filters, export.format))


def filters_in_words(export: Export) -> str:
    """Return the filters as people write them, empty if there are none."""
    return " · ".join(f"{name}: {value}" for name, value in QueryDict(export.filters).items())


def _log(export: Export, *, name: str = "") -> None:
    changes = logged_filters(QueryDict(export.filters))
    log_action(Action.EXPORTED, name=name or export.title, changes=changes)


def _delete_file_at_commit(export: Export) -> None:
    transaction.on_commit(export.delete_files)


def _write_or_fail(organization_id: int, export_id: int, turn: _Turn) -> None:
    try:
        with tenant(organization_id):
            export = Export.unfinished(export_id).first()
            if export is None:
                return  # it ended a moment ago
            if not export.is_written:
                writer = _Writer(export, open_list(export), turn.show_life)
        if export.is_written:
            export_delivery.deliver(
                export_id,
                organization_id,
                turn.transport,
                until=turn.until,
                show_life=turn.show_life,
            )
        else:
            writer.run(turn.until)
    except Exception as error:
        if is_outage(error):
            raise  # another turn goes on
        logger.exception("Export %d broke", export_id)
        _fail(organization_id, export_id, "It broke; the log of the worker says why.")


def _fail(organization_id: int, export_id: int, failure: str) -> None:
    with tenant(organization_id):
        export = Export.unfinished(export_id).first()
        if export is None:
            return
        if Export.end(export_id, JobStatus.FAILED, failure=failure):
            export_delivery.note_failed(export.schedule_id, datetime.now(UTC))
        _delete_file_at_commit(export)


class _Writer:
    """One worker's turn at one export."""

    def __init__(self, export: Export, source: ListToExport, show_life: Callable[[], None]) -> None:
        self.export = export
        self._source = source
        self._show_life = show_life
        self._organization_id = export.organization_id
        self._oldest = source.oldest()
        self._ended = False

    def run(self, until: float) -> None:
        """Write until the end of the list or of the turn."""
        file = self._open()
        if file is None:
            return
        with file:
            if not self.export.size:
                self._write(file, self._source.heading)
            next_save = time.monotonic() + _SAVE_SECONDS
            while not self._ended:
                self._write_portion(file)
                now = time.monotonic()
                if (now >= min(next_save, until) or self._ended) and not self._save(file):
                    return
                if now >= until:
                    return
                if now >= next_save:
                    next_save = now + _SAVE_SECONDS

    def _open(self) -> BinaryIO | None:
        file = self.export.open_part()
        if file is not None:
            return file
        before = self.export.run
        self.export.begin_again()
        return self.export.open_part() if self._store(run=before) else None

    def _write_portion(self, file: BinaryIO) -> None:
        export = self.export
        start = None
        if export.reached_id is not None:
            start = KeysetPosition(export.reached_id, export.reached_at)
        with tenant(self._organization_id):
            portion = self._source.portion(start, csv_format.CHUNK_SIZE)
        self._write(file, portion.data)
        export.rows += portion.rows
        self._ended = portion.end is None
        if portion.end is not None:
            export.reached_id, export.reached_at = portion.end.id, portion.end.moment
            export.percent = max(export.percent, self._percent(portion.end))

    def _write(self, file: BinaryIO, data: bytes) -> None:
        file.write(data)
        self.export.size += len(data)

    def _percent(self, reached: KeysetPosition) -> int:
        """Return how much of the list's time is through: rows are never counted."""
        if self._oldest is None or self._oldest.moment is None or reached.moment is None:
            return 0
        whole = self.export.created_at - self._oldest.moment
        done = self.export.created_at - reached.moment
        return max(0, min(99, round(100 * (done / whole)))) if whole else 0

    def _save(self, file: BinaryIO) -> bool:
        """Store how far the file is, once its bytes are on the disk; tell whether to go on."""
        file.flush()
        os.fsync(file.fileno())
        if not self._ended and (failure := self._no_room()):
            _fail(self._organization_id, self.export.pk, failure)
            return False
        written = self.export.path
        if self._ended:
            self._finish()
        if self._store(run=self.export.run):
            if self.export.path != written:
                written.unlink(missing_ok=True)
            return True
        for path in {written, self.export.path}:
            path.unlink(missing_ok=True)  # cancelled, deleted, or erased meanwhile
        return False

    def _finish(self) -> None:
        export = self.export
        export.percent, export.is_written = 100, True
        if export.schedule_id is None:  # others have to be delivered
            export.status, export.finished_at = JobStatus.FINISHED, datetime.now(UTC)
        if export.format == FileFormat.PARQUET:
            lines, export.file_name = export.path, new_file_name()
            types = self._source.column_types
            export.path.touch(mode=0o600)
            export.size = parquet_files.write(lines, export.path, types, self._show_life)

    def _store(self, *, run: int) -> bool:
        export = self.export
        names = (
            "status",
            "finished_at",
            "is_written",
            "run",
            "file_name",
            "reached_id",
            "reached_at",
        )
        values = {name: getattr(export, name) for name in (*names, "rows", "size", "percent")}
        with tenant(self._organization_id):
            ours = Export.unfinished(export.pk).filter(run=run)
            return bool(ours.update(**values, worked_at=datetime.now(UTC)))

    def _no_room(self) -> str:
        """Return why the file may not grow, empty if it may."""
        ((of_organization, of_all),) = rows(_SIZES, {"organization": self._organization_id})
        most = settings.EXPORT_MEGABYTES_OF_ORGANIZATION
        if of_organization > most * 10**6:
            return (
                f"The files of an organization may have {most:,} MB together. "
                "Delete some exports, or choose a shorter time."
            )
        if (
            of_all > settings.EXPORT_MEGABYTES * 10**6
            or shutil.disk_usage(exports_folder()).free < _FREE_BYTES
        ):
            return "The server has no room for more exports now. Ask its operator, or try tomorrow."
        return ""
