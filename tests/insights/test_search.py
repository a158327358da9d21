"""One search for all ids: what each leads to, at both doors, by indexes alone."""

from collections.abc import Callable
from hashlib import md5, sha1, sha256
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.insights import device_identifiers
from postbacks.insights.search import MOST_OF_KIND, search
from postbacks.models import Event, Install
from tests import database, make
from tests.admin.pages import sign_in
from tests.api.calling import make_postback, owner_of
from tests.database import as_role
from tests.events import event, record
from tests.refusals import make_refusal
from tests.touches import GAID, make_network, touch
from tests.workers import work

pytestmark = pytest.mark.django_db(transaction=True)

APPLES = "6aafb7a5-0170-41b5"
INSTALL_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
VENDOR_ID = "9b2e6f04-3c1d-4f5a-8e7b-2d6c0a9f1e35"
LATE = {"app_set_id": VENDOR_ID}  # an ID that came only after the install
SHARED = {"gaid": GAID, "customer_user_id": "anna@example.com"}


class Told:
    """An app whose device clicked, installed and bought, and a neighbor with the same ids."""

    def __init__(self) -> None:
        self.neighbor = make.make_tenant("Neighbor")
        self._live(self.neighbor)
        self.tenant = make.make_tenant("Gem Harbor")
        self.link, self.touch, self.purchase = self._live(self.tenant)
        with tenant(self.tenant.organization.pk):
            self.install = Install.objects.get()
            rule = make.make_rule(app=self.tenant.app)
            self.purchase_row = Event.objects.get(event_name="purchase")
        self.postback = make_postback(rule, self.purchase)
        with as_role(roles.WORKER), tenant(self.tenant.organization.pk):
            self.copy = make.make_skan_postback(self.tenant.app, transaction_id=APPLES)
        self.refused = make_refusal(self.tenant, click_id="refused-click")

    @staticmethod
    def _live(of: make.Tenant) -> tuple[Any, Any, str]:
        _, link = make_network(of)
        names = frozenset({"click_id:net-1", f"advertising:{GAID}"})
        clicked = touch(of, link, ago=60, click_id="net-1", once="net-1", identifiers=names)
        record(of, event("open", install_id=INSTALL_ID, click_id="referrer-click", **SHARED))
        work()
        bought = event(
            "purchase", install_id=INSTALL_ID, transaction_id="GPA.3372-4150", **SHARED, **LATE
        )
        record(of, bought)
        work()
        return link, clicked, str(bought["event_id"])


@pytest.fixture
def told() -> Told:
    return Told()


