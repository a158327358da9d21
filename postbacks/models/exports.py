"""Exports: lists that a worker writes into files, which people fetch for some days."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.db import models
from django.utils.text import slugify

from apps_registry.csv_format import FileFormat
from postbacks.models.export_schedules import ExportSchedule
from postbacks.models.jobs import JobStatus, ListJob


class ExportDoor(models.TextChoices):
    """Whose columns a file has."""

    API = "api", "The API's list"
    PAGE = "page", "The page's list"


class Export(ListJob):
    """A list under its filters, how far its file is, and where a killed worker's successor goes on.

    `filters` is the query of the list's address. The file's first `size` bytes end with the row at
    `reached_at` and `reached_id`. `run` counts how often the file was begun: each has another name,
    which nobody guesses.

    An export of a schedule has rows from `period_start` until `period_end`. Once its file is
    `is_written` it goes to `key` in the schedule's store, or to `folder_path` in EXPORT_DIR; after
    `upload_parts` of `upload_id` it goes on. Between two tries it waits until `next_try_at`.
    """

    door = models.CharField(max_length=8, choices=ExportDoor.choices)
    list_name = models.CharField(max_length=64)
    title = models.CharField(max_length=64)
    holds_devices = models.BooleanField(default=True)  # so that an erasure deletes the file
    format = models.CharField(max_length=8, choices=FileFormat.choices)
    filters = models.TextField(blank=True)
    run = models.PositiveIntegerField(default=1)
    file_name = models.CharField(max_length=64)
    rows = models.PositiveBigIntegerField(default=0)
    size = models.PositiveBigIntegerField(default=0)
    percent = models.PositiveSmallIntegerField(default=0)
    schedule = models.ForeignKey(
        ExportSchedule, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    period_start = models.DateTimeField(null=True)
    period_end = models.DateTimeField(null=True)
    key = models.CharField(max_length=512, blank=True, default="", db_default="")
    folder_path = models.CharField(max_length=512, blank=True, default="", db_default="")
    is_written = models.BooleanField(default=False, db_default=False)
    upload_id = models.CharField(max_length=1024, blank=True, default="", db_default="")
    upload_parts = models.JSONField(default=list)
    delivery_tries = models.PositiveSmallIntegerField(default=0, db_default=0)
    next_try_at = models.DateTimeField(null=True)

    class Meta(ListJob.Meta):
        db_table = "export"
        verbose_name = "export"
        indexes = [
            models.Index(
                fields=["worked_at"],
                condition=models.Q(status=JobStatus.RUNNING),
                name="export_to_work_on",
            ),
            models.Index(fields=["organization", "created_at", "id"], name="export_in_order"),
            models.Index(
                fields=["schedule", "period_start", "id"],
                condition=models.Q(schedule__isnull=False),
                name="export_by_schedule",
            ),
            models.Index(
                fields=["id"], condition=~models.Q(upload_id=""), name="export_with_upload"
            ),
        ]

    def __str__(self) -> str:
        return f"Export of {self.title}"

    @property
    def path(self) -> Path:
        return folder_of(self.organization_id) / self.file_name

    @property
    def download_name(self) -> str:
        """Return the name under which a browser stores the file."""
        return f"{slugify(self.title)}-{self.created_at:%Y-%m-%d}.{self.format}"

    def open_part(self) -> BinaryIO | None:
        """Open the file to write on after its first `size` bytes; None if so much isn't there."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        file = os.fdopen(descriptor, "r+b")
        if file.seek(0, os.SEEK_END) < self.size:  # another machine's, or the machine stopped
            file.close()
            return None
        file.truncate(self.size)
        file.seek(self.size)
        return file

    def begin_again(self) -> None:
        """Forget what the file has, in this row alone: the next portion begins a new file."""
        self.run += 1
        self.file_name = new_file_name()
        self.reached_id = self.reached_at = None
        self.rows = self.size = self.percent = 0
        self.is_written, self.upload_parts = False, []

    @property
    def delivered_path(self) -> Path | None:
        """Return where the file is in the operator's folder; None if it went elsewhere."""
        if not self.folder_path or settings.EXPORT_DIR is None:
            return None
        return Path(settings.EXPORT_DIR) / self.folder_path

    def delete_files(self) -> None:
        """Delete the file, and its copy in the operator's folder."""
        for path in (self.path, self.delivered_path):
            if path is not None:
                path.unlink(missing_ok=True)


def new_file_name() -> str:
    return secrets.token_hex(24)


def folder_of(organization_id: int) -> Path:
    return exports_folder() / str(organization_id)


def exports_folder() -> Path:
    return Path(settings.DATA_DIR) / "exports"


def stored_files() -> Iterator[Path]:
    """Yield the files of all exports on this machine."""
    yield from (path for path in exports_folder().glob("*/*") if path.is_file())
