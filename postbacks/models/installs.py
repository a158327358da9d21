"""The installs of devices, and the touchpoint that each is credited to."""

import uuid

from django.db import models

from apps_registry.models import App, Campaign, Partner, TrackingLink
from apps_registry.tenancy import TenantModel


class InstallKind(models.TextChoices):
    """Whether a device is new, came back without an ad, or came back through one."""

    INSTALL = "install", "Install"
    REINSTALL = "reinstall", "Reinstall"
    REATTRIBUTION = "reattribution", "Reattribution"


class InstallState(models.TextChoices):
    """Whether a touchpoint that arrives late can still change the credit."""

    PROVISIONAL = "provisional", "Provisional"
    FINAL = "final", "Final"


class Install(TenantModel):
    """The opening of an app by a new or returning device, with its current credit.

    A device that comes back has another row with the next `number`; earlier credits, and the
    reasons of all, are in `Attribution`.
    """

    public_id = models.UUIDField(default=uuid.uuid4)
    app = models.ForeignKey(App, models.DO_NOTHING, db_constraint=False, related_name="+")
    device = models.CharField(max_length=320)
    number = models.PositiveIntegerField(default=1)
    before = models.ForeignKey(
        "self",
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        related_name="+",
        help_text="The install that the device had before.",
    )
    kind = models.CharField(max_length=16, choices=InstallKind.choices, default=InstallKind.INSTALL)
    state = models.CharField(
        max_length=16, choices=InstallState.choices, default=InstallState.PROVISIONAL
    )
    install_id = models.CharField(max_length=255, blank=True)
    platform = models.CharField(max_length=16, blank=True)
    installed_at = models.DateTimeField()
    install_begin_at = models.DateTimeField(null=True)
    last_open_at = models.DateTimeField(null=True)
    event_ref = models.BigIntegerField()
    event_received_at = models.DateTimeField()
    attribution_type = models.CharField(max_length=16, default="organic")
    attribution_version = models.PositiveIntegerField(default=1)
    method = models.CharField(max_length=32, blank=True)
    partner = models.ForeignKey(
        Partner, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    campaign = models.ForeignKey(
        Campaign, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    link = models.ForeignKey(
        TrackingLink, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    touchpoint = models.UUIDField(null=True)
    touched_at = models.DateTimeField(null=True)
    consent = models.JSONField(default=dict, help_text="What the person allowed at the install.")

    class Meta(TenantModel.Meta):
        db_table = "install"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "app", "device", "number"],
                name="one_install_per_app_device_and_number",
            ),
            models.UniqueConstraint(fields=["organization", "id"], name="install_of_organization"),
        ]

    def __str__(self) -> str:
        return self.device


class Attribution(TenantModel):
    """One credit of an install. A later one has the next `version`; none is changed, except that
    `candidates` gains the touchpoints that arrive late and lose.
    """

    install = models.ForeignKey(
        Install, models.DO_NOTHING, db_constraint=False, related_name="attributions"
    )
    version = models.PositiveIntegerField()
    decided_at = models.DateTimeField()
    cause = models.CharField(max_length=32, blank=True, help_text="What made us decide anew.")
    type = models.CharField(max_length=16)
    method = models.CharField(max_length=32, blank=True)
    partner = models.ForeignKey(
        Partner, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    campaign = models.ForeignKey(
        Campaign, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    link = models.ForeignKey(
        TrackingLink, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    touchpoint = models.UUIDField(null=True)
    touched_at = models.DateTimeField(null=True)
    window_seconds = models.PositiveIntegerField(null=True)
    facts = models.JSONField(
        default=dict, help_text="What macros say of it, with the names of that time."
    )
    candidates = models.JSONField(default=list, help_text="Every touchpoint, and why it lost.")
    rejections = models.JSONField(default=list, help_text="Touchpoints that were fraud.")
    remarks = models.JSONField(default=list, help_text="What was odd and decided nothing.")

    class Meta(TenantModel.Meta):
        db_table = "attribution"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "install", "version"],
                name="one_attribution_per_install_and_version",
            )
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.version}"


class InstallKey(TenantModel):
    """One identifier of an install. Those that are not `lasting` find late touchpoints."""

    app = models.ForeignKey(App, models.DO_NOTHING, db_constraint=False, related_name="+")
    key = models.UUIDField()
    install = models.ForeignKey(Install, models.DO_NOTHING, db_constraint=False, related_name="+")
    lasting = models.BooleanField()

    class Meta(TenantModel.Meta):
        db_table = "install_key"

    def __str__(self) -> str:
        return str(self.key)


class UnsettledInstall(TenantModel):
    """The queue of installs to reevaluate. Its id is the install's."""

    install = models.OneToOneField(
        Install, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="unsettled"
    )
    due_at = models.DateTimeField()
    final_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        db_table = "unsettled_install"

    def __str__(self) -> str:
        return str(self.install_id)


class AdServicesClaim(TenantModel):
    """An install whose AdServices token Apple has not resolved yet. Its id is the install's.

    Only the event holds the token: erasing the event erases it.
    """

    install = models.OneToOneField(
        Install, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="+"
    )
    due_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    tries = models.PositiveIntegerField(default=0)

    class Meta(TenantModel.Meta):
        db_table = "adservices_claim"

    def __str__(self) -> str:
        return str(self.install_id)