_E, _I, _T, _P = "event", "install", "touchpoint", "postback"
# What is searched, and what carries it, by kind and as what.
DEVICE = {(_T, "advertising_id"), (_I, "advertising_id"), (_E, "advertising_id")}
CASES: dict[str, tuple[Callable[[Told], str], set[tuple[str, str]]]] = {
    "event": (lambda t: t.purchase, {(_E, "event_id")}),
    "event in capitals": (lambda t: f" {t.purchase.upper()} ", {(_E, "event_id")}),
    "event without dashes": (lambda t: t.purchase.replace("-", ""), {(_E, "event_id")}),
    "postback": (lambda t: str(t.postback.public_id), {(_P, "id")}),
    "click of the network": (lambda _: "net-1", {(_T, "click_id")}),
    "click of ours": (lambda t: str(t.touch), {(_T, "id")}),
    "device": (lambda _: GAID, DEVICE),
    "device in capitals": (
        lambda _: GAID.upper(),
        DEVICE,
    ),
    "device without dashes": (
        lambda _: GAID.replace("-", ""),
        DEVICE,
    ),
    "device in braces": (
        lambda _: "{" + GAID + "}",
        DEVICE,
    ),
    "md5 of the device": (
        lambda _: md5(GAID.encode(), usedforsecurity=False).hexdigest(),
        {(_I, "md5"), (_E, "md5"), (_T, "md5")},
    ),
    "sha1 in capitals": (
        lambda _: sha1(GAID.upper().encode(), usedforsecurity=False).hexdigest().upper(),
        {(_I, "sha1"), (_E, "sha1"), (_T, "sha1")},
    ),
    "install": (lambda t: str(t.install.public_id), {(_I, "id")}),
    "install id": (lambda _: INSTALL_ID, {(_I, "install_id"), (_E, "install_id")}),
    "install id in capitals": (
        lambda _: INSTALL_ID.upper(),
        {(_I, "install_id"), (_E, "install_id")},
    ),
    "customer": (
        lambda _: "anna@example.com",
        {(_E, "customer_user_id"), (_I, "customer_user_id")},
    ),
    "transaction": (lambda _: "GPA.3372-4150", {(_E, "transaction_id")}),
    "token": (lambda t: t.link.token, {("tracking_link", "token")}),
    "address of a link": (
        lambda t: f"https://links.example/c/{t.link.token}?sub1=x",
        {("tracking_link", "token")},
    ),
    "link": (lambda t: str(t.link.public_id), {("tracking_link", "id")}),
    "transaction of Apple's": (
        lambda _: APPLES,
        {("skan_postback", "transaction_id")},
    ),
    "copy": (lambda t: str(t.copy.public_id), {("skan_postback", "id")}),
    "refused": (lambda _: "refused-click", {("refused_event", "id")}),
    "click that only the install named": (lambda _: "referrer-click", {(_I, "click_id")}),
    "nothing": (lambda _: str(uuid4()), set()),
    "a part": (lambda _: GAID[:12], set()),
    "NUL": (lambda _: "net\x001", set()),
    "percent": (lambda _: "%", set()),
}


def test_each_id_leads_to_what_carries_it_and_to_nobody_elses(told: Told) -> None:
    program = owner_of(told.tenant)
    for name, (searched, expected) in CASES.items():
        with tenant(told.tenant.organization.pk):
            matches = search(searched(told))
        assert {(str(m.kind), m.matched) for m in matches.matches} == expected, name
        assert matches.unfinished == [], name
        if name != "NUL":
            answer = program.get("search", q=searched(told))
            assert {(m["kind"], m["matched"]) for m in answer.data} == expected, name
            assert [m["id"] for m in answer.data] == [str(m.id) for m in matches.matches]
            assert all(set(m) == {"kind", "id", "matched", "at", "title"} for m in answer.data)
    mine = owner_of(told.neighbor).get("search", q="anna@example.com").data
    assert {m["id"] for m in mine}.isdisjoint({str(told.purchase), str(told.install.public_id)})
    assert program.get("search").status == 400
    assert program.get("search", q="x" * 3_000).status == 400


