"""Names that are script, turn lines around or have no end: on every page they are text."""

import pytest
from django.contrib import admin
from django.db import models
from django.test import Client
from django.utils.html import escape

from apps_registry.audit.actions import Action
from apps_registry.audit.actors import Actor, ActorKind, Door, acting_as
from apps_registry.audit.audited_model import log_action
from apps_registry.models import (
    App,
    Campaign,
    Invitation,
    Membership,
    Organization,
    Partner,
    SdkKey,
    TrackingLink,
    User,
)
from apps_registry.tenancy import tenant
from postbacks.callbacks.partner_templates import all_templates
from postbacks.models import CallbackRule
from tests import make
from tests.accounts.people import link_in_mail
from tests.admin.hostile import ENDLESS, HOSTILE, code_in
from tests.admin.pages import filled_form, sign_in
from tests.browser.admin_pages import address, admin_routes
from tests.database import made_once
from tests.isolation.story import Story, fill_texts, live_through

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = sorted(admin.site._registry, key=lambda model: model._meta.label)
RULES = "/admin/postbacks/callbackrule/"
INVITATIONS = "/admin/apps_registry/invitation/"
MEMBERS = "/admin/apps_registry/membership/"


def _with_names() -> Story:
    """Give people and what they have set up a name that is markup."""
    story = live_through("Hostile")
    with tenant(story.organization_id):
        for model in (App, Partner, Campaign, TrackingLink, SdkKey, CallbackRule):
            for number, row in enumerate(model.objects.all()):
                model.objects.filter(pk=row.pk).update(name=f"{HOSTILE}{number}")
    Organization.objects.filter(pk=story.organization_id).update(name=HOSTILE)
    User.objects.filter(pk=story.tenant.owner.pk).update(name=HOSTILE)
    second = Organization.objects.create(name=HOSTILE)
    Membership.objects.create(organization=second, user=story.tenant.owner)
    return story


def _with_texts() -> Story:
    """Fill every text of every table, and an entry of the audit log, to its end."""
    story = live_through("Endless")
    fill_texts(story, ENDLESS)
    person = Actor(ActorKind.PERSON, ENDLESS[:255], Door.WEB)
    with tenant(story.organization_id), acting_as(person):
        changes = {ENDLESS: [ENDLESS, HOSTILE]}
        log_action(Action.EXPORTED, name=ENDLESS[:255], changes=changes)
    return story


@pytest.fixture(params=[_with_names, _with_texts], ids=["names", "texts"])
def story(request: pytest.FixtureRequest, transactional_db: None) -> Story:
    return made_once(request.param)


def test_a_hostile_text_is_text_on_every_page_of_a_member(story: Story) -> None:
    browser = sign_in(story.tenant.owner)
    gallery = [f"{RULES}templates/{name}/" for name in all_templates()]
    pages = [address(route, story) for route in admin_routes()]
    asked = [f"{path}?q=x" for path in pages if path.count("/") == 4]

    shown, findings = _look_at(browser, pages)
    findings += _code_on(browser, [*asked, *gallery, "/accounts/second-factor/"])

    assert findings == []
    assert len(shown) > 50, "a hostile text that is not shown proves nothing"


def test_a_hostile_text_is_text_on_every_page_of_an_operator(story: Story) -> None:
    operator = User.objects.create_superuser("operator@example.com", "correct horse battery")
    make.make_second_factor(operator)
    browser = sign_in(operator)
    outside = _code_on(browser, ["/admin/installation/", "/admin/organizations/"])
    enter = f"/admin/organizations/{story.tenant.organization.public_id}/enter/"

    findings = _code_on(browser, [enter])
    browser.post(enter, {"reason": HOSTILE, "purpose": "help"})
    inside = _code_on(browser, ["/admin/", RULES, MEMBERS, "/admin/apps_registry/auditentry/"])

    assert outside + findings + inside == []
    assert _shows(browser, "/admin/organizations/")
    assert _shows(browser, enter)
    assert _shows(browser, "/admin/apps_registry/auditentry/")


def test_a_hostile_search_is_text(story: Story) -> None:
    browser = sign_in(story.tenant.owner)

    for model in PAGES:
        path = f"/admin/{model._meta.label_lower.replace('.', '/')}/"
        page = browser.get(path, {"q": ENDLESS}, follow=True).content.decode()
        assert code_in(page) == [], path


@pytest.mark.parametrize(
    ("model", "action"),
    [(App, "archive"), (Partner, "archive"), (CallbackRule, "archive"), (SdkKey, "revoke")],
)
def test_a_hostile_text_is_text_before_and_after_an_action(
    story: Story, model: type[models.Model], action: str
) -> None:
    browser = sign_in(story.tenant.owner)
    path = f"/admin/{model._meta.label_lower.replace('.', '/')}/"
    chosen = {"action": action, "_selected_action": story.keys[model][0]}

    question = browser.post(path, chosen, follow=True).content.decode()
    sure = {**chosen, "post": "yes", "confirmed": "yes"}
    answer = browser.post(path, sure, follow=True).content.decode()

    assert code_in(question) + code_in(answer) == []


@pytest.mark.parametrize("model", [App, Partner, Campaign, TrackingLink, CallbackRule])
def test_a_hostile_text_is_text_on_the_page_after_a_form(
    story: Story, model: type[models.Model]
) -> None:
    browser = sign_in(story.tenant.owner)
    path = f"/admin/{model._meta.label_lower.replace('.', '/')}/{story.keys[model][0]}/change/"
    form = filled_form(browser.get(path).content.decode())

    saved = browser.post(path, form, follow=True)
    named = browser.post(path, {**form, "name": HOSTILE}, follow=True)
    refused = browser.post(path, {**form, "name": ENDLESS}, follow=True)

    for answer in (saved, named, refused):
        assert answer.status_code == 200
        assert code_in(answer.content.decode()) == []
    assert "at most 120 characters" in refused.content.decode()


def test_a_hostile_address_is_text_where_somebody_is_invited(story: Story) -> None:
    browser = sign_in(story.tenant.owner)
    again = f"{INVITATIONS}{story.keys[Invitation][0]}/resend/"

    refused = browser.post(f"{INVITATIONS}add/", {"email": ENDLESS, "role": HOSTILE}, follow=True)
    sent = browser.post(again, follow=True)

    assert code_in(refused.content.decode()) + code_in(sent.content.decode()) == []
    visitor = Client()
    visitor.get(link_in_mail())
    assert code_in(visitor.get("/accounts/invitation/").content.decode()) == []


def test_the_eye_for_code_is_no_blind_one() -> None:
    assert code_in(f'<input value="{HOSTILE}">')
    assert code_in(f"<p>{HOSTILE}</p>")
    assert code_in("<p>49</p>")
    assert code_in(f"<p>{escape(HOSTILE)}</p>") == []


def _shows(browser: Client, path: str) -> bool:
    return _look_at(browser, [path])[0] == [path]


def _code_on(browser: Client, paths: list[str]) -> list[str]:
    return _look_at(browser, paths)[1]


def _look_at(browser: Client, paths: list[str]) -> tuple[list[str], list[str]]:
    """Return the pages that show a hostile text; what came onto pages as code, and what broke."""
    shown, findings = [], []
    for path in dict.fromkeys(paths):
        answer = browser.get(path)
        if answer.status_code >= 500:
            findings.append(f"{path}: {answer.status_code}")
        elif not answer.streaming:
            if b"alert(" in answer.content:
                shown.append(path)
            if answer["Content-Type"].startswith("text/html"):
                findings += [f"{path}: {code}" for code in code_in(answer.content.decode())]
    return shown, findings
