"""A click leads only to what people declared, whatever a stranger writes into its address."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from postbacks.intake.links.destinations import LinkDestinations, choose_destination, is_allowed
from postbacks.intake.links.visitors import VisitorDevice, read_device
from postbacks.values import play_referrer
from tests.intake.links.opening import DESKTOP, IPHONE, advertise, referrer_of

ALLOWED = ("gemharbor://", "https://go.example.com", "shop://cart", "https://")
ANDROID = VisitorDevice("android")

EVIL = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "https://go.example.com@evil.example/",
    "https://go.example.com:443@evil.example/",
    "https://go.example.com%40evil.example/",
    "https://go.example.com%2eevil.example/",
    "https://go.example.com\\@evil.example/",
    "https://go.example.com\\.evil.example/",
    "https://evil.example\\go.example.com/",
    "https://evil.example#@go.example.com/",
    "https://evil.example?go.example.com",
    "https://go.example.com.evil.example/",
    "https://evilgo.example.com/",
    "https://xgo.example.com",
    "https://go.example.com:8443/",
    "http://go.example.com/",
    "https://go.example.com./",
    "https://\tgo.example.com/",
    "ht\ntps://go.example.com/",
    " https://go.example.com/",
    "https://go.example.com/\r\nSet-Cookie:a=b",
    "https://go.example.com/ x",
    "https://go.example.com\u3002evil.example/",
    "https://go\uff0eexample.com/",
    "https://go.example.com\x00.evil.example/",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "javascript://go.example.com/%0aalert(1)",
    "java\tscript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:https://go.example.com/x",
    "intent://x#Intent;scheme=https;S.browser_fallback_url=https%3A%2F%2Fevil.example;end",
    "view-source:https://go.example.com",
    "gemharbor:x",
    "gemharbor.evil://x",
    "xgemharbor://x",
    "gemharbor://x@evil.example/",
    "shop://cart@evil.example/",
    "shop://elsewhere/",
    "https%3A%2F%2Fgo.example.com",
    "https%253A%252F%252Fevil.example",
    "",
    "https://[::1]/",
    "https://go.example.com/" + "x" * 2_000,
]


@pytest.mark.parametrize("url", EVIL)
def test_no_trick_leads_elsewhere(url: str) -> None:
    places = LinkDestinations("android", "com.x", allowed=ALLOWED)

    for name in ("deep_link", "fallback"):
        assert not is_allowed(url, ALLOWED)
        led = choose_destination(places, ANDROID, {name: url})
        assert led is not None
        assert led.startswith("https://play.google.com/store/apps/details?id=com.x")


@pytest.mark.parametrize("scheme", ["javascript", "data", "intent", "file", "vbscript"])
def test_what_runs_in_a_page_is_never_led_to_not_even_if_it_is_declared(scheme: str) -> None:
    assert not is_allowed(f"{scheme}://x/", (f"{scheme}://", f"{scheme.upper()}://"))


@pytest.mark.parametrize(
    "url",
    [
        "gemharbor://shop/summer?x=1#top",
        "GemHarbor://",
        "https://go.example.com",
        "HTTPS://GO.example.com/a?b=https://other.example/",
        "https://go.example.com/%C3%A9",
        "shop://cart/7",
    ],
)
def test_a_declared_destination_is_led_to(url: str) -> None:
    places = LinkDestinations("android", "com.x", allowed=ALLOWED)

    assert is_allowed(url, ALLOWED)
    assert choose_destination(places, ANDROID, {"deep_link": url}) == url


def test_https_without_a_host_declares_nothing() -> None:
    assert not is_allowed("https://go.example.com", ("https://", "http://"))


def test_a_deep_link_carries_our_id_of_the_click() -> None:
    places = LinkDestinations("ios", "1", allowed=("gemharbor://",))

    led = choose_destination(
        places, VisitorDevice("ios"), {"deep_link": "gemharbor://shop?x=1#top"}, click="c-1"
    )

    assert led == "gemharbor://shop?x=1&postbacks_click=c-1#top"


@pytest.mark.parametrize(
    "url",
    [
        "gemharbor://shop/summer",
        "gemharbor://shop?",
        "gemharbor://shop?x=1&y=2",
        "gemharbor://shop?x=1&x=2&&flag",
        "gemharbor://shop?x=%2B%20%c3%a9&y=a+b&empty=",
        "gemharbor://shop?next=a=b=c",
        "gemharbor://shop;v=1/%2F/?q=1&",
        "https://go.example.com/a/?u=https%3A%2F%2Fo.example%2F%3Fa%3Db#/r?x=1&y",
    ],
)
def test_a_deep_link_is_led_to_as_written_with_our_id_alone_beside_it(url: str) -> None:
    """Complaint 22: an app reads its own parameters byte for byte."""
    places = LinkDestinations("ios", "1", allowed=ALLOWED)

    led = choose_destination(places, VisitorDevice("ios"), {"deep_link": url}, click="c-1")

    assert led is not None
    ours = re.compile(r"[?&]postbacks_click=c-1(?=#|$)")
    assert len(ours.findall(led)) == 1
    assert ours.sub("", led) == url.rstrip("?")
    assert choose_destination(places, VisitorDevice("ios"), {"deep_link": url}) == url


@pytest.mark.parametrize("campaign", ["spring", "a=b", "a&b=c", "a+b %20", "100%", "é#?/"])
def test_the_play_store_gets_one_referrer_that_comes_back_the_same(campaign: str) -> None:
    """Complaint 21: an = within the referrer breaks the store's page."""
    own = "0198c1f0-5b7e-7c3a-9d40-2f6a1c8e7b55"
    places = LinkDestinations("android", "com.x", partner_name="U=V", campaign_name=campaign)

    led = choose_destination(places, ANDROID, {}, click=own)

    assert led is not None
    (referrer,) = [part for part in urlsplit(led).query.split("&") if part.startswith("referrer=")]
    assert referrer.count("=") == 1
    assert referrer_of(led) == {
        "postbacks_click": own,
        "utm_source": "U=V",
        "utm_campaign": campaign,
    }
    handed_on = play_referrer.parse(parse_qs(urlsplit(led).query)["referrer"][0])
    assert set(play_referrer.click_identifiers(handed_on)) == {f"touch:{own}"}