def test_a_kind_that_takes_too_long_is_named_and_the_others_are_answered(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postbacks.insights.search._MILLISECONDS", 100)
    other = database.superuser()
    with other.transaction():
        other.execute("LOCK TABLE skan_postback IN ACCESS EXCLUSIVE MODE")
        answer = owner_of(told.tenant).get("search", q=told.purchase)

    assert [match["kind"] for match in answer.data] == ["event"]
    assert answer.headers["Search-Unfinished"] == "skan_postback"


def test_a_search_reads_by_indexes_alone_and_with_as_many_statements_for_many_rows(
    told: Told,
) -> None:
    for number in range(3):
        record(told.tenant, event("purchase", **SHARED, transaction_id=f"T{number}"))
    counts = []
    for _ in range(2):
        with tenant(told.tenant.organization.pk), CaptureQueriesContext(connection) as queries:
            search("anna@example.com")
        counts.append(len(queries))
        record(told.tenant, *(event("purchase", **SHARED) for _ in range(MOST_OF_KIND + 5)))
    assert counts[0] == counts[1]
    with tenant(told.tenant.organization.pk):
        matches = search("anna@example.com").matches
        assert [str(m.kind) for m in matches] == [_E] * MOST_OF_KIND + [_I]
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            for condition, index in (
                ("customer_user_id = 'anna@example.com'", "customer_user_id"),
                ("transaction_id = 'T1'", "transaction_id = 'T1'"),
            ):
                cursor.execute(
                    f"EXPLAIN SELECT 1 FROM event WHERE organization_id = "  # ours
                    f"{told.tenant.organization.pk} AND {condition}"
                )
                plan = "\n".join(line for (line,) in cursor.fetchall())
                assert "Seq Scan" not in plan
                assert index in plan


def test_the_page_leads_straight_to_the_one_thing_or_lists_all(told: Told) -> None:
    browser = sign_in(told.tenant.owner)

    straight = browser.get("/admin/search/", {"q": told.purchase})
    click = browser.get("/admin/search/", {"q": "net-1"})
    listed = browser.get("/admin/search/", {"q": GAID}).content.decode()
    nothing = browser.get("/admin/search/", {"q": "nobody<b>"}).content.decode()
    empty = browser.get("/admin/search/").content.decode()
    long = browser.get("/admin/search/", {"q": "x" * 3_000}).content.decode()

    assert straight["Location"] == f"/admin/postbacks/event/{told.purchase_row.pk}/change/"
    assert click.status_code == 302
    assert "Clicks and impressions" in listed
    assert "Installs" in listed
    assert "Show everything of this device" in listed
    assert "Nothing carries this ID" in nothing
    assert "nobody&lt;b&gt;" in nothing
    assert "see what was refused" in nothing
    assert "Paste any ID" in empty
    assert "no ID is so long" in long
    assert "data-find" in browser.get("/admin/").content.decode()


def test_everything_of_a_device_stands_in_order_at_both_doors(told: Told) -> None:
    program = owner_of(told.tenant)
    for text in (GAID, GAID.upper(), "anna@example.com", INSTALL_ID):
        story = program.get("devices/explain", id=text).data
        kinds = [entry["kind"] for entry in story]
        assert [entry["at"] for entry in story] == sorted(entry["at"] for entry in story)
        assert kinds.count("event") == 2, text
        assert {"touchpoint", "install", "postback"} <= set(kinds), text
        assert kinds[0] == "touchpoint"
    of_install = program.get(f"installs/{told.install.public_id}/explain").data
    assert {entry["kind"] for entry in of_install} == {"touchpoint", "install", "event", "postback"}
    assert "Credited" in of_install[0]["detail"]
    assert program.get("devices/explain", id="nobody").data == []
    assert program.get("devices/explain").status == 400
    assert program.get(f"installs/{uuid4()}/explain").status == 404
    assert owner_of(told.neighbor).get(f"installs/{told.install.public_id}/explain").status == 404

    browser = sign_in(told.tenant.owner)
    page = browser.get("/admin/device/", {"id": GAID}).content.decode()
    assert page.count("<tr>") == len(program.get("devices/explain", id=GAID).data) + 1
    of_page = browser.get("/admin/device/", {"install": told.install.pk}).content.decode()
    assert "Everything of an install" in of_page
    assert "Nothing of this device" in browser.get("/admin/device/", {"id": "x"}).content.decode()


def test_installs_name_their_event_and_events_are_found_by_install_id(told: Told) -> None:
    program = owner_of(told.tenant)
    (install,) = program.rows("installs")
    opened = program.get(f"events/{install['event_id']}").data

    assert opened["event_name"] == "open"
    assert program.get(f"installs/{install['id']}").data == install
    for text in (INSTALL_ID, INSTALL_ID.upper(), INSTALL_ID.replace("-", "")):
        assert len(program.rows("events", install_id=text)) == 2
    assert len(program.rows("events", install_id=INSTALL_ID, event_name="purchase")) == 1
    assert program.rows("events", install_id="nobody") == []
    assert program.get(f"touchpoints/{told.touch}").status == 200
    assert program.get(f"touchpoints/{uuid4()}").status == 404
    assert owner_of(told.neighbor).get(f"touchpoints/{told.touch}").status == 404


def _digest(algorithm: Callable[..., Any], text: str) -> str:
    return str(algorithm(text.encode(), usedforsecurity=False).hexdigest())


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": str.upper,
    "without dashes": lambda value: value.replace("-", ""),
    "in capitals without dashes": lambda value: value.replace("-", "").upper(),
}


