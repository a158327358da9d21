"""The first page after signing in: figures with links, and the way in for a new organization."""

import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from apps_registry.models import SdkKey
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.models import RuleStatus
from tests import make
from tests.admin.pages import sign_in
from tests.insights.logs import make_attempt, make_postback
from tests.isolation.story import Story

pytestmark = pytest.mark.django_db(transaction=True)

HOSTILE = '"><script>alert(1)</script>'


def _new_organization(role: str) -> str:
    owner = make.make_user(role, organization=make.make_organization())
    return sign_in(owner).get("/admin/").content.decode()


def test_everybody_who_may_read_sees_the_overview(story: Story) -> None:
    pages = [
        sign_in(make.make_user(role, organization=story.tenant.organization)).get("/admin/")
        for role in Role.values
    ]

    assert [page.status_code for page in pages] == [200, 200, 200]
    assert all("Postbacks by hour" in page.content.decode() for page in pages)


def test_the_page_names_the_organizations_time_zone(story: Story) -> None:
    story.tenant.organization.time_zone = "Asia/Kolkata"
    story.tenant.organization.save()

    html = sign_in(story.tenant.owner).get("/admin/").content.decode()

    assert "(Asia/Kolkata)" in html


def test_figures_lead_to_the_rows_that_they_count(story: Story) -> None:
    """For all, and for a campaign, a partner and a rule: the log has as many rows as it says."""
    gem, now = story.tenant, datetime.now(UTC)
    with tenant(story.organization_id):
        partner = make.make_partner("Lumen Ads")
        campaign = make.make_campaign(gem.app, partner, "Summer")
        rule, other = make.make_rule(name="Theirs", partner=partner), make.make_rule(name="Other")
    states: list[tuple[str, dict[str, object]]] = [
        ("delivered", {}),
        ("failed", {"reason": "http_404", "attempts_made": 1}),
        ("pending", {"attempts_made": 2}),
        ("pending", {}),
        ("skipped", {"reason": "missing_macro"}),
        ("skipped", {"reason": "no_consent"}),
    ]
    for place, (status, fields) in enumerate(states):
        for number in range(place + 1):
            at = now - timedelta(hours=1 + number)
            make_postback(gem, rule, at=at, status=status, campaign_ref=campaign.pk, **fields)
            make_postback(gem, other, at=at, status=status, **fields)
    make_postback(gem, rule, at=now - timedelta(hours=30), status="failed", reason="http_404")
    browser = sign_in(gem.owner)

    for scope in ({}, {"campaign": campaign.pk}, {"partner": partner.pk}, {"rule": other.pk}):
        html = browser.get("/admin/", scope).content.decode()
        found = re.findall(r'href="/admin/postbacks/postback/\?([^"]+)">([\d,]+) ([^<]+)<', html)
        assert {"delivered", "failed", "retrying", "not tried yet"} <= {row[2] for row in found}
        assert any("reason=missing_macro" in row[0] for row in found)
        for query, figure, _label in found:
            export = browser.get(f"/admin/postbacks/postback/export/?{unescape(query)}")
            lines = export.getvalue().decode().strip().splitlines()
            assert len(lines) - 1 == int(figure.replace(",", "")), (scope, query)
    assert "/admin/postbacks/postback/?status=pending&amp;time=30d" in html


def test_events_of_a_campaign_lead_nowhere(story: Story) -> None:
    """No log says to whom an event was credited when it was decided."""
    with tenant(story.organization_id):
        campaign = make.make_campaign(story.tenant.app, make.make_partner())

    html = sign_in(story.tenant.owner).get("/admin/", {"campaign": campaign.pk}).content.decode()

    assert "/admin/postbacks/event/?" not in html.partition("<main")[2]


