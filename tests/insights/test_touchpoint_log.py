"""Clicks and impressions as a log: how they are found, and what is said of each, at both doors."""

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import md5
from itertools import chain

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape

from apps_registry.models import TrackingLink
from apps_registry.tenancy import tenant
from postbacks.insights.searched_id import SearchedId
from postbacks.insights.touchpoint_outcomes import TouchpointStatus, outcomes_of
from postbacks.models import Install, Touchpoint
from tests import database, make
from tests.admin.pages import sign_in
from tests.api.calling import owner_of, program_of
from tests.events import event, record
from tests.insights.credits import make_touches
from tests.touches import GAID, make_network, touch
from tests.workers import work

pytestmark = pytest.mark.django_db(transaction=True)

TOUCHPOINTS = "/admin/postbacks/touchpoint/"
OTHER_GAID = "38400000-8cf0-11bd-b23e-10b96e40000e"


def _of_network(click_id: str, gaid: str = GAID) -> dict[str, object]:
    names = frozenset({f"click_id:{click_id}", f"advertising:{gaid}"})
    return {"click_id": click_id, "once": click_id, "identifiers": names}


def _installed(of: make.Tenant) -> Install:
    record(of, event("open", gaid=GAID))
    work()
    with tenant(of.organization.pk):
        return Install.objects.get()


def _credited(of: make.Tenant, link: TrackingLink) -> None:
    touch(of, link, ago=60, **_of_network("net-1"))


def _older(of: make.Tenant, link: TrackingLink) -> None:
    touch(of, link, ago=600, **_of_network("net-1"))
    touch(of, link, ago=60, **_of_network("net-2"))


def _out_of_window(of: make.Tenant, link: TrackingLink) -> None:
    touch(of, link, at=datetime.now(UTC) - timedelta(days=9), **_of_network("net-1"))


def _reported_late(of: make.Tenant, link: TrackingLink) -> None:
    touch(of, link, ago=13 * 60 * 60, **_of_network("net-1"))


def _outranked(of: make.Tenant, link: TrackingLink) -> None:
    touch(of, link, ago=30, kind="impression", **_of_network("net-1"))
    touch(of, link, ago=60, **_of_network("net-2"))


def _unsigned(of: make.Tenant, link: TrackingLink) -> None:
    touch(of, link, refused="incorrect_signature", **_of_network("net-1"))


def _of_a_flood(of: make.Tenant, link: TrackingLink) -> None:
    touch(of, link, refused="too_many", **_of_network("net-1"))


def _after_the_install(of: make.Tenant, link: TrackingLink) -> None:
    _installed(of)
    touch(of, link, ago=-30, **_of_network("net-1"))


def _of_another_device(of: make.Tenant, link: TrackingLink) -> None:
    touch(of, link, **_of_network("net-1", OTHER_GAID))


@pytest.mark.parametrize(
    ("happens", "status", "reason"),
    [
        (_credited, "credited", "won"),
        (_older, "lost", "older"),
        (_out_of_window, "lost", "out_of_window"),
        (_reported_late, "lost", "stale"),
        (_outranked, "lost", "lower_tier"),
        (_unsigned, "rejected", "incorrect_signature"),
        (_of_a_flood, "rejected", "too_many"),
        (_after_the_install, "lost", "after_install"),
        (_of_another_device, "unmatched", None),
    ],
)
def test_a_click_id_leads_to_what_became_of_its_click(
    happens: Callable[[make.Tenant, TrackingLink], None], status: str, reason: str | None
) -> None:
    gem = make.make_tenant()
    _, link = make_network(gem)
    happens(gem, link)
    install = _installed(gem)
    browser = sign_in(gem.owner)

    (row,) = owner_of(gem).rows("touchpoints", id="net-1")
    alone = owner_of(gem).get(f"touchpoints/{row['id']}").data
    listed = browser.get(TOUCHPOINTS, {"q": "net-1"}).content.decode()
    with tenant(gem.organization.pk):
        clicked = Touchpoint.objects.get(public_id=row["id"])
    page = browser.get(f"{TOUCHPOINTS}{clicked.pk}/change/").content.decode()

    outcome = row["outcome"]
    assert (outcome["status"], outcome["reason"]) == (status, reason)
    assert alone == row
    names_install = status in {"credited", "lost"}
    assert outcome["install"] == (str(install.public_id) if names_install else None)
    assert TouchpointStatus(status).label in listed
    assert "net-2" not in listed
    assert escape(outcome["sentence"]) in page
    assert (f"/admin/postbacks/install/{install.pk}/change/" in page) == names_install