@pytest.mark.parametrize("value", [GAID, VENDOR_ID])
def test_a_device_is_found_by_digests_of_its_ids_however_they_were_spelled(
    told: Told, value: str
) -> None:
    program = owner_of(told.tenant)
    for name, spell in SPELLINGS.items():
        for algorithm in (md5, sha1, sha256):
            digest = _digest(algorithm, spell(value))
            for text in (digest, digest.upper(), f" {digest} "):
                answer = program.get("search", q=text).data
                found = {(m["kind"], m["matched"]) for m in answer}
                expected = algorithm.__name__.removeprefix("openssl_")
                assert {(_I, expected), (_E, expected)} <= found, (name, expected)
                assert ((_T, expected) in found) == (value == GAID), (name, expected)
                assert str(told.install.public_id) in {m["id"] for m in answer}


def test_a_device_is_found_by_an_id_that_came_only_after_its_install(told: Told) -> None:
    program = owner_of(told.tenant)
    for spell in (*SPELLINGS.values(), lambda value: "{" + value + "}"):
        answer = program.get("search", q=spell(VENDOR_ID)).data
        assert {(_I, "app_set_id"), (_E, "app_set_id")} <= {
            (m["kind"], m["matched"]) for m in answer
        }
    hashed = _digest(sha256, "anna@example.com")
    for text in ("anna@example.com", hashed):
        ids = {m["id"] for m in program.get("search", q=text).data}
        assert {str(told.install.public_id), told.purchase} <= ids
    page = sign_in(told.tenant.owner).get("/admin/search/", {"q": _digest(sha256, VENDOR_ID)})
    assert "a SHA-256 of it" in page.content.decode()


def test_the_ids_of_a_device_are_written_once(told: Told) -> None:
    before = _rows_of_devices()

    for _ in range(3):
        record(told.tenant, event("purchase", install_id=INSTALL_ID, **SHARED, **LATE))
        work()
    device_identifiers.remembered.clear()  # another process
    record(told.tenant, event("purchase", install_id=INSTALL_ID, **SHARED, **LATE))
    work()
    assert _rows_of_devices() == before

    record(told.tenant, event("purchase", install_id=INSTALL_ID, android_id="9a7b6c5d4e3f2a1b"))
    work()
    identifiers, digests = _rows_of_devices()
    assert identifiers == before[0] + 1
    assert digests == before[1] + 4  # itself and three digests: it has one spelling


def _rows_of_devices() -> tuple[int, int]:
    with as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM device_identifier), (SELECT count(*) FROM device_digest)"
        )
        identifiers, digests = cursor.fetchone()
    return identifiers, digests


def test_ids_leave_when_the_events_that_had_them_are_gone(told: Told, settings: Any) -> None:
    settings.RETENTION_DAYS_EVENTS = 60
    with as_role(roles.WORKER), connection.cursor() as cursor:
        assert device_identifiers.delete_old_identifiers() == 0
        cursor.execute("UPDATE device_identifier SET seen_on = current_date - 69")
        before = _rows_of_devices()[0]
        assert device_identifiers.delete_old_identifiers() == before > 0
    assert _rows_of_devices() == (0, 0)
    record(told.tenant, event("purchase", install_id=INSTALL_ID, **SHARED, **LATE))
    device_identifiers.remembered.clear()
    work()
    assert owner_of(told.tenant).get("search", q=VENDOR_ID).data


def test_a_search_by_a_transaction_looks_at_an_index(told: Told) -> None:
    with tenant(told.tenant.organization.pk), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        found = Event.objects.filter(transaction_id="GPA.3372-4150").order_by()
        statement = str(found.values("pk").query)
        cursor.execute("EXPLAIN " + statement.replace("GPA.3372-4150", "'GPA.3372-4150'"))
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert [line for line in plan.splitlines() if "Index Cond" in line and "transaction_id" in line]
