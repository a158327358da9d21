"""Of an event and a rule, each explanation names what happened, and the partner's server agrees.

The situations are told in the words of the field. All of them are played at once: organizations of
their own report to the real intake, the real pump decides and sends to a partner on loopback, and
then the management API and the event's page are asked why.
"""

import html
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from apps_registry.models import Partner, TrackingLink
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.infrastructure.database import roles
from postbacks.intake import refused_events
from postbacks.models import (
    CallbackRule,
    Event,
    RuleStatus,
)
from postbacks.privacy import erasure
from postbacks.rulebook import saving
from tests import database, make
from tests.admin.pages import sign_in
from tests.api.calling import Program, owner_of
from tests.pipeline.conftest import RecordingPartner, Run
from tests.pipeline.test_breaker_waits import make_breaker
from tests.touches import GAID, make_network, touch
from tests.workers import decide_all, work_on_held

pytestmark = pytest.mark.django_db(transaction=True)

IDFA = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
NEVER = [3600]  # the next try comes after the test


def _now(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).isoformat()


@dataclass
class Stage:
    """One organization in which one situation is played."""

    situation: "Situation"
    of: make.Tenant
    url: str
    rule: CallbackRule | None = None
    event_id: str = ""
    answer: Any = None
    network: Partner | None = None
    rival: Partner | None = None

    def report(self, **fields: object) -> str:
        sent = {"event_id": str(uuid4()), "event_name": "purchase", "install_id": "d-1"}
        event = {name: value for name, value in {**sent, **fields}.items() if value is not None}
        self.answer = Program(self.of.sdk_key).post("events", event)
        return str(event.get("event_id", ""))

    def save(self, **changes: object) -> None:
        assert self.rule is not None
        with tenant(self.of.organization.pk):
            rule = CallbackRule.objects.get(pk=self.rule.pk)
            for name, value in changes.items():
                setattr(rule, name, value)
            saving.save_checked(rule, by=None)


Step = Callable[[Stage], None]


@dataclass(frozen=True)
class Situation:
    """What a rule says, what an event says, and what the explanation must say.

    `before` happens before the event, `decided` between the decision and the sending, `after` at
    the end. `tries` is how often the partner receives it.
    """

    code: str
    detail: str
    rule: Mapping[str, object] = field(default_factory=dict)
    event: Mapping[str, object] = field(default_factory=dict)
    decision: str = "not_matched"
    tries: int = 0
    query: str = "?e={{event_name}}"
    host: str = ""
    answers: str = "ok"
    before: Step | None = None
    decided: Step | None = None
    after: Step | None = None


# What happens besides.


def click_then_install(*ago: float, rival: float | None = None) -> Step:
    """Return a step: clicks of the rule's partner so long ago, perhaps one of a rival, an install.

    The rule becomes one of this partner.
    """

    def step(stage: Stage) -> None:
        now = datetime.now(UTC)
        stage.network, link = make_network(stage.of, "Network")
        for seconds in ago:
            _touch(stage, link, seconds, now)
        if rival is not None:
            stage.rival, other = make_network(stage.of, "Rival")
            _touch(stage, other, rival, now)
        stage.save(partner=stage.network)
        stage.report(event_name="install", event_time=now.isoformat(), gaid=GAID)
        decide_all()

    return step


def _touch(stage: Stage, link: TrackingLink, seconds: float, now: datetime) -> None:
    """Record a click so long ago; an old one arrived then: told late it earns nothing."""
    is_old = seconds > 3600
    at = now - timedelta(seconds=seconds) if is_old else now
    touch(stage.of, link, at=at, ago=0 if is_old else seconds)


def installed(**ago: float) -> Step:
    def step(stage: Stage) -> None:
        stage.report(event_name="install", event_time=_now(**ago))
        decide_all()

    return step


def partner_made(**fields: object) -> Step:
    def step(stage: Stage) -> None:
        with tenant(stage.of.organization.pk):
            stage.network = make.make_partner("Network", **fields)
        stage.save(partner=stage.network)

    return step


