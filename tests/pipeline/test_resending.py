"""Sent again by a person: by the rule of now, as decided, and what was skipped decided again."""

from collections.abc import Callable
from typing import Any

import pytest

from apps_registry.models import AuditEntry, Partner
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.models import (
    AttemptKind,
    DuePostback,
    PostbackStatus,
    RuleDevice,
    RuleStatus,
)
from postbacks.rulebook.resending import NotResendableError, resend
from tests import database
from tests.events import attempts_of, event, postbacks_of, record
from tests.make import Tenant, make_partner, make_tenant, make_tenant_rule
from tests.pipeline.conftest import Answer, RecordingPartner, Run
from tests.pipeline.test_corrected_rules import IDFA, correct, make_all_due, was_tried
from tests.pipeline.test_pump import all_ended
from tests.workers import decide

pytestmark = pytest.mark.django_db(transaction=True)

PartnerAnswering = Callable[[Answer], RecordingPartner]


def resend_first(of: Tenant, *, as_decided: bool = False) -> None:
    with tenant(of.organization.pk):
        resend(postbacks_of(of)[0], as_decided=as_decided)


def test_a_failed_postback_is_resent_by_the_corrected_rule(
    partner_answering: PartnerAnswering, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    broken = partner_answering(lambda *_: (404, {}, b""))
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=broken.url + "/old")
    record(gem, event())
    run_pump(until=all_ended(gem))

    correct(gem, rule, url=ok_partner.url + "/new")
    resend_first(gem)
    run_pump(until=lambda: postbacks_of(gem)[0].status == PostbackStatus.DELIVERED)

    assert [(a.kind, a.rule_version) for a in attempts_of(gem)] == [("auto", 1), ("resend", 2)]
    assert len(broken.requests) == len(ok_partner.requests) == 1


def test_a_resend_as_decided_keeps_to_the_old_version_over_its_retries(
    partner_answering: PartnerAnswering, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    broken = partner_answering(lambda *_: (500, {}, b""))
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=broken.url + "/old", retry_delays=[3600])
    record(gem, event())
    run_pump(until=was_tried(gem))
    correct(gem, rule, url=ok_partner.url + "/new", retry_delays=[3600])

    resend_first(gem, as_decided=True)
    run_pump(until=was_tried(gem, 2))
    make_all_due()
    run_pump(until=was_tried(gem, 3))

    assert [(a.kind, a.rule_version) for a in attempts_of(gem)] == [
        ("auto", 1),
        ("resend", 1),
        ("resend", 1),
    ]
    assert not ok_partner.requests
    assert not any("differs" in attempt.detail for attempt in attempts_of(gem))


def test_a_resend_by_the_rule_of_now_unpins_one_as_decided(
    partner_answering: PartnerAnswering, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    broken = partner_answering(lambda *_: (500, {}, b""))
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=broken.url, retry_delays=[3600])
    record(gem, event())
    run_pump(until=was_tried(gem))
    correct(gem, rule, url=ok_partner.url)

    resend_first(gem, as_decided=True)
    resend_first(gem)
    run_pump(until=all_ended(gem))

    assert len(ok_partner.requests) == 1


def test_a_resend_as_decided_still_goes_to_the_partner_of_then(
    partner_answering: PartnerAnswering, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    broken = partner_answering(lambda *_: (500, {}, b""))
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=ok_partner.url + "/{{event_name}}", retry_delays=[3600])
    record(gem, event())
    run_pump(until=was_tried(gem))
    with tenant(gem.organization.pk):
        partner = make_partner()
    correct(gem, rule, url=broken.url, partner=partner)

    resend_first(gem, as_decided=True)
    run_pump(until=was_tried(gem, 2))

    assert len(ok_partner.requests) == 2
    assert not broken.requests


_CORRECTED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("not_mapped", {"event_map": {"install": "i"}}, {"event_map": {"purchase": "p"}}),
    ("not_mapped", {"event_map": {"install": "i"}}, {"event_map": {}}),
    ("no_consent", {"without_consent": "skip"}, {"without_consent": "strip"}),
    ("no_consent", {"without_consent": "skip"}, {"without_consent": "send"}),
    ("missing_macro", {"url": "{url}/?g={{{{gaid!}}}}"}, {"url": "{url}/?g={{{{gaid}}}}"}),
    (
        "missing_macro",
        {"url": "{url}/?g={{{{gaid!}}}}"},
        {"url": "{url}/?g={{{{gaid||idfv||'none'!}}}}"},
    ),
    ("missing_macro", {"headers": {"X-G": "{{gaid!}}"}}, {"headers": {}}),
    (
        "missing_macro",
        {"url": "{url}/?v={{{{revenue!}}}}", "send_revenue": False},
        {"url": "{url}/?v={{{{revenue!}}}}", "send_revenue": True},
    ),
]


