"""Who has the app, since when, and thanks to whom."""

from django.db import models

from apps_registry.models import App
from apps_registry.tenancy import TenantModel


class Install(TenantModel):
    """The first time that a device opened an app, and what earned it."""

    app = models.ForeignKey(App, models.DO_NOTHING, db_constraint=False, related_name="+")
    device = models.CharField(max_length=320)
    install_id = models.CharField(max_length=255, blank=True)
    installed_at = models.DateTimeField()
    event_ref = models.BigIntegerField()
    event_received_at = models.DateTimeField()
    attribution_type = models.CharField(max_length=16, default="organic")
    attribution_version = models.PositiveIntegerField(default=1)

    class Meta(TenantModel.Meta):
        db_table = "install"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "app", "device"], name="one_install_per_app_and_device"
            )
        ]

    def __str__(self) -> str:
        return self.device
