"""Names that are markup or script: on every page they are text."""

from html.parser import HTMLParser

import pytest
from django.contrib import admin
from django.db import models

from apps_registry.models import App, Campaign, Membership, Organization, Partner, SdkKey, User
from apps_registry.tenancy import tenant
from postbacks.models import CallbackRule
from tests.admin.pages import sign_in
from tests.isolation.story import Story, live_through

pytestmark = pytest.mark.django_db(transaction=True)

HOSTILE = """"><div x-data="alert(1)" x-init='alert(2)'>{{ 7*7 }}</script><b title="'+alert(3)+'"""
PAGES = sorted(admin.site._registry, key=lambda model: model._meta.label)


class _Finder(HTMLParser):
    """Collects what a hostile name would become if it were markup or Alpine's code."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            is_code = name.startswith(("x-", "@", ":", "on", "hx-"))
            if is_code and "alert(" in (value or ""):
                self.found.append(f"<{tag} {name}={value}>")


@pytest.fixture
def story(transactional_db: None) -> Story:
    story = live_through("Hostile")
    with tenant(story.organization_id):
        for model in (App, Partner, Campaign, SdkKey, CallbackRule):
            for number, row in enumerate(model.objects.all()):
                model.objects.filter(pk=row.pk).update(name=f"{HOSTILE}{number}")
    Organization.objects.filter(pk=story.organization_id).update(name=HOSTILE)
    User.objects.filter(pk=story.tenant.owner.pk).update(name=HOSTILE)
    second = Organization.objects.create(name=HOSTILE)
    Membership.objects.create(organization=second, user=story.tenant.owner)
    return story


@pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.label)
def test_a_hostile_name_is_text_on_every_page(story: Story, model: type[models.Model]) -> None:
    browser = sign_in(story.tenant.owner)
    pages = f"/admin/{model._meta.app_label}/{model._meta.model_name}"
    one = f"{pages}/{story.keys[model][0]}"
    paths = (f"{pages}/", f"{pages}/?q=x", f"{pages}/add/", f"{one}/change/", f"{one}/history/")

    for path in (*paths, f"{one}/delete/", "/admin/", "/admin/password_change/"):
        page = browser.get(path).content.decode()
        finder = _Finder()
        finder.feed(page)
        assert finder.found == [], path
        assert 'x-data="alert(1)"' not in page, path


def test_a_hostile_search_is_text(story: Story) -> None:
    browser = sign_in(story.tenant.owner)

    page = browser.get("/admin/apps_registry/app/", {"q": HOSTILE}).content.decode()

    finder = _Finder()
    finder.feed(page)
    assert finder.found == []
    assert 'x-data="alert(1)"' not in page


def test_a_hostile_name_is_text_in_the_question_before_an_action(story: Story) -> None:
    browser = sign_in(story.tenant.owner)
    chosen = {"action": "archive", "_selected_action": story.keys[App][0]}

    page = browser.post("/admin/apps_registry/app/", chosen).content.decode()

    assert "Archive these apps?" in page
    assert 'x-data="alert(1)"' not in page
