"""What was sent says at both doors why macros were empty, and what the last answer was."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.models import DeliveryAttempt, Postback
from postbacks.privacy import erasure
from tests import database, make
from tests.admin.pages import sign_in
from tests.api.calling import Program, owner_of
from tests.events import event, record
from tests.pipeline.conftest import Answer, RecordingPartner, Run
from tests.workers import decide_all

pytestmark = pytest.mark.django_db(transaction=True)

StartPartner = Callable[[Answer], RecordingPartner]


@pytest.fixture
def gem() -> make.Tenant:
    return make.make_tenant()


def _deliver(
    gem: make.Tenant, run_pump: Run, reported: dict[str, object], status: str = "delivered"
) -> Mapping[str, Any]:
    """Report an event, let its postback end, and return its explanation."""
    record(gem, reported)

    def has_ended() -> bool:
        with tenant(gem.organization.pk):
            return Postback.objects.filter(status=status, attempts_made__gte=1).exists()

    run_pump(has_ended)
    return _explained(gem, reported)


def _explained(gem: make.Tenant, reported: dict[str, object]) -> Mapping[str, Any]:
    answer = owner_of(gem).get(f"events/{reported['event_id']}/explain")
    assert answer.status == 200
    (explained,) = answer.data
    return explained


def _pages(gem: make.Tenant) -> list[str]:
    """Return the pages of the event, its postback and the last attempt."""
    browser: Client = sign_in(gem.owner)
    with tenant(gem.organization.pk):
        keys = {
            "postback": Postback.objects.get().pk,
            "deliveryattempt": DeliveryAttempt.objects.order_by("-number")[0].pk,
        }
    return [
        browser.get(f"/admin/postbacks/{page}/{key}/change/").content.decode()
        for page, key in keys.items()
    ]


def test_a_stripped_idfa_says_that_the_person_did_not_consent(
    gem: make.Tenant, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    make.make_tenant_rule(
        gem,
        ok_partner.url + "/?idfa={{idfa}}&gaid={{gaid}}&click={{click_id}}&level={{params.level}}"
        "&usd={{revenue_usd}}&name={{event_name}}&os={{os_version}}",
    )
    reported = event(
        idfa="6D92078A-8246-4BA4-AE5B-76104861E7DC",
        platform="ios",
        att_status=2,
        revenue="5",
        currency="UAH",
    )

    explained = _deliver(gem, run_pump, reported)

    assert "idfa=&gaid=&click=&level=&usd=&name=purchase" in ok_partner.requests[0][1]
    assert [(macro["macro"], macro["code"]) for macro in explained["empty_macros"]] == [
        ("idfa", "no_consent"),
        ("gaid", "unknown_to_platform"),
        ("click_id", "no_click"),
        ("params.level", "not_in_event"),
        ("revenue_usd", "no_rate"),
        ("os_version", "not_in_event"),
    ]
    (reason,) = explained["reasons"]
    removed = "the person did not consent (att_status is 2, denied)."
    assert reason["code"] == "delivered"
    assert reason["detail"].startswith("The partner took it. {{idfa}} has no value: ")
    assert removed in reason["detail"]
    assert reason["detail"].endswith("2 more macros have no value.")
    for page in _pages(gem):
        assert "6 macros of the request have no value: why" in page
        assert f"It was removed, since {removed}" in page


@pytest.mark.parametrize(
    ("fields", "reported", "code"),
    [
        ({"send_revenue": False}, {"revenue": "5", "currency": "USD"}, "revenue_not_sent"),
        ({}, {"revenue": "5"}, None),
        ({}, {}, "not_in_event"),
        ({"missing_values": "drop"}, {}, "not_in_event"),
    ],
)
def test_revenue_says_whether_the_rule_or_the_event_left_it_out(
    gem: make.Tenant,
    ok_partner: RecordingPartner,
    run_pump: Run,
    fields: dict[str, object],
    reported: dict[str, object],
    code: str | None,
) -> None:
    make.make_tenant_rule(gem, ok_partner.url + "/?r={{revenue}}", **fields)

    explained = _deliver(gem, run_pump, event(**reported))

    assert [macro["code"] for macro in explained["empty_macros"]] == ([code] if code else [])


@pytest.mark.parametrize(
    ("status", "headers", "body", "sentence"),
    [
        (404, {}, b"no such\n campaign", "The last answer was HTTP 404, “no such campaign”."),
        (404, {}, b"", "The last answer was HTTP 404, without a body."),
        (400, {}, b"x" * 200, "The last answer was HTTP 400, “" + "x" * 120 + "…”."),
        (
            302,
            {"Location": "https://other.example.com/"},
            b"",
            "The last answer was HTTP 302: redirected, without a body.",
        ),
        (403, {}, b'{"error": "key"}', "The last answer was HTTP 403, “{&quot;error&quot;"),
    ],
)
def test_a_failure_says_in_one_sentence_what_the_last_answer_was(
    gem: make.Tenant,
    partner_answering: StartPartner,
    run_pump: Run,
    status: int,
    headers: dict[str, str],
    body: bytes,
    sentence: str,
) -> None:
    partner = partner_answering(lambda path, sent: (status, headers, body))
    make.make_tenant_rule(gem, partner.url + "/?e={{event_name}}")

    explained = _deliver(gem, run_pump, event(), status="failed")

    (reason,) = explained["reasons"]
    assert explained["decision"] == "failed"
    assert reason["detail"].startswith("Given up after 1 try. The last answer was HTTP")
    assert sentence.replace("&quot;", '"') in reason["detail"]
    assert sentence in _pages(gem)[0]


def test_a_body_that_says_no_and_what_is_tried_again_say_their_last_answer(
    gem: make.Tenant, partner_answering: StartPartner, run_pump: Run
) -> None:
    partner = partner_answering(lambda path, sent: (200, {}, b'{"ok": false}'))
    make.make_tenant_rule(
        gem, partner.url + "/?e={{event_name}}", success={"codes": ["2xx"], "body_contains": "true"}
    )

    explained = _deliver(gem, run_pump, event(), status="pending")

    (reason,) = explained["reasons"]
    assert (explained["decision"], reason["code"]) == ("owed", "due")
    assert reason["detail"] == (
        "It is tried again after 1 try. The last answer was HTTP 200: body says no, "
        '“{"ok": false}”.'
    )


def test_where_nobody_answers_the_last_try_says_so(gem: make.Tenant, run_pump: Run) -> None:
    make.make_tenant_rule(gem, "http://127.0.0.1:9/?e={{event_name}}", retry_delays=[])

    explained = _deliver(gem, run_pump, event(), status="failed")

    (reason,) = explained["reasons"]
    assert reason["detail"].startswith(
        "Given up after 1 try. The last try got no answer: could not connect"
    )


def test_a_skip_names_what_had_no_value(gem: make.Tenant) -> None:
    make.make_tenant_rule(gem, "https://ads.example.com/?idfv={{idfv!}}&e={{event_name}}")
    reported = event(platform="ios")
    record(gem, reported)
    decide_all()

    explained = _explained(gem, reported)

    assert explained["decision"] == "skipped"
    assert [(macro["macro"], macro["code"]) for macro in explained["empty_macros"]] == [
        ("idfv", "not_in_event")
    ]


@pytest.mark.parametrize(
    ("field", "sent", "words"),
    [
        ("idfa", "None", "“None” is what devices and programs send instead of an ID."),
        ("idfa", "00000000-0000-0000-0000-000000000000", "instead of an ID."),
        ("idfv", "{{idfv}}", "“{{idfv}}” is a macro that was not filled in."),
        ("install_id", "undefined", "instead of an ID."),
        ("customer_user_id", "guest", "instead of an ID."),
        ("idfv", "%%IDFV%%", "is a macro that was not filled in."),
    ],
)
def test_a_word_in_place_of_an_id_is_named_after_it_was_left_out(
    gem: make.Tenant, field: str, sent: str, words: str
) -> None:
    macro = "mmp_device_id" if field == "install_id" else field
    url = "https://ads.example.com/?a={{" + macro + "!}}&e={{event_name}}"
    make.make_tenant_rule(gem, url)
    reported = event(**{"platform": None, field: sent})
    record(gem, reported)
    decide_all()

    explained = _explained(gem, reported)

    (macro_left_out,) = explained["empty_macros"]
    assert (macro_left_out["macro"], macro_left_out["code"]) == (macro, "no_id")
    assert words.rstrip(".") in macro_left_out["detail"]


def test_of_a_forgotten_device_nothing_is_said_that_is_not_known(
    gem: make.Tenant, partner_answering: StartPartner, run_pump: Run
) -> None:
    partner = partner_answering(lambda path, sent: (404, {}, b"no such campaign"))
    make.make_tenant_rule(gem, partner.url + "/?idfa={{idfa}}")
    silent = make.make_tenant_rule(gem, triggers=["install"])
    reported = event(platform="ios")
    record(gem, reported)
    run_pump(lambda: _has_failed(gem))
    Program(gem.sdk_key).post("forget-device", {"install_id": reported["install_id"]})
    with database.as_role(roles.WORKER):
        erasure.work(5, last_pass_after=timedelta(0))

    answer = owner_of(gem).get(f"events/{reported['event_id']}/explain")

    by_rule = {row["rule"]: row for row in answer.data}
    quiet = by_rule.pop(str(silent.public_id))
    (failed,) = by_rule.values()
    assert [reason["code"] for reason in quiet["reasons"]] == ["trigger", "erased"]
    assert failed["empty_macros"] == []
    (reason,) = failed["reasons"]
    assert reason["detail"] == "Given up after 1 try. The last answer was HTTP 404."


def _has_failed(gem: make.Tenant) -> bool:
    with tenant(gem.organization.pk):
        return Postback.objects.filter(status="failed").exists()


def test_a_credential_that_is_gone_says_that_nothing_was_sent(
    gem: make.Tenant, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    with tenant(gem.organization.pk):
        partner = make.make_partner(credentials={"key": "k"}, allowed_hosts=(ok_partner.host,))
    make.make_tenant_rule(gem, ok_partner.url + "/?k={{credential.key}}", partner=partner)
    with tenant(gem.organization.pk):
        partner.credentials.all().delete()

    explained = _deliver(gem, run_pump, event(), status="failed")

    (reason,) = explained["reasons"]
    assert reason["detail"].startswith("Given up after 1 try. The last try sent nothing: unknown")
