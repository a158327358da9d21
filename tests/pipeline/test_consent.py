"""A person who said no: skipped, stripped or sent as the rule says, for each kind of evidence."""

from typing import Any
from unittest.mock import ANY
from urllib.parse import parse_qs, urlsplit

import pytest

from apps_registry.models import Partner
from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.delivery.attempt import USER_AGENT
from postbacks.infrastructure.database import roles
from tests import database
from tests.events import attempts_of, event, postbacks_of, record
from tests.make import Tenant, make_rule, make_tenant
from tests.pipeline.conftest import RecordingPartner, Run
from tests.pipeline.test_pump import all_ended

pytestmark = pytest.mark.django_db(transaction=True)

IDFA = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
SAID_NO: list[dict[str, Any]] = [
    {"limit_ad_tracking": True},
    {"limit_ad_tracking": 1},
    {"att_status": 1},
    {"att_status": 2},
    {"us_privacy": "1YYN"},
    {"us_privacy": "1nyn"},
    {"sharing_opt_out": ["lumen ads"]},
    {"sharing_opt_out": ["Other", "lumen_ads"]},
    {"sharing_opt_out": ["Other", "All"]},
    {"eea": True},
    {"gdpr_applies": True, "ad_user_data": False},
]
SAID_NOTHING: list[dict[str, Any]] = [
    {},
    {"limit_ad_tracking": False},
    {"att_status": 0},
    {"att_status": 3},
    {"us_privacy": "1YNN"},
    {"us_privacy": "1---"},
    {"sharing_opt_out": ["Somebody Else"]},
    {"sharing_opt_out": []},
    {"eea": True, "ad_user_data": True},
    {"gdpr_applies": False},
]


def decide(rules: dict[str, object], *evidence: dict[str, Any]) -> list[str]:
    """Decide one event per evidence, in order, and return the reasons of their skips."""
    gem = make_tenant()
    with tenant(gem.organization.pk):
        make_rule(partner=Partner.objects.create(name="Lumen Ads"), **rules)
    record(gem, *(event(install_id=f"d{at}", **facts) for at, facts in enumerate(evidence)))
    with database.as_role(roles.WORKER):
        pipeline.decide_events()
    return [
        postback.reason
        for postback in sorted(postbacks_of(gem), key=lambda postback: postback.event_id)
    ]


def test_a_rule_that_skips_skips_on_evidence_only() -> None:
    skips = {"without_consent": "skip"}

    assert decide(skips, *SAID_NO) == ["no_consent"] * len(SAID_NO)


def test_a_rule_that_skips_sends_where_nobody_said_no() -> None:
    skips = {"without_consent": "skip"}

    assert decide(skips, *SAID_NOTHING) == [""] * len(SAID_NOTHING)


def test_a_required_id_that_is_stripped_is_missing() -> None:
    url = "https://ads.example.com/p?i={{idfa!}}"

    reasons = decide(
        {"url": url, "without_consent": "strip"},
        {"idfa": IDFA},
        {"idfa": IDFA, "limit_ad_tracking": True},
    )

    assert reasons == ["", "missing_macro"]


def lumen(partner: RecordingPartner, without_consent: str) -> Tenant:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        make_rule(
            partner=Partner.objects.create(name="Lumen Ads"),
            url=partner.url + "/p?id={{idfa}}&md5={{idfa_md5}}&user={{customer_user_id}}"
            "&ip={{ip_address}}&mail={{params.mail}}&event={{event_name}}",
            method="POST",
            headers={"X-Agent": "{{user_agent}}", "X-User": "{{customer_user_id|base64}}"},
            body_type="json",
            body='{"all": {{event_params_json}}, "idfv": "{{idfv||install_id}}"}',
            without_consent=without_consent,
        )
    record(
        gem,
        event(
            idfa=IDFA,
            idfv="599F9C00-92DC-4B5C-9464-7971F01F8370",
            customer_user_id="anna",
            ip_address="203.0.113.77",
            user_agent="Mozilla/5.0 (Anna)",
            params={"mail": "anna@example.com"},
            sharing_opt_out=["LUMEN ADS"],
        ),
    )
    return gem


def test_a_rule_that_strips_sends_the_event_without_the_person(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = lumen(ok_partner, "strip")

    run_pump(until=all_ended(gem))

    ((_method, path, headers, body),) = ok_partner.requests
    assert path == "/p?id=&md5=&user=&ip=&mail=&event=purchase"
    assert headers.get("x-agent", "") == headers.get("x-user", "") == ""
    assert body == b'{"all":null,"idfv":""}'
    assert "anna" not in str(attempts_of(gem)[0].request).lower()


def test_a_rule_that_sends_all_the_same_sends_all(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = lumen(ok_partner, "send")

    run_pump(until=all_ended(gem))

    ((_method, path, _headers, _body),) = ok_partner.requests
    assert parse_qs(urlsplit(path).query)["id"] == [IDFA]
    assert parse_qs(urlsplit(path).query)["mail"] == ["anna@example.com"]


def test_a_person_who_said_no_leaves_no_device_in_the_headers(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        make_rule(
            url=ok_partner.url,
            method="POST",
            headers={"user-agent": "{{user_agent}}", "X-Forwarded-For": "{{ip_address}}"},
        )
    device = {"ip_address": "203.0.113.77", "user_agent": "Mozilla/5.0 (Anna)"}
    record(gem, event(**device, install_id="yes"))
    record(gem, event(**device, install_id="no", limit_ad_tracking=True))

    run_pump(until=all_ended(gem, 2))

    sent = [
        (headers["user-agent"], headers.get("x-forwarded-for"), headers["content-length"])
        for _method, _path, headers, _body in ok_partner.requests
    ]
    logged = [attempt.request["headers"] for attempt in attempts_of(gem)]
    assert sorted(sent) == [
        ("Mozilla/5.0 (Anna)", "203.0.113.77", "0"),
        (USER_AGENT, None, "0"),
    ]
    assert sorted(logged, key=len) == [
        {"User-Agent": USER_AGENT, "Idempotency-Key": ANY},
        {
            "user-agent": "Mozilla/5.0 (Anna)",
            "X-Forwarded-For": "203.0.113.77",
            "Idempotency-Key": ANY,
        },
    ]