@pytest.mark.parametrize(
    "written",
    [
        "net-1",
        GAID,
        GAID.upper(),
        GAID.replace("-", ""),
        f"{{{GAID}}}",
        md5(GAID.encode()).hexdigest(),  # noqa: S324  # as networks send it
    ],
)
def test_a_click_is_found_by_any_id_in_any_spelling(written: str) -> None:
    gem = make.make_tenant()
    _, link = make_network(gem)
    wanted = {touch(gem, link, **_of_network("net-1"))}
    touch(gem, link, **_of_network("net-9", OTHER_GAID))
    if "net" not in written:
        digest = md5(GAID.encode()).hexdigest()  # noqa: S324
        hashed = frozenset({f"md5:{digest}"})
        wanted.add(touch(gem, link, ago=30, once="hashed", identifiers=hashed))
        if written == digest:
            wanted.remove(min(wanted))  # a digest tells nothing of the ID

    rows = owner_of(gem).rows("touchpoints", id=written)

    assert {row["id"] for row in rows} == set(map(str, wanted))


def test_its_own_id_finds_a_touchpoint_and_no_other_organizations() -> None:
    gem, stranger = make.make_tenant(), make.make_tenant()
    _, link = make_network(gem)
    public_id = touch(gem, link, **_of_network("net-1"))

    (row,) = owner_of(gem).rows("touchpoints", id=public_id)

    assert row["id"] == str(public_id)
    assert owner_of(stranger).rows("touchpoints", id=public_id) == []
    assert owner_of(stranger).rows("touchpoints", id="net-1") == []
    assert owner_of(stranger).get(f"touchpoints/{public_id}").status == 404


def test_a_search_for_an_id_reads_the_days_of_its_matches_alone() -> None:
    gem = make.make_tenant()
    _, link = make_network(gem)
    public_id = touch(gem, link, **_of_network("net-1"))
    beyond_all_years = "ffffffff-ffff-7fff-bfff-ffffffffffff"

    for written, count in ((public_id, 1), (GAID, 1), ("net-1", 1), (beyond_all_years, 0)):
        with tenant(gem.organization.pk):
            rows = Touchpoint.objects.filter(SearchedId(str(written)).touchpoints)
            assert len(rows) == count
            plan = rows.explain() if count else ""
        days = set(re.findall(r"touchpoint_(?:click|impression)_p(\d+) ", plan))
        assert len(days) == count, written


def test_an_erased_touchpoint_is_found_by_its_own_id() -> None:
    gem = make.make_tenant()
    _, link = make_network(gem)
    public_id = touch(gem, link, **_of_network("net-1"))
    with database.superuser().cursor() as cursor:
        cursor.execute("DELETE FROM touchpoint_key")  # as erasure and time do

    (row,) = owner_of(gem).rows("touchpoints", id=public_id)

    assert row["id"] == str(public_id)
    assert owner_of(gem).rows("touchpoints", id="net-1") == []


