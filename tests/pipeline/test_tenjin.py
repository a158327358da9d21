"""A server-to-server integration made for Tenjin, of which only the host was changed.

The requests are those of Tenjin's documentation, sent by a plain HTTP client to a real server.
"""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from pytest_django.live_server_helper import LiveServer

from apps_registry.models import SdkKey
from apps_registry.tenancy import tenant
from postbacks.models import Event, EventSource, Install
from tests import make
from tests.make import Tenant, make_rule, make_tenant
from tests.pipeline.conftest import RecordingPartner, Run
from tests.touches import make_network, touch

pytestmark = pytest.mark.django_db(transaction=True)

INSTALLATION = "91d1c313dd944bd3bbbb16c8b7afa054"  # as servers write it
INSTALL_ID = "91d1c313-dd94-4bd3-bbbb-16c8b7afa054"  # as it is stored
GAID = "be277924-d076-456d-9a20-3c8dee5663d3"
PLATFORM = {"platform": "android", "os_version": "34", "sdk_version": "server"}
TENJINS_MACROS = (
    "advertising_id",
    "ip_address",
    "bundle_id",
    "campaign_id",
    "event_name",
    "campaign_name",
    "site_id",
    "click_id",
    "store_id",
    "os_version",
    "country",
    "engaged_at_ms",
    "acquired_at_ms",
    "time_in_ms",
    "device",
    "creative_name",
    "ad_network",
    "platform",
    "limit_ad_tracking_integer",
    "value",
    "revenue_usd_gross",
    "revenue_usd_net",
)


@dataclass(frozen=True)
class Answered:
    status: int
    headers: Mapping[str, str]
    data: dict[str, object]


@pytest.fixture
def server() -> Iterator[LiveServer]:
    started = LiveServer("127.0.0.1")
    yield started
    started.stop()


@pytest.fixture
def gem() -> Tenant:
    return make_tenant()


def device(of: Tenant, **more: object) -> dict[str, object]:
    return {
        "analytics_installation_id": INSTALLATION,
        "advertising_id": GAID,
        "bundle_id": of.bundle_id.identifier,
        **PLATFORM,
        **more,
    }


def ask(url: str, *, method: str = "GET", body: bytes | None = None, **headers: str) -> Answered:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=body, method=method, headers=sent)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return _answered(answer)
    except urllib.error.HTTPError as answer:
        return _answered(answer)


def _answered(answer) -> Answered:
    content = answer.read()
    return Answered(answer.status, answer.headers, json.loads(content) if content else {})


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"{key}:".encode()).decode()


def send(server: LiveServer, way: str, call: str, of: Tenant, **parameters: object) -> Answered:
    """Send a call in one of the ways that Tenjin takes."""
    method, where, encoding = way.split()
    headers: dict[str, str] = {}
    if where == "parameter":
        parameters["api_key"] = of.sdk_key
    else:
        headers["Authorization"] = basic(of.sdk_key)
    url = f"{server.url}/v0/{call}"
    if method == "GET":
        return ask(f"{url}?{urlencode(parameters)}", **headers)
    if encoding == "json":
        headers["Content_Type"] = "application/json"
        return ask(url, method="POST", body=json.dumps(parameters).encode(), **headers)
    headers["Content_Type"] = "application/x-www-form-urlencoded"
    return ask(url, method="POST", body=urlencode(parameters).encode(), **headers)


WAYS = [
    "GET parameter query",
    "GET basic query",
    "POST parameter form",
    "POST basic form",
    "POST parameter json",
    "POST basic json",
]


def events_of(of: Tenant) -> list[Event]:
    with tenant(of.organization.pk):
        return list(Event.objects.order_by("id"))


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_calling_stores_the_purchase(server: LiveServer, gem: Tenant, way: str) -> None:
    parameters = device(
        gem,
        product_id="gems_500",
        price="4.99",
        quantity="2",
        currency="EUR",
        ip_address="203.0.113.7",
        country="DE",
        limit_ad_tracking="0",
    )

    answer = send(server, way, "purchase", gem, **parameters)

    assert (answer.status, answer.data) == (200, {"code": 200})
    assert answer.headers["Content-Type"] == "application/json"
    (event,) = events_of(gem)
    assert (event.event_name, event.source) == ("purchase", EventSource.TENJIN)
    assert (event.revenue, event.currency, event.platform) == (Decimal("9.98"), "EUR", "android")
    assert event.device == f"install_id:{INSTALL_ID}"
    assert event.fields == {
        "install_id": INSTALL_ID,
        "gaid": GAID,
        "ip_address": "203.0.113.7",
        "os_version": "34",
        "api_level": "34",
        "sdk_version": "server",
        "country": "DE",
        "quantity": 2,
        "price": 4.99,
        "product_id": "gems_500",
        "limit_ad_tracking": False,
    }
    assert event.params == {}