def changed(**fields: object) -> Step:
    return lambda stage: stage.save(**fields)


def archive_partner(stage: Stage) -> None:
    partner_made()(stage)
    with tenant(stage.of.organization.pk):
        partner = Partner.objects.get(pk=stage.network.pk)  # type: ignore[union-attr]  # just made
        partner.status = Lifecycle.ARCHIVED
        partner.save()


def another_partner(stage: Stage) -> None:
    with tenant(stage.of.organization.pk):
        other = make.make_partner("Other")
    stage.save(partner=other)


def suspend(stage: Stage) -> None:
    with tenant(stage.of.organization.pk):
        CallbackRule.objects.filter(pk=stage.rule.pk).update(  # type: ignore[union-attr]  # made
            status=RuleStatus.SUSPENDED
        )


def forget(stage: Stage) -> None:
    answer = Program(stage.of.sdk_key).post("forget-device", {"install_id": "d-1"})
    assert answer.status in {200, 202}, answer.data
    with database.as_role(roles.WORKER):
        erasure.work(5, last_pass_after=timedelta(0))


def drop_held(stage: Stage) -> None:
    rule = f"callback-rules/{stage.rule.public_id}/held"  # type: ignore[union-attr]  # made
    answer = owner_of(stage.of).post(rule, {"action": "drop"})
    assert answer.status < 300, answer.data
    work_on_held()


def wait_a_week(stage: Stage) -> None:
    work_on_held(now=datetime.now(UTC) + timedelta(days=7, hours=1))


def open_breaker(stage: Stage) -> None:
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    make_breaker(stage.of, stage.url.split("/")[2], next_probe_at=in_an_hour)


def report_undecided(stage: Stage) -> None:
    """Report an event that no worker looks at any more."""
    stage.event_id = stage.report()


def another_rule(stage: Stage) -> None:
    """Replace the rule by one that is made after the event."""
    with tenant(stage.of.organization.pk):
        stage.rule = make.make_rule(f"{stage.url}?id={{{{event_id}}}}")


def mark_device(stage: Stage) -> None:
    with tenant(stage.of.organization.pk):
        make.make_test_device(gaid=GAID)


def report_before(**fields: object) -> Step:
    def step(stage: Stage) -> None:
        stage.report(**fields)
        decide_all()

    return step


def condition(field_: str, operator: str, value: object = None) -> dict[str, object]:
    line = {"field": field_, "operator": operator, "value": value}
    return {"conditions": {"all": [line]}}


