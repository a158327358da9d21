"""Forms that are older than what they would change."""

import re

import pytest
from django.test import Client

from apps_registry.models import ApiToken, Membership, Partner, SdkKey, User
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.models import CallbackRule
from tests import make
from tests.admin.pages import filled_form

pytestmark = pytest.mark.django_db(transaction=True)

SWITCH = "/admin/switch-organization/"


def _strict_sign_in(user: User) -> Client:
    """Return a client that is checked as a browser is: forms need their token."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return client


def _open(browser: Client, path: str) -> dict[str, str]:
    """Open a form and return what it would send."""
    page = browser.get(path).content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token
    return {**filled_form(page), "csrfmiddlewaretoken": token.group(1)}


@pytest.mark.parametrize(
    ("path", "entered"),
    [
        (
            "/admin/postbacks/callbackrule/add/",
            {"name": "Stale", "url": "https://ads.example.com/", "triggers": "install"},
        ),
        ("/admin/apps_registry/partner/add/", {"name": "Stale"}),
        ("/admin/apps_registry/apitoken/add/", {"name": "Stale", "role": Role.ANALYST}),
    ],
)
def test_a_form_of_one_organization_is_not_saved_in_another(
    path: str, entered: dict[str, str]
) -> None:
    here, there = make.make_tenant("Here"), make.make_tenant("There")
    Membership.objects.create(organization=there.organization, user=here.owner, role=Role.OWNER)
    browser = _strict_sign_in(here.owner)
    form = _open(browser, path)
    switch = {
        "organization": str(there.organization.public_id),
        "csrfmiddlewaretoken": form["csrfmiddlewaretoken"],
    }
    assert browser.post(SWITCH, switch).status_code == 302

    answer = browser.post(path, {**form, **entered})

    assert answer.status_code == 403
    assert "This page is out of date" in answer.content.decode()
    for organization in (here.organization, there.organization):
        with tenant(organization.pk):
            assert not Partner.objects.filter(name="Stale").exists()
            assert not CallbackRule.objects.filter(name="Stale").exists()
            assert not ApiToken.objects.filter(name="Stale").exists()


def test_a_form_of_the_organization_that_one_switched_to_is_saved() -> None:
    here, there = make.make_tenant("Here"), make.make_tenant("There")
    Membership.objects.create(organization=there.organization, user=here.owner, role=Role.OWNER)
    browser = _strict_sign_in(here.owner)
    start = _open(browser, "/admin/apps_registry/partner/add/")
    browser.post(SWITCH, {**start, "organization": str(there.organization.public_id)})

    form = _open(browser, "/admin/apps_registry/partner/add/")
    answer = browser.post("/admin/apps_registry/partner/add/", {**form, "name": "Fresh"})

    assert answer.status_code == 302
    with tenant(there.organization.pk):
        assert Partner.objects.filter(name="Fresh").exists()


def test_reloading_the_page_of_a_new_key_makes_no_other() -> None:
    made = make.make_tenant()
    browser = _strict_sign_in(made.owner)
    path = "/admin/apps_registry/sdkkey/add/"
    form = {**_open(browser, path), "app": str(made.app.pk), "kind": "app", "name": "Unity"}
    first = browser.post(path, form)
    assert "pbk_" in first.content.decode()

    again = browser.post(path, form, follow=True)

    assert "was made before" in again.content.decode()
    with tenant(made.organization.pk):
        assert SdkKey.objects.filter(name="Unity").count() == 1