@pytest.mark.parametrize("ampersand", ["&amp;", "&amp;amp;", "&AMP;", "&"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_call_that_was_copied_out_of_html_is_read_as_meant(
    server: LiveServer, gem: Tenant, method: str, ampersand: str
) -> None:
    parameters = {**device(gem), "price": "9.99", "quantity": 1, "currency": "EUR"}
    query = urlencode({**parameters, "product_id": "p", "api_key": gem.sdk_key})
    query = query.replace("&", ampersand)
    url = f"{server.url}/v0/purchase"

    if method == "GET":
        answer = ask(f"{url}?{query}")
    else:
        headers = {"Content_Type": "application/x-www-form-urlencoded"}
        answer = ask(url, method="POST", body=query.encode(), **headers)

    assert answer.data == {"code": 200}
    (event,) = events_of(gem)
    assert (event.revenue, event.currency) == (Decimal("9.99"), "EUR")
    assert not any("amp" in name or "api_key" in name for name in event.params)
    assert ("read as &" in answer.headers.get("Warning", "")) == (ampersand != "&")


def test_an_install_is_credited_and_its_network_told_with_tenjins_own_macros(
    server: LiveServer, gem: Tenant, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    _partner, link = make_network(gem)
    touch(gem, link, gaid=GAID, click_id="c-1", site_id="s-9")
    query = "&".join(f"{name}={{{{{name}}}}}" for name in TENJINS_MACROS)
    with tenant(gem.organization.pk):
        make_rule(f"{ok_partner.url}/told?{query}", triggers=["install", "level_up"])

    opened = send(server, "POST basic form", "event", gem, **device(gem, ip_address="203.0.113.7"))
    leveled = send(
        server, "GET parameter query", "event", gem, **device(gem, event="level_up", value="7")
    )
    run_pump(lambda: len(ok_partner.requests) == 2)

    assert (opened.data, leveled.data) == ({"code": 200}, {"code": 200})
    queries = [parse_qs(urlsplit(path).query) for _, path, *_ in ok_partner.requests]
    install, level = sorted(queries, key=lambda query: "value" in query)
    assert install["click_id"] == level["click_id"] == ["c-1"]
    assert install["site_id"] == ["s-9"]
    assert install["advertising_id"] == [GAID]
    assert install["ip_address"] == ["203.0.113.7"]
    assert install["campaign_name"] == [link.campaign.name]
    assert (level["event_name"], level["value"]) == (["level_up"], ["7"])
    with tenant(gem.organization.pk):
        installed = Install.objects.get()
    assert (installed.attribution_type, installed.link_id) == ("click", link.pk)


def test_an_app_learns_what_its_own_installation_is_credited_to(
    server: LiveServer, gem: Tenant, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    partner, link = make_network(gem)
    with tenant(gem.organization.pk):
        link.deep_link = "gemharbor://shop/summer"
        link.save()
        make_rule(ok_partner.url, triggers=["install"])
    touch(gem, link, gaid=GAID, site_id="s-9", params={"campaign_id": "net-7"})
    early = send(server, "GET basic query", "user", gem, **device(gem))
    send(server, "POST basic form", "event", gem, **device(gem))
    organic = device(gem, analytics_installation_id="a" * 32, advertising_id="")
    send(server, "POST basic form", "event", gem, **organic)
    run_pump(lambda: len(ok_partner.requests) == 2)

    credited = send(server, "GET basic query", "user", gem, **device(gem))
    nobody = send(server, "POST parameter form", "user", gem, **organic)
    stranger = send(server, "GET basic query", "user", make_tenant("Other"), **device(gem))

    assert (early.status, early.data["code"]) == (404, 404)
    assert (credited.status, credited.data) == (
        200,
        {
            "ad_network": partner.name,
            "campaign_id": str(link.campaign.public_id),
            "campaign_name": link.campaign.name,
            "site_id": "s-9",
            "remote_campaign_id": "net-7",
            "deferred_deeplink_url": "gemharbor://shop/summer",
        },
    )
    assert (nobody.status, nobody.data) == (200, {"ad_network": "organic"})
    assert stranger.status == 404


def test_a_deep_link_is_told_in_the_first_session_only(
    server: LiveServer, gem: Tenant, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    _partner, link = make_network(gem)
    with tenant(gem.organization.pk):
        link.deep_link = "gemharbor://shop/summer"
        link.save()
        make_rule(ok_partner.url, triggers=["open"])
    touch(gem, link, gaid=GAID, ago=3 * 3600)
    before = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    send(server, "POST basic form", "event", gem, **device(gem, sent_at=before))
    run_pump(lambda: len(ok_partner.requests) == 1)

    answer = send(server, "GET basic query", "user", gem, **device(gem))

    assert answer.data["ad_network"] != "organic"
    assert "deferred_deeplink_url" not in answer.data


@pytest.mark.parametrize(
    "address",
    ["ad_impression", "ad_impressions/", "ad_impressions/max", "ad_impressions/tradplus"],
)
def test_every_mediation_has_its_door(server: LiveServer, gem: Tenant, address: str) -> None:
    sent = device(gem, revenue="0.0021", ad_revenue_currency="USD", network_name="AppLovin")

    answer = send(server, "POST basic json", address, gem, **sent)

    assert answer.data == {"code": 200}
    (event,) = events_of(gem)
    assert (event.event_name, event.revenue) == ("ad_impression", Decimal("0.0021"))
    assert event.params["network_name"] == "AppLovin"
    mediation = address.partition("/")[2]
    assert event.params.get("mediation", "") == mediation


def test_a_click_by_tenjins_address_earns_the_install_and_opens_what_it_named(
    server: LiveServer, gem: Tenant, ok_partner: RecordingPartner, run_pump: Run
) -> None:
    partner, link = make_network(gem)
    with tenant(gem.organization.pk):
        link.allowed_destinations = ["gemharbor://"]
        link.save()
        make_rule(f"{ok_partner.url}/?id={{{{click_id}}}}", triggers=["install"])
    minute_ago = int((datetime.now(UTC) - timedelta(minutes=1)).timestamp())
    query = urlencode(
        {
            "advertising_id": GAID,
            "click_id": "c-9",
            "deeplink_url": "gemharbor://shop",
            "s2s": "1",
            "click_time": minute_ago,
        }
    )
    clicked = ask(f"{server.url}/v0/click/{link.token}?{query}", User_Agent="Network/1.0")
    send(server, "POST basic form", "event", gem, **device(gem))
    run_pump(lambda: len(ok_partner.requests) == 1)

    answer = send(server, "GET basic query", "user", gem, **device(gem))

    assert clicked.status == 200
    assert ok_partner.requests[0][1] == "/?id=c-9"
    assert answer.data["ad_network"] == partner.name
    assert answer.data["deferred_deeplink_url"] == "gemharbor://shop"


def test_a_retry_of_the_sdk_is_taken_once(server: LiveServer, gem: Tenant) -> None:
    sent = device(gem, event="level_up", sent_at=datetime.now(UTC).isoformat())

    answers = [send(server, "POST basic form", "event", gem, **sent) for _ in range(2)]

    assert [answer.data for answer in answers] == [{"code": 200}] * 2
    assert len(events_of(gem)) == 1


def test_what_is_wrong_is_said_in_the_callers_words(server: LiveServer, gem: Tenant) -> None:
    sent = device(gem, bundle_id="com.stranger", price="much", product_id="p", currency="USD")

    answer = send(server, "POST basic form", "purchase", gem, **sent)

    assert (answer.status, answer.data["code"]) == (400, 400)
    assert str(answer.data["message"]).startswith("price: ")
    assert events_of(gem) == []


def test_a_key_that_is_none_is_refused(server: LiveServer, gem: Tenant) -> None:
    url = f"{server.url}/v0/event"

    without = ask(url)
    unknown = ask(f"{url}?api_key=pb_nobody")
    token = ask(url, Authorization=basic(gem.api_token))
    elsewhere = ask(f"{server.url}/api/v1/events?api_key={gem.sdk_key}", method="POST", body=b"{}")

    assert [answer.status for answer in (without, unknown, token, elsewhere)] == [
        401,
        401,
        403,
        401,
    ]
    assert "api_key" in str(without.data["message"])
    assert without.headers["WWW-Authenticate"].startswith("Basic")
    assert events_of(gem) == []


def test_other_methods_and_addresses_report_nothing(server: LiveServer, gem: Tenant) -> None:
    sent = urlencode({**device(gem), "api_key": gem.sdk_key})

    head = ask(f"{server.url}/v0/event?{sent}", method="HEAD")
    unknown = ask(f"{server.url}/v0/nothing?{sent}")
    image = ask(f"{server.url}/v0/event?{sent}", method="POST", body=b"x", Content_Type="image/png")

    assert (head.status, unknown.status, image.status) == (405, 404, 415)
    assert unknown.data == {"code": 404, "message": "There is nothing at this address."}
    assert events_of(gem) == []


def test_a_public_key_gives_the_devices_own_address_and_a_servers_call_none(
    server: LiveServer, gem: Tenant
) -> None:
    with tenant(gem.organization.pk):
        public = make.make_sdk_key(gem.app, kind=SdkKey.Kind.APP)
    url = f"{server.url}/v0/event"

    for version in ("1.16.0", "server"):
        sent = urlencode({**device(gem), "sdk_version": version, "api_key": public})
        ask(f"{url}?{sent}")

    phone, server_call = events_of(gem)
    assert phone.fields["ip_address"] == "127.0.0.1"
    assert "ip_address" not in server_call.fields


def raw(server: LiveServer, of: Tenant, call: str, query: str, **asked: object) -> Answered:
    """Send a query as it is written, and `body`, if any, as curl does."""
    headers = {"Authorization": basic(of.sdk_key)}
    if "body" in asked:
        headers["Content_Type"] = str(asked.pop("type", "application/x-www-form-urlencoded"))
    return ask(f"{server.url}/v0/{call}?{query}", **asked, **headers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("price=1&quantity=1e200000", "quantity: "),
        ("price=1&quantity=1e1000000", "quantity: "),
        ("price=1&quantity=1_000", "quantity: "),
        ("price=1&quantity=1.5", "quantity: "),
        ("price=1_000", "price: "),
        ("price=1e1000000", "price: "),
        (f"price={'9' * 500}", "price: "),
        ("price=1e-20", "price: 1E-20 is too small"),
    ],
    ids=lambda part: part[:30],
)
def test_an_impossible_number_is_refused_once_and_by_name(
    server: LiveServer, gem: Tenant, query: str, named: str
) -> None:
    answer = raw(server, gem, "purchase", f"{query}&currency=EUR&product_id=p")

    message = str(answer.data["message"])
    assert (answer.status, message.count(named)) == (400, 1)
    assert message.startswith(named)
    assert "0.000000000000" not in message
    assert events_of(gem) == []


@pytest.mark.parametrize(
    ("call", "body", "kind", "name"),
    [
        ("purchase", b"price=9.99&currency=EUR", "application/x-www-form-urlencoded", "purchase"),
        ("purchase", b'{"price": 9.99, "currency": "EUR"}', "application/json", "purchase"),
        ("event", b"event=level_up", "application/x-www-form-urlencoded", "level_up"),
        ("event", b'{"event": "level_up"}', "application/json", "level_up"),
        ("event", b"", "application/json", "open"),
    ],
)
def test_the_body_of_a_get_is_read(
    server: LiveServer, gem: Tenant, call: str, body: bytes, kind: str, name: str
) -> None:
    answer = raw(server, gem, call, "platform=ios", method="GET", body=body, type=kind)

    assert answer.data == {"code": 200}
    (event,) = events_of(gem)
    assert event.event_name == name
    assert event.revenue == (Decimal("9.99") if name == "purchase" else None)


@pytest.mark.parametrize(
    ("query", "remark"),
    [
        ("limit_ad_tracking=ja", "limit_ad_tracking: 'ja' is no known value"),
        ("ad_user_data=peut-%C3%AAtre", "ad_user_data: 'peut-?tre'"),
        ("tracking_status=7", "tracking_status: '7' is no known value, so it was taken as 2"),
        ("country=Germany", "country: 'Germany'"),
        ("ip_address=1.2.3.4.5", "ip_address: '1.2.3.4.5'"),
        ("platform=toaster%0d%0aX:1", "platform: 'toaster"),
        ("Limit_Ad_Tracking=ja", "limit_ad_tracking: 'ja'"),
        ("limit_ad_tracking=1&limit_ad_tracking=0", "taken as the person has opted out"),
        ("event=a&event=b", "several values, of which the last counts: 'event'"),
        ("event=a&event=a", ""),
        ("country=DE&country=", ""),
        ("platform=iPhone&country=de&limit_ad_tracking=on&tracking_status=denied", ""),
    ],
)
def test_what_was_not_taken_as_sent_is_said(
    server: LiveServer, gem: Tenant, query: str, remark: str
) -> None:
    answer = raw(server, gem, "event", f"{query}&advertising_id={GAID}")

    assert answer.data == {"code": 200}
    assert remark in answer.headers.get("Warning", "")
    assert ("Warning" in answer.headers) == bool(remark)


@pytest.mark.parametrize(
    "query",
    [
        "limit_ad_tracking=on",
        "limit_ad_tracking=Y",
        "limit_ad_tracking=1.0",
        "limit_ad_tracking=ja",
        "tracking_status=denied",
        "tracking_status=Restricted",
    ],
)
def test_an_opt_out_keeps_the_device_id_from_partners(
    server: LiveServer, gem: Tenant, ok_partner: RecordingPartner, run_pump: Run, query: str
) -> None:
    with tenant(gem.organization.pk):
        make_rule(f"{ok_partner.url}/?id={{{{advertising_id}}}}", triggers=["level_up"])

    raw(server, gem, "event", f"event=level_up&platform=ios&advertising_id={GAID}&{query}")
    run_pump(lambda: len(ok_partner.requests) == 1)

    assert GAID not in ok_partner.requests[0][1]


@pytest.mark.parametrize(
    ("query", "price", "is_said"),
    [
        ("price=9.99&price=8.88&currency=EUR", "8.88", True),
        ("price=9.99&price=&currency=EUR", "9.99", False),
        ("Price=9.99&Currency=eur", "9.99", False),
        ("PRICE=9.99&CURRENCY=EUR&Quantity=1", "9.99", False),
        ("price=9.99&Price=1&currency=EUR", "9.99", False),
    ],
)
def test_a_price_is_found_however_its_name_is_written(
    server: LiveServer, gem: Tenant, query: str, price: str, is_said: bool
) -> None:
    answer = raw(server, gem, "purchase", query)

    assert answer.data == {"code": 200}
    assert ("several values" in answer.headers.get("Warning", "")) == is_said
    (event,) = events_of(gem)
    assert (event.revenue, event.currency) == (Decimal(price), "EUR")


def test_a_body_that_contradicts_the_address_counts_and_is_said(
    server: LiveServer, gem: Tenant
) -> None:
    answer = raw(server, gem, "event", "Event=a&Value=1", method="POST", body=b"event=b")
    both = raw(server, gem, "event", "event=a", method="POST", body=b"event=b")

    assert (answer.data, both.data) == ({"code": 200}, {"code": 200})
    assert "several values" in both.headers["Warning"]
    first, second = events_of(gem)
    assert (first.event_name, first.params["Value"], second.event_name) == ("b", "1", "b")


def test_a_body_takes_back_no_opt_out_of_the_address(server: LiveServer, gem: Tenant) -> None:
    answer = raw(
        server, gem, "event", "limit_ad_tracking=1", method="POST", body=b"limit_ad_tracking=0"
    )

    assert answer.data == {"code": 200}
    assert "opted out" in answer.headers["Warning"]
    (event,) = events_of(gem)
    assert event.fields["limit_ad_tracking"] is True
