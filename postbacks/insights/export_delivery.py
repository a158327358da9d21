"""Scheduled exports on their way: a whole file goes to a store in parts, or into a folder.

Each part that a store took is stored in the row, so that a killed worker's successor goes on after
it. What fails is tried again, later each time; then the export has failed and its schedule's owners
have a mail. A file that was delivered is deleted here.
"""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

from django.conf import settings

from apps_registry.crypto.encryption import SecretUnreadableError
from apps_registry.models import Organization
from apps_registry.tenancy import tenant
from postbacks.delivery.http.transport import Transport
from postbacks.delivery.object_storage.signing import AccessKey
from postbacks.delivery.object_storage.store import MOST_PARTS, SMALLEST_PART, Bucket, StoreError
from postbacks.infrastructure.database.statements import rows
from postbacks.models import Export, ExportSchedule, ExportTarget, JobStatus

# Between tries that brought no part further; one more than there are waits is the last.
WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360))
_ENDED_WITH_UPLOAD = """
SELECT organization_id, id FROM export WHERE upload_id <> '' AND status <> 'running'
ORDER BY id LIMIT 10
"""
_NO_FOLDER = "The operator has set no EXPORT_DIR any more. Choose a store, or ask the operator."
_UNREADABLE = "The secret access key can't be decrypted any more: enter it again."


def deliver(
    export_id: int,
    organization_id: int,
    transport: Transport,
    *,
    until: float,
    show_life: Callable[[], None],
) -> None:
    """Take a whole file where its schedule says, until a time; the next turn goes on."""
    with tenant(organization_id):
        export = Export.unfinished(export_id).select_related("schedule").first()
        if export is None or export.schedule is None:
            return
        organization = str(Organization.objects.get(pk=organization_id).public_id)
    try:
        if export.schedule.target == ExportTarget.FOLDER:
            _place(export, organization)
        else:
            _Upload(export, export.schedule, transport).run(until, show_life)
    except FileNotFoundError:
        _begin_again(export)
    except (StoreError, OSError, SecretUnreadableError) as error:
        _note_failure(export, _sentence(error))


def abort_ended(transport: Transport) -> None:
    """Have stores forget the parts of exports that were cancelled or have failed, once each."""
    for organization_id, export_id in rows(_ENDED_WITH_UPLOAD, {}):
        with tenant(organization_id):
            export = Export.objects.select_related("schedule").get(pk=export_id)
            Export.objects.filter(pk=export_id).update(upload_id="", upload_parts=[])
        _abort(export, transport)


def _abort(export: Export, transport: Transport) -> None:
    if export.schedule is None:
        return
    try:
        bucket_of(export.schedule).abort_upload(transport, export.key, export.upload_id)
    except (StoreError, SecretUnreadableError):
        return  # a rule of the bucket deletes it, as the documentation advises


def bucket_of(schedule: ExportSchedule) -> Bucket:
    """Return a schedule's store, which keeps its secret. Raises SecretUnreadableError."""
    key = AccessKey(schedule.access_key_id, schedule.reveal(), schedule.region)
    return Bucket(schedule.endpoint.rstrip("/"), schedule.bucket, key)


