"""A rule that is corrected while its postbacks wait: each attempt goes by the rule of now."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection

from apps_registry.tenancy import tenant
from postbacks.callbacks.rendering import render_postbacks
from postbacks.callbacks.rules import compiled
from postbacks.callbacks.rules.compiled import load_rendering_rules
from postbacks.infrastructure.database import roles
from postbacks.models import CallbackRule, DuePostback, PostbackStatus, RuleDevice
from postbacks.rulebook import saving
from postbacks.rulebook.resending import resend
from tests import database
from tests.claims import claim_due
from tests.events import attempts_of, event, postbacks_of, record
from tests.make import Tenant, make_partner, make_tenant, make_tenant_rule
from tests.pipeline.conftest import Answer, RecordingPartner, Run
from tests.pipeline.test_pump import all_ended
from tests.workers import decide

pytestmark = pytest.mark.django_db(transaction=True)

PartnerAnswering = Callable[[Answer], RecordingPartner]

IDFA = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
_LATER = [3600, 3600, 3600]


@pytest.fixture
def broken_partner(partner_answering: PartnerAnswering) -> RecordingPartner:
    return partner_answering(lambda *_: (500, {}, b""))


def correct(of: Tenant, rule: CallbackRule, **fields: object) -> None:
    with tenant(of.organization.pk):
        rule.refresh_from_db()
        for name, value in fields.items():
            setattr(rule, name, value)
        saving.save(rule, by=None)


def make_all_due() -> None:
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute("UPDATE due_postback SET due_at = now() WHERE claim_id IS NULL")


def was_tried(of: Tenant, count: int = 1) -> Callable[[], bool]:
    return lambda: len(attempts_of(of)) == count


def test_a_retry_follows_the_corrected_url(
    broken_partner: RecordingPartner, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=broken_partner.url + "/old", retry_delays=_LATER)
    record(gem, event())
    run_pump(until=was_tried(gem))

    correct(gem, rule, url=ok_partner.url + "/new")
    make_all_due()
    run_pump(until=all_ended(gem))

    (postback,) = postbacks_of(gem)
    assert (postback.status, postback.rule_version) == (PostbackStatus.DELIVERED, 1)
    assert [attempt.rule_version for attempt in attempts_of(gem)] == [1, 2]
    assert [path for _, path, _, _ in ok_partner.requests] == ["/new"]
    assert len(broken_partner.requests) == 1
    assert "differs" not in attempts_of(gem)[1].detail


_FOLLOWED: list[tuple[dict[str, Any], Callable[[Any], object], object]] = [
    ({"method": "POST"}, lambda sent: sent[0], "POST"),
    ({"headers": {"X-Mark": "{{event_name}}"}}, lambda sent: sent[2].get("x-mark"), "purchase"),
    (
        {"method": "POST", "body_type": "form", "body": "e={{event_name}}"},
        lambda sent: sent[3],
        b"e=purchase",
    ),
    (
        {"event_map": {"purchase": "af_purchase"}},
        lambda sent: sent[1],
        f"/?e=af_purchase&v=9.99&i={IDFA}&g=",
    ),
    ({"missing_values": "drop"}, lambda sent: sent[1], f"/?e=purchase&v=9.99&i={IDFA}"),
    ({"send_revenue": False}, lambda sent: sent[1], f"/?e=purchase&v=&i={IDFA}&g="),
    ({"without_consent": "strip"}, lambda sent: sent[1], "/?e=purchase&v=9.99&i=&g="),
    ({"sign": True}, lambda sent: "webhook-signature" in sent[2], True),
    ({"success": {"codes": ["500"]}}, lambda sent: sent[0], "GET"),
]


@pytest.mark.parametrize(("correction", "read", "expected"), _FOLLOWED)
def test_the_next_attempt_follows_whatever_renders_or_discloses(
    broken_partner: RecordingPartner,
    run_pump: Run,
    correction: dict[str, Any],
    read: Callable[[Any], object],
    expected: object,
) -> None:
    gem = make_tenant()
    url = broken_partner.url + "/?e={{partner_event_name}}&v={{revenue}}&i={{idfa}}&g={{gaid}}"
    rule = make_tenant_rule(gem, url=url, retry_delays=_LATER, without_consent="send")
    record(gem, event(idfa=IDFA, limit_ad_tracking=True, revenue="9.99", currency="USD"))
    run_pump(until=was_tried(gem))

    correct(gem, rule, **correction)
    make_all_due()
    run_pump(until=was_tried(gem, 2))

    assert read(broken_partner.requests[1]) == expected
    delivered = postbacks_of(gem)[0].status == PostbackStatus.DELIVERED
    assert delivered == ("success" in correction)


def test_a_shorter_schedule_holds_from_the_next_attempt_on(
    broken_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=broken_partner.url, retry_delays=_LATER)
    record(gem, event())
    run_pump(until=was_tried(gem))

    correct(gem, rule, retry_delays=[1])
    make_all_due()
    run_pump(until=all_ended(gem))

    assert postbacks_of(gem)[0].status == PostbackStatus.FAILED


_NO_LONGER_SENT: list[tuple[dict[str, Any], str]] = [
    ({"without_consent": "skip"}, "no_consent"),
    ({"event_map": {"registration": "reg"}}, "not_mapped"),
    ({"url": "{url}/?g={{{{gaid!}}}}"}, "missing_macro"),
    ({"headers": {"X-Id": "{{gaid!}}"}}, "missing_macro"),
    (
        {"method": "POST", "body_type": "json", "body": '{"id": {{params.level!}}}'},
        "missing_macro",
    ),
    ({"url": "{url}/?v={{{{revenue!}}}}", "send_revenue": False}, "missing_macro"),
    ({"url": "{url}/?i={{{{idfa!}}}}", "without_consent": "strip"}, "missing_macro"),
    ({"partner": "another"}, "partner_changed"),
    ({"partner": None}, "partner_changed"),
    ({"partner": "another", "url": "{url}/else"}, "partner_changed"),
]


@pytest.mark.parametrize(("correction", "reason"), _NO_LONGER_SENT)
def test_what_may_no_longer_go_is_skipped_before_the_next_attempt(
    broken_partner: RecordingPartner, run_pump: Run, correction: dict[str, Any], reason: str
) -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        fields = dict(correction)
        if fields.get("partner"):
            fields["partner"] = make_partner()
        if "url" in fields:
            fields["url"] = fields["url"].format(url=broken_partner.url)
        partner = make_partner()
    rule = make_tenant_rule(
        gem,
        url=broken_partner.url,
        partner=partner,
        retry_delays=_LATER,
        without_consent="send",
        frequency="first",
    )
    record(gem, event(idfa=IDFA, limit_ad_tracking=True, revenue="9.99", currency="USD"))
    run_pump(until=was_tried(gem))

    correct(gem, rule, **fields)
    make_all_due()
    run_pump(until=all_ended(gem))

    (postback,) = postbacks_of(gem)
    assert (postback.status, postback.reason) == (PostbackStatus.SKIPPED, reason)
    assert (postback.next_attempt_at, postback.attempts_made) == (None, 1)
    assert len(broken_partner.requests) == 1
    with tenant(gem.organization.pk):
        assert not DuePostback.objects.exists()
        assert not RuleDevice.objects.exists(), "a skip gives the first time back"


@pytest.mark.parametrize("path", ["first try", "resend"])
@pytest.mark.parametrize(
    ("correction", "reason"),
    [
        ({"without_consent": "skip"}, "no_consent"),
        ({"event_map": {"registration": "reg"}}, "not_mapped"),
        ({"headers": {"X-Id": "{{gaid!}}"}}, "missing_macro"),
        ({"partner": None}, "partner_changed"),
    ],
)
def test_each_kind_of_attempt_is_judged_again(
    broken_partner: RecordingPartner,
    run_pump: Run,
    path: str,
    correction: dict[str, Any],
    reason: str,
) -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        partner = make_partner()
    rule = make_tenant_rule(
        gem,
        url=broken_partner.url,
        partner=partner,
        retry_delays=[],
        without_consent="send",
        delay_seconds=3600 if path == "first try" else 0,
    )
    record(gem, event(limit_ad_tracking=True))
    if path == "first try":
        decide()
        correct(gem, rule, **correction)
        make_all_due()
    else:
        run_pump(until=all_ended(gem))
        correct(gem, rule, **correction)
        with tenant(gem.organization.pk):
            resend(postbacks_of(gem)[0])
    run_pump(until=all_ended(gem))

    (postback,) = postbacks_of(gem)
    assert (postback.status, postback.reason) == (PostbackStatus.SKIPPED, reason)
    assert len(broken_partner.requests) == len(attempts_of(gem)) == (path == "resend")


def test_a_partner_that_a_rule_never_had_is_not_sent_what_was_decided_before(
    broken_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=broken_partner.url, retry_delays=_LATER)
    record(gem, event())
    run_pump(until=was_tried(gem))

    with tenant(gem.organization.pk):
        partner = make_partner()
    correct(gem, rule, partner=partner)
    make_all_due()
    run_pump(until=all_ended(gem))

    assert postbacks_of(gem)[0].reason == "partner_changed"


def test_what_is_decided_once_stays_decided(
    broken_partner: RecordingPartner, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=broken_partner.url, retry_delays=_LATER)
    record(gem, event())
    run_pump(until=was_tried(gem))

    correct(
        gem,
        rule,
        url=ok_partner.url,
        triggers=["install"],
        attribution_scope="any_attributed",
        conditions={"all": [{"field": "country", "operator": "=", "value": "DE"}]},
        window_days=1,
        sampling_percent=0,
    )
    make_all_due()
    run_pump(until=all_ended(gem))

    assert postbacks_of(gem)[0].status == PostbackStatus.DELIVERED


def test_a_difference_is_remarked_on_within_one_version_only(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    """The app's name is a fact of now: two attempts of one version may differ by it."""
    partner = partner_answering(lambda *_: (500, {}, b""))
    gem = make_tenant()
    rule = make_tenant_rule(gem, url=partner.url + "/a?n={{app_name}}", retry_delays=_LATER)
    record(gem, event())
    run_pump(until=was_tried(gem))

    correct(gem, rule, url=partner.url + "/b?n={{app_name}}")
    make_all_due()
    run_pump(until=was_tried(gem, 2))
    with tenant(gem.organization.pk):
        gem.app.name = "Renamed"
        gem.app.save()
    make_all_due()
    run_pump(until=was_tried(gem, 3))
    correct(gem, rule, url=partner.url + "/c")
    make_all_due()
    run_pump(until=was_tried(gem, 4))

    assert ["differs" in attempt.detail for attempt in attempts_of(gem)] == [
        False,
        False,
        True,
        False,
    ]
    assert [attempt.rule_version for attempt in attempts_of(gem)] == [1, 2, 2, 3]


