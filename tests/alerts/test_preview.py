"""A preview judges the last days as the worker would have judged them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from apps_registry.tenancy import tenant
from postbacks.alerts.preview import MOST_SUBJECTS, AlertPreview, preview_alert
from postbacks.infrastructure.database import roles
from postbacks.insights import figure_changes
from postbacks.models import Alert, AlertKind, CallbackRule, RuleStatus
from tests import make
from tests.alerts.scenes import count_attempts, count_events, make_alert
from tests.database import as_role

pytestmark = pytest.mark.django_db(transaction=True)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def gem() -> make.Tenant:
    return make.make_tenant()


def preview_of(of: make.Tenant, kind: AlertKind, **fields: object) -> AlertPreview:
    with as_role(roles.WORKER):
        figure_changes.fold(60, now=NOW)
    with tenant(of.organization.pk):
        alert = make_alert(kind, **fields)
        return preview_alert(Alert.objects.get(pk=alert.pk), now=NOW, zone=ZoneInfo("UTC"))


def test_two_bad_hours_would_have_been_raised_twice(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem)
    for days in (5, 2):
        count_attempts(gem, rule.pk, NOW - days * DAY, failed=30)
        count_attempts(gem, rule.pk, NOW - days * DAY + HOUR, delivered=30)
    count_attempts(gem, rule.pk, NOW - DAY, failed=9)

    preview = preview_of(gem, AlertKind.SUCCESS_RATE)

    assert preview.sentence == "Over the last 7 days this would have been raised twice."
    assert preview.newest is not None
    assert NOW - 2 * DAY <= preview.newest <= NOW - 2 * DAY + HOUR


def test_a_partners_rules_are_tried_together(gem: make.Tenant) -> None:
    with tenant(gem.organization.pk):
        partner = make.make_partner()
        bad, good = (make.make_rule(partner=partner) for _ in range(2))
    count_attempts(gem, bad.pk, NOW - DAY, failed=20)
    count_attempts(gem, good.pk, NOW - DAY, delivered=980)

    assert preview_of(gem, AlertKind.SUCCESS_RATE, partner=partner).raised == 0


def test_a_silent_night_would_have_been_raised(gem: make.Tenant) -> None:
    for hours in range(48):
        if not 10 <= hours < 14:
            for quarter in range(4):
                count_events(gem, NOW - hours * HOUR - quarter * HOUR / 4, 5)

    assert preview_of(gem, AlertKind.NO_EVENTS).raised == 1
    assert preview_of(gem, AlertKind.NO_EVENTS, name="Longer", minutes=600).raised == 0


def test_a_jump_would_have_been_raised(gem: make.Tenant) -> None:
    for hours in range(10 * 24):
        count_events(gem, NOW - hours * HOUR - HOUR / 2, 300 if hours == 30 else 100)

    assert preview_of(gem, AlertKind.VOLUME_JUMP).raised == 1


def test_suspensions_are_read_from_the_audit_log(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem)
    other = make.make_tenant_rule(gem)
    with tenant(gem.organization.pk):
        for each in (rule, other):
            CallbackRule.objects.filter(pk=each.pk).update(status=RuleStatus.SUSPENDED)

    assert preview_of(gem, AlertKind.RULE_SUSPENDED, rule=rule).raised is not None
    with tenant(gem.organization.pk):
        one = Alert.objects.get()
        later = datetime.now(UTC)
        assert preview_alert(one, now=later, zone=ZoneInfo("UTC")).raised == 1


def test_many_rules_and_breakers_are_not_tried(gem: make.Tenant) -> None:
    with tenant(gem.organization.pk):
        for _ in range(MOST_SUBJECTS + 1):
            make.make_rule()

    assert "choose one" in preview_of(gem, AlertKind.SUCCESS_RATE).sentence
    assert "no history" in preview_of(gem, AlertKind.BREAKER_OPEN).sentence
