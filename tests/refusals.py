"""What the SDK's doors refused, written as the web process does it a second later."""

import json

from django.test import Client

from apps_registry.tenancy import tenant
from postbacks.intake import refused_events
from postbacks.models import RefusedEvent
from tests.make import Tenant


def make_refusal(of: Tenant, **fields: object) -> str:
    """Have an event refused; return the refusal's public id."""
    refused_events.log.clear()
    sent = {"event_name": "purchase", "revenue": "nine", "sdk_version": "2.1.0", **fields}
    sender = Client(headers={"Authorization": f"Bearer {of.sdk_key}"})
    sender.post("/api/v1/events", json.dumps(sent), content_type="application/json")
    refused_events.log.flush()
    with tenant(of.organization.pk):
        return str(RefusedEvent.objects.latest("pk").public_id)