def _at(partner: RecordingPartner, fields: dict[str, Any]) -> dict[str, Any]:
    url = fields.get("url", "{url}")
    return {**fields, "url": url.format(url=partner.url)}


@pytest.mark.parametrize(("reason", "before", "correction"), _CORRECTED)
def test_a_skipped_postback_is_decided_again_in_its_own_row(
    ok_partner: RecordingPartner,
    run_pump: Run,
    reason: str,
    before: dict[str, Any],
    correction: dict[str, Any],
) -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, frequency="first", **_at(ok_partner, before))
    record(gem, event(idfa=IDFA, limit_ad_tracking=True, revenue="9.99", currency="USD"))
    decide()
    (skipped,) = postbacks_of(gem)
    assert (skipped.status, skipped.reason) == (PostbackStatus.SKIPPED, reason)

    correct(gem, rule, **_at(ok_partner, correction))
    resend_first(gem)
    run_pump(until=all_ended(gem))

    (postback,) = postbacks_of(gem)
    assert (postback.status, postback.reason) == (PostbackStatus.DELIVERED, "")
    assert postback.public_id == skipped.public_id
    assert postback.rule_version == 2
    assert [attempt.kind for attempt in attempts_of(gem)] == [AttemptKind.RESEND]
    with tenant(gem.organization.pk):
        assert RuleDevice.objects.count() == 1
        entry = AuditEntry.objects.get(action="resent")
    assert entry.object_id == str(postback.public_id)
    assert entry.changes == {"status": ["skipped", "pending"], "reason": [reason, ""]}


def test_what_was_skipped_at_a_retry_is_decided_again_for_the_new_partner(
    partner_answering: PartnerAnswering, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    broken = partner_answering(lambda *_: (500, {}, b""))
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=broken.url, retry_delays=[3600], frequency="first")
    record(gem, event())
    run_pump(until=was_tried(gem))
    with tenant(gem.organization.pk):
        partner = make_partner()
    correct(gem, rule, url=ok_partner.url, partner=partner)
    make_all_due()
    run_pump(until=all_ended(gem))
    assert postbacks_of(gem)[0].reason == "partner_changed"

    resend_first(gem)
    run_pump(until=all_ended(gem))

    (postback,) = postbacks_of(gem)
    assert (postback.status, postback.rule_version) == (PostbackStatus.DELIVERED, 2)
    assert [attempt.rule_version for attempt in attempts_of(gem)] == [1, 2]
    assert len(ok_partner.requests) == 1


_STILL_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "the rule of now skips it too. The rule's event map does not name"),
    ({"event_map": {}, "without_consent": "skip"}, "did not consent"),
    ({"event_map": {}, "headers": {"X": "{{gaid!}}"}}, "A required macro has no value"),
    ({"event_map": {}, "triggers": ["install"]}, "does not want its event. The rule is for"),
    (
        {
            "event_map": {},
            "conditions": {"all": [{"field": "country", "operator": "=", "value": "DE"}]},
        },
        "does not want its event",
    ),
    ({"event_map": {}, "window_days": 1}, "does not want its event"),
    ({"event_map": {}, "status": RuleStatus.PAUSED}, "not active"),
    ({"event_map": {}, "status": RuleStatus.DRAFT}, "not active"),
]


@pytest.mark.parametrize(("correction", "words"), _STILL_REFUSED)
def test_what_the_rule_of_now_does_not_send_stays_skipped_and_says_why(
    ok_partner: RecordingPartner, correction: dict[str, Any], words: str
) -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=ok_partner.url, event_map={"install": "i"}, frequency="first")
    record(gem, event(limit_ad_tracking=True))
    decide()
    correct(gem, rule, **correction)

    with pytest.raises(NotResendableError, match=words):
        resend_first(gem)

    (postback,) = postbacks_of(gem)
    assert (postback.status, postback.reason) == (PostbackStatus.SKIPPED, "not_mapped")
    with tenant(gem.organization.pk):
        assert not DuePostback.objects.exists()
        assert not RuleDevice.objects.exists()


def test_a_device_that_was_served_meanwhile_is_not_served_twice(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=ok_partner.url, event_map={"install": "i"}, frequency="first")
    record(gem, event())
    decide()
    correct(gem, rule, event_map={})
    record(gem, event())
    run_pump(until=lambda: len(attempts_of(gem)) == 1)

    with pytest.raises(NotResendableError, match="sent for this device before"):
        resend_first(gem)


def test_two_who_decide_again_at_once_send_once(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=ok_partner.url, event_map={"install": "i"})
    record(gem, event())
    decide()
    correct(gem, rule, event_map={})
    (seen_by_both,) = postbacks_of(gem)

    resend_first(gem)
    with tenant(gem.organization.pk), pytest.raises(NotResendableError, match="being sent"):
        resend(seen_by_both)
    run_pump(until=all_ended(gem))

    assert len(ok_partner.requests) == 1