def test_a_failure_shows_the_answer_and_leads_to_its_postback(story: Story) -> None:
    with tenant(story.organization_id):
        rule = make.make_rule(partner=make.make_partner("Lumen Ads"))
    postback = make_postback(
        story.tenant,
        rule,
        at=datetime.now(UTC) - timedelta(minutes=5),
        status="failed",
        attempts_made=1,
        event_name="registration",
        reason="http_404",
    )
    make_attempt(
        story.tenant, postback, status_code=404, error="http_404", response={"body": "x" * 300}
    )

    html = sign_in(story.tenant.owner).get("/admin/").content.decode()

    assert f"/admin/postbacks/postback/{postback.pk}/change/" in html
    assert "<bdi>registration</bdi> to <bdi>Lumen Ads " in html
    assert "HTTP 404" in html
    assert "x" * 200 + "…" in html
    assert f"&amp;rule={rule.pk}&amp;test=no" in html


def test_like_failures_are_one_line_that_leads_to_exactly_them(story: Story) -> None:
    with tenant(story.organization_id):
        rule = make.make_rule(partner=make.make_partner("Lumen Ads"))

    def fail(minutes: int, error: str, **fields: object) -> None:
        at = datetime.now(UTC) - timedelta(minutes=minutes)
        code = int(error[-3:]) if error.startswith("http_") else None
        values = {"status": "failed", "reason": error, "last_status_code": code, **fields}
        postback = make_postback(story.tenant, rule, at=at, attempts_made=1, **values)
        answer = {"body": "no route"}
        make_attempt(story.tenant, postback, status_code=code, error=error, response=answer)

    for minutes in (9, 6, 3):
        fail(minutes, "http_404")
        fail(minutes, "http_410")
    fail(2, "http_404", test=True)
    fail(8 * 24 * 60, "http_404")  # beyond what the page looks at
    for minutes in (8, 5):
        fail(minutes, "timeout", status="pending", reason="")
        fail(minutes, "connect", status="pending", reason="")
    browser = sign_in(story.tenant.owner)

    html = browser.get("/admin/").content.decode()
    groups = re.findall(r'href="/admin/postbacks/postback/\?([^"]+)"><bdi>(\d+) postbacks<', html)

    assert "<bdi>3 postbacks</bdi> to <bdi>Lumen Ads " in html
    assert "3 \N{MULTIPLICATION SIGN} HTTP 404" in html
    assert sorted(count for _, count in groups) == ["2", "2", "3", "3"]
    for query, count in groups:
        export = browser.get(f"/admin/postbacks/postback/export/?{unescape(query)}")
        lines = export.getvalue().decode().strip().splitlines()
        assert len(lines) - 1 == int(count), query


def test_suspended_rules_are_named_at_the_top_with_links(story: Story) -> None:
    with tenant(story.organization_id):
        rule = make.make_rule(name="Gone for good", status=RuleStatus.SUSPENDED)

    html = sign_in(story.tenant.owner).get("/admin/").content.decode()

    notice = html.split('aria-label="Suspended rules"')[1].split("</section>")[0]
    assert "1 callback rule is suspended and sends nothing" in notice
    assert f'href="/admin/postbacks/callbackrule/{rule.pk}/change/">Gone for good</a>' in notice


def test_a_rule_that_takes_too_long_is_named_where_people_look(story: Story) -> None:
    analyst = make.make_user(Role.ANALYST, organization=story.tenant.organization)
    with tenant(story.organization_id):
        partner = make.make_partner("Lumen Ads")
        slow, changed = (make.make_rule(name=name, partner=partner) for name in ("Slow", "Mended"))
        now = datetime.now(UTC)
        for rule in (slow, changed):
            rule.expensive_version, rule.expensive_at, rule.expensive_ms = 1, now, 140
            rule.save()
        changed.version = 2
        changed.save()
    pages = (
        "/admin/",
        f"/admin/apps_registry/app/{story.tenant.app.pk}/change/",
        f"/admin/apps_registry/partner/{partner.pk}/change/",
        f"/admin/postbacks/callbackrule/{slow.pk}/change/",
    )

    for page in pages:
        html = sign_in(story.tenant.owner).get(page).content.decode()
        read = sign_in(analyst).get(page).content.decode()
        (notice,) = re.findall(r'aria-label="Rules that take too long">(.*?)</section>', html, re.S)
        assert "its conditions took 140 ms" in notice
        assert f"?rule={slow.pk}&amp;status=skipped&amp;reason=rule_too_expensive" in notice
        assert "See and replay what was skipped" in notice
        assert "Mended" not in notice
        assert "Change its conditions" not in read
        assert "See what was skipped" in read


