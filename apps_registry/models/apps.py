"""Apps, their bundle IDs and SDK keys, and their claims to a number of Apple's store."""

import re
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import connection, models, transaction
from django.db.models import Q
from django.utils import timezone

from apps_registry.crypto import keys
from apps_registry.models.organizations import valid_time_zone
from apps_registry.models.sealed import RevocableModel
from apps_registry.models.store_claims import ClaimState, StoreClaim, lock_number
from apps_registry.tenancy import Lifecycle, TenantModel

BUNDLE_ID = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$",
    "Write it as the store does: letters, digits, dots, dashes, for example com.example.game.",
)

_STORE_NUMBER = re.compile(r"(?:id)?0*([1-9]\d{0,17})")


class Platform(models.TextChoices):
    """The platform that an app runs on."""

    IOS = "ios", "iOS"
    ANDROID = "android", "Android"
    AMAZON = "amazon", "Amazon"
    WINDOWS = "windows", "Windows"
    WEB = "web", "Web"
    TV = "tv", "TV"
    OTHER = "other", "Other"


class App(TenantModel):
    """A mobile app that reports events."""

    public_id = models.UUIDField(
        "ID in the API",
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text="How the management API names this app.",
    )
    name = models.CharField(
        max_length=120, help_text="What your team calls the app, for example Gem Harbor iOS."
    )
    platform = models.CharField(
        max_length=16,
        choices=Platform.choices,
        help_text="Where the app runs, for example iOS. An app for two platforms is entered twice.",
    )
    store_id = models.CharField(
        "store ID",
        max_length=255,
        blank=True,
        help_text=(
            "Apple's number, for example 1234567890, or Google's package, for example "
            "com.example.gemharbor. Can stay empty."
        ),
    )
    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        validators=[valid_time_zone],
        help_text="The zone in which this app's days begin, for example America/New_York.",
    )
    store_share = models.DecimalField(
        max_digits=5,
        decimal_places=4,
        default=Decimal("0.3"),
        validators=[MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(1))],
        help_text=(
            "What the store keeps of a purchase, from 0 to 1, for example 0.3 for 30 %. "
            "Net revenue leaves it out."
        ),
    )
    status = models.CharField(
        max_length=16, choices=Lifecycle.choices, default=Lifecycle.ACTIVE, editable=False
    )
    created_at = models.DateTimeField("created", auto_now_add=True)

    audited = ("name", "platform", "store_id", "time_zone", "store_share", "status")

    class Meta(TenantModel.Meta):
        db_table = "app"
        constraints = [
            models.UniqueConstraint(fields=["organization", "id"], name="app_of_organization"),
            models.UniqueConstraint(
                fields=["organization", "name"],
                condition=Q(status="active"),
                name="one_active_app_per_name",
                violation_error_message="Another app has this name.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        with transaction.atomic(savepoint=False):
            super().save(*args, **kwargs)
            claim_store_number(self)

    def claim(self, identifier: str) -> "BundleId | None":
        """Take a bundle ID, also from an archived app; return None if an active app has it."""
        bundle_id = BundleId.objects.select_related("app").filter(identifier=identifier).first()
        bundle_id = bundle_id or BundleId(app=self, identifier=identifier)
        if bundle_id.app_id != self.pk:
            if bundle_id.app.status != Lifecycle.ARCHIVED:
                return None
            bundle_id.app = self
        bundle_id.save()
        return bundle_id


class BundleId(TenantModel):
    """A store identifier of an app: iOS bundle ID or Android package name."""

    public_id = models.UUIDField(
        "ID in the API",
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text="How the management API names this bundle ID.",
    )
    app = models.ForeignKey(
        App,
        models.PROTECT,
        related_name="bundle_ids",
        db_constraint=False,
        help_text="The app that the store knows by this name, for example Gem Harbor iOS.",
    )
    identifier = models.CharField(
        "bundle ID",
        max_length=255,
        validators=[BUNDLE_ID],
        help_text="As the store knows the app, for example com.example.gemharbor.",
    )
    created_at = models.DateTimeField("created", auto_now_add=True)

    audited = ("app", "identifier")

    class Meta(TenantModel.Meta):
        db_table = "bundle_id"
        verbose_name = "bundle ID"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "identifier"],
                name="one_app_per_bundle_id",
                violation_error_message="This bundle ID already belongs to one of your apps.",
            )
        ]

    def __str__(self) -> str:
        return self.identifier