def test_an_unfit_device_gets_the_fallback() -> None:
    places = LinkDestinations(
        "ios", "1", fallback_url="https://example.com/game", allowed=("https://go.example.com",)
    )

    assert choose_destination(places, ANDROID, {}) == "https://example.com/game"
    assert choose_destination(places, VisitorDevice("ios"), {}) == "https://apps.apple.com/app/id1"
    assert choose_destination(places, VisitorDevice(), {}) == "https://apps.apple.com/app/id1"
    parameters = {"fallback": "https://go.example.com/x"}
    assert choose_destination(places, ANDROID, parameters) == "https://go.example.com/x"
    evil = {"fallback": "https://evil.example/x"}
    assert choose_destination(places, ANDROID, evil) == "https://example.com/game"


@pytest.mark.parametrize(
    ("platform", "package", "expected"),
    [
        ("android", "com.x", "https://play.google.com/store/apps/details?id=com.x"),
        ("ios", "1234", "https://apps.apple.com/app/id1234"),
        ("ios", "id1234", "https://apps.apple.com/app/id1234"),
        ("ios", "com.x", None),
        ("ios", "", None),
        ("amazon", "com.x", "https://www.amazon.com/gp/mas/dl/android?p=com.x"),
        ("web", "com.x", None),
        ("windows", "9NBLGGH4", None),
    ],
)
def test_the_store_page_is_made_from_the_store_id(
    platform: str, package: str, expected: str | None
) -> None:
    led = choose_destination(LinkDestinations(platform, package), VisitorDevice(), {})

    assert (led and led.partition("&referrer=")[0]) == expected


def test_a_configured_market_address_keeps_its_scheme_and_gets_the_referrer() -> None:
    places = LinkDestinations(
        "android", "com.x", store_url="market://details?id=com.y", partner_name="U"
    )

    led = choose_destination(places, ANDROID, {}, click="c-1")

    assert led is not None
    assert led.startswith("market://details?id=com.y&referrer=postbacks_click%3Dc-1")
    assert referrer_of(led)["utm_source"] == "U"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["deep_link", "deeplink_url", "af_dp", "_dl", "deeplink"])