def test_hostile_names_and_answers_are_shown_as_text(story: Story) -> None:
    with tenant(story.organization_id):
        rule = make.make_rule(name=HOSTILE, partner=make.make_partner(HOSTILE))
    postback = make_postback(
        story.tenant,
        rule,
        at=datetime.now(UTC) - timedelta(minutes=5),
        status="failed",
        attempts_made=1,
        event_name=HOSTILE,
        reason=HOSTILE,
    )
    make_attempt(story.tenant, postback, error=HOSTILE, detail=HOSTILE, response={"body": HOSTILE})

    html = sign_in(story.tenant.owner).get("/admin/").content.decode()

    assert "<script>alert(1)" not in html
    assert html.count("&lt;script&gt;alert(1)") >= 6


def test_a_new_organization_is_shown_the_way_to_its_first_postback() -> None:
    shown = _new_organization(Role.OWNER)

    assert "Five steps to your first postback" in shown
    assert "0 of 5 done" in shown
    assert "http://testserver/api/v1/events" in shown
    assert "Postbacks by hour" not in shown
    steps = [
        "Add an app",
        "Add a partner",
        "Write a callback rule",
        "Create an SDK key",
        "Send an event",
        "Then look at the",
    ]
    places = [shown.index(f"<strong>{step}" if step != steps[-1] else step) for step in steps]
    assert places == sorted(places)


def test_the_command_reports_a_purchase_that_the_newest_apps_platform_has_ids_for() -> None:
    of = make.make_tenant()

    html = unescape(sign_in(of.owner).get("/admin/").content.decode())

    command = html.split('id="first-event" tabindex="0">')[1].split("</pre>")[0]
    event = json.loads(command.split("-d '")[1].removesuffix("'"))
    assert (event["event_name"], event["revenue"], event["currency"]) == ("purchase", "4.99", "USD")
    assert ("idfa" in event, "gaid" in event) == (
        of.app.platform == "ios",
        of.app.platform != "ios",
    )
    assert 'data-copy="first-event"' in html


@pytest.mark.parametrize(
    ("role", "pages"),
    [
        (Role.OWNER, ["app", "sdkkey", "partner", "callbackrule"]),
        (Role.MARKETER, ["app", "partner", "callbackrule"]),
        (Role.ANALYST, []),
    ],
)
def test_steps_have_links_for_those_who_may_take_them(
    transactional_db: None, role: str, pages: list[str]
) -> None:
    content = _new_organization(role).split('id="ov-steps-title"')[1]

    linked = [
        page for page in ("app", "sdkkey", "partner", "callbackrule") if f"/{page}/add/" in content
    ]
    assert linked == pages


def test_a_step_is_ticked_off_by_what_exists(transactional_db: None) -> None:
    of = make.make_tenant()
    browser = sign_in(of.owner)

    with_key = browser.get("/admin/").content.decode()
    with tenant(of.organization.pk):
        SdkKey.objects.get().revoke()
    without_key = browser.get("/admin/").content.decode()

    assert "2 of 5 done" in with_key
    assert "1 of 5 done" in without_key


def test_who_has_taken_every_step_sees_no_list_of_steps(story: Story) -> None:
    html = sign_in(story.tenant.owner).get("/admin/").content.decode()

    assert "to your first postback" not in html
