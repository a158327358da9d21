"""A partner's list beside what was sent to it: what of both sides the other one lacks, and why."""

import base64
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps_registry.models import Partner, TrackingLink
from apps_registry.tenancy import tenant as tenant_of
from postbacks.callbacks.currency.ecb import DayOfRates
from postbacks.callbacks.currency.stored_rates import store_rates
from postbacks.infrastructure.database import roles
from postbacks.models import CallbackRule, Discrepancy, DiscrepancyLine, Postback
from postbacks.rulebook import discrepancies
from tests import make
from tests.admin.pages import sign_in
from tests.api.calling import owner_of, report
from tests.database import as_role
from tests.touches import make_network, touch
from tests.workers import decide_all

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Scene:
    """A network that got postbacks for installs by click, and for purchases by transaction."""

    made: make.Tenant
    partner: Partner
    link: TrackingLink
    rule: CallbackRule
    events: dict[str, str] = field(default_factory=dict)  # by click or transaction

    def click(self, click_id: str, link: TrackingLink | None = None, **fields: object) -> None:
        identifiers = frozenset({f"click_id:{click_id}"})
        touch(self.made, link or self.link, click_id=click_id, identifiers=identifiers, **fields)

    def install(self, click_id: str, **fields: object) -> None:
        ids = {"install_id": f"of-{click_id}", "click_id": click_id}
        self.events[click_id] = report(self.made.sdk_key, event_name="install", **ids, **fields)

    def purchase(self, transaction: str, of: str, revenue: str = "4.99") -> None:
        money = {"revenue": revenue, "currency": "USD", "transaction_id": transaction}
        self.events[transaction] = report(self.made.sdk_key, install_id=f"of-{of}", **money)

    def end(self, key: str, status: str, **fields: object) -> None:
        now = datetime.now(UTC)
        ended = {"delivered_at": now if status == "delivered" else None, "attempts_made": 1}
        with as_role(roles.WORKER), tenant_of(self.made.organization.pk):
            rows = Postback.objects.filter(sdk_event_id=self.events[key], rule=self.rule)
            assert rows.update(status=status, **{**ended, **fields}) == 1, key


@pytest.fixture
def scene() -> Scene:
    made = make.make_tenant()
    partner, link = make_network(made)
    with tenant_of(made.organization.pk):
        rule = make.make_rule(partner=partner, triggers=["install", "purchase"])
    return Scene(made, partner, link, rule)


def compare(scene: Scene, *, steps: int | None = None, **wish: object) -> dict[str, Any]:
    body = {"partner": str(scene.partner.public_id), **wish}
    begun = owner_of(scene.made).post("discrepancies", body)
    assert begun.status == 202, begun.data
    work()
    data: dict[str, Any] = owner_of(scene.made).get(f"discrepancies/{begun.data['id']}").data
    return data


def work(seconds: float = 20.0) -> None:
    with as_role(roles.WORKER):
        discrepancies.work(seconds)


def lines(scene: Scene, compared: dict[str, Any], **query: str) -> list[dict[str, Any]]:
    return owner_of(scene.made).rows(f"discrepancies/{compared['id']}/lines", **query)


def test_what_became_of_each_click_of_a_list(scene: Scene) -> None:
    _, link_of_other = make_network(scene.made, "Other network")
    for click in ("c-sent", "c-failed", "c-waits", "c-skipped", "c-not-listed"):
        scene.click(click)
        scene.install(click)
    scene.click("c-alone")
    scene.click("c-others", link_of_other)
    decide_all()
    scene.end("c-sent", "delivered", last_status_code=200)
    scene.end("c-failed", "failed", reason="http_404", last_status_code=404)
    scene.end("c-skipped", "skipped", reason="no_consent")
    scene.end("c-not-listed", "delivered", last_status_code=204)
    listed = ["c-sent", "c-failed", "c-waits", "c-skipped", "c-alone", "c-others", "c-unheard"]

    done = compare(scene, text="click_id\n" + "\n".join(listed))
    rows = lines(scene, done)

    assert (done["status"], done["percent"], done["id_kind"]) == ("finished", 100, "click")
    assert done["counts"] == {
        "sent": 1,
        "failed": 1,
        "waiting": 1,
        "not_owed": 3,
        "unknown": 1,
        "missing": 1,
    }
    found = {row["id"]: (row["outcome"], row["reason"], row["status_code"]) for row in rows}
    assert found == {
        "c-not-listed": ("missing", None, 204),
        "c-sent": ("sent", None, 200),
        "c-failed": ("failed", "http_404", 404),
        "c-waits": ("waiting", None, None),
        "c-skipped": ("not_owed", "no_consent", None),
        "c-alone": ("not_owed", "no_install", None),
        "c-others": ("not_owed", "other_partner", None),
        "c-unheard": ("unknown", None, None),
    }
    assert [row["id"] for row in rows] == ["c-not-listed", *listed]
    assert [row["line"] for row in rows] == [None, *range(2, 9)]
    details = {row["id"]: row["detail"] for row in rows}
    assert "Other network" in details["c-others"]
    assert "No install is known" in details["c-alone"]
    assert rows[1]["event_id"] == scene.events["c-sent"]
    assert rows[1]["sent_at"]