MISSED: dict[str, Situation] = {
    "wrong event": Situation(
        "trigger",
        "The rule is for install; the event is purchase.",
        {"triggers": ["install"]},
    ),
    "an install of a device that is known": Situation(
        "trigger",
        "The rule is for install; this install is of a device that was known before.",
        {"triggers": ["install"]},
        {"event_name": "install"},
        before=installed(hours=1),
    ),
    "country is another": Situation(
        "condition", "the event has AT.", condition("country", "=", "DE"), {"country": "AT"}
    ),
    "country is the one left out": Situation(
        "condition", "the event has AT.", condition("country", "≠", "AT"), {"country": "AT"}
    ),
    "country is none of the list": Situation(
        "condition", "the event has AT.", condition("country", "in", "DE,CH"), {"country": "AT"}
    ),
    "country is on the list left out": Situation(
        "condition", "the event has AT.", condition("country", "not-in", "AT,CH"), {"country": "AT"}
    ),
    "revenue is not above": Situation(
        "condition",
        "the event has 5.",
        condition("revenue", ">", "5"),
        {"revenue": "5", "currency": "USD"},
    ),
    "revenue is below the least": Situation(
        "condition",
        "the event has 4.99.",
        condition("revenue", "≥", "5"),
        {"revenue": "4.99", "currency": "USD"},
    ),
    "revenue is not below": Situation(
        "condition",
        "the event has 5.",
        condition("revenue", "<", "5"),
        {"revenue": "5", "currency": "USD"},
    ),
    "revenue is above the most": Situation(
        "condition",
        "the event has 5.01.",
        condition("revenue", "≤", "5"),
        {"revenue": "5.01", "currency": "USD"},
    ),
    "product does not contain": Situation(
        "condition",
        "the event has gems_small.",
        condition("product_id", "contains", "large"),
        {"product_id": "gems_small"},
    ),
    "product does not start with": Situation(
        "condition",
        "the event has gems_small.",
        condition("product_id", "starts-with", "coins"),
        {"product_id": "gems_small"},
    ),
    "app version does not match": Situation(
        "condition",
        "the event has 1.9.",
        condition("app_version", "matches", "^2"),
        {"app_version": "1.9"},
    ),
    "a parameter is missing": Situation(
        "condition", "the event has no value.", condition("params.level", "exists")
    ),
    "none of several conditions holds": Situation(
        "condition",
        "the event has 1.",
        {
            "conditions": {
                "any": [
                    {"field": "country", "operator": "=", "value": "DE"},
                    {"field": "params.level", "operator": "≥", "value": "10"},
                ]
            }
        },
        {"country": "AT", "params": {"level": 1}},
    ),
    "revenue is missing": Situation(
        "condition", "the event has no value.", condition("revenue", ">", "0")
    ),
    "currency without a rate": Situation(
        "condition",
        "the event has no value.",
        condition("revenue_usd", "≥", "1"),
        {"revenue": "100", "currency": "UAH"},
    ),
    "another campaign": Situation(
        "condition",
        "the event has Summer",
        condition("campaign_name", "=", "Winter"),
        {},
        before=click_then_install(60),
    ),
    "organic": Situation(
        "attribution_scope",
        "The rule is for installs that somebody earned; this one is organic.",
        {"attribution_scope": "any_attributed"},
        before=installed(hours=1),
    ),
    "no install is known": Situation(
        "attribution_scope",
        "The rule is for what its partner earned; no install of this device is known.",
        {"attribution_scope": "partner"},
        before=partner_made(),
    ),
    "click out of its window": Situation(
        "attribution_scope",
        "Its click did not earn it: it happened 8 days before the install, window 7",
        {"attribution_scope": "partner"},
        before=click_then_install(8 * 86400 + 60),
    ),
    "lost to another network's click": Situation(
        "attribution_scope",
        "Its click did not earn it: another touchpoint of the same rank happened later",
        {"attribution_scope": "partner"},
        before=click_then_install(600, rival=60),
    ),
    "lost, for organic installs too": Situation(
        "attribution_scope",
        "The rule is for organic installs and those that its partner earned; Rival",
        {"attribution_scope": "partner_and_organic"},
        before=click_then_install(600, rival=60),
    ),
    "rejected as fraud": Situation(
        "attribution_scope",
        "Its click did not earn it: rejected as fraud. The click came 1",
        {"attribution_scope": "partner"},
        before=click_then_install(1),
    ),
    "later than the rule's window": Situation(
        "window",
        "The rule sends for 3 days after the install; the event came 5.0 days after.",
        {"window_days": 3},
        before=installed(days=5),
    ),
    "a window, and no install": Situation(
        "window",
        "The rule sends for 1 day after the install; no install of this device is known.",
        {"window_days": 1},
    ),
    "out of the sample": Situation(
        "sampling", "The device is not among the 0 % that are sent.", {"sampling_percent": 0}
    ),
    "a second time": Situation(
        "first_time",
        "The rule has sent for this device before.",
        {"frequency": "first"},
        before=report_before(),
    ),
    "paused then, on now": Situation(
        "paused",
        "The rule was paused.",
        {"status": RuleStatus.PAUSED},
        after=changed(status=RuleStatus.ACTIVE),
    ),
    "a draft": Situation(
        "draft", "The rule was a draft; only active rules send.", {"status": RuleStatus.DRAFT}
    ),
    "partner archived": Situation(
        "partner_archived", "The rule's partner was archived.", before=archive_partner
    ),
    "rule made later": Situation(
        "rule_is_newer",
        "The rule was made after the event arrived. Today it would be sent.",
        {"triggers": ["install"]},
        after=another_rule,
    ),
    "changed since: judged by the version of that time": Situation(
        "trigger",
        "The rule is for install; the event is purchase.",
        {"triggers": ["install"]},
        after=changed(triggers=["purchase"]),
    ),
    "suspended, and not wanted": Situation(
        "trigger",
        "The rule is for install; the event is purchase.",
        {"triggers": ["install"]},
        before=suspend,
    ),
}

