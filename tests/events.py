"""Events for tests, sent through the intake as the SDK's door does."""

import json
import uuid

from apps_registry.tenancy import tenant
from postbacks.intake.events.recording import record_events
from postbacks.intake.receipts import Receipt
from postbacks.intake.sdk_keys import Reporter
from postbacks.models import DeliveryAttempt, Postback
from tests.make import Tenant


def reporter(of: Tenant) -> Reporter:
    return Reporter(
        organization_id=of.organization.pk,
        app_id=of.app.pk,
        is_server=True,
        platform=of.app.platform,
        bundle_ids=(of.bundle_id.identifier,),
    )


def record(of: Tenant, *events: dict[str, object]) -> Receipt:
    return record_events(json.dumps(list(events)).encode(), encoding="", reporter=reporter(of))


def event(name: str = "purchase", **fields: object) -> dict[str, object]:
    return {"event_id": str(uuid.uuid4()), "event_name": name, "install_id": "device-1", **fields}


def postbacks_of(of: Tenant) -> list[Postback]:
    with tenant(of.organization.pk):
        return list(Postback.objects.order_by("id"))


def attempts_of(of: Tenant) -> list[DeliveryAttempt]:
    with tenant(of.organization.pk):
        return list(DeliveryAttempt.objects.order_by("postback_id", "number"))