def test_an_id_in_the_encoding_of_urls_is_the_same(scene: Scene) -> None:
    for click in ("a/b+c=", "100%25"):
        scene.click(click)
        scene.install(click)
    decide_all()
    for click in ("a/b+c=", "100%25"):
        scene.end(click, "delivered")

    done = compare(scene, ids=["a%2Fb%2Bc%3D", "100%25"])

    assert done["counts"] == {"sent": 2}


def test_an_id_that_is_listed_in_two_spellings_is_known_twice(scene: Scene) -> None:
    scene.click("c/one")
    scene.install("c/one")
    decide_all()
    scene.end("c/one", "delivered")
    event_id = scene.events["c/one"]

    for listed in (["c%2Fone", "c/one"], [event_id, event_id.upper(), event_id.replace("-", "")]):
        rows = lines(scene, compare(scene, ids=listed))
        assert [(row["id"], row["outcome"]) for row in rows] == [(each, "sent") for each in listed]


def test_transactions_come_with_their_money(scene: Scene) -> None:
    scene.click("c-1")
    scene.install("c-1")
    for transaction, revenue in (("T-1", "4.99"), ("T-2", "10.00"), ("T-3", "1.50")):
        scene.purchase(transaction, "c-1", revenue)
    decide_all()
    for transaction in ("T-1", "T-2", "T-3"):
        scene.end(transaction, "delivered", last_status_code=200)
    day = f"{datetime.now(UTC):%d.%m.%Y}"
    file = f"\ufeffDatum;Transaktion;Betrag\r\n{day};T-1;4,99 $\r\n{day};T-2;9,00 $\r\n".encode()
    file = file.decode().encode("utf-16")

    done = compare(scene, file=base64.b64encode(file).decode(), event_name="purchase")
    rows = {row["id"]: row for row in lines(scene, done)}

    assert done["id_kind"] == "transaction"
    assert done["counts"] == {"sent": 2, "missing": 1}
    assert done["their_money"] == {"USD": "13.99"}
    assert done["our_money"] == {"sent": {"USD": "14.99"}, "missing": {"USD": "1.50"}}
    assert done["differing_amounts"] == 1
    assert (rows["T-2"]["amount"], rows["T-2"]["our_amount"]) == ("9", "10")
    assert [rows[key]["amounts_differ"] for key in ("T-1", "T-2", "T-3")] == [False, True, False]
    assert "date: column 1 (“Datum”)" in done["readings"]


def test_money_is_added_up_in_the_organizations_currency_by_the_rates_of_that_day(
    scene: Scene,
) -> None:
    today = datetime.now(UTC).date()
    with as_role(roles.WORKER):
        store_rates([DayOfRates(today, {"EUR": Decimal("1.25")})], known_after=-86_400)
    scene.purchase("T-1", "c-1", "10.00")
    decide_all()
    scene.end("T-1", "delivered", last_status_code=200)
    owner_of(scene.made).patch("organization", {"currency": "EUR"})

    done = compare(scene, text="transaction,amount,currency\nT-1,5.00,EUR\nT-2,10.00,USD\n")
    unknown = compare(scene, text="transaction,amount,currency\nT-1,5.00,XAU\n")
    with tenant_of(scene.made.organization.pk):
        job = Discrepancy.objects.get(public_id=done["id"])
    shown = sign_in(scene.made.owner).get(f"/admin/postbacks/discrepancy/{job.pk}/change/")

    assert (done["currency"], done["their_total"]) == ("EUR", "13.00")
    assert done["our_totals"] == {"sent": "8.00"}
    assert unknown["their_total"] is None
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", unescape(shown.content.decode())))
    assert "10.00 USD together 8.00 EUR" in text
    assert re.search(r"Amounts of the list: .* together 13\.00 EUR", text)