SKIPPED: dict[str, Situation] = {
    name: Situation(
        "no_consent",
        f"The person did not consent ({evidence}).",
        {"without_consent": "skip"},
        event,
        decision="skipped",
    )
    for name, evidence, event in (
        ("limited ad tracking", "limit_ad_tracking is true", {"limit_ad_tracking": True}),
        ("ATT denied", "att_status is 2, denied", {"att_status": 2}),
        ("ATT restricted", "att_status is 1, restricted", {"att_status": 1}),
        ("opted out of sale", "us_privacy is 1YYN, opted out of sale", {"us_privacy": "1YYN"}),
        (
            "GDPR without consent",
            "gdpr_applies is true without ad_user_data",
            {"gdpr_applies": True},
        ),
        (
            "EEA without consent",
            "eea is true without ad_user_data",
            {"eea": True, "ad_user_data": False},
        ),
    )
}
SKIPPED |= {
    "opted out of sharing with this partner": Situation(
        "no_consent",
        "The person did not consent (sharing_opt_out names this partner).",
        {"without_consent": "skip"},
        {"sharing_opt_out": ["Network"]},
        decision="skipped",
        before=lambda stage: _partner_named(stage, "Network"),
    ),
    "a required macro has no value": Situation(
        "missing_macro",
        "{{idfv}} has no value: the event has no idfv.",
        event={"platform": "ios"},
        decision="skipped",
        query="?v={{idfv!}}",
    ),
    "the event map leaves it out": Situation(
        "not_mapped",
        "The event map does not name purchase.",
        {"event_map": {"registration": "reg"}},
        decision="skipped",
        query="?e={{partner_event_name}}",
    ),
    "archived between decision and sending": Situation(
        "rule_archived",
        "Its rule or the rule's partner was archived.",
        decision="skipped",
        decided=changed(status=RuleStatus.ARCHIVED),
    ),
    "another partner between decision and sending": Situation(
        "partner_changed",
        "The rule got another partner after it was decided.",
        decision="skipped",
        before=partner_made(),
        decided=another_partner,
    ),
    "a macro required since": Situation(
        "missing_macro",
        "{{idfv}} has no value: the event has no idfv.",
        event={"platform": "ios"},
        decision="skipped",
        decided=lambda stage: stage.save(url=stage.url + "?v={{idfv!}}"),
    ),
    "forgotten between decision and sending": Situation(
        "erased",
        "The device was forgotten, so there are no data to send.",
        decision="skipped",
        decided=forget,
    ),
    "held for a week": Situation(
        "held_expired",
        "It was held for seven days, and nobody had it sent.",
        decision="skipped",
        before=suspend,
        decided=wait_a_week,
    ),
    "held and dropped": Situation(
        "held_dropped",
        "It was held, and somebody dropped it.",
        decision="skipped",
        before=suspend,
        decided=drop_held,
    ),
}

