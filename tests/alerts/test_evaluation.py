"""Alerts raise an incident once, tell of it once, and end it when all is well."""

from datetime import UTC, datetime, time, timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection, transaction

from apps_registry.models import Membership
from apps_registry.people import members
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.alerts import evaluation
from postbacks.alerts.saving import delete_alerts, save_alert
from postbacks.infrastructure.database import roles
from postbacks.models import (
    Alert,
    AlertIncident,
    AlertKind,
    BreakerState,
    CallbackRule,
    CircuitBreaker,
    ClearReason,
    NoticeStatus,
    RuleFailure,
    RuleStatus,
)
from tests import make
from tests.alerts.scenes import (
    count_attempts,
    count_events,
    incidents_of,
    judge_at,
    make_tenant_alert,
    notices_of,
    topics_of,
)
from tests.database import as_role, wait_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def gem() -> make.Tenant:
    return make.make_tenant()


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC).replace(second=30, microsecond=0)


def test_a_failing_rule_is_raised_once_and_cleared_when_it_is_well(
    gem: make.Tenant, now: datetime
) -> None:
    rule = make.make_tenant_rule(gem)
    make_tenant_alert(gem, emails=[gem.owner.email])
    count_attempts(gem, rule.pk, now, delivered=10, failed=30)

    for minutes in (0, 1, 2):
        judge_at(now + minutes * MINUTE)
    (incident,) = incidents_of(gem)

    assert (incident.label, incident.value, incident.cleared_at) == (rule.name, 25.0, None)
    assert incident.detail == "25\N{NO-BREAK SPACE}% of 40 requests succeeded, mostly HTTP 500"
    assert list(topics_of(gem)) == ["alert.raised"]

    count_attempts(gem, rule.pk, now + 20 * MINUTE, delivered=50)
    judge_at(now + 20 * MINUTE)
    assert incidents_of(gem)[0].cleared_at is None, "it must be well for five minutes"
    judge_at(now + 26 * MINUTE)
    judge_at(now + 27 * MINUTE)

    (incident,) = incidents_of(gem)
    assert incident.clear_reason == ClearReason.RECOVERED
    assert list(topics_of(gem)) == ["alert.raised", "alert.cleared"]


def test_few_requests_say_nothing_and_a_standing_incident_stays_for_a_day(
    gem: make.Tenant, now: datetime
) -> None:
    rule = make.make_tenant_rule(gem)
    make_tenant_alert(gem)
    count_attempts(gem, rule.pk, now, failed=9)
    judge_at(now)
    assert not incidents_of(gem)

    count_attempts(gem, rule.pk, now + MINUTE, failed=9)
    judge_at(now + MINUTE)
    judge_at(now + HOUR)
    assert incidents_of(gem)[0].is_open
    judge_at(now + DAY + HOUR)

    assert incidents_of(gem)[0].clear_reason == ClearReason.TOO_LITTLE_DATA


def test_each_rule_is_watched_by_itself_and_a_partner_as_one(
    gem: make.Tenant, now: datetime
) -> None:
    with tenant(gem.organization.pk):
        partner = make.make_partner()
        bad, good, other = (
            make.make_rule(name=name, partner=of)
            for name, of in (("Bad", partner), ("Good", partner), ("Other", None))
        )
    make_tenant_alert(gem, name="Rules")
    make_tenant_alert(gem, name="Partner", partner=partner, threshold=50)
    count_attempts(gem, bad.pk, now, failed=20)
    count_attempts(gem, good.pk, now, delivered=100)
    count_attempts(gem, other.pk, now, failed=20)

    judge_at(now)

    found = {(incident.label, incident.partner_ref) for incident in incidents_of(gem)}
    assert found == {("Bad", partner.pk), ("Other", 0)}


