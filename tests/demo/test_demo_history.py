"""The days before the demo: written by the product itself, on a clock of the past."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client

from apps_registry.models import User
from apps_registry.tenancy import tenant
from postbacks.demo import organization
from postbacks.demo.history.writing import write_history
from postbacks.demo.organization import DemoOrganization
from postbacks.infrastructure.database import database_clock, roles
from postbacks.models import Event, FigureSpan, Install, Postback, PostbackStatus
from tests import database
from tests.admin.pages import sign_in
from tests.insights.test_figure_changes import figures, raw

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)


def test_the_days_before_are_as_if_they_had_been(settings: object, tmp_path: object) -> None:
    settings.DATA_DIR = tmp_path  # type: ignore[attr-defined]  # the fixture's
    demo = organization.set_up("http://127.0.0.1:9999")
    write_history(demo, superuser=database.superuser_conninfo(), now=NOW, seed=7, say=str, days=6)

    assert figures(FigureSpan.QUARTER) == raw(FigureSpan.QUARTER)
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM due_postback), (SELECT count(*) FROM undecided_event),"
            " (SELECT count(*) FROM decision_failure), (SELECT count(*) FROM circuit_breaker)"
        )
        assert cursor.fetchone() == (0, 0, 0, 0)
        cursor.execute("SELECT to_regnamespace('demo_clock')")
        assert cursor.fetchone() == (None,)
    assert abs(database_clock.now() - datetime.now(UTC)) < timedelta(minutes=5)
    with tenant(demo.organization.pk):
        arrived = list(Event.objects.values_list("received_at", flat=True))
        assert NOW - timedelta(days=6) < min(arrived) < NOW - timedelta(days=5)
        assert max(arrived) < NOW
        delivered = Postback.objects.filter(status=PostbackStatus.DELIVERED)
        assert all(
            postback.created_at - postback.event_received_at < timedelta(seconds=1)
            and timedelta() < postback.delivered_at - postback.event_received_at
            for postback in delivered
        )
        assert {
            row.state
            for row in Install.objects.filter(event_received_at__lt=NOW - timedelta(days=2))
        } == {"final"}
        of_outage = Postback.objects.filter(reason="http_503")
        assert of_outage.exists()
        assert all(
            NOW - timedelta(days=5) < postback.event_received_at < NOW - timedelta(days=4)
            for postback in of_outage
        )
    _assert_explained(demo)


def _assert_explained(demo: DemoOrganization) -> None:
    with tenant(demo.organization.pk):
        event = Event.objects.filter(event_name="purchase").order_by("received_at").first()
    assert event is not None

    answer = Client().get(
        f"/api/v1/events/{event.event_id}/explain",
        headers={"Authorization": f"Bearer {demo.api_token}"},
    )

    decisions = {row["decision"] for row in answer.json()}
    assert decisions <= {"sent", "not_matched", "skipped", "failed"}
    assert {"sent", "not_matched"} <= decisions
    page = sign_in(_owner(demo)).get(f"/admin/postbacks/event/{event.pk}/change/")
    assert page.status_code == 200


def _owner(demo: DemoOrganization) -> User:
    return User.objects.get(email=demo.people[0].email)
