"""“Network X says it did not get install Y”: an analyst answers it from the click's ID.

Counted from the sign-in on: a click, a paste, or a key that submits is one interaction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from apps_registry.models import Partner, TrackingLink
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.intake import refused_events
from postbacks.models import CallbackRule, RuleStatus
from postbacks.rulebook import saving
from postbacks.values import identifiers
from tests import database, make
from tests.api.calling import Program
from tests.browser.faults import faults
from tests.browser.people import page_of
from tests.browser.site import Site
from tests.browser.steps import sign_in
from tests.pipeline.conftest import RecordingPartner, pump_for
from tests.touches import GAID, make_network, touch
from tests.workers import decide_all

MOST_INTERACTIONS = 5


@dataclass
class Case:
    """A network's click in an organization of its own, and the rule that notifies the network."""

    of: make.Tenant
    network: Partner
    link: TrackingLink
    rule: CallbackRule
    click_id: str

    def click(self, *, ago: timedelta) -> datetime:
        """Record the network's click; an old one arrived then. Return when it happened."""
        ids = identifiers.identifiers_of({"gaid": GAID})
        at = datetime.now(UTC) - ago
        named = {*ids, identifiers.identifier(identifiers.CLICK_ID, self.click_id)}
        touch(
            self.of, self.link, at=at, ago=0, click_id=self.click_id, identifiers=frozenset(named)
        )
        return at

    def install(self, **fields: object) -> int:
        """Have the app report its first open; return the answer's status."""
        event = {"event_id": str(uuid4()), "event_name": "install", "gaid": GAID, **fields}
        status = Program(self.of.sdk_key).post("events", event).status
        decide_all()
        return status

    def save(self, **changes: object) -> None:
        with tenant(self.of.organization.pk):
            rule = CallbackRule.objects.get(pk=self.rule.pk)
            for name, value in changes.items():
                setattr(rule, name, value)
            saving.save_checked(rule, by=None)


def out_of_window(case: Case) -> None:
    case.click(ago=timedelta(days=8))
    case.install()


def lost(case: Case) -> None:
    _, rival = make_network(case.of, "Rival")
    case.click(ago=timedelta(minutes=10))
    touch(case.of, rival, ago=60)
    case.install()


def fraud(case: Case) -> None:
    clicked = case.click(ago=timedelta(minutes=5))
    case.install(event_time=(clicked + timedelta(seconds=1)).isoformat())


def rule_off(case: Case) -> None:
    case.save(status=RuleStatus.PAUSED)
    case.click(ago=timedelta(minutes=10))
    case.install()
    case.save(status=RuleStatus.ACTIVE)


def refused(case: Case) -> None:
    case.click(ago=timedelta(minutes=10))
    assert case.install(revenue="nine") == 422
    refused_events.log.flush()


def not_found(case: Case) -> None:
    partner = RecordingPartner(lambda *_: (404, {}, b"no such campaign"))
    try:
        case.save(url=f"{partner.url}/?e={{{{event_name}}}}")
        case.click(ago=timedelta(minutes=10))
        case.install()
        idle = "SELECT NOT EXISTS (SELECT FROM due_postback WHERE rule_id = %s)"
        pump_for(
            60.0,
            lambda: not database.superuser().execute(idle, [case.rule.pk]).fetchone()[0],
            beat_seconds=0.05,
        )
    finally:
        partner.stop()


def no_consent(case: Case) -> None:
    case.save(without_consent="skip")
    case.click(ago=timedelta(minutes=10))
    case.install(limit_ad_tracking=True)


CAUSES: dict[str, tuple[Callable[[Case], None], tuple[str, ...]]] = {
    "out of window": (
        out_of_window,
        ("It happened 8 days before the install, window 7 days", "this one is organic."),
    ),
    "lost to another touchpoint": (
        lost,
        ("Another touchpoint of the same rank happened later", "earned this one."),
    ),
    "fraud": (fraud, ("Rejected as fraud. The click came 1",)),
    "rule off at that time": (rule_off, ("No: the rule was paused.",)),
    "refused at intake": (
        refused,
        ("No: the app reported its install, which was refused on arrival.", "“nine”"),
    ),
    "failed at the partner": (
        not_found,
        ("the partner did not take it: given up after 1 try. The last answer was HTTP 404",),
    ),
    "consent": (
        no_consent,
        ("No, it was skipped: the person did not consent (limit_ad_tracking is true).",),
    ),
}


@pytest.fixture
def case(site: Site) -> Case:
    of = make.make_tenant()
    network, link = make_network(of)
    rule = make.make_tenant_rule(
        of, partner=network, triggers=["install"], attribution_scope="partner"
    )
    return Case(of, network, link, rule, f"net-{uuid4().hex}")


@pytest.mark.parametrize("cause", CAUSES)
def test_a_network_that_asks_after_an_install_is_answered_from_its_click_id(
    browser: Browser, site: Site, case: Case, cause: str
) -> None:
    happen, sentences = CAUSES[cause]
    happen(case)
    analyst = make.make_user(Role.ANALYST, organization=case.of.organization)

    with page_of(None, browser, site) as page:
        sign_in(page, {"email": analyst.email, "password": "correct horse battery"})
        interactions = ask(page, case.click_id)

        for sentence in sentences:
            expect(page.get_by_role("main").get_by_text(sentence).first).to_be_visible()
        assert interactions <= MOST_INTERACTIONS
        findings = faults(page)
        assert not findings, "\n".join(findings)


def ask(page: Page, click_id: str) -> int:
    """Paste a click's ID into the search; return how many interactions it took."""
    find = page.get_by_role("searchbox").first
    find.click()
    page.keyboard.insert_text(click_id)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Was the install sent to")).to_be_visible()
    return 3