class KeyEndedError(ValueError):
    """The key was revoked or rotated before, so it can't be rotated."""


class SdkKey(RevocableModel):
    """A secret with which an app's SDK reports events. Shown once, stored as a hash."""

    audited: ClassVar[tuple[str, ...]] = ("app", "name", "kind", "expires_at", "revoked_at")
    longest_overlap: ClassVar[timedelta] = timedelta(days=30)

    class Kind(models.TextChoices):
        """Where the key is used, which decides its rights."""

        APP = "app", "In the app (public)"
        SERVER = "server", "On your server (secret)"

    public_id = models.UUIDField(
        "ID in the API",
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text="How the management API names this key.",
    )
    app = models.ForeignKey(
        App,
        models.PROTECT,
        related_name="sdk_keys",
        db_constraint=False,
        help_text="The app that reports with this key, for example Gem Harbor iOS.",
    )
    name = models.CharField(
        max_length=120, blank=True, help_text="To tell keys apart, for example Unity build 42."
    )
    kind = models.CharField(
        max_length=16,
        choices=Kind.choices,
        default=Kind.APP,
        help_text=(
            "In the app: the SDK on players' devices, for example in a Unity build. On your "
            "server: your backend. Name the device's ip_address and user_agent in its events: "
            "they are not taken from the request."
        ),
    )
    prefix = models.CharField(
        "begins with",
        max_length=16,
        editable=False,
        help_text="The start of the key, for example pbk_a1B2c3, to recognize it by.",
    )
    hash = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField("created", auto_now_add=True)
    last_used_at = models.DateTimeField("last used", null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(
        "ends",
        null=True,
        blank=True,
        editable=False,
        help_text="When a key that was rotated stops working, for example 2027-01-31 00:00:00.",
    )

    class Meta(TenantModel.Meta):
        db_table = "sdk_key"
        verbose_name = "SDK key"

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}".strip()

    def rotate(self, *, overlap: timedelta) -> tuple["SdkKey", str]:
        """Make a successor, end this key after the overlap; return the successor and its secret.

        Raises KeyEndedError for a key that was rotated or revoked before.
        """
        # Locked, so that two simultaneous rotations make one successor.
        old = SdkKey.objects.select_for_update().get(pk=self.pk)
        if old.revoked_at is not None:
            raise KeyEndedError("The SDK key was revoked; make a new one.")
        if old.expires_at is not None:
            raise KeyEndedError("The SDK key was rotated before; rotate the newer key.")
        fresh = keys.make_key(keys.SDK_KEY)
        successor = SdkKey(
            app=self.app, name=self.name, kind=self.kind, prefix=fresh.prefix, hash=fresh.hash
        )
        successor.save()
        self.expires_at = timezone.now() + min(overlap, self.longest_overlap)
        self.save(update_fields=["expires_at"])
        return successor, fresh.secret


def store_number(app: App) -> str:
    """Return an active iOS app's number in Apple's store, empty for any other app."""
    match = _STORE_NUMBER.fullmatch(app.store_id.strip())
    is_reported = app.platform == Platform.IOS and app.status == Lifecycle.ACTIVE
    return match[1] if match and is_reported else ""


def claim_store_number(app: App) -> None:
    """Claim the current number of a saved app, and release its former one."""
    number = store_number(app)
    for claim in StoreClaim.objects.filter(app=app).exclude(store_id=number):
        _release_claim(claim)
    if number:
        _claim(app, number)


def _claim(app: App, number: str) -> None:
    lock_number(number)
    claim = StoreClaim.objects.filter(store_id=number).first()
    if claim is None:
        state = ClaimState.WAITING if _is_claimed(number) else ClaimState.ACCEPTED
        StoreClaim(app=app, store_id=number, state=state).save()
    elif store_number(claim.app) != number:  # a refused claim whose app has another number by now
        claim.app = app
        claim.save()


def _release_claim(claim: StoreClaim) -> None:
    lock_number(claim.store_id)
    apps = type(claim.app).objects.filter(status=Lifecycle.ACTIVE).order_by("pk")
    successor = next((app for app in apps if store_number(app) == claim.store_id), None)
    if successor is not None:
        claim.app = successor
        claim.save()
    elif claim.state != ClaimState.REFUSED:  # a refusal outlives its app
        claim.delete()


def _is_claimed(number: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT is_store_id_claimed(%s)", [number])
        return bool(cursor.fetchone()[0])
