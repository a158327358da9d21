"""Floods: what anybody can send rejects itself, and neither voids nor hides what proves more."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings

from apps_registry.models import SdkKey, TrackingLink
from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.attribution import crediting
from postbacks.attribution.evidence import CandidateTouchpoint, Settings, SettingsByScope
from postbacks.attribution.waterfall import attribute
from postbacks.infrastructure.database import roles
from postbacks.infrastructure.rate_limits.counting import RateLimit
from postbacks.models import Touchpoint
from postbacks.privacy import retention
from tests import make
from tests.api.calling import Program
from tests.attribution.touches import ADDRESS, GAID, PROBABILISTIC, install, touch
from tests.database import as_role
from tests.intake.links.opening import Advertised, advertise
from tests.touches import GAID as SENT_GAID
from tests.touches import make_network

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = timedelta(seconds=1)
TOO_MANY = "rejected:too_many_engagements"
ATTACKER = "ip:198.51.100.9"
LINK: Mapping[str, Any] = {"partner_id": 1, "link_id": 5}

# The good touchpoint, what each of the flood is, and the settings.
FLOODS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("from one other address", {"names": [ADDRESS]}, {"names": [ATTACKER]}),
    ("by the browser while the network's server reported", {"source": "server"}, {}),
    ("by a stranger's server", {"names": [ADDRESS]}, {"source": "server", "sender": "ab"}),
    (
        "by a stranger's server beside the network's",
        {"source": "server", "sender": "key:7"},
        {"source": "server", "sender": "ab"},
    ),
    ("unsigned beside a signed one", {"signature": "valid"}, {"signature": "missing_signature"}),
    ("with wrong signatures", {"signature": "valid"}, {"signature": "invalid_signature"}),
    ("on another link of the network", {"link_id": 6}, {}),
    ("of a campaign without a link", {"link_id": None}, {}),
    ("beside the store's referrer", {"names": ["click_id:c-1"]}, {}),
    ("of impressions", {}, {"kind": "impression"}),
    ("of clicks that claim to be the network's", {"kind": "impression"}, {"kind": "click"}),
    ("of another partner", {"partner_id": 2}, {}),
]


@pytest.mark.parametrize("before", [20, 3_000], ids=["after the good one", "before the good one"])
@pytest.mark.parametrize(
    ("good", "bad"), [row[1:] for row in FLOODS], ids=[row[0] for row in FLOODS]
)
def test_a_flood_rejects_itself_and_the_good_touchpoint_earns_the_install(
    good: dict[str, Any], bad: dict[str, Any], before: int
) -> None:
    good_touch = _touch(999, good, before=1_000 * SECOND)
    flood = [_touch(n, bad, before=(before + n) * SECOND) for n in range(110)]
    evidence = install(
        GAID, ADDRESS, "click_id:c-1", referrer_identifiers=frozenset({"click_id:c-1"})
    )

    verdict = attribute(evidence, [*flood, good_touch], SettingsByScope())

    assert verdict.credit.touchpoint == good_touch
    reasons = {c.reason for c in verdict.candidates if c.touchpoint != good_touch}
    assert reasons == {TOO_MANY}


def test_single_clicks_from_many_addresses_leave_the_network_its_credit() -> None:
    good = _touch(999, {"names": [ADDRESS]}, before=1_000 * SECOND)
    flood = [
        _touch(n, {"names": [f"ip:198.51.100.{n}"]}, before=(n + 9) * SECOND) for n in range(99)
    ]

    verdict = attribute(install(GAID), [*flood, good], SettingsByScope())

    assert verdict.credit.partner_id == good.partner_id


def test_a_flood_over_many_links_of_a_partner_is_one_flood_of_its_sender() -> None:
    good = _touch(999, {"names": [ADDRESS]}, before=1_000 * SECOND)
    flood = [
        _touch(n, {"names": [ATTACKER], "link_id": n % 20}, before=(n + 9) * SECOND)
        for n in range(80)
    ]

    verdict = attribute(install(GAID), [*flood, good], SettingsByScope())

    assert verdict.credit.touchpoint == good
    assert len(verdict.rejections) == 80


def test_a_flood_of_user_agents_leaves_what_a_device_proves() -> None:
    good = touch(999, ADDRESS, before=1_000 * SECOND, user_agent="A", **LINK)
    flood = [
        touch(n, ADDRESS, before=(n + 9) * SECOND, user_agent="A", source="server", **LINK)
        for n in range(110)
    ]

    verdict = attribute(install(ADDRESS), [*flood, good], PROBABILISTIC)

    assert verdict.credit.touchpoint == good


def test_a_click_that_came_in_a_flood_earns_only_what_the_store_proves() -> None:
    refused = touch(1, GAID, "click_id:c-1", refused="too_many", **LINK)
    evidence = install(GAID, "click_id:c-1", referrer_identifiers=frozenset({"click_id:c-1"}))

    by_device = attribute(install(GAID), [refused], SettingsByScope())
    by_referrer = attribute(evidence, [refused], SettingsByScope())

    assert [c.reason for c in by_device.candidates] == ["rejected:too_many"]
    assert by_referrer.credit.touchpoint == refused


def test_a_partner_may_be_allowed_more() -> None:
    clicks = [_touch(n, {}, before=(n + 9) * SECOND) for n in range(40)]
    settings = SettingsByScope(partners={1: Settings(most_touches_per_hour=50)})

    assert attribute(install(GAID), clicks, settings).credit.touchpoint == clicks[0]


def _touch(
    number: int, fields: Mapping[str, Any], *, before: timedelta = SECOND
) -> CandidateTouchpoint:
    values = {**LINK, **fields}
    names = values.pop("names", ())
    return touch(number, GAID, *names, before=before, **values)


@pytest.fixture
def ad() -> Advertised:
    return advertise(store_url="https://play.google.com/store/apps/details?id=com.example.game")


@pytest.fixture
def link_limit(settings: LazySettings) -> None:
    settings.RATE_LIMIT_LINKS = RateLimit(30, 60)


@pytest.mark.parametrize("query", ["", "s2s=1&gaid=38400000-8cf0-11bd-b23e-10b96e40000d&"])
def test_what_is_made_again_since_its_link_has_changed_counts_once(
    ad: Advertised, link_limit: None, settings: LazySettings, query: str
) -> None:
    settings.RATE_LIMIT_SDK_SERVER = RateLimit(30, 10)
    for number in range(30):
        with tenant(ad.tenant.organization.pk):
            TrackingLink.objects.update(name=f"Spring {number}")
        ad.click(f"{query}sub1={number}")

    assert [touchpoint.refused for touchpoint in ad.touchpoints()] == [""] * 30


@pytest.mark.parametrize("door", ["click", "see"])
def test_nobody_is_refused_a_redirect_and_what_is_too_much_says_so(
    ad: Advertised, link_limit: None, door: str
) -> None:
    answers = [getattr(ad, door)(f"sub1={n}") for n in range(40)]
    others = [getattr(ad, door)(address=f"198.51.100.{n}") for n in range(9)]

    assert {answer.status_code for answer in answers + others} == {302 if door == "click" else 200}
    refused = [touchpoint.refused for touchpoint in ad.touchpoints()]
    assert refused == [""] * 30 + ["too_many"] * 10 + [""] * 9


def test_a_full_carriers_network_is_no_flood(ad: Advertised) -> None:
    for n in range(300):
        ad.click(f"click_id=c-{n}", agent=f"Mozilla/5.0 (Linux; Android 14; Phone {n % 40})")

    assert {touchpoint.refused for touchpoint in ad.touchpoints()} == {""}


def test_clicks_with_one_devices_id_are_a_flood_sooner_and_hide_no_other(ad: Advertised) -> None:
    good = ad.click(f"gaid={SENT_GAID}&click_id=good", address="203.0.113.8")

    for n in range(110):
        ad.click(f"gaid={SENT_GAID}&click_id=bad-{n}", address="198.51.100.9")
    _install(ad.tenant)

    assert good.status_code == 302
    (row,) = Program(ad.tenant.api_token).rows("installs", install_id="i-1")
    first, *rest = ad.touchpoints()
    assert row["attribution"]["touchpoint"] == str(first.public_id)
    reasons = {c["reason"] for c in row["candidates"] if c["touchpoint"] != str(first.public_id)}
    assert reasons == {TOO_MANY}
    assert [touchpoint.refused for touchpoint in rest] == [""] * 100 + ["too_many"] * 10


def test_a_public_keys_flood_leaves_the_click_of_the_networks_server() -> None:
    of = make.make_tenant()
    _, link = make_network(of)
    with tenant(of.organization.pk):
        public = make.make_sdk_key(of.app, kind=SdkKey.Kind.APP)
    _report(Program(of.sdk_key), link, count=1)
    _report(Program(public), link, count=110)
    _install(of)

    (row,) = Program(of.api_token).rows("installs", install_id="i-1")
    with tenant(of.organization.pk):
        good = Touchpoint.objects.order_by("id").first()
    assert good is not None
    assert row["attribution"]["touchpoint"] == str(good.public_id)


def test_a_flood_from_many_addresses_of_one_network_hides_no_click(
    ad: Advertised, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a network of 64 bits anybody has all addresses, of one of 48 bits many have all."""
    monkeypatch.setattr(crediting, "MOST_PER_IDENTIFIER", 20)
    good = ad.click(f"gaid={SENT_GAID}&click_id=good", address="203.0.113.8")

    for n in range(90):
        ad.click(f"gaid={SENT_GAID}&click_id=bad-{n}", address=f"2001:db8::{n + 1:x}")
    _install(ad.tenant)

    assert good.status_code == 302
    (row,) = Program(ad.tenant.api_token).rows("installs", install_id="i-1")
    assert row["attribution"]["touchpoint"] == str(ad.touchpoints()[0].public_id)


