"""The builder of tracking links: what it fills in, shows and refuses."""

import pytest
from django.conf import settings
from django.test import Client

from apps_registry.models import Campaign, TrackingLink
from apps_registry.tenancy import tenant
from tests import make
from tests.admin.pages import submit

pytestmark = pytest.mark.django_db(transaction=True)

LINKS = "/admin/apps_registry/trackinglink/"


def _campaign(owner: make.Tenant, *, template: str = "") -> Campaign:
    with tenant(owner.organization.pk):
        partner = make.make_partner()
        partner.template = template
        partner.save()
        return make.make_campaign(owner.app, partner)


def _link(owner: make.Tenant, **fields: object) -> TrackingLink:
    campaign = _campaign(owner)
    with tenant(owner.organization.pk):
        return make.make_link(campaign, **fields)


def _saved(owner: make.Tenant) -> TrackingLink:
    with tenant(owner.organization.pk):
        return TrackingLink.objects.get()


def test_a_link_begins_with_the_macros_of_its_network(owner: make.Tenant, browser: Client) -> None:
    campaign = _campaign(owner, template="mintegral")

    form = browser.get(f"{LINKS}add/?campaign={campaign.pk}").content.decode()
    submit(browser, f"{LINKS}add/?campaign={campaign.pk}", {"name": "Video"})

    assert "click_id={click_id}" in form
    assert "click_id={click_id}" in _saved(owner).parameters


def test_the_macros_are_filled_in_where_the_campaign_was_chosen_in_the_form(
    owner: make.Tenant, browser: Client
) -> None:
    campaign = _campaign(owner, template="mintegral")

    submit(browser, f"{LINKS}add/", {"name": "Video", "campaign": campaign.pk})

    assert "click_id={click_id}" in _saved(owner).parameters


def test_macros_that_somebody_took_out_stay_out(owner: make.Tenant, browser: Client) -> None:
    campaign = _campaign(owner, template="mintegral")

    submit(browser, f"{LINKS}add/?campaign={campaign.pk}", {"name": "Video", "parameters": ""})

    assert _saved(owner).parameters == ""


def test_a_link_is_shown_ready_to_copy(owner: make.Tenant, browser: Client) -> None:
    link = _link(owner, parameters="click_id={clickid}&sub1={site}")

    page = browser.get(f"{LINKS}{link.pk}/change/").content.decode()

    address = f"{settings.PUBLIC_URL}/c/{link.token}"
    assert f">{address}?click_id={{clickid}}&amp;sub1={{site}}</pre>" in page
    assert f">{settings.PUBLIC_URL}/i/{link.token}?click_id={{clickid}}" in page
    assert f'aria-label="QR code of {address}"' in page
    assert "{{click.sub1}}" in page
    assert "{{click_id}}" in page


@pytest.mark.parametrize(
    ("kind", "content_type", "start"),
    [("svg", "image/svg+xml", b"<?xml"), ("png", "image/png", b"\x89PNG")],
)
def test_the_qr_code_can_be_saved(
    owner: make.Tenant, browser: Client, kind: str, content_type: str, start: bytes
) -> None:
    link = _link(owner)

    answer = browser.get(f"{LINKS}{link.pk}/qr.{kind}")

    assert answer.status_code == 200
    assert answer["Content-Type"] == content_type
    assert link.token in answer["Content-Disposition"]
    assert answer.content.startswith(start)


def test_nobody_gets_the_qr_code_of_somebody_elses_link(browser: Client) -> None:
    link = _link(make.make_tenant("Stranger"))

    answers = [browser.get(f"{LINKS}{key}/qr.svg") for key in (link.pk, "nothing", 10**30)]

    assert [answer.status_code for answer in answers] == [404, 404, 404]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("store_url", "ftp://store.example.com/app", "Begin with https:// or http://"),
        ("fallback_url", "javascript:alert(1)", "Enter a valid URL"),
        ("deep_link", "javascript://alert(1)", "Write the app"),
        ("deep_link", "shop/summer", "Write the app"),
        ("deep_link", "other://shop", "does not fit the allowed destinations"),
        ("deep_link", "https://evil.example.com/", "does not fit the allowed destinations"),
        ("allowed_destinations", "go.example.com", "is not a destination"),
        ("allowed_destinations", "javascript://", "does not open an app or a page"),
        ("parameters", "click_id={click id}", "Leave out spaces"),
        ("parameters", "click_id={a}&click_id={b}", "is there twice"),
        ("parameters", "click_id", "has no value"),
        ("parameters", "click_id={{click_id}}", "is a macro of callback rules"),
        ("parameters", "click_id={a}#part", "Leave out spaces"),
        ("parameters", "cl!ck={a}", "is no name of a parameter"),
    ],
)
def test_a_mistake_is_told_beside_its_field(
    owner: make.Tenant, browser: Client, field: str, value: str, words: str
) -> None:
    link = _link(owner, allowed_destinations=["gemharbor://", "https://go.example.com"])

    answer = submit(browser, f"{LINKS}{link.pk}/change/", {field: value})

    errors = answer.context["adminform"].form.errors
    assert list(errors) == [field]
    assert words in errors[field][0]


def test_parameters_are_saved_without_the_question_mark(
    owner: make.Tenant, browser: Client
) -> None:
    link = _link(owner)
    changes = {
        "parameters": " ?click_id={clickid}&ua=__UA__& ",
        "deep_link": "gemharbor://shop",
        "allowed_destinations": "gemharbor://, https://go.example.com",
    }

    submit(browser, f"{LINKS}{link.pk}/change/", changes)

    saved = _saved(owner)
    assert saved.parameters == "click_id={clickid}&ua=__UA__"
    assert saved.allowed_destinations == ["gemharbor://", "https://go.example.com"]


def test_what_the_partners_rules_could_use_is_named(owner: make.Tenant, browser: Client) -> None:
    campaign = _campaign(owner, template="unity-ads")
    with tenant(owner.organization.pk):
        link = make.make_link(campaign, parameters="campaign_id={campaign}")

    page = browser.get(f"{LINKS}{link.pk}/change/")

    assert [macro.parameter for macro in page.context["page"].unused] == ["gamer_id"]
    assert "Unity&#x27;s ID of the player" in page.content.decode()


def test_a_link_that_leads_nowhere_says_so(owner: make.Tenant, browser: Client) -> None:
    link = _link(owner)
    with tenant(owner.organization.pk):
        owner.app.store_id = ""
        owner.app.save()

    page = browser.get(f"{LINKS}{link.pk}/change/").content.decode()

    assert "nowhere to lead" in page


def test_the_export_names_whole_addresses(owner: make.Tenant, browser: Client) -> None:
    link = _link(owner)

    answer = browser.get(f"{LINKS}export/")

    assert f"{settings.PUBLIC_URL}/c/{link.token}" in answer.getvalue().decode()
