"""The frame around the pages: sidebar, organizations to switch between, empty lists, archives."""

import html
import re
import resource

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.utils.module_loading import import_string

from apps_registry.models import App, Membership
from apps_registry.roles import Role
from apps_registry.tenancy import Lifecycle, tenant
from tests import make
from tests.admin.pages import sign_in, submit

pytestmark = pytest.mark.django_db(transaction=True)

APPS = "/admin/apps_registry/app/"
SWITCH = "/admin/switch-organization/"


def _page(browser: Client, path: str) -> str:
    return browser.get(path).content.decode()


def _shown_organization(page: str) -> str:
    match = re.search(r'class="pb-organization__name">([^<]*)<', page)
    return match.group(1) if match else ""


@pytest.mark.parametrize(
    ("path", "current"),
    [
        ("/admin/", "Overview"),
        ("/admin/postbacks/event/", "Events"),
        ("/admin/apps_registry/bundleid/", "Apps"),
        ("/admin/apps_registry/app/add/", "Apps"),
        ("/admin/apps_registry/apitoken/", "API tokens"),
        ("/admin/apps_registry/organization/{}/change/", "Settings"),
        ("/admin/configuration/import/", "Settings"),
        ("/admin/postbacks/callbackrule/templates/", "Partners"),
        ("/admin/postbacks/callbackrule/templates/slack/", "Partners"),
        ("/admin/postbacks/callbackrule/macros/", "Macros"),
        ("/admin/postbacks/callbackrule/translate/", "Callback rules"),
    ],
)
def test_the_sidebar_marks_the_one_entry_to_which_a_page_belongs(path: str, current: str) -> None:
    made = make.make_tenant()

    page = _page(sign_in(made.owner), path.format(made.organization.pk))

    marked = re.findall(r'aria-current="page">.*?</span>\s*([\w ]+?)\s*</a>', page, re.DOTALL)
    assert marked == [current]


def _name(html_text: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", "", html_text))).strip()


def test_each_page_of_the_sidebar_bears_the_name_of_its_entry() -> None:
    browser = sign_in(make.make_tenant().owner)
    sidebar = re.findall(
        r'<a href="([^"]+)"[^>]*>\s*<span class="material-symbols-outlined" aria-hidden="true">'
        r"\w+</span>(.*?)</a>",
        _page(browser, "/admin/").partition('<nav class="pb-nav"')[2].partition("</nav>")[0],
        re.S,
    )

    titles = [
        (_name(re.findall(r"<h1>(.*?)</h1>", _page(browser, link), re.S)[0]), _name(entry))
        for link, entry in sidebar
    ]

    assert len(titles) > 15
    assert [title for title, _ in titles] == [entry for _, entry in titles]


@pytest.mark.parametrize(
    ("path", "crumbs"),
    [
        ("apps_registry/app/add/", "Apps"),
        ("apps_registry/campaign/add/", "Campaigns & tracking links"),
        ("apps_registry/trackinglink/add/", "Campaigns & tracking links / Tracking links"),
        ("apps_registry/attributionsettings/add/", "Attribution"),
        ("apps_registry/invitation/add/", "Members / Invitations"),
        ("apps_registry/sdkkey/from-tenjin/", "SDK keys"),
        ("postbacks/callbackrule/add/", "Callback rules"),
        ("postbacks/callbackrule/templates/slack/", "Partners"),
        ("postbacks/callbackrule/translate/", "Callback rules"),
    ],
)
def test_the_way_to_a_page_has_the_names_of_the_sidebar(path: str, crumbs: str) -> None:
    browser = sign_in(make.make_tenant().owner)

    page = _page(browser, f"/admin/{path}")

    (way,) = re.findall(r'aria-label="Breadcrumb">(.*?)</nav>', page, re.S)
    assert _name(way) == crumbs


def test_a_page_is_titled_by_what_it_shows() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)

    titles = [
        re.search(r"<title>(.*)</title>", _page(browser, path))
        for path in (APPS, f"{APPS}{made.app.pk}/change/")
    ]

    assert [title.group(1) for title in titles if title] == [
        "Apps | Postbacks",
        f"{made.app.name} | Postbacks",
    ]