def test_ids_of_postbacks_and_events_are_known_in_any_spelling(scene: Scene) -> None:
    scene.click("c-1")
    scene.install("c-1")
    scene.purchase("T-1", "c-1")
    decide_all()
    scene.end("c-1", "delivered")
    with tenant_of(scene.made.organization.pk):
        postback = Postback.objects.get(sdk_event_id=scene.events["c-1"])

    by_postback = compare(scene, ids=[str(postback.public_id).upper()])
    by_event = compare(scene, ids=[scene.events["T-1"].replace("-", "")])

    assert (by_postback["id_kind"], by_postback["counts"]) == ("postback", {"sent": 1})
    assert by_event["counts"]["waiting"] == 1


def test_without_a_rule_that_wanted_it_the_event_says_why(scene: Scene) -> None:
    with tenant_of(scene.made.organization.pk):
        quiet = make.make_partner("Quiet")
        asking = make.make_partner("Asking")
        make.make_rule(partner=asking, triggers=["login"])
    scene.click("c-1")
    scene.install("c-1")
    decide_all()
    event = scene.events["c-1"]

    for partner, reason, says in (
        (quiet, "no_rule", "no callback rule"),
        (asking, "trigger", "login"),
    ):
        scene.partner = partner
        done = compare(scene, ids=[event])
        (row,) = lines(scene, done)
        assert (row["outcome"], row["reason"]) == ("not_owed", reason)
        assert says in row["detail"]


def test_the_reason_is_that_of_the_rule_then(scene: Scene) -> None:
    with tenant_of(scene.made.organization.pk):
        strict = make.make_partner("Strict")
        conditions = {"all": [{"field": "country", "operator": "in", "value": ["DE"]}]}
        make.make_rule(partner=strict, triggers=["install"], conditions=conditions)
        make.make_rule(partner=strict, triggers=["install"], status="paused", name="Paused one")
    scene.click("c-1")
    scene.install("c-1", country="AT")
    decide_all()
    scene.partner = strict

    (row,) = lines(scene, compare(scene, ids=[scene.events["c-1"]]))

    assert row["outcome"] == "not_owed"
    assert "country" in row["detail"]
    assert "Paused one" in row["detail"]


def test_lines_come_by_outcome_and_as_files(scene: Scene) -> None:
    done = compare(scene, text="a1\nb2\nc3\n")
    api = owner_of(scene.made)
    address = f"/api/v1/discrepancies/{done['id']}/lines"

    assert len(lines(scene, done, outcome="unknown")) == 3
    assert lines(scene, done, outcome="sent") == []
    for accept, first in (("text/csv", b"line,id,outcome"), ("application/jsonl", b'{"line":1')):
        answer = api.client.get(address, headers={"Accept": accept})
        assert b"".join(answer).startswith(first)


def test_a_killed_workers_successor_compares_each_line_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discrepancies, "BATCH", 2)
    body = {"partner": str(scene.partner.public_id), "text": "a1\nb2\nc3\nd4\ne5\n"}
    begun = owner_of(scene.made).post("discrepancies", body).data

    work(seconds=0)
    half = owner_of(scene.made).get(f"discrepancies/{begun['id']}").data
    work()

    assert (half["done"], half["percent"], half["status"]) == (2, 40, "running")
    assert [row["id"] for row in lines(scene, begun)] == ["a1", "b2", "c3", "d4", "e5"]


def test_a_long_list_takes_few_statements_and_none_reads_a_log(scene: Scene) -> None:
    text = "\n".join(f"click-{number}" for number in range(1_000))
    owner_of(scene.made).post(
        "discrepancies", {"partner": str(scene.partner.public_id), "text": text}
    )
    with CaptureQueriesContext(connection) as queries:
        work()

    assert len(queries) < 200  # for ten steps