WAITING: dict[str, Situation] = {
    "suspended": Situation(
        "rule_suspended",
        "Held, since its rule was suspended.",
        decision="held",
        before=suspend,
    ),
    "paused between decision and sending": Situation(
        "rule_off",
        "Its rule is off (paused). It waits until the rule is on.",
        decision="held",
        decided=changed(status=RuleStatus.PAUSED),
    ),
    "the partner's host fails, and waits for a probe": Situation(
        "breaker_open",
        "It waits for its host, which fails again and again, until one request is answered.",
        decision="owed",
        decided=open_breaker,
    ),
    "not decided yet": Situation(
        "undecided",
        "The event has not been decided yet.",
        {"triggers": ["purchase"], "status": RuleStatus.DRAFT},
        decision="held",
        after=report_undecided,
    ),
    "the rule's delay": Situation(
        "due",
        "It waits for the rule's delay, and is sent at",
        {"delay_seconds": 3600},
        decision="owed",
    ),
    "a server error is tried again": Situation(
        "due",
        "It is tried again after 1 try. The last answer was HTTP 500, “oops”.",
        {"retry_delays": NEVER},
        decision="owed",
        tries=1,
        answers="500",
    ),
    "too fast, says the partner": Situation(
        "due",
        "It is tried again after 1 try. The last answer was HTTP 429",
        {"retry_delays": NEVER},
        decision="owed",
        tries=1,
        answers="429",
    ),
    "the body says no": Situation(
        "due",
        "The last answer was HTTP 200: body says no",
        {"retry_delays": NEVER, "success": {"codes": ["2xx"], "body_contains": "true"}},
        decision="owed",
        tries=1,
        answers="no",
    ),
    "no answer in time": Situation(
        "due",
        "It is tried again after 1 try. The last try got no answer:",
        {"retry_delays": NEVER, "timeout_seconds": 1},
        decision="owed",
        tries=1,
        answers="slow",
    ),
}

ENDED: dict[str, Situation] = {
    "delivered": Situation("delivered", "The partner took it.", decision="sent", tries=1),
    "consent missing, and personal values stripped": Situation(
        "delivered",
        "{{idfa}} has no value: ",
        event={"idfa": IDFA, "platform": "ios", "att_status": 2},
        decision="sent",
        tries=1,
        query="?i={{idfa}}",
    ),
    "consent missing, and the rule sends all the same": Situation(
        "delivered",
        "The partner took it.",
        {"without_consent": "send"},
        {"idfa": IDFA, "platform": "ios", "att_status": 2},
        decision="sent",
        tries=1,
        query="?i={{idfa}}",
    ),
    "revenue withheld": Situation(
        "delivered",
        "{{revenue}} has no value: ",
        {"send_revenue": False},
        {"revenue": "5", "currency": "USD"},
        decision="sent",
        tries=1,
        query="?r={{revenue}}",
    ),
    "a late event": Situation(
        "delivered",
        "The partner took it.",
        event={"event_time": _now(days=20)},
        decision="sent",
        tries=1,
    ),
    "a test device": Situation(
        "delivered",
        "The partner took it.",
        event={"gaid": GAID},
        decision="sent",
        tries=1,
        before=mark_device,
    ),
    "credited to the partner": Situation(
        "delivered",
        "The partner took it.",
        {"attribution_scope": "partner"},
        decision="sent",
        tries=1,
        before=click_then_install(60),
    ),
    "paused since": Situation(
        "delivered",
        "The partner took it.",
        decision="sent",
        tries=1,
        after=changed(status=RuleStatus.PAUSED),
    ),
    "not found at the partner": Situation(
        "http_404",
        "Given up after 1 try. The last answer was HTTP 404, “no such campaign”.",
        decision="failed",
        tries=1,
        answers="404",
    ),
    "gone at the partner": Situation(
        "http_410",
        "Given up after 1 try. The last answer was HTTP 410",
        decision="failed",
        tries=1,
        answers="410",
    ),
    "redirected": Situation(
        "redirect",
        "The last answer was HTTP 302: redirected, without a body.",
        decision="failed",
        tries=1,
        answers="302",
    ),
    "given up after its retries": Situation(
        "http_500",
        "Given up after 1 try. The last answer was HTTP 500, “oops”.",
        {"retry_delays": []},
        decision="failed",
        tries=1,
        answers="500",
    ),
    "the body says no for good": Situation(
        "body_is_final",
        "Given up after 1 try. The last answer was HTTP 200",
        {
            "success": {
                "codes": ["2xx"],
                "body_contains": "true",
                "final": [{"body_contains": "false"}],
            }
        },
        decision="failed",
        tries=1,
        answers="no",
    ),
    "a credential is missing": Situation(
        "template",
        "Given up after 1 try. The last try sent nothing:",
        {"retry_delays": []},
        decision="failed",
        query="?k={{credential.api_key}}",
        before=partner_made(),
    ),
    "nobody listens": Situation(
        "connect",
        "Given up after 1 try. The last try got no answer: could not connect",
        {"retry_delays": []},
        decision="failed",
        host="http://127.0.0.1:9",
    ),
    "a forbidden address": Situation(
        "blocked",
        "Given up after 1 try. The last try sent nothing:",
        {"retry_delays": []},
        decision="failed",
        host="http://10.0.0.1",
    ),
}