def test_what_was_skipped_is_not_resent_as_decided(ok_partner: RecordingPartner) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, url=ok_partner.url, event_map={"install": "i"})
    record(gem, event())
    decide()

    with pytest.raises(NotResendableError, match="without as_decided"):
        resend_first(gem, as_decided=True)


def test_a_rule_that_can_not_be_applied_is_corrected_and_decides_again(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=ok_partner.url)
    database.superuser().execute(
        "UPDATE callback_rule_version SET definition = definition || %s WHERE rule_id = %s",
        ['{"conditions": {"all": [{"field": "no_such", "operator": "=", "value": 1}]}}', rule.pk],
    )
    record(gem, event())
    decide()
    assert postbacks_of(gem)[0].reason == "rule_error"
    with pytest.raises(NotResendableError, match="operator's log"):
        resend_first(gem)

    correct(gem, rule, conditions={"all": []})
    resend_first(gem)
    run_pump(until=all_ended(gem))

    assert postbacks_of(gem)[0].status == PostbackStatus.DELIVERED


def test_each_version_keeps_the_fingerprint_of_its_first_attempt(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    broken = partner_answering(lambda *_: (500, {}, b""))
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=broken.url + "/a?n={{app_name}}", retry_delays=[3600])
    record(gem, event())
    run_pump(until=was_tried(gem))
    correct(gem, rule, url=broken.url + "/b?n={{app_name}}")
    make_all_due()
    run_pump(until=was_tried(gem, 2))
    resend_first(gem, as_decided=True)
    run_pump(until=was_tried(gem, 3))
    with tenant(gem.organization.pk):
        gem.app.name = "Renamed"
        gem.app.save()
    resend_first(gem, as_decided=True)
    run_pump(until=was_tried(gem, 4))
    resend_first(gem)
    run_pump(until=was_tried(gem, 5))

    assert [(a.rule_version, "differs" in a.detail) for a in attempts_of(gem)] == [
        (1, False),
        (2, False),
        (1, False),
        (1, True),
        (2, True),
    ]


def test_a_postback_that_is_decided_again_keeps_the_fingerprints_of_all_versions(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    broken = partner_answering(lambda *_: (500, {}, b""))
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=broken.url, retry_delays=[3600])
    record(gem, event())
    run_pump(until=was_tried(gem))
    (tried,) = postbacks_of(gem)
    correct(gem, rule, event_map={"install": "i"})
    make_all_due()
    run_pump(until=all_ended(gem))
    correct(gem, rule, event_map={}, url=broken.url + "/new")

    resend_first(gem)
    run_pump(until=was_tried(gem, 2))

    (postback,) = postbacks_of(gem)
    assert (postback.rule_version, postback.status) == (3, PostbackStatus.PENDING)
    assert postback.other_fingerprints == {"1": tried.fingerprint}
    assert postback.fingerprint not in {"", tried.fingerprint}


@pytest.mark.parametrize(
    ("correction", "words"),
    [
        ({"event_map": {"install": "i"}}, "event map does not name"),
        ({"without_consent": "skip"}, "did not consent"),
        ({"headers": {"X-G": "{{gaid!}}"}}, "A required macro has no value"),
        ({"partner": "another"}, "another partner"),
    ],
)
def test_what_was_delivered_and_would_be_skipped_now_is_refused_with_the_reason(
    ok_partner: RecordingPartner, run_pump: Run, correction: dict[str, Any], words: str
) -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=ok_partner.url, without_consent="send")
    record(gem, event(limit_ad_tracking=True))
    run_pump(until=all_ended(gem))
    with tenant(gem.organization.pk):
        other = make_partner()
    correct(gem, rule, **{**correction, **({"partner": other} if "partner" in correction else {})})

    with pytest.raises(NotResendableError, match=words):
        resend_first(gem)
    resend_first(gem, as_decided=True)
    run_pump(until=was_tried(gem, 2))

    assert postbacks_of(gem)[0].status == PostbackStatus.DELIVERED
    assert [attempt.rule_version for attempt in attempts_of(gem)] == [1, 1]


def test_what_has_an_archived_partner_is_not_resent(ok_partner: RecordingPartner) -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        partner = make_partner()
    make_tenant_rule(gem, url=ok_partner.url, partner=partner)
    record(gem, event())
    decide()
    with tenant(gem.organization.pk):
        Partner.objects.update(status=Lifecycle.ARCHIVED)

    with pytest.raises(NotResendableError, match="archived"):
        resend_first(gem)


def test_an_event_whose_data_are_gone_is_not_decided_again(ok_partner: RecordingPartner) -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=ok_partner.url, event_map={"install": "i"})
    record(gem, event())
    decide()
    correct(gem, rule, event_map={})
    database.superuser().execute("DELETE FROM event")

    with pytest.raises(NotResendableError, match="no longer stored"):
        resend_first(gem)
