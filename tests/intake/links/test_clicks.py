"""A click is recorded once and leads to the store with our id of it; nobody else's opening is."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps_registry.models import App, Campaign, Organization, Partner, TrackingLink
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.infrastructure.rate_limits.counting import RateLimit
from postbacks.values import identifiers
from tests.intake.links.opening import IPHONE, PHONE, advertise, referrer_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_click_leads_to_the_play_store_with_our_id_of_it() -> None:
    ad = advertise()

    answer = ad.click("click_id=net-1&site_id=pub_7")

    touch = ad.touchpoint()
    assert answer.status_code == 302
    assert answer["Cache-Control"] == "no-store"
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["Location"].startswith(
        "https://play.google.com/store/apps/details?id=com.example.game&referrer=postbacks_click%3D"
    )
    assert referrer_of(answer["Location"]) == {
        "postbacks_click": str(touch.public_id),
        "utm_source": ad.link.campaign.partner.name,
        "utm_campaign": ad.link.campaign.name,
    }
    assert (touch.kind, touch.source, touch.click_id, touch.site_id) == (
        "click",
        "link",
        "net-1",
        "pub_7",
    )


def test_a_click_remembers_the_device() -> None:
    ad = advertise()

    ad.click(**{"Accept-Language": "de-DE,de;q=0.9"})

    touch = ad.touchpoint()
    assert (touch.os_name, touch.os_version, touch.device_model, touch.language) == (
        "android",
        "14",
        "SM-G991B",
        "de-DE",
    )
    assert touch.ip_address == "127.0.0.1"
    assert identifiers.address_identifier("127.0.0.1") in touch.names
    assert touch.user_agent == PHONE


def test_a_click_on_an_iphone_leads_to_apples_store_with_its_campaign_parameters() -> None:
    ad = advertise("ios")

    answer = ad.click("pt=118&ct=summer&mt=8&gclid=x", agent=IPHONE)

    assert answer["Location"] == "https://apps.apple.com/app/id1234567890?pt=118&ct=summer&mt=8"
    assert ad.touchpoint().os_version == "17.5.1"


def test_the_utm_parameters_of_the_click_win() -> None:
    ad = advertise(
        store_url="https://play.google.com/store/apps/details?id=com.x&hl=de&referrer=utm_medium%3Dcpi"
    )

    answer = ad.click("utm_source=tiktok&utm_term=a%26b")

    referrer = referrer_of(answer["Location"])
    assert "id=com.x&hl=de&" in answer["Location"]
    assert (referrer["utm_source"], referrer["utm_term"], referrer["utm_medium"]) == (
        "tiktok",
        "a&b",
        "cpi",
    )


def test_the_same_click_of_a_network_is_recorded_once_and_leads_on_with_the_first_id() -> None:
    ad = advertise()

    answers = [ad.click("clickid=net-1"), ad.click("clickid=net-1")]

    first, again = (referrer_of(answer["Location"])["postbacks_click"] for answer in answers)
    assert first == again == str(ad.touchpoint().public_id)


def test_a_macro_that_the_network_did_not_replace_is_no_click_id() -> None:
    ad = advertise()

    ad.click("click_id={clickid}&gaid=[GAID]&creative_name=__CREATIVE__")
    ad.click("click_id={clickid}&gaid=[GAID]&creative_name=__CREATIVE__")

    assert [touch.click_id for touch in ad.touchpoints()] == ["", ""]


def test_an_impression_is_answered_with_a_pixel() -> None:
    ad = advertise()

    answer = ad.see("click_id=net-1")

    assert (answer.status_code, answer["Content-Type"]) == (200, "image/gif")
    assert answer["Cache-Control"] == "no-store"
    assert answer.content.startswith(b"GIF89a")
    assert ad.touchpoint().kind == "impression"


@pytest.mark.parametrize(
    "headers",
    [
        {"Purpose": "prefetch"},
        {"Sec-Purpose": "prefetch;prerender"},
        {"X-Moz": "prefetch"},
        {"X-Purpose": "preview"},
    ],
)
def test_looking_ahead_is_no_click(headers: dict[str, str]) -> None:
    ad = advertise()

    answer = ad.click(**headers)

    assert answer.status_code == 302
    assert ad.touchpoints() == []


def test_head_is_no_click() -> None:
    ad = advertise()

    answer = Client().head(f"/c/{ad.link.token}?click_id=1", headers={"User-Agent": PHONE})

    assert answer.status_code == 302
    assert "postbacks_click" not in answer["Location"]
    assert ad.touchpoints() == []


@pytest.mark.parametrize(
    "agent",
    [
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "Twitterbot/1.0",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "WhatsApp/2.23.20.0 A",
        "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
        "TelegramBot (like TwitterBot)",
        "LinkedInBot/1.0 (compatible; Mozilla/5.0; +http://www.linkedin.com)",
        "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) Chrome/120 (compatible; Googlebot/2.1)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 (iPhone) AppleWebKit facebookexternalhit/1.1 Facebot Twitterbot/1.0",
        "Mozilla/5.0 (compatible; AdsBot-Google; +http://www.google.com/adsbot.html)",
    ],
)
def test_a_preview_in_a_chat_and_a_crawler_are_no_clicks(agent: str) -> None:
    ad = advertise()

    answers = [ad.click(agent=agent), ad.see(agent=agent)]

    assert [answer.status_code for answer in answers] == [302, 200]
    assert ad.touchpoints() == []


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (Linux; Android 9; CUBOT_NOTE_7 Build/PPR1) Chrome/126 Mobile",
        "Mozilla/5.0 (Linux; Android 9; Cubot/X30) Chrome/126 Mobile",
        f"{IPHONE} [FBAN/FBIOS;FBAV/450.0]",
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/126 Mobile Line/14.0",
    ],
)
def test_a_person_in_the_browser_of_an_app_is_one(agent: str) -> None:
    ad = advertise()

    ad.click(agent=agent)

    assert len(ad.touchpoints()) == 1


@pytest.mark.parametrize("model", [TrackingLink, Campaign, Partner, App])
def test_what_is_archived_takes_no_more_clicks(model: type) -> None:
    ad = advertise()
    assert ad.click().status_code == 302
    with tenant(ad.tenant.organization.pk):
        model.objects.update(status=Lifecycle.ARCHIVED)  # type: ignore[attr-defined]  # each has a manager

    answers = [ad.click(), ad.see(), ad.click("s2s=1&click_time=1")]

    assert {answer.status_code for answer in answers} == {404}
    assert len(ad.touchpoints()) == 1


def test_a_removed_organization_takes_no_more_clicks() -> None:
    ad = advertise()
    Organization.objects.filter(pk=ad.tenant.organization.pk).update(removed_at="2026-01-01T00:00Z")

    assert ad.click().status_code == 404


def test_unknown_tokens_are_not_found_and_held_after_a_while(settings: LazySettings) -> None:
    settings.RATE_LIMIT_UNKNOWN = RateLimit(1, 10)

    answers = [Client().get("/c/nobodyhasit") for _ in range(3)]

    assert answers[0].status_code == 404
    assert answers[-1].status_code == 429
    assert int(answers[-1]["Retry-After"]) > 0


@pytest.mark.parametrize("path", ["/c/%00", "/c/a%0d%0ab", "/c/%ff%fe", "/c/" + "x" * 5_000])
def test_a_broken_token_is_not_found(path: str) -> None:
    assert Client().get(path).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "click_id=a%00b&sub1=%ff%fe%00",
        "%00=%00&=&&==&a",
        "click_id=" + "x" * 7_000,
        "&".join(f"p{n}={n}" for n in range(2_000)),
        "click_id=%ed%a0%80",
        "click_id=\u00e9\u4e2d",
        "user_agent=" + "%F0%9F%98%80" * 500,
        "site_id=" + "y" * 3_000,
        "click_id=%",
    ],
)
def test_no_query_breaks_a_click(query: str) -> None:
    ad = advertise()

    assert ad.click(query).status_code == 302
    assert len(ad.touchpoint().params) <= 103


def test_every_parameter_is_kept_with_those_that_macros_read() -> None:
    ad = advertise()

    ad.click("af_siteid=s1&af_adset_id=as9&af_sub2=b&weird=%C3%A9+x&sub1=a")

    params = ad.touchpoint().params
    assert params["weird"] == "\u00e9 x"
    assert params["sub1"] == "a"
    assert params["sub2"] == params["af_sub2"] == "b"
    assert params["adset_id"] == "as9"
    assert params["site_id"] == params["af_siteid"] == "s1"
    assert params["tracker_name"] == ad.link.name


def test_a_click_behind_a_trusted_proxy_has_the_persons_address(settings: LazySettings) -> None:
    ad = advertise()
    forwarded = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}

    ad.click(**forwarded)
    settings.TRUSTED_PROXY_COUNT = 1
    ad.click(**forwarded)

    assert [touch.ip_address for touch in ad.touchpoints()] == ["127.0.0.1", "203.0.113.9"]


def test_beside_its_link_a_click_reads_nothing_and_writes_by_one_statement() -> None:
    ad = advertise()
    ad.click()  # whose link it is stays known

    with CaptureQueriesContext(connection) as queries, _counted_statements() as ours:
        ad.click()

    assert not list(queries)  # Django's own: tenant and statement go together, in one transaction
    assert [statement.split()[0] for statement in ours] == ["SELECT", "WITH"]


@contextmanager
def _counted_statements() -> Iterator[list[str]]:
    """Note our prepared statements, without their leading comments; Django does not log them."""
    ours: list[str] = []
    execute = psycopg.Cursor.execute

    def noting(self: Any, query: bytes, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("prepare"):
            ours.append(re.sub(r"\A-- .*\n", "", query.decode()))
        return execute(self, query, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", noting)
        yield ours


def test_a_link_written_for_tenjin_works_under_its_own_address() -> None:
    ad = advertise(allowed_destinations=["gemharbor://"])

    answer = Client().get(
        f"/v0/click/{ad.link.token}?advertising_id=38400000-8cf0-11bd-b23e-10b96e40000d"
        "&deeplink_url=gemharbor%3A%2F%2Fshop",
        headers={"User-Agent": PHONE},
    )

    assert answer.status_code == 302
    assert "advertising:38400000-8cf0-11bd-b23e-10b96e40000d" in ad.touchpoint().names


@pytest.mark.parametrize("form", ["/c/{}", "/i/{}", "/v0/click/{}"])
def test_a_slash_at_the_end_is_no_other_link(form: str) -> None:
    ad = advertise()
    address = form.format(ad.link.token)

    answers = [
        Client().get(path, headers={"User-Agent": PHONE}) for path in (address, f"{address}/")
    ]

    assert answers[0].status_code == answers[1].status_code
    assert len(ad.touchpoints()) == 2