ALL = {**MISSED, **SKIPPED, **WAITING, **ENDED}

# Refused on arrival, so that no rule was asked: what the list of refused events says.
REFUSED: dict[str, tuple[Step, Mapping[str, object], str, str]] = {
    "revenue is no number": (
        lambda stage: None,
        {"revenue": "nine", "currency": "USD"},
        "invalid_field",
        "revenue",
    ),
    "the bundle ID of another app": (
        lambda stage: None,
        {"bundle_id": "com.example.other"},
        "invalid_field",
        "bundle",
    ),
    "too old": (lambda stage: None, {"event_time": _now(days=70)}, "invalid_field", "58 days"),
    "the device was forgotten": (forget, {}, "device_forgotten", "forgotten"),
    "the app was archived": (lambda stage: _archive_app(stage), {}, "app_archived", ""),
    "the key was revoked": (lambda stage: _revoke_key(stage), {}, "key_revoked", ""),
}


def _archive_app(stage: Stage) -> None:
    assert owner_of(stage.of).delete(f"apps/{stage.of.app.public_id}").status == 204


def _revoke_key(stage: Stage) -> None:
    (key,) = owner_of(stage.of).rows("sdk-keys")
    assert owner_of(stage.of).delete(f"sdk-keys/{key['id']}").status == 204


def _partner_named(stage: Stage, name: str) -> None:
    with tenant(stage.of.organization.pk):
        partner = Partner.objects.create(name=name)
    stage.save(partner=partner)


