"""The pages of an app and of a partner: what concerns them at a glance, then their set-up."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps_registry.models import Partner
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.models import CallbackRule, RuleStatus
from tests import make
from tests.admin.pages import filled_form, sign_in
from tests.api.calling import report
from tests.insights.logs import make_postback
from tests.isolation.story import Story
from tests.workers import decide_all

pytestmark = pytest.mark.django_db(transaction=True)

PASTED = "Hi Anna, please use https://ads.example.com/cb?id={idfa||gps_adid}&e={event_name} - Tom"


def hub(browser: Client, kind: str, key: int, tab: str = "") -> str:
    """Return the text of a hub, without tags."""
    answer = browser.get(f"/admin/apps_registry/{kind}/{key}/change/", {"tab": tab} if tab else {})
    assert answer.status_code == 200
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def test_an_app_shows_all_that_concerns_it(story: Story) -> None:
    app = story.tenant.app
    with tenant(story.organization_id):
        make.make_rule(name="Buyers", app=app, triggers=["purchase"], status=RuleStatus.ACTIVE)
        make.make_rule(name="Everything", triggers=["*"])
        campaign = make.make_campaign(app, make.make_partner("Lumen Ads"), "Summer")
        make.make_link(campaign)
    report(story.tenant.sdk_key, bundle_id=story.tenant.bundle_id.identifier)
    decide_all()

    page = hub(sign_in(story.tenant.owner), "app", app.pk)

    assert "Events arrive The last one: purchase , just now." in page
    assert re.search(r"Events [1-9] last 24 hours Installs \d+ .*Revenue ", page)
    assert re.search(r"Delivered 0 .*Pending [1-9] last 24 hours", page)
    assert "any event Everything" in page
    assert "purchase Buyers" in page
    assert "Summer" in page
    assert "1 link" in page
    assert "Copies of Apple's postbacks" in page
    assert "Make a rule from the URL" in page


def test_the_figures_of_a_hub_lead_to_the_rows_that_they_count(story: Story) -> None:
    gem, now = story.tenant, datetime.now(UTC)
    with tenant(story.organization_id):
        partner = make.make_partner("Lumen Ads")
        rule, other = make.make_rule(name="Theirs", partner=partner), make.make_rule(name="Other")
    for hours, status in ((1, "delivered"), (2, "delivered"), (3, "failed"), (30, "failed")):
        at = now - timedelta(hours=hours)
        make_postback(gem, rule, at=at, status=status)
        make_postback(gem, other, at=at, status=status)
    browser = sign_in(gem.owner)

    for kind, row, least in (("app", gem.app, 4), ("partner", partner, 2)):
        html = browser.get(f"/admin/apps_registry/{kind}/{row.pk}/change/").content.decode()
        found = re.findall(
            r'hub-figure"><a href="/admin/postbacks/(\w+)/\?([^"]+)">.*?<strong[^>]*>([\d,]+)<',
            html,
        )
        assert {"postback", "install"} <= {model for model, _, _ in found}
        found = [figure for figure in found if figure[0] != "install"]  # the story counts none
        assert int(next(count for _, query, count in found if "delivered" in query)) >= least
        for model, query, count in found:
            export = browser.get(f"/admin/postbacks/{model}/export/?{unescape(query)}")
            lines = export.getvalue().decode().strip().splitlines()
            assert len(lines) - 1 == int(count.replace(",", "")), (kind, model, query)


def test_a_hub_shows_revenue_in_the_organizations_currency(story: Story) -> None:
    gem = story.tenant
    report(gem.sdk_key, bundle_id=gem.bundle_id.identifier, revenue="12.50", currency="USD")
    decide_all()
    with tenant(story.organization_id):
        partner = make.make_partner("Earned nothing")
    browser = sign_in(gem.owner)

    app, idle = hub(browser, "app", gem.app.pk), hub(browser, "partner", partner.pk)

    assert re.search(r"Revenue \$\d[\d,.]*", app)
    assert "Revenue $0.00 of events credited to it" in idle
    assert "Delivery time \N{EN DASH} nothing delivered yet" in idle


def test_a_partner_shows_what_is_missing_and_its_newest_answers(story: Story) -> None:
    with tenant(story.organization_id):
        rule = CallbackRule.objects.filter(partner__isnull=False).first()
        partner = rule.partner if rule else make.make_partner()
        bare = make.make_partner("Bare", credentials={"api_key": "hidden-1234567"})
        Partner.objects.filter(pk=bare.pk).update(allowed_hosts=[])
    browser = sign_in(story.tenant.owner)

    full, empty = hub(browser, "partner", partner.pk), hub(browser, "partner", bare.pk)

    assert "HTTP 500" in full
    assert "No callback rule tells this partner anything yet." in empty
    assert "No host may receive its credentials yet" in empty
    assert "hidden-1234567" not in empty
    assert "api_key •••" in empty


def test_a_hub_takes_few_statements_however_much_there_is(story: Story) -> None:
    browser, app = sign_in(story.tenant.owner), story.tenant.app

    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            hub(browser, "app", app.pk)
            hub(browser, "partner", partner.pk)
        return len([each for each in queries if "live" not in each["sql"]])

    with tenant(story.organization_id):
        partner = make.make_partner("Lumen Ads")
    hub(browser, "app", app.pk)
    before = statements()
    with tenant(story.organization_id):
        for number in range(12):
            make.make_rule(
                name=f"Of the hub {number}", app=app, partner=partner, triggers=["a", "b"]
            )
            make.make_link(make.make_campaign(app, partner, f"Campaign {number}"))
            make.make_sdk_key(app)

    # The newest answers of a partner with rules, and a ring's second reading.
    assert statements() <= before + 5


def test_a_pasted_url_becomes_a_rule_of_this_app(story: Story) -> None:
    browser, app = sign_in(story.tenant.owner), story.tenant.app
    address = f"/admin/postbacks/callbackrule/translate/?app={app.pk}"

    shown = browser.post(address, {"url": PASTED}).content.decode()
    led = browser.post(address, {"url": PASTED, "_use": "1"})
    form = filled_form(browser.get(led["Location"]).content.decode())

    assert "Use it in a new rule" in shown
    assert form["app"] == str(app.pk)
    assert form["name"] == "ads.example.com"
    assert form["url"].startswith("https://ads.example.com/cb?id={{")


def test_a_template_from_an_apps_page_is_for_that_app(story: Story) -> None:
    browser, app = sign_in(story.tenant.owner), story.tenant.app
    gallery = browser.get(f"/admin/postbacks/callbackrule/templates/?app={app.pk}")
    (link, *_) = re.findall(r'class="pt-open" href="([^"]+)"', gallery.content.decode())

    form = browser.get(link).content.decode()

    assert link.endswith(f"?app={app.pk}")
    assert re.search(rf'<option value="{app.pk}" selected', form)


def test_set_up_fields_have_a_tab_of_their_own(story: Story) -> None:
    browser, app = sign_in(story.tenant.owner), story.tenant.app
    path = f"/admin/apps_registry/app/{app.pk}/change/"
    glance, set_up = browser.get(path), browser.get(path, {"tab": "setup"})
    wrong = browser.post(path, {"name": ""})

    assert b"Callback rules by event" in glance.content
    assert b"Callback rules by event" not in set_up.content
    assert b'name="_save"' not in glance.content
    assert b'name="_save"' in set_up.content
    assert wrong.status_code == 200
    assert b"Callback rules by event" not in wrong.content  # the errors stand on the tab shown


def test_an_analyst_reads_a_hub_and_presses_nothing(story: Story) -> None:
    analyst = make.make_user(Role.ANALYST, organization=story.tenant.organization)

    page = hub(sign_in(analyst), "app", story.tenant.app.pk)

    assert "Callback rules by event" in page
    for press in ("Make a rule from the URL", "Add from a template", "Add a key", "Add a campaign"):
        assert press not in page
