"""The delivery log's filters leave the same postbacks on the page and in the API."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.test import Client

from apps_registry.models import Campaign
from apps_registry.tenancy import tenant as tenant_of
from postbacks.infrastructure.database import roles
from postbacks.insights import keyset
from postbacks.models import DeliveryAttempt, Postback
from tests import make
from tests.admin.pages import sign_in
from tests.api.calling import make_postback, owner_of, report
from tests.database import as_role
from tests.insights.credits import make_install

pytestmark = pytest.mark.django_db(transaction=True)

LOG = "/admin/postbacks/postback/"


@dataclass
class Scene:
    """Two postbacks that differ in everything that can be filtered; `one` is looked for."""

    made: make.Tenant
    one: Postback
    other: Postback
    campaign: Campaign


@pytest.fixture(scope="module")
def cases() -> dict[str, tuple[str, str]]:
    """Return the value of each filter that leaves one postback, in the API and on the page."""
    return {
        "partner": ("{partner}", "{partner_pk}"),
        "reason": ("http_404", "http_404"),
        "code": ("404", "404"),
        "outcome": ("failed", "failed"),
        "attempts": ("2-3", "2-3"),
        "kind": ("resend", "resend"),
        "campaign": ("{campaign}", "{campaign_pk}"),
        "country": ("de", "de"),
        "version": ("7", "7"),
        "event_name": ("level_up", "level_up"),
    }


@pytest.fixture
def scene() -> Scene:
    made = make.make_tenant()
    with tenant_of(made.organization.pk):
        campaign = make.make_campaign(made.app, make.make_partner("Mintegral"))
        link = make.make_link(campaign)
        rules = [make.make_rule(partner=partner) for partner in (campaign.partner, None)]
    install = make_install(link, datetime.now(UTC))
    one = make_postback(
        rules[0],
        report(made.sdk_key, event_name="level_up", country="DE"),
        attempts=2,
        status="failed",
        reason="http_404",
        last_status_code=404,
        attempts_made=2,
        rule_version=7,
        install=install,
        campaign_ref=campaign.pk,
        event_name="level_up",
    )
    other = make_postback(
        rules[1],
        report(made.sdk_key, event_name="open", country="AT"),
        attempts=1,
        status="delivered",
        last_status_code=200,
        attempts_made=1,
        event_name="open",
    )
    with as_role(roles.WORKER), tenant_of(made.organization.pk):
        tries = DeliveryAttempt.objects.filter
        tries(postback=one, number=2).update(
            kind="resend",
            outcome="failed",
            request={"method": "GET", "url": 'https://ads.example.com/?id=50%_off&q="é"'},
            response={"body": "Unknown CLICK_id \\ in line\n2"},
        )
        tries(postback=other).update(outcome="delivered")
    return Scene(made, one, other, campaign)


def in_api(scene: Scene, **query: str) -> list[str]:
    return [row["id"] for row in owner_of(scene.made).rows("postbacks", **query)]


def on_page(scene: Scene, **query: str) -> list[str]:
    page = sign_in(scene.made.owner).get(LOG, query).content.decode()
    shown = {str(row.pk): str(row.public_id) for row in (scene.one, scene.other)}
    return [shown[pk] for pk in dict.fromkeys(re.findall(r'id="postback-(\d+)"', page))]


def test_each_filter_leaves_the_same_on_the_page_and_in_the_api(
    scene: Scene, cases: dict[str, tuple[str, str]]
) -> None:
    names = {
        "partner": scene.campaign.partner.public_id,
        "partner_pk": scene.campaign.partner_id,
        "campaign": scene.campaign.public_id,
        "campaign_pk": scene.campaign.pk,
    }
    one, other = str(scene.one.public_id), str(scene.other.public_id)
    assert set(in_api(scene)) == set(on_page(scene)) == {one, other}

    for name, (api_value, page_value) in cases.items():
        page_name = "event" if name == "event_name" else name
        assert in_api(scene, **{name: api_value.format(**names)}) == [one], name
        assert on_page(scene, **{page_name: page_value.format(**names)}) == [one], name
    for name in ("partner", "campaign", "app", "rule"):
        assert in_api(scene, **{name: str(uuid4())}) == [], name
    assert in_api(scene, attempts="1") == [other]
    assert set(in_api(scene, attempts="1+")) == {one, other}


def test_a_campaign_is_that_of_the_decision(scene: Scene) -> None:
    with as_role(roles.WORKER), tenant_of(scene.made.organization.pk):
        Postback.objects.filter(pk=scene.one.pk).update(campaign_ref=10**9)
        Postback.objects.filter(pk=scene.other.pk).update(campaign_ref=scene.campaign.pk)

    found = in_api(scene, campaign=str(scene.campaign.public_id))

    assert found == [str(scene.other.public_id)]


@pytest.mark.parametrize(
    "text",
    ["click_ID", "ads.example.com/?id=50%_", 'q="é"', "CLICK_id \\ in line\n2", "50%_off"],
)
def test_a_text_of_url_or_answer_is_found_within_a_time(scene: Scene, text: str) -> None:
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    one = str(scene.one.public_id)

    assert in_api(scene, text=text, since=since) == [one]
    assert on_page(scene, text=text, time="1h") == [one]
    assert in_api(scene, text="50x_off", since=since) == []


def test_a_search_for_a_text_stops_says_where_and_goes_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyset, "_TIMED_STEP", 1)
    monkeypatch.setattr("postbacks.api.resources.postbacks.TEXT_SECONDS", 0.0)
    monkeypatch.setattr("postbacks.insights.logs.TEXT_SECONDS", 0.0)
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    api = owner_of(scene.made)

    first = api.get("postbacks", text="click_id", since=since)
    found, next_ = first.data["results"], first.data["next"]
    while next_:
        answer = api.get(next_)
        found, next_ = [*found, *answer.data["results"]], answer.data["next"]
    page = sign_in(scene.made.owner).get(LOG, {"text": "click_id", "time": "1h"}).content.decode()

    assert first.headers["Searched-Until"].endswith("Z")
    assert [row["id"] for row in found] == [str(scene.one.public_id)]
    assert "looked for two seconds" in page
    assert "Look further back" in page


def test_a_rare_match_is_searched_for_in_pages_that_say_how_far(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyset, "_STEPS", (1,))
    api = owner_of(scene.made)

    first = api.get("postbacks", country="DE")
    second = api.get(first.data["next"])

    assert first.headers["Searched-Until"]
    found = [row["id"] for row in first.data["results"] + second.data["results"]]
    assert found == [str(scene.one.public_id)]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("text", "click_id", "since"),
        ("text", "ab", "3"),
        ("country", "Germany", "country"),
        ("attempts", "many", "2-5"),
        ("attempts", "5-2", "ends before"),
        ("code", "abc", "5xx"),
        ("kind", "manual", "kind"),
        ("outcome", "broken", "outcome"),
        ("version", "0", "version"),
    ],
)
def test_a_wrong_filter_is_refused_by_name(scene: Scene, name: str, value: str, says: str) -> None:
    answer = owner_of(scene.made).get("postbacks", **{name: value})

    assert answer.status == 400
    assert answer.data["errors"][0]["parameter"] == name
    assert says in answer.details()
    browser: Client = sign_in(scene.made.owner)
    assert "Nothing is shown yet" in browser.get(LOG, {name: value}).content.decode()


def test_nothing_is_replayed_beyond_what_the_list_shows(scene: Scene) -> None:
    browser = sign_in(scene.made.owner)

    for query, offers in (("reason=http_404", True), ("country=DE", False), ("version=7", False)):
        page = browser.get(f"{LOG}?{query}&status=failed").content.decode()
        start = browser.get(f"{LOG}replay/?{query}&status=failed")
        assert ("Replay what failed" in page) == offers, query
        assert (start.status_code == 200) == offers, query