def test_a_person_with_two_organizations_switches_between_them() -> None:
    first, second = make.make_tenant("First"), make.make_tenant("Second")
    Membership.objects.create(organization=second.organization, user=first.owner, role=Role.ANALYST)
    browser = sign_in(first.owner)

    before = _page(browser, APPS)
    answer = browser.post(SWITCH, {"organization": str(second.organization.public_id)})
    after = _page(browser, APPS)

    assert answer.url == "/admin/"
    assert _shown_organization(before) == first.organization.name
    assert _shown_organization(after) == second.organization.name
    assert second.app.name in after
    assert first.app.name not in after


def test_nobody_switches_to_an_organization_without_being_a_member() -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")
    browser = sign_in(ours.owner)

    refused = [
        browser.post(SWITCH, {"organization": asked}).status_code
        for asked in (str(theirs.organization.public_id), "nonsense\x00", "")
    ]

    assert refused == [403, 403, 403]
    assert _shown_organization(_page(browser, APPS)) == ours.organization.name


def test_an_address_alone_switches_nothing() -> None:
    made = make.make_tenant()

    answer = sign_in(made.owner).get(SWITCH)

    assert answer.status_code == 405


def test_switching_needs_the_token_of_the_form() -> None:
    made = make.make_tenant()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(made.owner)

    answer = browser.post(SWITCH, {"organization": str(made.organization.public_id)})

    assert answer.status_code == 403


def test_with_one_organization_there_is_nothing_to_switch() -> None:
    made = make.make_tenant()

    page = _page(sign_in(made.owner), APPS)

    assert _shown_organization(page) == made.organization.name
    assert SWITCH not in page


def test_the_search_of_the_theme_which_remembers_across_organizations_is_gone() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)

    answer = browser.get("/admin/search/?s=app")

    assert answer.templates[0].name == "admin/search/results.html"  # ours, which keeps nothing
    assert 'hx-get="/admin/search/' not in _page(browser, "/admin/")


def test_an_empty_list_says_what_to_do_next_to_whom_may_do_it() -> None:
    made = make.make_tenant()
    analyst = make.make_user(Role.ANALYST, organization=made.organization)
    campaigns = "/admin/apps_registry/campaign/"

    for_owner = _page(sign_in(made.owner), campaigns)
    for_analyst = _page(sign_in(analyst), campaigns)

    assert "No campaigns yet" in for_owner
    assert "Add a campaign once you have an app and a partner" in for_owner
    assert f'href="{campaigns}add/"' in for_owner
    assert "No campaigns yet" in for_analyst
    assert f"{campaigns}add/" not in for_analyst


def test_a_search_without_result_offers_to_clear_it() -> None:
    made = make.make_tenant()

    page = _page(sign_in(made.owner), f"{APPS}?q=no-such-app")

    assert "Nothing matches" in page
    assert "Clear search and filters" in page


def test_archived_rows_are_left_out_until_somebody_asks_for_them() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    with tenant(made.organization.pk):
        App.objects.create(name="Old Game", platform="ios", status=Lifecycle.ARCHIVED)

    shown = {
        asked: "Old Game" in _page(browser, f"{APPS}?{asked}")
        for asked in ("", "status__exact=archived", "status__exact=all", "status__exact=active")
    }

    assert shown == {
        "": False,
        "status__exact=archived": True,
        "status__exact=all": True,
        "status__exact=active": False,
    }


def test_a_list_whose_rows_are_all_archived_says_so() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        App.objects.update(status=Lifecycle.ARCHIVED)

    page = _page(sign_in(made.owner), APPS)

    assert "All apps are archived" in page
    assert 'href="?status__exact=all"' in page


def test_a_new_app_leads_to_its_first_key() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)

    answer = submit(browser, f"{APPS}add/", {"name": "Moss Valley", "platform": "android"})

    with tenant(made.organization.pk):
        app = App.objects.get(name="Moss Valley")
    assert answer.url == f"{APPS}{app.pk}/change/"
    page = _page(browser, answer.url)
    assert f"/admin/apps_registry/sdkkey/add/?app={app.pk}" in page
    assert "Bearer YOUR_SDK_KEY" in page