def test_pages_merge_clicks_and_impressions_in_the_order_of_their_arrival() -> None:
    gem = make.make_tenant()
    _, link = make_network(gem)
    now = datetime.now(UTC).replace(microsecond=0)
    made = []
    for number in range(7):
        kind = "click" if number % 3 else "impression"
        at = now - timedelta(minutes=number // 2)  # two at each moment: the ID decides
        made += make_touches(link, at, kind=kind)
    newest_first = sorted(made, key=lambda row: (row.received_at, row.pk), reverse=True)
    wanted = [str(row.public_id) for row in newest_first]
    api = owner_of(gem)

    seen, address = [], "touchpoints?limit=2"
    while address:
        page = api.get(address).data
        seen.append([row["id"] for row in page["results"]])
        address, before = (page["next"] or "").partition("/api/v1/")[2], page["previous"]
    back = api.get(before.partition("/api/v1/")[2]).data
    file = api.client.get("/api/v1/touchpoints", headers={"Accept": "text/csv"})

    assert list(chain.from_iterable(seen)) == wanted
    assert [row["id"] for row in back["results"]] == seen[-2]
    lines = list(csv.DictReader(io.StringIO(file.getvalue().decode().lstrip("\ufeff"))))
    assert [line["id"] for line in lines] == wanted
    assert {line["outcome_status"] for line in lines} == {"unmatched"}


def test_they_are_filtered() -> None:
    gem = make.make_tenant()
    (network, link), (_, other) = make_network(gem), make_network(gem, "Other")
    now = datetime.now(UTC).replace(microsecond=0)
    (seen,) = make_touches(link, now, kind="impression")
    (clicked,) = make_touches(other, now - timedelta(hours=2), source="server")
    api = owner_of(gem)

    for query, wanted in (
        ({"kind": "click"}, clicked),
        ({"kind": "impression"}, seen),
        ({"source": "server"}, clicked),
        ({"partner": network.public_id}, seen),
        ({"campaign": other.campaign.public_id}, clicked),
        ({"link": link.public_id}, seen),
        ({"since": (now - timedelta(hours=1)).isoformat()}, seen),
        ({"until": (now - timedelta(hours=1)).isoformat()}, clicked),
    ):
        assert [row["id"] for row in api.rows("touchpoints", **query)] == [str(wanted.public_id)]
    assert api.get("touchpoints", kind="luck").status == 400
    assert program_of(make.Role.ANALYST, gem).get("touchpoints").status == 200


def test_what_became_of_many_takes_as_many_statements_as_of_one() -> None:
    gem = make.make_tenant()
    _, link = make_network(gem)
    for number in range(8):
        touch(gem, link, ago=60 + number, **_of_network(f"net-{number}"))
    _installed(gem)

    with tenant(gem.organization.pk):
        rows = list(Touchpoint.objects.all())
        with CaptureQueriesContext(connection) as of_one:
            outcomes_of(rows[:1])
        with CaptureQueriesContext(connection) as of_many:
            outcomes = outcomes_of(rows)

    assert len(of_many) == len(of_one)
    statuses = [outcome.status for outcome in outcomes.values()]
    assert statuses.count(TouchpointStatus.CREDITED) == 1
    assert statuses.count(TouchpointStatus.LOST) == 7


def test_an_id_that_is_not_found_says_how_to_look_and_why_it_may_be_missing() -> None:
    gem = make.make_tenant()
    _, link = make_network(gem)
    touch(gem, link, **_of_network("net-1"))
    browser = sign_in(gem.owner)

    unknown = browser.get(TOUCHPOINTS, {"q": "NET-1"}).content.decode()
    filtered = browser.get(TOUCHPOINTS, {"q": "net-1", "kind": "impression"}).content.decode()

    assert "letter for letter as the network sent it. If it is right" in unknown
    assert "or clear the other filters" in filtered


def test_links_of_one_name_are_told_apart_by_their_campaign() -> None:
    gem = make.make_tenant()
    _, link = make_network(gem)
    wanted = f"{link.campaign} · {link}"

    page = sign_in(gem.owner).get(TOUCHPOINTS, {"link": link.pk}).content.decode()

    assert f">{escape(wanted)}</option>" in page
    assert f"Tracking link: {escape(wanted)}" in page


def test_the_page_names_the_device_as_its_maker_does() -> None:
    device = Touchpoint(device_model="iPhone", os_name="ios", os_version="18.5")

    assert device.device_text == "iPhone, iOS 18.5"
    assert Touchpoint(os_name="Tizen").device_text == "Tizen"
    assert Touchpoint().device_text == ""
