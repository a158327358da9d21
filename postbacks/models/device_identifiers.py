"""The ids that devices have had, and digests by which a search finds them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps_registry.models import App
from apps_registry.tenancy import TenantModel


class DeviceIdentifier(TenantModel):
    """One id of a device, once for all its events: which device, and the newest install it has.

    The id itself is in the device's events; here are its key and digests. `seen_on` is right to a
    week: a row is kept as long as the events that carry the id.
    """

    app = models.ForeignKey(App, models.DO_NOTHING, db_constraint=False, related_name="+")
    kind = models.CharField(max_length=16)
    key = models.UUIDField()
    device = models.CharField(max_length=320)
    install_ref = models.BigIntegerField(null=True)
    digests = ArrayField(models.BigIntegerField())
    seen_on = models.DateField()

    class Meta(TenantModel.Meta):
        db_table = "device_identifier"

    def __str__(self) -> str:
        return self.device


class DeviceDigest(TenantModel):
    """The beginning of an id's digest; more than one id may have it."""

    digest = models.BigIntegerField(primary_key=True)
    identifier_ref = models.BigIntegerField()

    class Meta(TenantModel.Meta):
        db_table = "device_digest"

    def __str__(self) -> str:
        return str(self.digest)
