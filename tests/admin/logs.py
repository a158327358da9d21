"""Rows of the logs for tests: many at once, and the pages that lead through them."""

import re
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from html import unescape

from django.db import connection
from django.test import Client
from django.utils import timezone

from apps_registry.tenancy import tenant
from postbacks.infrastructure.database.roles import WORKER
from postbacks.models import Postback, PostbackStatus
from tests.database import as_role
from tests.isolation.story import Story

LOG = "/admin/postbacks/postback/"


def add_postbacks(story: Story, moments: Iterable[datetime], **fields: object) -> list[Postback]:
    """Write one postback for each moment, all of the story's rule, app and event."""
    with as_role(WORKER), tenant(story.organization_id):
        like = Postback.objects.order_by("pk").first()
        assert like is not None
        with connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(max(event_id), 0) FROM postback")
            (last,) = cursor.fetchone()
        values: dict[str, object] = {
            "status": PostbackStatus.DELIVERED,
            "event_name": "purchase",
            "rule_id": like.rule_id,
            "rule_version": 1,
            "app_id": like.app_id,
            "attempts_made": 1,
            "last_status_code": 200,
            **fields,
        }
        return Postback.objects.bulk_create(
            Postback(
                organization_id=story.organization_id,
                public_id=uuid.uuid4(),
                event_id=last + number,
                sdk_event_id=uuid.uuid4(),
                event_received_at=moment,
                created_at=moment,
                **values,
            )
            for number, moment in enumerate(moments, start=1)
        )


def seconds_ago(*ages: float) -> list[datetime]:
    """Return moments so many seconds before now, in the milliseconds that the logs keep."""
    now = timezone.now().replace(microsecond=0)
    return [now - timedelta(seconds=age) for age in ages]


def shown_ids(client: Client, address: str) -> list[int]:
    """Return the ids on a page of the delivery log, as it shows them."""
    page = client.get(address)
    assert page.status_code == 200
    return [row.pk for row in page.context["cl"].page.rows]


def link(html: str, rel: str) -> str | None:
    """Return where a page's “Newer” (`prev`) or “Older” (`next`) leads."""
    match = re.search(rf'rel="{rel}" href="([^"]*)"', html)
    return unescape(match[1]) if match else None
