"""What each role can do on each page."""

import pytest
from django.contrib import admin
from django.db import models

from apps_registry.models import ApiToken, App, Partner, SdkKey
from apps_registry.roles import Role
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.models import CallbackRule, RuleStatus
from tests import make
from tests.admin.pages import filled_form, sign_in, submit
from tests.isolation.story import Story

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = sorted(admin.site._registry, key=lambda model: model._meta.label)
SHARED_PAGES = [model for model in PAGES if model is not ApiToken]  # everybody has tokens


@pytest.mark.parametrize("model", SHARED_PAGES, ids=lambda model: model._meta.label)
def test_an_analyst_reads_every_page_and_writes_none(
    story: Story, model: type[models.Model]
) -> None:
    browser = sign_in(make.make_user(Role.ANALYST, organization=story.tenant.organization))
    pages = f"/admin/{model._meta.app_label}/{model._meta.model_name}"
    one = f"{pages}/{story.keys[model][0]}"

    statuses = [browser.get(path).status_code for path in (f"{pages}/", f"{one}/change/")]
    refused = [
        browser.post(path, {"post": "yes"}).status_code
        for path in (f"{pages}/add/", f"{one}/change/", f"{one}/delete/")
    ]

    assert statuses == [200, 200]
    assert refused == [403, 403, 403]


@pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.label)
def test_an_owner_opens_every_page(story: Story, model: type[models.Model]) -> None:
    browser = sign_in(story.tenant.owner)
    pages = f"/admin/{model._meta.app_label}/{model._meta.model_name}"
    one = f"{pages}/{story.keys[model][0]}"

    statuses = [
        browser.get(path).status_code for path in (f"{pages}/", f"{one}/change/", f"{one}/history/")
    ]

    assert statuses == [200, 200, 200]


def test_a_marketer_sets_up_an_app_with_its_bundle_id(story: Story) -> None:
    browser = sign_in(make.make_user(Role.MARKETER, organization=story.tenant.organization))

    answer = submit(
        browser,
        "/admin/apps_registry/app/add/",
        {
            "name": "Moss Valley",
            "platform": "android",
            "bundle_ids-TOTAL_FORMS": "1",
            "bundle_ids-0-identifier": "com.example.moss",
        },
    )

    assert answer.status_code == 302
    with tenant(story.organization_id):
        app = App.objects.get(name="Moss Valley")
        assert [bundle.identifier for bundle in app.bundle_ids.all()] == ["com.example.moss"]


@pytest.mark.parametrize("page", ["apps_registry/sdkkey", "apps_registry/membership"])
def test_a_marketer_makes_no_keys_and_no_members(story: Story, page: str) -> None:
    browser = sign_in(make.make_user(Role.MARKETER, organization=story.tenant.organization))

    answer = browser.get(f"/admin/{page}/add/")

    assert answer.status_code == 403


def test_a_marketer_can_not_say_where_credentials_go(story: Story) -> None:
    browser = sign_in(make.make_user(Role.MARKETER, organization=story.tenant.organization))
    page = f"/admin/apps_registry/partner/{story.keys[Partner][0]}/change/"

    answer = submit(browser, page, {"name": "Renamed", "allowed_hosts": "evil.example.com"})

    assert answer.status_code == 302
    with tenant(story.organization_id):
        partner = Partner.objects.get()
        assert (partner.name, partner.allowed_hosts) == ("Renamed", ["ads.example.com"])


def test_an_owner_says_where_credentials_go(story: Story) -> None:
    browser = sign_in(story.tenant.owner)
    page = f"/admin/apps_registry/partner/{story.keys[Partner][0]}/change/"

    submit(browser, page, {"allowed_hosts": "a.example.com, *.b.example.com"})

    with tenant(story.organization_id):
        assert Partner.objects.get().allowed_hosts == ["a.example.com", "*.b.example.com"]


def test_what_is_no_longer_used_is_archived_after_a_question(story: Story) -> None:
    browser = sign_in(story.tenant.owner)
    chosen = {"action": "archive", "_selected_action": story.keys[App]}

    question = browser.post("/admin/apps_registry/app/", chosen)
    with tenant(story.organization_id):
        before = App.objects.get().status
    browser.post("/admin/apps_registry/app/", {**chosen, "confirmed": "yes"})

    assert "Archive these apps?" in question.content.decode()
    assert before == Lifecycle.ACTIVE
    with tenant(story.organization_id):
        assert App.objects.get().status == Lifecycle.ARCHIVED


def test_what_is_archived_can_be_read_but_not_changed(story: Story) -> None:
    browser = sign_in(story.tenant.owner)
    page = f"/admin/apps_registry/app/{story.tenant.app.pk}/change/"
    with tenant(story.organization_id):
        App.objects.update(status=Lifecycle.ARCHIVED)

    seen, refused = browser.get(page), browser.post(page, {"name": "Renamed"})

    assert (seen.status_code, refused.status_code) == (200, 403)


def test_what_is_archived_takes_nothing_new_on(story: Story) -> None:
    browser = sign_in(story.tenant.owner)
    with tenant(story.organization_id):
        App.objects.update(status=Lifecycle.ARCHIVED)

    new_key = browser.get("/admin/apps_registry/sdkkey/add/").content.decode()
    same_rule = filled_form(
        browser.get(
            f"/admin/postbacks/callbackrule/{story.keys[CallbackRule][0]}/change/"
        ).content.decode()
    )

    assert f"{story.tenant.app.name}</option>" not in new_key
    assert same_rule["app"] == str(story.tenant.app.pk)


def test_a_rule_is_archived_too(story: Story) -> None:
    browser = sign_in(story.tenant.owner)

    browser.post(
        "/admin/postbacks/callbackrule/",
        {"action": "archive", "_selected_action": story.keys[CallbackRule], "confirmed": "yes"},
    )

    with tenant(story.organization_id):
        assert CallbackRule.objects.get().status == RuleStatus.ARCHIVED


def test_a_name_that_is_taken_is_an_error_beside_the_form(story: Story) -> None:
    browser = sign_in(story.tenant.owner)

    answer = submit(
        browser,
        "/admin/apps_registry/app/add/",
        {"name": story.tenant.app.name, "platform": "ios"},
    )

    assert answer.status_code == 200
    assert "Another app has this name." in answer.content.decode()


def test_the_app_of_a_key_is_chosen_once(story: Story) -> None:
    browser = sign_in(story.tenant.owner)

    page = browser.get(f"/admin/apps_registry/sdkkey/{story.keys[SdkKey][0]}/change/")

    assert set(filled_form(page.content.decode())) == {"csrfmiddlewaretoken", "name"}