def test_a_file_with_a_nul_is_compared(scene: Scene) -> None:
    done = compare(scene, file=base64.b64encode(b"click_id\nc-\0one\nc-two\n").decode())

    assert [row["id"] for row in lines(scene, done)] == ["c-one", "c-two"]


def test_steps_do_not_write_the_whole_list_again(scene: Scene) -> None:
    listed = [f"c-{number}" for number in range(3 * discrepancies.BATCH)]
    with CaptureQueriesContext(connection) as statements:
        compare(scene, ids=listed)

    rewritten = [each for each in statements if each["sql"].startswith("UPDATE")]
    assert len(rewritten) >= 3
    assert not [each for each in rewritten if listed[0] in each["sql"]]


def test_looking_at_comparisons_does_not_read_their_lists(scene: Scene) -> None:
    owner = owner_of(scene.made)
    body = {"partner": str(scene.partner.public_id), "text": "c-one"}
    address = f"discrepancies/{owner.post('discrepancies', body).data['id']}"
    with CaptureQueriesContext(connection) as statements:
        for looked_at in ("discrepancies", address, f"{address}/lines"):
            assert owner.get(looked_at).status == 200

    assert not [each for each in statements if '"discrepancy"."text"' in each["sql"]]


def test_a_comparison_that_breaks_after_it_was_cancelled_stays_so(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancel_and_break(*_: object) -> bool:
        with tenant_of(scene.made.organization.pk):
            discrepancies.cancel(Discrepancy.objects.get())
        raise RuntimeError

    monkeypatch.setattr(discrepancies, "_step", cancel_and_break)

    assert compare(scene, text="c-one")["status"] == "cancelled"


def test_refusals_name_the_place_and_the_remedy(scene: Scene) -> None:
    api = owner_of(scene.made)
    partner = str(scene.partner.public_id)
    bodies = {
        "/partner": {"partner": str(uuid4()), "text": "a1"},
        "/text": {"partner": partner, "text": "\n"},
        "/file": {"partner": partner, "file": base64.b64encode(b"PK\x03\x04").decode()},
        "/until": {
            "partner": partner,
            "text": "a1",
            "since": "2026-05-02T00:00Z",
            "until": "2026-05-01T00:00Z",
        },
    }
    for place, body in bodies.items():
        answer = api.post("discrepancies", body)
        assert (answer.status, answer.pointers()) == (400, [place]), answer.data
    twice = api.post("discrepancies", {"partner": partner, "text": "a", "ids": ["a"]})
    assert twice.status == 400
    assert api.post("discrepancies", {"partner": partner}).status == 400


def test_comparisons_are_bounded_cancelled_and_deleted(scene: Scene) -> None:
    api = owner_of(scene.made)
    body = {"partner": str(scene.partner.public_id), "text": "a1"}
    begun = [api.post("discrepancies", body).data["id"] for _ in range(2)]

    too_many = api.post("discrepancies", body)
    cancelled = api.post(f"discrepancies/{begun[0]}/cancel")
    again = api.post(f"discrepancies/{begun[0]}/cancel")
    work()
    deleted = api.delete(f"discrepancies/{begun[1]}")

    assert (too_many.status, cancelled.status, again.status, deleted.status) == (409, 202, 409, 204)
    assert [row["id"] for row in api.rows("discrepancies")] == [begun[0]]
    with tenant_of(scene.made.organization.pk):
        assert not DiscrepancyLine.objects.exists()
        Discrepancy.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    work()
    assert api.rows("discrepancies") == []


def test_another_organization_sees_nothing_and_is_compared_with_nothing(scene: Scene) -> None:
    scene.click("c-1")
    scene.install("c-1")
    decide_all()
    scene.end("c-1", "delivered")
    done = compare(scene, ids=["c-1"])
    elsewhere = make.make_tenant("Moss Valley")
    partner, link = make_network(elsewhere)
    with tenant_of(elsewhere.organization.pk):
        rule = make.make_rule(partner=partner)
    other = Scene(elsewhere, partner, link, rule)

    foreign = compare(other, ids=["c-1", scene.events["c-1"]])

    assert foreign["counts"] == {"unknown": 2}
    api = owner_of(elsewhere)
    for answer in (
        api.get(f"discrepancies/{done['id']}"),
        api.get(f"discrepancies/{done['id']}/lines"),
        api.delete(f"discrepancies/{done['id']}"),
    ):
        assert answer.status == 404
