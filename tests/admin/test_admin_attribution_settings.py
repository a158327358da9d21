"""Attribution settings in the admin: what holds, from where, and what is refused."""

import pytest
from django.test import Client

from apps_registry.models import AttributionSettings, TrackingLink
from apps_registry.tenancy import tenant
from tests import make
from tests.admin.pages import submit

pytestmark = pytest.mark.django_db(transaction=True)

SETTINGS = "/admin/apps_registry/attributionsettings/"


def _set(owner: make.Tenant, **fields: object) -> AttributionSettings:
    with tenant(owner.organization.pk):
        return AttributionSettings.objects.create(**fields)


def _help(browser: Client, address: str, column: str = "click_window_hours") -> str:
    form = browser.get(address).context["adminform"].form
    return str(form.fields[column].help_text)


def test_the_waterfall_is_explained_with_what_holds(owner: make.Tenant, browser: Client) -> None:
    before = browser.get(SETTINGS).content.decode()
    _set(owner, click_window_hours=72, probabilistic_clicks=True)

    after = browser.get(SETTINGS).content.decode()

    assert "At most 7 days before" in before
    assert "At most 3 days before" in after
    assert "At most 6 hours before" in after
    assert ">Off<" in after, "impressions are still not guessed from"


def test_each_field_says_what_holds_where_it_stays_empty(
    owner: make.Tenant, browser: Client, link: TrackingLink
) -> None:
    address = f"{SETTINGS}add/?link={link.pk}"
    partner, app = link.campaign.partner, link.campaign.app

    found = [_help(browser, address)]
    owners = ({}, {"app": app}, {"partner": partner}, {"app": app, "partner": partner})
    for days, fields in enumerate(owners, start=1):
        _set(owner, click_window_hours=24 * days, **fields)
        found.append(_help(browser, address))

    assert [each.partition("Empty: ")[2] for each in found] == [
        "7 days, the default of this server.",
        "1 day, as set for all apps.",
        f"2 days, as set for <bdi>{app}</bdi>.",
        f"3 days, as set for <bdi>{partner}</bdi>.",
        f"4 days, as set for <bdi>{app}</bdi> with <bdi>{partner}</bdi>.",
    ]


def test_settings_are_saved_for_all_apps(owner: make.Tenant, browser: Client) -> None:
    changes = {"impression_window_hours": "12", "probabilistic_clicks": "False"}

    submit(browser, f"{SETTINGS}add/", changes)

    with tenant(owner.organization.pk):
        row = AttributionSettings.objects.get()
    assert (row.app, row.partner, row.link) == (None, None, None)
    assert (row.impression_window_hours, row.probabilistic_clicks) == (12, False)
    assert row.click_window_hours is None
    assert row.probabilistic_on_ios is None


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("click_window_hours", "721", "less than or equal to 720"),
        ("impression_window_hours", "0", "greater than or equal to 1"),
        ("probabilistic_click_window_minutes", "2", "greater than or equal to 5"),
        ("most_touchpoints_per_hour", "1", "greater than or equal to 2"),
    ],
)
def test_what_is_out_of_range_is_told_beside_its_field(
    browser: Client, field: str, value: str, words: str
) -> None:
    answer = submit(browser, f"{SETTINGS}add/", {field: value})

    errors = answer.context["adminform"].form.errors
    assert list(errors) == [field]
    assert words in errors[field][0]


def test_a_link_is_named_alone(browser: Client, link: TrackingLink) -> None:
    changes = {"link": link.pk, "app": link.campaign.app_id, "click_window_hours": "24"}

    answer = submit(browser, f"{SETTINGS}add/", changes)

    assert "A link has its own app" in answer.context["adminform"].form.errors["link"][0]


def test_settings_that_set_nothing_or_exist_are_refused(
    owner: make.Tenant, browser: Client
) -> None:
    _set(owner, click_window_hours=24)

    nothing = submit(browser, f"{SETTINGS}add/", {})
    again = submit(browser, f"{SETTINGS}add/", {"click_window_hours": "48"})

    assert "Fill in at least one setting" in nothing.content.decode()
    assert "These settings exist already" in again.content.decode()


def test_settings_are_deleted_and_what_is_above_holds_again(
    owner: make.Tenant, browser: Client
) -> None:
    row = _set(owner, click_window_hours=24)

    browser.post(f"{SETTINGS}{row.pk}/delete/", {"post": "yes"})

    assert "At most 7 days before" in browser.get(SETTINGS).content.decode()
    with tenant(owner.organization.pk):
        assert not AttributionSettings.objects.exists()


def test_settings_are_counted_and_asked_about_as_what_they_are(
    owner: make.Tenant, browser: Client
) -> None:
    row = _set(owner, click_window_hours=24)

    asked = browser.get(f"{SETTINGS}{row.pk}/delete/").content.decode()
    listed = browser.get(SETTINGS).content.decode()

    assert "Delete these attribution settings?" in asked
    assert "Yes, delete them" in asked
    assert "1 set of attribution settings" in listed


def test_the_list_and_its_file_say_what_is_set(
    owner: make.Tenant, browser: Client, link: TrackingLink
) -> None:
    _set(owner, link=link, click_window_hours=36, reinstall_events="organic")

    page = browser.get(SETTINGS).content.decode()
    file = browser.get(f"{SETTINGS}export/").getvalue().decode()

    assert "<li>click window: <strong>36 hours</strong></li>" in page
    assert "click window: 36 hours; events after a reinstall: to nobody" in file