class _Upload:
    """One worker's turn at the upload of one export."""

    def __init__(self, export: Export, schedule: ExportSchedule, transport: Transport) -> None:
        self.export = export
        self._bucket = bucket_of(schedule)
        self._transport = transport
        self._part_size = max(SMALLEST_PART, -(-export.size // (MOST_PARTS - 1)))

    def run(self, until: float, show_life: Callable[[], None]) -> None:
        """Send the file whole if it is one part, else the parts that are left."""
        export = self.export
        with export.path.open("rb") as file:
            if export.size <= self._part_size:
                self._bucket.put(self._transport, export.key, file.read())
                _finish(export)
                return
            if not self._is_begun():
                return
            file.seek(len(export.upload_parts) * self._part_size)
            while data := file.read(self._part_size):
                if not self._send_part(data):
                    return
                show_life()
                if monotonic() >= until:
                    return
        self._complete()

    def _is_begun(self) -> bool:
        export = self.export
        if export.upload_id and export.upload_parts:
            return True
        if export.upload_id:  # of a file that was begun again
            _abort(export, self._transport)
        export.upload_id = self._bucket.begin_upload(self._transport, export.key)
        return _store(export, upload_id=export.upload_id)

    def _send_part(self, data: bytes) -> bool:
        export = self.export
        part = (export.upload_id, len(export.upload_parts) + 1)
        try:
            tag = self._bucket.put_part(self._transport, export.key, part, data)
        except StoreError as error:
            self._forget_if_gone(error)
            raise
        export.upload_parts.append(tag)
        export.delivery_tries = 0
        return _store(export, upload_parts=export.upload_parts, delivery_tries=0)

    def _complete(self) -> None:
        export = self.export
        try:
            self._bucket.complete_upload(
                self._transport, export.key, export.upload_id, export.upload_parts
            )
        except StoreError as error:
            self._forget_if_gone(error)
            raise
        _finish(export)

    def _forget_if_gone(self, error: StoreError) -> None:
        if error.is_gone:
            _store(self.export, upload_id="", upload_parts=[])


def _place(export: Export, organization: str) -> None:
    """Copy the file into the operator's folder, where it is whole once it has its name."""
    if settings.EXPORT_DIR is None:
        raise StoreError(_NO_FOLDER)
    path = f"{organization}/{export.key}"
    target = Path(settings.EXPORT_DIR) / path
    target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{export.file_name}")
    try:
        with export.path.open("rb") as source, part.open("wb") as copy:
            os.fchmod(copy.fileno(), 0o640)
            shutil.copyfileobj(source, copy, 1024 * 1024)
            copy.flush()
            os.fsync(copy.fileno())
        # Named in the row first: who erases a device, or deletes what has expired, finds it.
        if _store(export, folder_path=path):
            with tenant(export.organization_id):
                older = Export.objects.filter(folder_path=path).exclude(pk=export.pk)
                older.update(folder_path="")
            part.replace(target)
            if not _finish(export):  # cancelled, deleted, or erased meanwhile
                target.unlink(missing_ok=True)
    finally:
        part.unlink(missing_ok=True)


def _finish(export: Export) -> bool:
    ended = {
        "status": JobStatus.FINISHED,
        "finished_at": datetime.now(UTC),
        "failure": "",
        "upload_id": "",
        "upload_parts": [],
    }
    if not _store(export, **ended):
        return False
    with tenant(export.organization_id):
        schedule = ExportSchedule.objects.filter(pk=export.schedule_id or 0)
        schedule.update(failing_since=None, notified_at=None)
    export.path.unlink(missing_ok=True)
    return True


def _begin_again(export: Export) -> None:
    before = export.run
    export.begin_again()
    names = ("run", "file_name", "reached_id", "reached_at", "rows", "size", "percent")
    values = {name: getattr(export, name) for name in (*names, "is_written", "upload_parts")}
    with tenant(export.organization_id):
        Export.unfinished(export.pk).filter(run=before).update(**values)


def _note_failure(export: Export, failure: str) -> None:
    """Have an export wait for its next try, or fail if there were enough."""
    now = datetime.now(UTC)
    tries = export.delivery_tries + 1
    if tries <= len(WAITS):
        wait = now + WAITS[tries - 1]
        _store(export, delivery_tries=tries, next_try_at=wait, failure=failure[:255])
        return
    with tenant(export.organization_id):
        if Export.end(export.pk, JobStatus.FAILED, failure=failure[:255]):
            note_failed(export.schedule_id, now)
    export.path.unlink(missing_ok=True)


def note_failed(schedule_id: int | None, now: datetime) -> None:
    """Note in the current organization that a schedule fails; its owners are told once."""
    healthy = ExportSchedule.objects.filter(pk=schedule_id or 0, failing_since=None)
    healthy.update(failing_since=now)


def _store(export: Export, **values: object) -> bool:
    """Change an export that still runs; tell whether it does."""
    with tenant(export.organization_id):
        ours = Export.unfinished(export.pk).filter(run=export.run)
        return bool(ours.update(worked_at=datetime.now(UTC), **values))


def _sentence(error: Exception) -> str:
    if isinstance(error, SecretUnreadableError):
        return _UNREADABLE
    if isinstance(error, OSError):
        return f"The folder can't be written to ({error.strerror}). Tell the operator."
    return str(error)