def test_a_rule_of_the_same_name_in_two_organizations_is_raised_in_both(
    gem: make.Tenant, now: datetime
) -> None:
    moss = make.make_tenant("Moss Valley")
    for of in (gem, moss):
        rule = make.make_tenant_rule(of, name="Installs")
        make_tenant_alert(of)
        count_attempts(of, rule.pk, now, failed=20)

    judge_at(now)

    assert [len(incidents_of(of)) for of in (gem, moss)] == [1, 1]


def test_a_silent_app_is_raised_and_cleared_by_its_next_event(
    gem: make.Tenant, now: datetime
) -> None:
    make_tenant_alert(gem, AlertKind.NO_EVENTS, minutes=30)
    judge_at(now)
    assert not incidents_of(gem), "an app that never sent anything is not in use"

    count_events(gem, now - 40 * MINUTE, 5)
    judge_at(now + MINUTE)
    (incident,) = incidents_of(gem)
    assert (incident.label, incident.detail) == (gem.app.name, "No event came")
    count_events(gem, now + 2 * MINUTE, 1)
    judge_at(now + 3 * MINUTE)

    assert incidents_of(gem)[0].clear_reason == ClearReason.RECOVERED


def test_a_jump_against_the_same_hour_of_the_days_before_is_raised(
    gem: make.Tenant, now: datetime
) -> None:
    make_tenant_alert(gem, AlertKind.VOLUME_JUMP)
    hour = now.replace(minute=0, second=0)
    for days in range(1, 8):
        count_events(gem, hour - HOUR - days * DAY, 100)
        count_events(gem, hour - days * DAY, 9_000)  # another hour, for comparison
    count_events(gem, hour - HOUR, 160)

    judge_at(hour + MINUTE)

    (incident,) = incidents_of(gem)
    assert incident.value == 60.0
    assert incident.detail == "160 events in an hour; usual are 100"


def test_a_failing_rule_is_told_of_at_each_level_and_as_suspended(
    gem: make.Tenant, now: datetime
) -> None:
    rule = make.make_tenant_rule(gem)
    make_tenant_alert(gem, AlertKind.RULE_SUSPENDED, emails=[gem.owner.email])
    with as_role(roles.WORKER), tenant(gem.organization.pk):
        RuleFailure.objects.create(
            rule=rule, version=rule.version, failing_since=now + MINUTE, given_up=40
        )

    for days in (1, 2.6, 2.7, 3.6, 4.6):
        judge_at(now + MINUTE + days * DAY)
    with tenant(gem.organization.pk):
        CallbackRule.objects.filter(pk=rule.pk).update(status=RuleStatus.SUSPENDED)
    judge_at(now + 5 * DAY)
    with tenant(gem.organization.pk):
        CallbackRule.objects.filter(pk=rule.pk).update(status=RuleStatus.ACTIVE)
    with as_role(roles.WORKER), tenant(gem.organization.pk):
        RuleFailure.objects.all().delete()
    judge_at(now + 6 * DAY)

    assert list(topics_of(gem)) == [
        *["rule.failing"] * 3,
        "rule.suspended",
        "rule.recovered",
    ]
    assert len(incidents_of(gem)) == 1


def test_a_breaker_that_stays_open_is_raised(gem: make.Tenant, now: datetime) -> None:
    rule = make.make_tenant_rule(gem, url="https://ads.example.com/postback")
    make_tenant_alert(gem, AlertKind.BREAKER_OPEN, emails=[gem.owner.email])
    with as_role(roles.WORKER), tenant(gem.organization.pk):
        CircuitBreaker.objects.create(
            host="ads.example.com:443",
            state=BreakerState.OPEN,
            reason="timeout",
            opened_at=now,
            window_started_at=now,
            next_probe_at=now,
            probe_wait_seconds=30,
        )
    judge_at(now + 4 * MINUTE)
    assert not incidents_of(gem)
    judge_at(now + 6 * MINUTE)
    (incident,) = incidents_of(gem)
    assert (incident.label, incident.rule_ref) == ("ads.example.com:443", rule.pk)
    assert incident.detail.endswith("mostly timed out")
    with as_role(roles.WORKER), tenant(gem.organization.pk):
        CircuitBreaker.objects.all().delete()
    judge_at(now + 7 * MINUTE)

    assert list(topics_of(gem)) == ["breaker.opened", "breaker.closed"]


