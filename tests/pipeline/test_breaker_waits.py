"""While a circuit breaker is open its postbacks wait, and one request finds out."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import connection
from django.urls import reverse

from apps_registry.tenancy import tenant
from postbacks.callbacks.rendering import render_postbacks
from postbacks.delivery.attempt import Attempt, begin
from postbacks.delivery.attempt_reports import report_attempts
from postbacks.delivery.breaker import delete_old_breakers
from postbacks.delivery.claiming import claim_paced, next_due
from postbacks.delivery.http.response import Reply, TransportFailure
from postbacks.infrastructure.database import roles
from postbacks.insights.health import CHECKS
from postbacks.models import (
    BreakerState,
    CallbackRule,
    CircuitBreaker,
    DuePostback,
    Install,
    Postback,
    PostbackStatus,
    RuleStatus,
)
from postbacks.rulebook import saving
from tests import database
from tests.admin.pages import sign_in
from tests.api.calling import owner_of
from tests.claims import claim_due
from tests.events import attempts_of, event, postbacks_of, record
from tests.make import Tenant, make_partner, make_tenant, make_tenant_rule
from tests.pipeline.conftest import Answer, RecordingPartner, Run
from tests.pipeline.test_pump import all_ended
from tests.workers import decide

pytestmark = pytest.mark.django_db(transaction=True)

PartnerAnswering = Callable[[Answer], RecordingPartner]


def breaker_of(of: Tenant) -> CircuitBreaker | None:
    with tenant(of.organization.pk):
        return CircuitBreaker.objects.first()


def make_breaker(of: Tenant, host: str, **fields: object) -> CircuitBreaker:
    now = datetime.now(UTC)
    values = {
        "state": BreakerState.OPEN,
        "reason": "timeout",
        "window_started_at": now,
        "opened_at": now,
        "next_probe_at": now + timedelta(seconds=30),
        "probe_wait_seconds": 30,
        **fields,
    }
    with database.as_role(roles.WORKER), tenant(of.organization.pk):
        return CircuitBreaker.objects.create(host=host, **values)


def delete_breaker(of: Tenant) -> None:
    with tenant(of.organization.pk):
        CircuitBreaker.objects.all().delete()


def let_probe(of: Tenant) -> None:
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE circuit_breaker SET next_probe_at = now() WHERE organization_id = %s",
            [of.organization.pk],
        )


def test_it_opens_after_ten_failures_and_closes_when_a_probe_is_answered(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    answers: Iterator[int] = iter([503] * 10)
    partner = partner_answering(lambda *_: (next(answers, 200), {}, b""))
    gem = make_tenant()
    make_tenant_rule(gem, url=partner.url, retry_delays=[1] * 10)
    record(gem, *(event(install_id=f"device-{n}") for n in range(10)))

    run_pump(until=lambda: len(attempts_of(gem)) == 10)

    breaker = breaker_of(gem)
    assert breaker is not None
    assert (breaker.state, breaker.reason, breaker.host) == ("open", "http_503", partner.host)
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute("UPDATE due_postback SET due_at = now()")
    with database.as_role(roles.WORKER):
        assert claim_due(100) == []
        wait = next_due().plain
    assert wait is not None
    assert 0 < wait <= 30
    assert len(attempts_of(gem)) == 10

    let_probe(gem)
    run_pump(until=all_ended(gem, 10))

    assert breaker_of(gem) is None
    assert {postback.status for postback in postbacks_of(gem)} == {PostbackStatus.DELIVERED}
    assert {postback.attempts_made for postback in postbacks_of(gem)} == {2}


@pytest.mark.parametrize("limits", [{}, {"max_in_flight": 5}])
def test_an_answer_to_a_probe_closes_it_for_rules_with_and_without_limits(
    ok_partner: RecordingPartner, run_pump: Run, limits: dict[str, int]
) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, url=ok_partner.url, **limits)
    record(gem, *(event(install_id=f"device-{n}") for n in range(3)))
    decide()
    make_breaker(gem, ok_partner.host, next_probe_at=datetime.now(UTC))

    run_pump(until=all_ended(gem, 3))

    assert breaker_of(gem) is None


@pytest.mark.usefixtures("test_worker")
def test_a_test_send_that_is_answered_closes_it_and_what_waits_is_sent(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    answers = {"503": False, "429": False, "404": True, "302": True, "200": True}
    partner = partner_answering(lambda path, _: (int(path[1:4]), {}, b""))
    gem, coral = make_tenant(), make_tenant("Coral Bay")
    waiting = make_tenant_rule(gem, url=f"{partner.url}/200")
    record(gem, event())
    decide()
    make_breaker(gem, "ads.example.com:443")
    make_breaker(coral, partner.host)

    for code, closes in answers.items():
        rule = make_tenant_rule(gem, url=f"{partner.url}/{code}", status=RuleStatus.PAUSED)
        with database.as_role(roles.WORKER), tenant(gem.organization.pk):
            CircuitBreaker.objects.filter(host=partner.host).delete()
        make_breaker(gem, partner.host, state=BreakerState.HALF_OPEN)

        tests = [
            owner_of(gem).post(f"callback-rules/{rule.public_id}/test-send", {}).data["success"]
            for _ in range(2)
        ]

        assert ["it answers again" in test["reason"] for test in tests] == [closes, False], code
        with tenant(gem.organization.pk):
            is_open = CircuitBreaker.objects.get(host=partner.host).state != BreakerState.CLOSED
            assert is_open == (not closes), code
    with tenant(gem.organization.pk):
        assert CircuitBreaker.objects.get(host="ads.example.com:443").state == BreakerState.OPEN
    with tenant(coral.organization.pk):
        assert CircuitBreaker.objects.get().state == BreakerState.OPEN, "another organization's"
    run_pump(until=all_ended(gem, 1 + 2 * len(answers)))
    (sent,) = [each for each in postbacks_of(gem) if not each.test]
    assert (sent.status, sent.rule_id) == (PostbackStatus.DELIVERED, waiting.pk)


@pytest.mark.parametrize("limits", [{}, {"max_in_flight": 5}])
def test_an_answer_ends_the_failures_in_a_row_that_other_workers_counted(
    ok_partner: RecordingPartner, run_pump: Run, limits: dict[str, int]
) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, url=ok_partner.url, **limits)
    record(gem, event())
    decide()
    make_breaker(
        gem,
        ok_partner.host,
        state=BreakerState.CLOSED,
        failures=9,
        opened_at=None,
        next_probe_at=None,
    )

    run_pump(until=all_ended(gem, 1))

    assert breaker_of(gem) is None


def test_a_probe_that_fails_leaves_the_others_waiting_and_the_next_one_later(
    partner_answering: PartnerAnswering, run_pump: Run
) -> None:
    partner = partner_answering(lambda *_: (503, {}, b""))
    gem = make_tenant()
    make_tenant_rule(gem, url=partner.url)
    record(gem, *(event(install_id=f"device-{n}") for n in range(10)))
    decide()
    make_breaker(gem, partner.host, next_probe_at=datetime.now(UTC))

    run_pump(until=lambda: len(attempts_of(gem)) == 1)

    breaker = breaker_of(gem)
    assert breaker is not None
    assert (breaker.state, breaker.probe_wait_seconds) == ("open", 60)
    assert len(partner.requests) == 1
    assert sum(postback.attempts_made for postback in postbacks_of(gem)) == 1


@pytest.mark.parametrize("limits", [{}, {"max_in_flight": 5}, {"rate_limit_per_second": 50}])
def test_of_all_workers_one_gets_the_probe(limits: dict[str, int]) -> None:
    gem, coral = make_tenant(), make_tenant()
    for of in (gem, coral):
        make_tenant_rule(of, url="https://ads.example.com/p", **limits)
        record(of, *(event(install_id=f"device-{n}") for n in range(5)))
        decide()
    make_breaker(gem, "ads.example.com:443")
    with tenant(gem.organization.pk):
        some = list(DuePostback.objects.values_list("pk", flat=True)[:2])
        DuePostback.objects.filter(pk__in=some).update(tries=1)  # retries are a queue of their own
    claim = claim_paced if limits else claim_due

    with database.as_role(roles.WORKER):
        others = {lease.postback.organization_id for lease in claim(100)}
        let_probe(gem)
        probes = [lease for lease in claim(100) if lease.lane[0] == gem.organization.pk]
        again = [lease for lease in claim(100) if lease.lane[0] == gem.organization.pk]

    assert others == {coral.organization.pk}  # the same host, and no breaker
    assert ([probe.is_probe for probe in probes], again) == ([True], [])
    breaker = breaker_of(gem)
    assert breaker is not None
    assert breaker.state == BreakerState.HALF_OPEN
    with tenant(gem.organization.pk):
        assert DuePostback.objects.filter(claim_id__isnull=True).count() == 4


@pytest.mark.parametrize("limits", [{}, {"max_in_flight": 5}])
def test_a_probe_that_another_worker_takes_is_not_waited_for(limits: dict[str, int]) -> None:
    gem = make_tenant()
    for host in ("ads.example.com", "net.example.com"):
        make_tenant_rule(gem, url=f"https://{host}/p", **limits)
        make_breaker(gem, f"{host}:443", next_probe_at=datetime.now(UTC))
    record(gem, event())
    decide()
    claim = claim_paced if limits else claim_due

    with psycopg.connect(database.superuser_conninfo()) as other:
        other.execute("SELECT FROM circuit_breaker WHERE host = 'ads.example.com:443' FOR UPDATE")
        with database.as_role(roles.WORKER), connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
            probes = claim(100)
            cursor.execute("RESET lock_timeout")

    assert [(probe.host, probe.is_probe) for probe in probes] == [("net.example.com:443", True)]


@pytest.mark.parametrize(
    "change",
    [
        {"status": RuleStatus.PAUSED},
        {"status": RuleStatus.SUSPENDED},
        {"status": RuleStatus.ARCHIVED},
        {"url": "http://127.0.0.1:1/p"},
        {"max_in_flight": 5},
        {"event_map": {"registration": "reg"}},
    ],
)
def test_a_probe_that_is_not_sent_gives_its_turn_to_the_next_postback(
    ok_partner: RecordingPartner,
    run_pump: Run,
    change: dict[str, object],
) -> None:
    gem = make_tenant()
    changed = make_tenant_rule(gem, url=ok_partner.url)
    other = make_tenant_rule(gem, url=ok_partner.url)
    record(gem, event())
    decide()
    with tenant(gem.organization.pk):
        first = datetime.now(UTC) - timedelta(hours=1)
        DuePostback.objects.filter(rule_id=changed.pk).update(due_at=first)
        for name, value in change.items():
            setattr(changed, name, value)
        saving.save(changed, by=None)
    make_breaker(gem, ok_partner.host, next_probe_at=datetime.now(UTC), probe_wait_seconds=300)

    run_pump(until=lambda: is_delivered(gem, other), seconds=15.0)

    with tenant(gem.organization.pk):
        assert not CircuitBreaker.objects.filter(host=ok_partner.host).exists()


@pytest.mark.parametrize("refused_by", ["the rule's limits", "a missing secret"])
def test_a_probe_of_which_nothing_was_sent_gives_its_turn_to_the_next_postback(
    ok_partner: RecordingPartner,
    run_pump: Run,
    refused_by: str,
) -> None:
    """An attempt that never left says nothing about its partner."""
    url = f"{ok_partner.url}?note={{{{params.note}}}}"
    gem = make_tenant()
    refused = make_tenant_rule(gem, url=url, sign=refused_by == "a missing secret")
    other = make_tenant_rule(gem, url=url.replace("{{params.note}}", "n"))
    note = "n" * 9_000 if refused_by == "the rule's limits" else "n"
    record(gem, event(params={"note": note}))
    decide()
    with tenant(gem.organization.pk):
        first = datetime.now(UTC) - timedelta(hours=1)
        (queued,) = DuePostback.objects.filter(rule_id=refused.pk)
        DuePostback.objects.filter(pk=queued.pk).update(due_at=first)
    make_breaker(gem, queued.host, next_probe_at=datetime.now(UTC), probe_wait_seconds=300)

    run_pump(until=lambda: is_delivered(gem, other), seconds=15.0)

    assert breaker_of(gem) is None
    ended = {postback.rule_id: postback.status for postback in postbacks_of(gem)}
    assert ended == {refused.pk: PostbackStatus.FAILED, other.pk: PostbackStatus.DELIVERED}


def test_a_rule_that_may_send_nothing_now_takes_no_probe() -> None:
    gem = make_tenant()
    make_tenant_rule(gem, url="https://ads.example.com/p", max_in_flight=1)
    record(gem, *(event(install_id=f"device-{n}") for n in range(2)))
    decide()
    with database.as_role(roles.WORKER):
        under_way = claim_paced(1)
    make_breaker(gem, "ads.example.com:443", next_probe_at=datetime.now(UTC))

    with database.as_role(roles.WORKER):
        probes = claim_paced(1)

    assert (len(under_way), probes) == (1, [])
    breaker = breaker_of(gem)
    assert breaker is not None
    assert breaker.state == BreakerState.OPEN


@pytest.mark.parametrize("limits", [{"max_in_flight": 5}, {"rate_limit_per_second": 50}])
def test_of_several_rules_with_limits_that_send_to_an_open_lane_one_probes(
    limits: dict[str, int],
) -> None:
    gem = make_tenant()
    for path in ("a", "b", "c"):
        make_tenant_rule(gem, url=f"https://ads.example.com/{path}", **limits)
    make_tenant_rule(gem, url="https://net.example.com/p", **limits)
    record(gem, *(event(install_id=f"device-{n}") for n in range(2)))
    decide()
    make_breaker(gem, "ads.example.com:443", next_probe_at=datetime.now(UTC))

    with database.as_role(roles.WORKER):
        leases = claim_paced(100)
        again = claim_paced(100)

    probed = [lease.host for lease in leases if lease.is_probe]
    assert probed == ["ads.example.com:443"]
    assert {lease.host for lease in [*leases, *again]} == {probed[0], "net.example.com:443"}
    assert not any(lease.host == probed[0] for lease in again)


def is_delivered(of: Tenant, rule: CallbackRule) -> bool:
    return any(
        postback.status == PostbackStatus.DELIVERED
        for postback in postbacks_of(of)
        if postback.rule_id == rule.pk
    )


def test_people_see_what_fails_and_what_waits_for_it() -> None:
    gem, coral = make_tenant(), make_tenant()
    for of in (gem, coral):
        with tenant(of.organization.pk):
            partner = make_partner("Skyline Ads")
        make_tenant_rule(of, url="https://ads.example.com:8443/p", partner=partner)
        make_tenant_rule(of, url="https://ads.example.com/p")
        record(of, event())
        decide()
    breaker = make_breaker(gem, "ads.example.com:8443")

    shown = {}
    for of in (gem, coral):
        owner = owner_of(of)
        rules = owner.get("callback-rules").data["results"]
        ((failing,), (well,)) = (
            [rule for rule in rules if (":8443" in rule["url"]) is is_failing]
            for is_failing in (True, False)
        )
        (partner,) = owner.get("partners").data["results"]
        alone = [
            owner.get(f"callback-rules/{failing['id']}"),
            owner.get(f"partners/{partner['id']}"),
        ]
        assert [each.data["breakers"] for each in alone] == [
            failing["breakers"],
            partner["breakers"],
        ]
        written = [
            owner.patch(f"callback-rules/{failing['id']}", {**failing, "breakers": []}),
            owner.patch(f"partners/{partner['id']}", {**partner, "breakers": []}),
        ]
        assert [each.status for each in written] == [200, 200]
        assert well["breakers"] == []
        postbacks = owner.get("postbacks").data["results"]
        reasons = {each["rule"]: each["reason"] for each in postbacks}
        single = owner.get(f"postbacks/{postbacks[0]['id']}").data["reason"]
        assert single == postbacks[0]["reason"]
        shown[of.organization.pk] = (
            failing["breakers"],
            partner["breakers"],
            reasons[failing["id"]],
            reasons[well["id"]],
        )
        with tenant(of.organization.pk):
            # Nothing is stored: the reason is of now.
            assert {each.reason for each in Postback.objects.all()} == {""}

    (of_rule,), (of_partner,), reason, other = shown[gem.organization.pk]
    assert of_rule == of_partner
    assert {name: of_rule[name] for name in ("host", "port", "state", "reason")} == {
        "host": "ads.example.com",
        "port": 8443,
        "state": "open",
        "reason": "timeout",
    }
    assert datetime.fromisoformat(of_rule["next_probe_at"]) - datetime.fromisoformat(
        of_rule["since"]
    ) == timedelta(seconds=30)
    assert breaker.opened_at is not None
    assert (reason, other) == ("breaker_open", None)
    assert shown[coral.organization.pk] == ([], [], None, None)


def test_the_pages_of_a_rule_and_its_partner_name_the_host_that_fails() -> None:
    gem = make_tenant()
    client = sign_in(gem.owner)
    with tenant(gem.organization.pk):
        partner = make_partner("Skyline Ads")
    rule = make_tenant_rule(gem, url="https://ads.example.com:8443/p", partner=partner)
    pages = [
        reverse("admin:postbacks_callbackrule_change", args=[rule.pk]),
        reverse("admin:apps_registry_partner_change", args=[partner.pk]),
    ]
    before = [client.get(page).content.decode() for page in pages]
    make_breaker(gem, "ads.example.com:8443", reason="http_503")

    after = [client.get(page).content.decode() for page in pages]

    assert not any("ads.example.com, port 8443, fails" in page for page in before)
    for page in after:
        assert "ads.example.com, port 8443, fails: its postbacks wait." in page
        assert "HTTP 503" in page


SECRET_HOST = "secret-host.example.com"


@pytest.mark.parametrize("written", [f"{SECRET_HOST}:8443", "Secret-Host.Example.com:8443"])
def test_a_host_that_is_a_credential_is_shown_nowhere(
    written: str, caplog: pytest.LogCaptureFixture
) -> None:
    gem = make_tenant()
    client, owner = sign_in(gem.owner), owner_of(gem)
    with tenant(gem.organization.pk):
        partner = make_partner(
            credentials={"host": written}, allowed_hosts=("*.example.com", "ads.example.org")
        )
    url = "https://{{credential.host}}/p?e={{event_name}}"
    rule = make_tenant_rule(gem, url=url, partner=partner)
    record(gem, event())
    decide()
    make_breaker(gem, f"{SECRET_HOST}:8443", reason="http_503")
    with tenant(gem.organization.pk):
        postback = Postback.objects.get()

    pages = [
        client.get(reverse(f"admin:{name}", args=arguments)).content.decode().lower()
        for name, arguments in (
            ("postbacks_callbackrule_change", [rule.pk]),
            ("apps_registry_partner_change", [partner.pk]),
            ("postbacks_callbackrule_changelist", []),
            ("postbacks_postback_changelist", []),
            ("postbacks_postback_change", [postback.pk]),
            ("index", []),
        )
    ]
    answers = [
        owner.get(f"callback-rules/{rule.public_id}"),
        owner.get("callback-rules"),
        owner.get("partners"),
        owner.get("postbacks"),
        owner.get(f"postbacks/{postback.public_id}"),
        owner.get(f"search?q={SECRET_HOST}"),
    ]
    caplog.set_level(logging.INFO, "postbacks.delivery.attempt_reports")
    with database.as_role(roles.WORKER):
        delete_breaker(gem)
        (lease,) = claim_due(1)
        (rendered,) = render_postbacks([lease.postback])
    failed = "Hostname mismatch, certificate is not valid for 'secret-host.example.com'."
    begun = begin(lease, rendered)
    assert isinstance(begun, Attempt)
    result = begun.result(Reply(error=TransportFailure.TLS, detail=failed))
    report_attempts([(lease, result)])

    assert "fails: its postbacks wait." in pages[0]
    assert "fails: its postbacks wait." in pages[1]
    for page in pages:
        assert SECRET_HOST not in page
        assert "8443" not in page.replace("•••8443", "")  # the ending by which people know it
    assert answers[0].data["breakers"][0] | {"since": 0, "next_probe_at": 0} == {
        "host": "•••",
        "port": None,
        "state": "open",
        "reason": "http_503",
        "since": 0,
        "next_probe_at": 0,
    }
    for answer in answers:
        assert SECRET_HOST not in str(answer.data).lower().replace(f"q={SECRET_HOST}", "")
        assert "8443" not in str(answer.data).replace("•••8443", "")
    assert SECRET_HOST not in str(result)
    (line,) = [each for each in caplog.records if hasattr(each, "host")]
    assert line.host == "•••"


@pytest.mark.parametrize("status", [RuleStatus.PAUSED, RuleStatus.SUSPENDED, RuleStatus.ARCHIVED])
def test_of_a_rule_that_is_off_nothing_waits_for_a_breaker(status: RuleStatus) -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        partner = make_partner("Skyline Ads")
    rule = make_tenant_rule(gem, url="https://ads.example.com:8443/p", partner=partner)
    make_breaker(gem, "ads.example.com:8443")
    with tenant(gem.organization.pk):
        CallbackRule.objects.filter(pk=rule.pk).update(status=status)

    client, owner = sign_in(gem.owner), owner_of(gem)
    pages = [
        client.get(reverse("admin:postbacks_callbackrule_change", args=[rule.pk])),
        client.get(reverse("admin:apps_registry_partner_change", args=[partner.pk])),
    ]

    assert [page.status_code for page in pages] == [200, 200]
    assert not any("its postbacks wait" in page.content.decode() for page in pages)
    assert owner.get(f"callback-rules/{rule.public_id}").data["breakers"] == []
    assert owner.get(f"partners/{partner.public_id}").data["breakers"] == []


def test_another_port_of_the_same_host_has_a_breaker_of_its_own() -> None:
    gem = make_tenant()
    for url in ("https://ads.example.com/p", "https://ads.example.com:8443/p"):
        make_tenant_rule(gem, url=url)
    record(gem, event())
    decide()
    make_breaker(gem, "ads.example.com:443")

    with database.as_role(roles.WORKER):
        assert [lease.host for lease in claim_due(100)] == ["ads.example.com:8443"]


@pytest.mark.parametrize(
    ("status", "is_failing"),
    [(500, True), (502, True), (429, True), (408, True), (404, False), (200, False), (401, False)],
)
def test_only_a_partner_that_can_not_answer_counts(
    partner_answering: PartnerAnswering, run_pump: Run, status: int, is_failing: bool
) -> None:
    partner = partner_answering(lambda *_: (status, {}, b""))
    gem = make_tenant()
    make_tenant_rule(gem, url=partner.url)
    record(gem, event())

    run_pump(until=lambda: len(attempts_of(gem)) == 1)

    breaker = breaker_of(gem)
    assert (breaker is not None and breaker.failures == 1) is is_failing


def test_what_waits_for_a_partner_is_no_workers_fault() -> None:
    gem = make_tenant()
    make_tenant_rule(gem, url="https://ads.example.com/p")
    record(gem, event())
    decide()
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute("UPDATE due_postback SET due_at = now() - interval '1 hour'")
    before = CHECKS["oldest_due_postback"]()
    make_breaker(gem, "ads.example.com:443")

    after = CHECKS["oldest_due_postback"]()

    assert (before.ok, after.ok) == (False, True)


def test_a_lane_to_which_nothing_was_sent_for_a_week_is_forgotten() -> None:
    gem = make_tenant()
    old, recent = (datetime.now(UTC) - timedelta(days=days) for days in (8, 6))
    make_breaker(gem, "a.example.com:443", next_probe_at=old)
    make_breaker(gem, "b.example.com:443", next_probe_at=recent)
    closed = {"state": BreakerState.CLOSED, "next_probe_at": None}
    make_breaker(gem, "c.example.com:443", window_started_at=old, **closed)
    make_breaker(gem, "d.example.com:443", window_started_at=recent, **closed)

    with database.as_role(roles.WORKER):
        assert (delete_old_breakers(), delete_old_breakers()) == (2, 0)

    with tenant(gem.organization.pk):
        hosts = CircuitBreaker.objects.order_by("host").values_list("host", flat=True)
        assert list(hosts) == ["b.example.com:443", "d.example.com:443"]


@pytest.mark.parametrize(
    ("status", "is_failing", "code", "note"),
    [
        (RuleStatus.ACTIVE, True, "breaker_open", "It waits for its host, which fails"),
        (RuleStatus.PAUSED, True, "rule_off", "Its rule is off"),
        (RuleStatus.DRAFT, False, "rule_off", "Its rule is off"),
        (RuleStatus.SUSPENDED, False, "rule_suspended", "Its rule was suspended"),
        (RuleStatus.ARCHIVED, True, "rule_archived", "Its rule was archived"),
        (RuleStatus.ACTIVE, False, "", "the next try is due now"),
    ],
)
def test_every_list_and_page_says_the_same_of_what_waits(
    status: RuleStatus, is_failing: bool, code: str, note: str
) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, url="https://ads.example.com/p")
    record(gem, event("install"))
    decide()
    (postback,) = postbacks_of(gem)
    with tenant(gem.organization.pk):
        CallbackRule.objects.update(status=status)  # no worker has looked since
        install = Install.objects.get().pk
    if is_failing:
        make_breaker(gem, "ads.example.com:443", state=BreakerState.HALF_OPEN)
    browser, owner, pk = sign_in(gem.owner), owner_of(gem), postback.pk

    pages = [
        *("postback/", f"postback/{pk}/change/", f"postback/{pk}/details/"),
        *(f"postback/{pk}/resend/", f"event/{postback.event_id}/change/"),
        f"install/{install}/change/",
    ]
    for page in pages:
        words = browser.get(f"/admin/postbacks/{page}").content.decode().lower()
        assert note.lower() in words, page
        assert ("due now" in words) == (code == ""), page
    export = b"".join(browser.get("/admin/postbacks/postback/export/").streaming_content).decode()
    (row,) = owner.rows("postbacks")
    (explained,) = owner.get(f"events/{postback.sdk_event_id}/explain").data
    assert f",{code}," in export
    assert (row["reason"] or "", explained["reasons"][0]["code"]) == (code, code or "due")
