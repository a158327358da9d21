"""The queue of installs whose AdServices token is sent to Apple."""

from django.db import models

from apps_registry.tenancy import TenantModel
from postbacks.models.installs import Install


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