def test_quiet_hours_hold_notices_and_tell_what_still_stands(gem: make.Tenant) -> None:
    night = datetime.now(UTC).replace(hour=23, minute=0, second=30, microsecond=0)
    short, long = (make.make_tenant_rule(gem, name=name) for name in ("Short", "Long"))
    make_tenant_alert(gem, emails=[gem.owner.email], quiet_from=time(22), quiet_until=time(7))
    for rule in (short, long):
        count_attempts(gem, rule.pk, night, failed=20)
    judge_at(night)
    assert {notice.status for notice in notices_of(gem)} == {NoticeStatus.HELD}
    assert {notice.due_at.hour for notice in notices_of(gem)} == {7}

    count_attempts(gem, short.pk, night + 20 * MINUTE, delivered=100)
    judge_at(night + 20 * MINUTE)
    judge_at(night + 26 * MINUTE)

    by_label = {incident.pk: incident.label for incident in incidents_of(gem)}
    states = {by_label[notice.incident_id or 0]: notice.status for notice in notices_of(gem)}
    assert states == {"Short": NoticeStatus.DROPPED, "Long": NoticeStatus.HELD}


def test_what_ends_in_quiet_hours_but_was_told_before_is_told_when_they_end(
    gem: make.Tenant,
) -> None:
    evening = datetime.now(UTC).replace(hour=21, minute=50, second=30, microsecond=0)
    rule = make.make_tenant_rule(gem)
    make_tenant_alert(gem, emails=[gem.owner.email], quiet_from=time(22), quiet_until=time(7))
    count_attempts(gem, rule.pk, evening, failed=20)
    judge_at(evening)
    count_attempts(gem, rule.pk, evening + 20 * MINUTE, delivered=100)
    judge_at(evening + 20 * MINUTE)
    judge_at(evening + 26 * MINUTE)

    states = [(notice.topic, notice.status) for notice in notices_of(gem)]
    assert states == [
        ("alert.raised", NoticeStatus.PENDING),
        ("alert.cleared", NoticeStatus.HELD),
    ]


def test_a_switched_off_alert_forgets_what_stood_and_what_waited(
    gem: make.Tenant, now: datetime
) -> None:
    rule = make.make_tenant_rule(gem)
    alert = make_tenant_alert(gem, emails=[gem.owner.email])
    count_attempts(gem, rule.pk, now, failed=20)
    judge_at(now)

    with tenant(gem.organization.pk):
        alert = Alert.objects.get(pk=alert.pk)
        alert.enabled = False
        save_alert(alert)
    judge_at(now + MINUTE)

    (incident,) = incidents_of(gem)
    assert incident.clear_reason == ClearReason.NOT_WATCHED
    assert [notice.status for notice in notices_of(gem)] == [NoticeStatus.DROPPED]


def test_a_paused_rule_is_no_longer_watched(gem: make.Tenant, now: datetime) -> None:
    rule = make.make_tenant_rule(gem)
    make_tenant_alert(gem)
    count_attempts(gem, rule.pk, now, failed=20)
    judge_at(now)
    with tenant(gem.organization.pk):
        CallbackRule.objects.filter(pk=rule.pk).update(status=RuleStatus.PAUSED)
    judge_at(now + MINUTE)

    assert incidents_of(gem)[0].clear_reason == ClearReason.NOT_WATCHED


def test_people_who_leave_are_forgotten(gem: make.Tenant, now: datetime) -> None:
    ana = make.make_user(Role.MARKETER, organization=gem.organization)
    alert = make_tenant_alert(gem, emails=[ana.email, gem.owner.email])
    with tenant(gem.organization.pk):
        members.remove(Membership.objects.get(user=ana))

    judge_at(now)

    with tenant(gem.organization.pk):
        assert Alert.objects.get(pk=alert.pk).emails == [gem.owner.email]


