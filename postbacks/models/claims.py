"""The queue of installs about which Apple is asked."""

from django.db import models

from apps_registry.tenancy import TenantModel
from postbacks.models.installs import Install


class AdServicesClaim(TenantModel):
    """An install whose token of AdServices Apple has not answered for. Its id is the install's.

    The token itself stays with the event alone: what is erased there is gone.
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
