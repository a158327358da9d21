"""Installs in the admin: how they are found, and the story of each."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from apps_registry.models import AttributionSettings, TrackingLink
from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.infrastructure.database import roles
from postbacks.models import Attribution, Event, Install, InstallKey, Postback, PostbackStatus
from postbacks.values import identifiers
from tests import make
from tests.admin.pages import sign_in
from tests.api.calling import owner_of
from tests.database import as_role
from tests.events import event, record
from tests.insights.credits import make_event, make_install, make_touches
from tests.touches import GAID, make_network, touch
from tests.workers import decide, work

pytestmark = pytest.mark.django_db(transaction=True)

INSTALLS = "/admin/postbacks/install/"
NOW = datetime.now(UTC).replace(microsecond=0)


def _decide(install: Install, version: int = 1, **fields: object) -> None:
    with as_role(roles.WORKER), tenant(install.organization_id):
        Attribution.objects.create(
            **{
                "install": install,
                "version": version,
                "type": install.attribution_type,
                "cause": "install" if version == 1 else "upgrade",
                "decided_at": install.installed_at + timedelta(seconds=version),
                "partner_id": install.partner_id,
                "campaign_id": install.campaign_id,
                **fields,
            }
        )


def _told(link: TrackingLink, reason: str, **fields: object) -> dict[str, object]:
    return {
        "touchpoint": str(uuid.uuid4()),
        "kind": "click",
        "partner": "Lumen Ads",
        "campaign": "Summer",
        "occurred_at": (NOW - timedelta(hours=2)).isoformat(),
        "method": "click_id",
        "reason": reason,
        "sentence": f"Because of {reason}.",
        **fields,
    }


def _story(browser: Client, install: Install) -> str:
    answer = browser.get(f"{INSTALLS}{install.pk}/change/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_story_says_who_won_who_lost_and_why(browser: Client, link: TrackingLink) -> None:
    install = make_install(link, NOW, touched_at=NOW - timedelta(hours=2))
    older = (NOW - timedelta(hours=5)).isoformat()
    lost = _told(link, "older", partner="Slow Ads", occurred_at=older)
    fraud = _told(link, "engagement_injection", partner="Fraud Ads")
    _decide(install, candidates=[_told(link, "won"), lost], rejections=[fraud])

    page = _story(browser, install)

    assert "Its click came 2\N{NO-BREAK SPACE}h before the install and won." in page
    for words in ("Because of won.", "Because of older.", "Because of engagement_injection."):
        assert words in page
    assert page.index("Slow Ads") < page.index("Lumen Ads")
    for verdict in (">Won<", ">Lost<", ">Rejected<"):
        assert verdict in page


def test_a_touchpoint_that_is_kept_leads_to_its_link(browser: Client, link: TrackingLink) -> None:
    at = NOW - timedelta(hours=2)
    public_id = uuid.UUID(int=int(at.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | 1)
    (touch,) = make_touches(link, at, public_id=public_id, click_id="network-click-9")
    install = make_install(link, NOW)
    _decide(install, candidates=[_told(link, "won", touchpoint=str(touch.public_id))])

    page = _story(browser, install)

    assert "network-click-9" in page
    assert f"/admin/apps_registry/trackinglink/{link.pk}/change/" in page


def test_a_late_click_that_changed_the_credit_is_told(browser: Client, link: TrackingLink) -> None:
    install = make_install(link, NOW, attribution_version=2)
    _decide(install, type="organic", partner_id=None, campaign_id=None)
    _decide(install, 2, candidates=[_told(link, "won")])

    page = _story(browser, install)

    assert "A touchpoint that was not known before counts more." in page
    assert "Before, it was organic." in page
    names = f"<bdi>{link.campaign.partner}</bdi>, <bdi>{link.campaign}</bdi>"
    assert f"Credited to {names}" in page


def test_events_and_their_postbacks_belong_to_the_story(
    owner: make.Tenant, browser: Client, link: TrackingLink
) -> None:
    install = make_install(link, NOW - timedelta(hours=1), device="d")
    bought = make_event(link, NOW, device="d", revenue="4.99", currency="EUR")
    make_event(link, NOW, device="another", name="registration")
    with as_role(roles.WORKER), tenant(owner.organization.pk):
        rule = make.make_rule(name="Tell them", partner=link.campaign.partner)
        Postback.objects.create(
            public_id=uuid.uuid4(),
            rule=rule,
            rule_version=1,
            app=owner.app,
            event=bought,
            sdk_event_id=bought.event_id,
            event_received_at=bought.received_at,
            status=PostbackStatus.DELIVERED,
            created_at=NOW,
            delivered_at=NOW,
        )

    page = _story(browser, install)

    assert f"/admin/postbacks/event/{bought.pk}/change/" in page
    assert "4.99 EUR" in page
    assert "Tell them" in page
    assert ">Delivered<" in page
    assert "registration" not in page


def test_a_device_that_came_back_has_a_story_for_each_time(
    browser: Client, link: TrackingLink
) -> None:
    first = make_install(link, NOW - timedelta(days=3), device="d")
    again = make_install(link, NOW - timedelta(days=1), device="d", number=2, kind="reattribution")
    make_event(link, NOW - timedelta(days=2), device="d", name="level_up")
    make_event(link, NOW, device="d", name="registration")

    before, after = _story(browser, first), _story(browser, again)

    assert ("level_up" in before, "registration" in before) == (True, False)
    assert ("level_up" in after, "registration" in after) == (False, True)
    assert f"{INSTALLS}{again.pk}/change/" in before


@pytest.mark.parametrize("cause", ["reinstall", "original"])
def test_a_reinstall_says_that_it_keeps_the_credit_of_the_first_install(
    browser: Client, link: TrackingLink, cause: str
) -> None:
    make_install(link, NOW - timedelta(days=3), device="d")
    again = make_install(link, NOW - timedelta(days=1), device="d", number=2, kind="reinstall")
    _decide(again, cause=cause)

    page = _story(browser, again)

    partner, campaign = link.campaign.partner, link.campaign
    assert (
        f"Keeps the credit of its first install: <bdi>{partner}</bdi>, <bdi>{campaign}</bdi>"
        in page
    )
    assert "so it keeps the credit of its first install" in page
    assert "Credited to" not in page


@pytest.mark.parametrize(
    ("device", "text"),
    [
        ("install_id:a-device", "Install ID a-device"),
        ("advertising:6d92078a-8246-4ba4-ae5b-76104861e7dc", "Advertising ID 6d92078a-"),
        ("idfv:38400000", "IDFV 38400000"),
        ("customer_user_id:anna", "Your own user ID anna"),
        ("web_id:w:1", "Web ID w:1"),
        ("something:else", "something:else"),
    ],
)
def test_a_device_is_named_with_the_kind_of_its_id(
    browser: Client, link: TrackingLink, device: str, text: str
) -> None:
    install = make_install(link, NOW, device=device)
    event = make_event(link, NOW, device=device)

    pages = [
        _story(browser, install),
        browser.get(INSTALLS).content.decode(),
        browser.get(f"/admin/postbacks/event/{event.pk}/change/").content.decode(),
    ]

    assert all(text in page for page in pages)


@pytest.mark.parametrize(
    "stored", [None, {}, [], "gone", ["gone"], [{}], [{"occurred_at": None, "partner": 7}]]
)
def test_what_was_erased_is_left_out(browser: Client, link: TrackingLink, stored: object) -> None:
    install = make_install(link, NOW, device="", attribution_type="organic", partner_id=None)
    _decide(install, candidates=stored or {}, rejections=stored or {})

    page = _story(browser, install)

    assert "Nobody earned it" in page


def test_an_install_is_found_by_any_of_its_ids(browser: Client, link: TrackingLink) -> None:
    install = make_install(link, NOW, device="install_id:mine", install_id="mine")
    make_install(link, NOW)
    gaid = "38400000-8cf0-11bd-b23e-10b96e40000d"
    with as_role(roles.WORKER), tenant(link.organization_id):
        app_id = link.campaign.app_id
        key = identifiers.key_of(app_id, f"advertising:{gaid}")
        InstallKey.objects.create(app_id=app_id, key=key, install=install, lasting=True)

    found = [
        [row.pk for row in browser.get(INSTALLS, {"q": text}).context["cl"].page.rows]
        for text in ("mine", "install_id:mine", gaid.upper(), str(install.public_id), "no")
    ]

    assert found == [[install.pk]] * 4 + [[]]


@pytest.mark.parametrize(
    "asked",
    [
        {"type": "click"},
        {"kind": "install"},
        {"state": "final"},
        {"partner": "own"},
        {"campaign": "own"},
        {"app": "own"},
        {"time": "24h"},
    ],
)
def test_installs_are_filtered_in_the_address(
    browser: Client, link: TrackingLink, asked: dict[str, str]
) -> None:
    wanted = make_install(link, NOW, state="final")
    other = make_install(
        link,
        NOW - timedelta(days=9),
        kind="reinstall",
        attribution_type="organic",
        partner_id=None,
        campaign=None,
    )
    keys = {
        "partner": link.campaign.partner_id,
        "campaign": link.campaign_id,
        "app": link.campaign.app_id,
    }
    query = {name: keys.get(name, value) for name, value in asked.items()}

    rows = browser.get(INSTALLS, query).context["cl"].page.rows
    lines = browser.get(f"{INSTALLS}export/", query).getvalue().decode()

    expected = {wanted.pk, other.pk} if asked.keys() == {"app"} else {wanted.pk}
    assert {row.pk for row in rows} == expected
    assert str(wanted.public_id) in lines


def test_what_the_pipeline_decided_is_told_as_it_happened(owner: make.Tenant) -> None:
    partner, link = make_network(owner)
    touch(owner, link, ago=3600)
    touch(owner, link, click_id="click-of-the-network")
    record(owner, event("open", gaid=GAID))
    decide()
    with tenant(owner.organization.pk):
        install = Install.objects.get()

    page = _story(sign_in(owner.owner), install)

    for words in (">Won<", ">Lost<", partner.name, "click-of-the-network", "Provisional until"):
        assert words in page
    assert "The ad and the app saw the same advertising ID." in page
    assert f"Credited to <bdi>{partner}</bdi>" in page


def test_what_was_odd_about_a_credit_is_said_at_each_version(owner: make.Tenant) -> None:
    _, link = make_network(owner)
    touch(owner, link, ago=5)
    record(owner, event("open", gaid=GAID))
    with as_role(roles.WORKER):
        pipeline.decide_events()
        touch(owner, link, ago=4)
        pipeline.reattribute_installs()
    with tenant(owner.organization.pk):
        install = Install.objects.get()
        decisions = install.attributions.order_by("version")
        remarks = [decision.remarks for decision in decisions]
    sentence = "Less than 10 seconds passed from the click to the first open."

    page = _story(sign_in(owner.owner), install)
    (row,) = owner_of(owner).rows("installs")

    assert remarks == [["short_time_to_install"]] * 2
    assert sentence in page
    assert row["remarks"] == [{"code": "short_time_to_install", "sentence": sentence}]


def test_a_touchpoint_that_missed_its_window_says_both_at_both_doors(
    owner: make.Tenant, browser: Client
) -> None:
    _, link = make_network(owner)
    with tenant(owner.organization.pk):
        AttributionSettings.objects.create(
            app=owner.app,
            probabilistic_clicks=True,
            probabilistic_on_ios=True,
            probabilistic_click_window_minutes=60,
        )
    names = frozenset({"ip:203.0.113.7"})
    touch(owner, link, ago=90 * 60, identifiers=names, os_name="ios")
    record(owner, event("open", ip_address="203.0.113.7", os_name="ios"))
    work()
    with tenant(owner.organization.pk):
        install = Install.objects.get()

    page = _story(browser, install)
    (row,) = owner_of(owner).rows("installs")

    (candidate,) = row["candidates"]
    assert candidate["reason"] == "out_of_window"
    sentence = "It happened 90 min before the install, window 60 min for probabilistic clicks."
    assert candidate["sentence"] == sentence
    assert round(candidate["measured"]) == 5_400
    assert (candidate["limit"], candidate["unit"]) == (3_600, "seconds")
    assert page.count("before the install") == 1
    assert sentence in page


def test_a_rejected_click_says_what_was_measured_to_people_programs_and_partners(
    owner: make.Tenant, browser: Client
) -> None:
    _, link = make_network(owner)
    with tenant(owner.organization.pk):
        AttributionSettings.objects.create(app=owner.app, least_seconds_to_install=60)
    at = datetime.now(UTC).replace(microsecond=0)
    touch(owner, link, ago=20, at=at)
    record(owner, event("open", gaid=GAID, event_time=at.isoformat()))
    work()
    with tenant(owner.organization.pk):
        install = Install.objects.get()
        rejected = Event.objects.get(event_name="rejected_install")

    page = _story(browser, install)
    (row,) = owner_of(owner).rows("installs")

    (rejection,) = row["rejections"]
    assert "20 s before the first open, at least 60 s is possible" in rejection["sentence"]
    assert (rejection["measured"], rejection["limit"], rejection["unit"]) == (20, 60, "seconds")
    assert rejection["sentence"] in page
    assert rejected.fields["reject_value"] == "20s"


def test_a_test_device_is_marked_in_the_lists_of_installs_and_touchpoints(
    owner: make.Tenant, browser: Client, link: TrackingLink
) -> None:
    with tenant(owner.organization.pk):
        make.make_test_device("Anna's Pixel 8", gaid=GAID)
    make_touches(link, NOW, params={"advertising_id": GAID.upper()}, click_id="of-anna")
    make_touches(link, NOW, params={"advertising_id": str(uuid.uuid4())}, click_id="of-others")
    record(owner, event("open", gaid=GAID, install_id="annas"))
    record(owner, event("open", install_id="of-others"))
    decide()

    lists = {
        name: browser.get(f"/admin/postbacks/{name}/").content.decode()
        for name in ("install", "touchpoint")
    }

    for page in lists.values():
        assert page.count("Test device: Anna&#x27;s Pixel 8") == 1
    with tenant(owner.organization.pk):
        install = Install.objects.get(install_id="annas")
    detail = browser.get(f"{INSTALLS}{install.pk}/change/").content.decode()
    assert "Test device: Anna&#x27;s Pixel 8" in detail
