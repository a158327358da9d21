"""Schedules of exports: which list goes where, how often, and how far they are."""

import uuid
from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.text import slugify

from apps_registry.crypto.encryption import SecretUnreadableError
from apps_registry.csv_format import FileFormat
from apps_registry.models.sealed import SealedSecret
from apps_registry.tenancy import TenantModel

MOST_SCHEDULES = 20  # of an organization


class ScheduledList(models.TextChoices):
    """The lists of the API whose rows come with a time, by their addresses."""

    EVENTS = "events", "Events"
    POSTBACKS = "postbacks", "Postbacks, as they are when the file is made"
    INSTALLS = "installs", "Installs with their attribution"
    TOUCHPOINTS = "touchpoints", "Clicks and impressions"
    SKAN_POSTBACKS = "skan-postbacks", "SKAdNetwork and AdAttributionKit copies"
    REFUSED_EVENTS = "refused-events", "Refused events"
    AUDIT_LOG = "audit-log", "Audit log"


class ExportInterval(models.TextChoices):
    """How much time a file of a schedule has."""

    HOURLY = "hourly", "Every hour"
    DAILY = "daily", "Every day"


class ExportTarget(models.TextChoices):
    """Where a schedule's files go."""

    S3 = "s3", "A store of S3's API"
    FOLDER = "folder", "The operator's folder"


class ExportSchedule(SealedSecret):
    """A list of the API that goes to a store or a folder, one file for each hour or day.

    The sealed secret is the store's secret access key. `next_period_at` is where the next file's
    rows begin, `due_at` is when it is made. `failing_since` is the first period's failure since the
    last success; `notified_at` is when its owners had a mail about it.
    """

    audited: ClassVar[tuple[str, ...]] = (
        *("name", "list_name", "filters", "format", "interval", "target", "endpoint", "region"),
        *("bucket", "prefix", "access_key_id", "enabled"),
    )
    audited_secrets = ("sealed",)

    public_id = models.UUIDField("ID in the API", default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(
        max_length=64,
        help_text="It becomes the folder of the files, for example “Purchases”: purchases/.",
    )
    folder = models.CharField(max_length=64, editable=False)
    list_name = models.CharField(
        "list",
        max_length=64,
        choices=ScheduledList.choices,
        default=ScheduledList.EVENTS,
        help_text="Whose rows are exported, with the columns of the API.",
    )
    filters = models.TextField(
        blank=True,
        max_length=1000,
        help_text="As in the API's address, for example event_name=purchase. Empty: all rows.",
    )
    format = models.CharField(
        max_length=8,
        choices=FileFormat.choices,
        default=FileFormat.CSV,
        help_text="CSV for most, Parquet for DuckDB and BigQuery.",
    )
    interval = models.CharField(
        "how often",
        max_length=8,
        choices=ExportInterval.choices,
        default=ExportInterval.DAILY,
        help_text="A day is one of your organization's time zone. Its file is made ten minutes "
        "after its end.",
    )
    target = models.CharField(
        "where to",
        max_length=8,
        choices=ExportTarget.choices,
        default=ExportTarget.S3,
        help_text="Amazon S3, Cloudflare R2, MinIO, Google's storage with HMAC keys and the like.",
    )
    endpoint = models.CharField(
        "address",
        max_length=255,
        blank=True,
        help_text="The store's, for example https://s3.eu-central-1.amazonaws.com.",
    )
    region = models.CharField(
        max_length=64,
        blank=True,
        default="us-east-1",
        validators=[RegexValidator(r"^[a-z0-9-]+$", "A region is written like eu-central-1.")],
        help_text="As the store names it, for example eu-central-1; for R2 it is auto.",
    )
    bucket = models.CharField(
        max_length=63,
        blank=True,
        validators=[
            RegexValidator(
                r"^[a-z0-9][a-z0-9.-]+[a-z0-9]$",
                "A bucket's name has 3 to 63 small letters, digits, dots and hyphens.",
            )
        ],
        help_text="For example gem-harbor-analytics.",
    )
    prefix = models.CharField(
        max_length=200,
        blank=True,
        validators=[
            RegexValidator(
                r"^(?!.*(^|/)\.{0,2}/)[A-Za-z0-9._=/-]+/$",
                "A prefix has letters, digits and . _ = - in parts that end with a slash, for "
                "example raw/postbacks/.",
            )
        ],
        help_text="What all names in the bucket begin with, for example raw/postbacks/. May be "
        "empty.",
    )
    access_key_id = models.CharField(
        "access key ID",
        max_length=128,
        blank=True,
        validators=[
            RegexValidator(r"^[!-+0-~.-]+$", "An access key ID has no blanks, commas or slashes.")
        ],
        help_text="Of a user of the store who may write there and nothing else.",
    )
    enabled = models.BooleanField("on", default=True, help_text="Off: no file is made.")
    created_by = models.CharField(max_length=255, blank=True, editable=False)
    created_at = models.DateTimeField("created", default=timezone.now, editable=False)
    next_period_at = models.DateTimeField(editable=False)
    due_at = models.DateTimeField(editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    notified_at = models.DateTimeField(null=True, editable=False)

    class Meta(TenantModel.Meta):
        db_table = "export_schedule"
        verbose_name = "scheduled export"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "id"], name="export_schedule_of_organization"
            ),
            models.UniqueConstraint(
                fields=["organization", "folder"],
                name="one_export_schedule_per_folder",
                violation_error_message="Another schedule has this name: its files would mix.",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(enabled=True), name="export_schedule_due"),
            models.Index(
                fields=["id"],
                condition=Q(failing_since__isnull=False) & Q(notified_at=None),
                name="export_schedule_to_tell",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean_fields(self, exclude: object = None) -> None:
        self.folder = slugify(self.name)
        super().clean_fields(exclude=exclude)  # type: ignore[arg-type]  # Django's own argument

    @property
    def has_secret(self) -> bool:
        """Tell whether a secret access key is stored, if only one that can't be decrypted now."""
        try:
            return bool(self.sealed) and self.reveal() != ""
        except SecretUnreadableError:
            return True  # the export's page says that it must be entered again

    @property
    def encryption_context(self) -> str:
        return f"{self.organization_id}:export_schedule:{self.public_id}"

    @property
    def operator_label(self) -> str:
        return f"scheduled export “{self.name}”, secret access key"