def test_an_alert_that_can_not_be_judged_keeps_no_other_from_being_judged(
    gem: make.Tenant, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    rule = make.make_tenant_rule(gem)
    broken = make_tenant_alert(gem, name="Broken")
    make_tenant_alert(gem, name="Sound")
    count_attempts(gem, rule.pk, now, failed=20)
    with tenant(gem.organization.pk):
        Alert.objects.filter(pk=broken.pk).update(direction="sideways")

    judge_at(now)

    assert [incident.label for incident in incidents_of(gem)] == [rule.name]
    assert "Judging the alert" in caplog.text


def test_an_organization_with_many_alerts_waits_for_its_next_turn_and_delays_nobody(
    gem: make.Tenant, now: datetime
) -> None:
    moss = make.make_tenant("Moss Valley")
    rule = make.make_tenant_rule(gem)
    for number in range(3):
        make_tenant_alert(gem, name=f"Alert {number}")
    their_rule = make.make_tenant_rule(moss)
    make_tenant_alert(moss)
    count_attempts(gem, rule.pk, now, failed=20)
    count_attempts(moss, their_rule.pk, now, failed=20)

    found = []
    for turn in range(4):
        judge_at(now + turn * MINUTE, share=0.0)
        found.append((len(incidents_of(gem)), len(incidents_of(moss))))

    assert found == [(1, 1), (2, 1), (3, 1), (3, 1)]


def test_an_organization_is_judged_every_half_minute_at_most(
    gem: make.Tenant, now: datetime
) -> None:
    make_tenant_alert(gem)

    counts = [judge_at(now + seconds * timedelta(seconds=1)) for seconds in (0, 10, 29, 30)]

    assert counts == [1, 0, 0, 1]
    assert timedelta(seconds=30) == evaluation.JUDGED_EVERY


def test_two_workers_tell_of_a_change_once(gem: make.Tenant, now: datetime) -> None:
    rule = make.make_tenant_rule(gem)
    make_tenant_alert(gem, emails=[gem.owner.email])
    count_attempts(gem, rule.pk, now, failed=20)
    start = Barrier(2)

    def judge() -> None:
        start.wait()
        try:
            judge_at(now)
        finally:
            connection.close()

    workers = [Thread(target=judge) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert len(incidents_of(gem)) == 1
    assert list(topics_of(gem)) == ["alert.raised"]


def test_deleting_an_alert_waits_for_the_worker_that_judges_it(
    gem: make.Tenant, now: datetime
) -> None:
    rule = make.make_tenant_rule(gem)
    alert = make_tenant_alert(gem)
    count_attempts(gem, rule.pk, now, failed=20)
    judge_at(now)

    def delete() -> None:
        try:
            with tenant(gem.organization.pk):
                delete_alerts([alert])
        finally:
            connection.close()

    deleting = Thread(target=delete)
    with tenant(gem.organization.pk):
        Alert.objects.select_for_update(no_key=True).get(pk=alert.pk)
        deleting.start()
        wait_for_a_lock()
        # Who deletes holds no incident yet, which the worker locks after its alert.
        AlertIncident.objects.select_for_update(nowait=True).get(alert=alert)
    deleting.join()

    assert (incidents_of(gem), notices_of(gem)) == ([], [])


def test_a_worker_that_dies_before_its_commit_has_raised_and_told_nothing(
    gem: make.Tenant, now: datetime
) -> None:
    rule = make.make_tenant_rule(gem)
    make_tenant_alert(gem, emails=[gem.owner.email])
    count_attempts(gem, rule.pk, now, failed=20)

    with transaction.atomic():
        judge_at(now)
        transaction.set_rollback(True)
    assert (incidents_of(gem), notices_of(gem)) == ([], [])
    judge_at(now)
    judge_at(now + MINUTE)

    assert list(topics_of(gem)) == ["alert.raised"]