def test_a_marketer_is_told_whom_to_ask_for_the_first_key() -> None:
    made = make.make_tenant()
    marketer = make.make_user(Role.MARKETER, organization=made.organization)
    with tenant(made.organization.pk):
        app = App.objects.create(name="Moss Valley", platform="android")

    page = _page(sign_in(marketer), f"{APPS}{app.pk}/change/")

    assert "Ask an owner of" in page
    assert "sdkkey/add/" not in page


def test_a_time_zone_is_chosen_from_those_of_the_world() -> None:
    made = make.make_tenant()

    page = _page(sign_in(made.owner), f"{APPS}add/")

    assert 'list="time_zone-zones"' in page
    assert '<option value="America/New_York">' in page


@pytest.mark.parametrize("path", [APPS, "/admin/postbacks/callbackrule/"])
def test_a_filter_that_no_row_can_match_is_refused(path: str) -> None:
    answer = sign_in(make.make_tenant().owner).get(f"{path}?status__exact=%00")

    assert answer.status_code == 400


def test_a_form_that_is_not_saved_says_so_to_those_who_listen() -> None:
    answer = submit(sign_in(make.make_tenant().owner), f"{APPS}add/", {"name": ""})

    page = answer.content.decode()
    assert re.search(r'role="alert">Nothing was saved\.', page)


def test_hosts_that_are_none_are_named_each() -> None:
    entered = {"name": "Lumen Ads", "allowed_hosts": "ads.example.com, http://x/, a b"}
    answer = submit(sign_in(make.make_tenant().owner), "/admin/apps_registry/partner/add/", entered)

    page = answer.content.decode()
    assert "“http://x/” is not a host." in page
    assert "“a b” is not a host." in page
    assert "“ads.example.com” is not a host." not in page
    assert "ads.example.com, http://x/, a b" in page


def test_a_page_that_is_not_for_a_role_says_so_in_the_interface() -> None:
    made = make.make_tenant()
    analyst = make.make_user(Role.ANALYST, organization=made.organization)

    answer = sign_in(analyst).get("/admin/apps_registry/membership/add/")

    assert answer.status_code == 403
    assert "Your role in this organization" in answer.content.decode()


@pytest.mark.parametrize("zone", ["localtime", "Factory", "Mars/Olympus"])
def test_a_name_that_is_no_zone_everywhere_is_refused(zone: str) -> None:
    entered = {"name": "Gem Harbor", "time_zone": zone}

    answer = submit(sign_in(make.make_tenant().owner), f"{APPS}add/", entered)

    assert "is not a time zone" in answer.content.decode()


@pytest.mark.parametrize(
    "asked",
    [
        "name__regex=%28%5B",
        "pk__regex=%28%5B",
        "status__regex=%28%5B",
        "allowed_hosts=%5B1",
        "allowed_hosts__0_1=x",
        "organization_id__regex=%28%5B",
        "created_at__year=99999999999",
    ],
)
def test_a_list_answers_only_what_its_filters_ask(asked: str) -> None:
    browser = sign_in(make.make_tenant().owner)

    answers = [browser.get(f"/admin/apps_registry/partner/{at}?{asked}") for at in ("", "export/")]

    assert [answer.status_code for answer in answers] == [400, 400]


def test_an_address_with_a_foreign_parameter_still_shows_the_list() -> None:
    browser = sign_in(make.make_tenant().owner)

    answer = browser.get("/admin/apps_registry/partner/?utm_source=mail", follow=True)

    assert answer.status_code == 200


def test_a_loop_of_a_page_calls_without_new_memory_however_deep_the_page_is() -> None:
    def page_faults() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    def leaf(number: int) -> int:
        return number

    def faults_at_each_depth(levels: int) -> list[int]:
        before = page_faults()
        for number in range(200):
            leaf(number)
        faults = page_faults() - before
        return [faults, *(faults_at_each_depth(levels - 1) if levels else ())]

    def view(_request: HttpRequest) -> HttpResponse:
        faults_at_each_depth(400)  # whatever Python sets up once
        return HttpResponse(max(faults_at_each_depth(400)))

    outermost = import_string(settings.MIDDLEWARE[0])
    answer = outermost(view)(RequestFactory().get("/"))

    assert int(answer.content) < 100  # a call that maps memory costs a fault: 200