def test_a_batch_of_many_versions_of_one_rule_reads_the_current_one() -> None:
    gem = make_tenant()
    rule = make_tenant_rule(gem, "https://ads.example.com/?e={{event_name}}")
    for number in range(5):
        record(gem, event())
        decide()
        correct(gem, rule, url=f"https://ads.example.com/{number}?e={{{{event_name}}}}")

    with database.as_role(roles.WORKER):
        postbacks = [lease.postback for lease in claim_due(100)]
        loaded = load_rendering_rules((p.rule_id, p.rule_version, False) for p in postbacks)
        rendered = render_postbacks(postbacks)

    assert sorted(postback.rule_version for postback in postbacks) == [1, 2, 3, 4, 5]
    assert loaded.rules.keys() == {(rule.pk, 6)}
    assert {each.rendering.request.url for each in rendered if each.rendering} == {
        "https://ads.example.com/4?e=purchase"
    }


def test_versions_that_are_too_large_together_are_rendered_in_batches_and_small_ones_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gem, quiet = make_tenant(), make_tenant("Quiet")
    rule = make_tenant_rule(gem, "https://ads.example.com/?e={{event_name}}", body_type="raw")
    make_tenant_rule(quiet, "https://ads.example.com/?e={{event_name}}")
    for number in range(5):
        correct(gem, rule, method="POST", body=f"{number}" * 10_000)
        record(gem, event())
        decide()
    record(quiet, event())
    decide()
    monkeypatch.setattr(compiled, "_LOADED_TOGETHER", 15_000)

    batches = []
    with database.as_role(roles.WORKER):
        # As people resend what they want sent as it was decided.
        left = [
            replace(lease.postback, pinned_version=lease.postback.rule_version)
            for lease in claim_due(100)
        ]
        while left and len(batches) < 10:
            rendered = render_postbacks(left)
            batches.append(
                [p.organization_id for p, r in zip(left, rendered, strict=True) if r.rendering]
            )
            left = [p for p, r in zip(left, rendered, strict=True) if r.over_budget]

    assert not left
    assert quiet.organization.pk in batches[0]
    assert [len(batch) for batch in batches] == [3, 2, 1]
