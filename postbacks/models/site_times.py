"""The times from click to install, by site and night."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps_registry.models import App, Partner
from apps_registry.tenancy import TenantModel


class SiteTimes(TenantModel):
    """One site's installs of the seven days before a night, by the time from click to install.

    Only sites whose clicks look invented are kept.
    """

    app = models.ForeignKey(App, models.DO_NOTHING, db_constraint=False, related_name="+")
    partner = models.ForeignKey(Partner, models.DO_NOTHING, db_constraint=False, related_name="+")
    site_id = models.CharField("site", max_length=255, blank=True)
    day = models.DateField()
    times = ArrayField(
        models.IntegerField(), help_text="Installs by time; see attribution.outliers."
    )

    class Meta(TenantModel.Meta):
        db_table = "site_times"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "app", "partner", "site_id", "day"],
                name="one_site_times_per_site_and_day",
            )
        ]

    def __str__(self) -> str:
        return f"{self.site_id} {self.day}"