def test_a_deep_link_is_known_by_every_vendors_name(name: str) -> None:
    ad = advertise("ios", allowed_destinations=["gemharbor://"])

    answer = ad.click(f"{name}=gemharbor%3A%2F%2Fshop%2F1", agent=IPHONE)

    touch = ad.touchpoint()
    assert answer["Location"] == f"gemharbor://shop/1?postbacks_click={touch.public_id}"
    assert touch.params["deep_link"] == "gemharbor://shop/1"


@pytest.mark.django_db(transaction=True)
def test_a_deep_link_that_may_not_be_led_to_gives_way_to_the_links_own() -> None:
    ad = advertise(deep_link="gemharbor://home")

    answer = ad.click("deep_link=https%3A%2F%2Fevil.example%2F&redirect=https%3A%2F%2Fevil.example")

    assert answer["Location"].startswith("https://play.google.com/")
    assert ad.touchpoint().params["deep_link"] == "gemharbor://home"


@pytest.mark.django_db(transaction=True)
def test_a_forbidden_deep_link_is_not_kept_for_the_app() -> None:
    ad = advertise()

    ad.click("deep_link=https%3A%2F%2Fevil.example%2F")

    assert "deep_link" not in ad.touchpoint().params


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "raw",
    [
        "deep_link=%2F%2Fevil.example",
        "deep_link=https%3A%2F%2Fgo.example.com%40evil.example",
        "deep_link=https%3A%5C%5Cevil.example",
        "deep_link=https%253A%252F%252Fevil.example",
        "deep_link=%09https%3A%2F%2Fevil.example",
        "deep_link=https%3A%2F%2Fgo.example.com%0d%0aLocation%3A%20https%3A%2F%2Fevil.example",
        "DEEP_LINK=https%3A%2F%2Fevil.example",
        "fallback=https%3A%2F%2Fevil.example",
        "redirect=https%3A%2F%2Fevil.example",
        "redirect_android=https%3A%2F%2Fevil.example",
        "url=https%3A%2F%2Fevil.example&next=https%3A%2F%2Fevil.example",
        "af_r=https%3A%2F%2Fevil.example&%24fallback_url=https%3A%2F%2Fevil.example",
        "utm_source=%26referrer%3Dhttps%3A%2F%2Fevil.example",
        "pt=https%3A%2F%2Fevil.example",
    ],
)
def test_no_click_leads_to_a_strangers_host(raw: str) -> None:
    ad = advertise(allowed_destinations=["https://go.example.com", "gemharbor://"])

    for agent in (IPHONE, DESKTOP, "x"):
        location = ad.click(raw, agent=agent)["Location"]
        assert location.startswith("https://play.google.com/store/apps/details?id=com.example.game")


@pytest.mark.django_db(transaction=True)
def test_a_link_without_a_store_page_says_so() -> None:
    ad = advertise("ios", app={"store_id": ""})

    answer = ad.click(agent=IPHONE)

    assert answer.status_code == 404
    assert "store page" in answer.content.decode()


IPAD = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "gets_store"),
    [
        (f"{IPAD} Version/17.5 Safari/605.1.15", True),
        (IPAD, True),  # inside an app
        (f"{IPAD} CriOS/126.0.0.0 Version/17.5 Safari/605.1.15", True),
        (f"{IPAD} FxiOS/126.0 Safari/605.1.15", True),
        (f"{IPAD} EdgiOS/126.0 Version/17.0 Safari/605.1.15", True),
        (f"{IPAD} Mobile/15E148 [FBAN/FBIOS;FBDV/iPad13,1]", True),
        ("Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15", True),
        (f"{MAC} Chrome/126.0.0.0 Safari/537.36", False),
        (f"{MAC} Chrome/126.0.0.0 Safari/537.36 Edg/126.0", False),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:126.0) Gecko/2 Firefox/126.0", False),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/126.0.0.0", False),
    ],
)
def test_an_ipad_that_says_macintosh_gets_the_app_store(user_agent: str, gets_store: bool) -> None:
    link = LinkDestinations("ios", "1234", fallback_url="https://example.com/game")

    led = choose_destination(link, read_device(user_agent), {})

    store = "https://apps.apple.com/app/id1234"
    assert led == (store if gets_store else "https://example.com/game")


def test_on_links_of_other_apps_a_macintosh_is_no_ipad() -> None:
    link = LinkDestinations("android", "com.x", fallback_url="https://example.com/game")

    assert choose_destination(link, read_device(IPAD), {}) == "https://example.com/game"