def test_a_site_that_uses_its_many_networks_is_a_flood_as_well(ad: Advertised) -> None:
    for n in range(310):
        ad.click(f"gaid={SENT_GAID}", address=f"2001:db8:0:{n:x}::1")
    ad.click(f"gaid={SENT_GAID}", address="2001:db8:1:1::1")
    ad.click(address="2001:db8:0:1::1")

    refused = [touchpoint.refused for touchpoint in ad.touchpoints()]
    assert refused == [""] * 300 + ["too_many"] * 10 + ["", ""]


def test_a_flood_beside_a_click_of_which_only_the_network_is_kept_rejects_itself(
    ad: Advertised, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two days addresses are shortened, and windows are longer."""
    monkeypatch.setattr(retention, "MATCHED", -timedelta(hours=1))
    good = ad.click(f"gaid={SENT_GAID}&click_id=good", address="203.0.113.8")
    for n in range(12):
        ad.click(f"gaid={SENT_GAID}&click_id=bad-{n}", address="198.51.100.9")
    assert good.status_code == 302

    with as_role(roles.WORKER):
        while retention.shorten_touchpoints():
            pass
    assert not any("203.0.113.8" in str(vars(each)) for each in ad.touchpoints())
    _install(ad.tenant)

    (row,) = Program(ad.tenant.api_token).rows("installs", install_id="i-1")
    assert row["attribution"]["touchpoint"] == str(ad.touchpoints()[0].public_id)


def test_what_stays_of_an_address_names_nobody(ad: Advertised) -> None:
    for n in range(200):
        ad.click(address=f"198.51.{n}.9")
        ad.click(address=f"198.51.{n}.9")

    marks = [touchpoint.sender for touchpoint in ad.touchpoints()]
    assert {len(mark) for mark in marks} == {4}  # of 65,536, which all addresses share
    assert marks[::2] == marks[1::2]
    assert len(set(marks)) > 190


def _report(program: Program, link: TrackingLink, *, count: int) -> None:
    rows = [{"kind": "click", "link": str(link.public_id), "gaid": SENT_GAID} for _ in range(count)]
    assert program.post("touchpoints", rows).status == 202


def _install(of: make.Tenant) -> None:
    """Let the device install the app ten seconds from now, so that no click comes too late."""
    answer = Program(of.sdk_key).post(
        "events",
        {
            "event_name": "install",
            "install_id": "i-1",
            "gaid": SENT_GAID,
            "event_time": (datetime.now(UTC) + 10 * SECOND).isoformat(),
        },
    )
    assert answer.status == 202
    with as_role(roles.WORKER):
        pipeline.work()
