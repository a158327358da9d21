"""Data leave in their time: days of logs as a whole, and the names of touchpoints that left."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from pytest_django import Settings

from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.models import (
    AlertIncident,
    AlertNotice,
    HeldPostback,
    HeldReason,
    JobAction,
    PostbackJob,
)
from postbacks.privacy import retention
from tests import make
from tests.alerts.scenes import incidents_of, make_standing_alert, notices_of
from tests.database import as_role
from tests.pipeline.aged import touched, touched_at

pytestmark = pytest.mark.django_db(transaction=True)

MADE = {8, 20, 40}  # days ago


def test_days_leave_once_they_are_older_than_what_is_kept(settings: Settings) -> None:
    with as_role(roles.OWNER), connection.cursor() as cursor:
        for days in MADE:
            cursor.execute("SELECT ensure_partitions(current_date - %s, 1)", [days])
    settings.RETENTION_DAYS_POSTBACKS = 30

    with as_role(roles.WORKER):
        retention.drop_old_days()

    assert _days_left("event") == MADE
    assert _days_left("postback") == _days_left("delivery_attempt") == {8, 20}
    assert _days_left("touchpoint_click") == {8, 20}
    assert _days_left("touchpoint_impression") == set()
    settings.RETENTION_DAYS_EVENTS = 1
    settings.RETENTION_DAYS_POSTBACKS = settings.RETENTION_DAYS_CLICKS = 1
    with as_role(roles.WORKER):
        retention.drop_old_days()


def test_nobody_can_drop_a_day_that_is_not_over_or_another_table() -> None:
    for log, before in (("event", "current_date + 1"), ("app", "current_date")):
        with (
            pytest.raises(Exception, match="do not leave"),
            as_role(roles.WORKER),
            connection.cursor() as cursor,
        ):
            cursor.execute(f"SELECT drop_oldest_partition('{log}', {before})")


def test_names_leave_with_their_touchpoints() -> None:
    link = touched("203.0.113.77")
    touched_at(link, datetime.now(UTC) - timedelta(days=36))

    with as_role(roles.WORKER):
        names, repeats = retention.delete_old_touchpoint_keys(), retention.delete_old_repeats()

    assert (names, repeats) == (3, 1)


def test_incidents_leave_ninety_days_after_their_end_and_notices_after_they_were_made() -> None:
    gem = make.make_tenant()
    rule = make.make_tenant_rule(gem)
    old = datetime.now(UTC) - timedelta(days=91)
    with tenant(gem.organization.pk):
        make_standing_alert(rule)
        AlertIncident.objects.update(raised_at=old)
    left = []
    for change in (
        lambda: AlertNotice.objects.update(ended_at=old),
        lambda: AlertNotice.objects.update(created_at=old),
        lambda: AlertIncident.objects.update(cleared_at=old),
    ):
        with tenant(gem.organization.pk):
            change()
        with as_role(roles.WORKER):
            retention.delete_old_incidents()
        left.append((len(incidents_of(gem)), len(notices_of(gem))))

    assert left == [(1, 1), (1, 0), (0, 0)]


def test_held_ones_and_jobs_leave_with_what_they_are_about(settings: Settings) -> None:
    gem = make.make_tenant()
    rule = make.make_tenant_rule(gem)
    now = datetime.now(UTC).replace(microsecond=0)
    old, fresh = (now - timedelta(days=days) for days in (92, 30))
    with as_role(roles.WORKER), tenant(gem.organization.pk):
        for number, moment in enumerate((old, fresh)):
            HeldPostback.objects.create(
                postback_id=number,
                event_received_at=moment,
                rule=rule,
                due_at=moment,
                reason=HeldReason.RULE_OFF,
                held_at=moment,
            )
            PostbackJob.objects.create(
                rule=rule,
                action=JobAction.DROP,
                reason=HeldReason.RULE_SUSPENDED,
                due_at=moment,
                finished_at=moment,
            )
    settings.RETENTION_DAYS_POSTBACKS = 90

    with as_role(roles.WORKER):
        left = retention.delete_old_held(), retention.delete_old_jobs()

    assert left == (1, 1)
    with tenant(gem.organization.pk):
        assert HeldPostback.objects.get().event_received_at == fresh
        assert PostbackJob.objects.get().finished_at == fresh
    settings.RETENTION_DAYS_POSTBACKS = 0
    with as_role(roles.WORKER):
        assert retention.delete_old_held() == 0, "kept for ever"


def _days_left(log: str) -> set[int]:
    """Return which of the days that the test made are left."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_date - to_date(right(relname, 8), 'YYYYMMDD') FROM pg_inherits "
            "JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = %s::regclass",
            [log],
        )
        return {days for (days,) in cursor.fetchall()} & MADE
