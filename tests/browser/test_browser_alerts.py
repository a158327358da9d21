"""A marketer sets up an alert in a few presses, and sees it raised, told and cleared."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from playwright.sync_api import Browser, Page, expect
from pytest_django import Settings
from standardwebhooks import Webhook

from apps_registry.models import SigningSecret, User
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.delivery.http.destinations import parse_networks
from tests import make
from tests.alerts.scenes import count_attempts, judge_at, send_at
from tests.browser.faults import faults
from tests.browser.people import page_of
from tests.browser.site import Site
from tests.events import attempts_of, event, record
from tests.pipeline.conftest import Answer, RecordingPartner, Run
from tests.pipeline.conftest import partner_answering as partner_answering
from tests.pipeline.conftest import run_pump as run_pump
from tests.workers import decide_all

PartnerAnswering = Callable[[Answer], RecordingPartner]
MINUTE = timedelta(minutes=1)


@pytest.fixture
def marketer(site: Site) -> User:
    return make.make_user(Role.MARKETER, organization=site.story.tenant.organization)


@pytest.fixture
def page(marketer: User, browser: Browser, site: Site) -> Iterator[Page]:
    """The Overview in front of a marketer."""
    with page_of(marketer, browser, site) as page:
        yield page


def assert_for_everybody(page: Page) -> None:
    findings = faults(page)
    assert not findings, "\n".join(findings)


def set_up_alert(page: Page, url: str) -> None:
    """Press four times, and paste the address of a program."""
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Alerts").click()
    page.get_by_role("link", name="Add alert").first.click()
    assert_for_everybody(page)
    page.get_by_role("link", name="Postbacks to a partner fail").click()
    page.get_by_label("Callback URL").fill(url)
    expect(page.locator("#alert-live")).to_contain_text("and your program when fewer than 90 %")
    assert_for_everybody(page)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("was added")


def verified(program: RecordingPartner, secret: str) -> list[str]:
    """Return the topics of what a program got about the rule, each verified."""
    contents = [
        Webhook(secret).verify(body.decode(), headers) for _, _, headers, body in program.requests
    ]
    return [
        content["type"]
        for content in contents
        if content["data"]["incident"]["subject"] == "Coins to Chartboost"
    ]


def test_an_alert_is_set_up_raised_told_and_cleared(
    page: Page,
    site: Site,
    marketer: User,
    settings: Settings,
    partner_answering: PartnerAnswering,
    run_pump: Run,
) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = parse_networks("127.0.0.0/8")
    of = site.story.tenant
    partner = partner_answering(lambda *_: (503, {}, b""))
    program = partner_answering(lambda *_: (204, {}, b""))
    rule = make.make_tenant_rule(
        of, f"{partner.url}/p", name="Coins to Chartboost", triggers=["coins"]
    )
    set_up_alert(page, f"{program.url}/hooks")

    record(of, *(event("coins", install_id=f"coins-{number}") for number in range(12)))
    decide_all()
    run_pump(until=lambda: len([a for a in attempts_of(of) if a.status_code == 503]) >= 10)
    now = datetime.now(UTC)
    judge_at(now)
    send_at(now)

    page.goto("/admin/")
    shown = page.get_by_role("region", name="Open alerts")
    expect(shown).to_contain_text("Coins to Chartboost")
    assert_for_everybody(page)
    mails = [each for each in mail.outbox if marketer.email in each.to]
    assert any("Coins to Chartboost" in each.body for each in mails)
    with tenant(of.organization.pk):
        secret = SigningSecret.objects.get(expires_at=None).reveal()
    assert verified(program, secret) == ["alert.raised"]

    shown.get_by_role("link", name="Postbacks fail 2").first.click()
    history = page.get_by_role("region", name="History")
    expect(history).to_contain_text("Open")
    expect(page.get_by_role("region", name="Notices", exact=True)).to_contain_text("HTTP 204")
    assert_for_everybody(page)

    later = now + 20 * MINUTE
    count_attempts(of, rule.pk, later, delivered=50)
    judge_at(later)
    judge_at(later + 6 * MINUTE)
    send_at(later + 6 * MINUTE)

    expect(history).to_contain_text("Recovered", timeout=15_000)
    assert verified(program, secret) == ["alert.raised", "alert.cleared"]


def test_a_test_notice_is_sent_and_seen(page: Page, site: Site, marketer: User) -> None:
    page.goto("/admin/postbacks/alert/add/?kind=no_events")
    page.get_by_label("For (minutes)").fill("30")
    expect(page.locator("#alert-live")).to_contain_text("sends no event for 30 minutes")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="No events from an app").first.click()
    page.get_by_role("button", name="Send a test notice").click()
    notices = page.get_by_role("region", name="Notices", exact=True)
    expect(notices).to_contain_text("On its way")

    send_at(datetime.now(UTC) + MINUTE)

    expect(notices).to_contain_text("Sent", timeout=15_000)
    assert "Test of an alert" in next(m.subject for m in mail.outbox if marketer.email in m.to)


def test_a_wrong_number_is_said_at_its_field(page: Page) -> None:
    page.goto("/admin/postbacks/alert/add/?kind=success_rate")
    page.get_by_label("Fewer than (percent)").fill("900")
    page.get_by_label("Quiet hours from").fill("22:00")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_text("less than or equal to 100")).to_be_visible()
    assert_for_everybody(page)