def _answer(path: str, _headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
    kind = path.split("/")[1]
    if kind == "slow":
        time.sleep(2)
    return {
        "404": (404, {}, b"no such campaign"),
        "410": (410, {}, b"gone"),
        "302": (302, {"Location": "https://other.example.com/"}, b""),
        "429": (429, {"Retry-After": "3600"}, b"slow down"),
        "500": (500, {}, b"oops"),
        "no": (200, {}, b'{"ok": false}'),
    }.get(kind, (200, {}, b"ok"))


def _set_up(number: int, situation: Situation, partner: RecordingPartner) -> Stage:
    host = situation.host or f"{partner.url}/{situation.answers}"
    stage = Stage(situation, make.make_tenant(), f"{host}/s{number}")
    fields = {"status": RuleStatus.ACTIVE, **situation.rule}
    if fields.get("attribution_scope") in {"partner", "partner_and_organic"}:
        with tenant(stage.of.organization.pk):
            fields["partner"] = make.make_partner("Network")
    stage.rule = make.make_tenant_rule(
        stage.of, f"{stage.url}{situation.query}&id={{{{event_id}}}}", **fields
    )
    return stage


def _is_all_sent() -> bool:
    """Tell whether nothing is to be decided, is due or is being sent."""
    is_idle = """
    SELECT NOT EXISTS (SELECT FROM undecided_event)
        AND NOT EXISTS (
            SELECT FROM due_postback AS due
            WHERE (due_at <= now() OR claim_id IS NOT NULL)
                AND NOT EXISTS (
                    SELECT FROM circuit_breaker AS breaker
                    WHERE breaker.organization_id = due.organization_id
                )
        )
    """
    ((idle,),) = database.superuser().execute(is_idle).fetchall()
    return bool(idle)


def test_each_explanation_names_the_reason_and_the_partner_agrees(
    partner_answering: Callable[..., RecordingPartner], run_pump: Run
) -> None:
    partner = partner_answering(_answer)
    stages = {
        name: _set_up(number, situation, partner)
        for number, (name, situation) in enumerate(ALL.items())
    }
    for stage in stages.values():
        if stage.situation.before:
            stage.situation.before(stage)
    for stage in stages.values():
        stage.event_id = stage.report(**stage.situation.event)
        assert stage.answer.data["accepted"] == 1, stage.answer.data
        if stage.situation.decided:
            decide_all()
            stage.situation.decided(stage)
    run_pump(_is_all_sent)
    for stage in stages.values():
        if stage.situation.after:
            stage.situation.after(stage)

    explained = {name: _explained(stage, partner) for name, stage in stages.items()}

    assert len(ALL) >= 60
    wrong = [
        f"{name}: {explained[name]}, not {expected}"
        for name, situation in ALL.items()
        if explained[name] != (expected := _expected(situation))
    ]
    assert not wrong, "\n".join(wrong)


def test_what_was_refused_on_arrival_says_why_and_nothing_is_sent(
    partner_answering: Callable[..., RecordingPartner], run_pump: Run
) -> None:
    partner = partner_answering(_answer)
    plain = Situation("", "")
    for number, (name, (before, event, reason, word)) in enumerate(REFUSED.items()):
        stage = _set_up(number, plain, partner)
        before(stage)
        refused_events.log.clear()

        stage.report(**event)
        refused_events.log.flush()

        assert stage.answer.status in {401, 403, 410, 422}, name
        (row,) = owner_of(stage.of).rows("refused-events")
        assert row["reason"] == reason, name
        assert word in str(row["errors"]).lower(), name
    run_pump(_is_all_sent)

    assert partner.requests == []


def test_a_duplicate_is_sent_once(
    partner_answering: Callable[..., RecordingPartner], run_pump: Run
) -> None:
    partner = partner_answering(_answer)
    stage = _set_up(0, Situation("", ""), partner)
    stage.event_id = stage.report()
    stage.report(event_id=stage.event_id)

    run_pump(_is_all_sent)

    assert stage.answer.data["duplicates"] == 1
    assert len(partner.requests) == 1
    (explained,) = owner_of(stage.of).get(f"events/{stage.event_id}/explain").data
    assert explained["decision"] == "sent"
    assert explained["if_it_came_now"]["decision"] == "owed"


def _expected(situation: Situation) -> tuple[object, ...]:
    return situation.decision, situation.code, situation.detail, True, situation.tries


def _explained(stage: Stage, partner: RecordingPartner) -> tuple[object, ...]:
    """Return what the API says, whether the page says it too, and what the partner received."""
    wanted, rule = stage.situation, stage.rule
    rows = owner_of(stage.of).get(f"events/{stage.event_id}/explain").data
    (row,) = [each for each in rows if rule and each["rule"] == str(rule.public_id)]
    reason = row["reasons"][0]
    detail = wanted.detail if wanted.detail in reason["detail"] else reason["detail"]
    with tenant(stage.of.organization.pk):
        key = Event.objects.get(event_id=stage.event_id).pk
    page = sign_in(stage.of.owner).get(f"/admin/postbacks/event/{key}/change/").content.decode()
    is_on_page = reason["detail"] in html.unescape(page)
    tries = sum(stage.event_id in path for _, path, *_ in partner.requests)
    code = wanted.code if wanted.code == "" else reason["code"]
    return row["decision"], code, detail, is_on_page, tries
