"""An SDK key is rotated on its page: a new one is shown once, the old one ends later."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps_registry.models import SdkKey
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from tests import make
from tests.admin.pages import sign_in, submit
from tests.api.calling import Program, report

pytestmark = pytest.mark.django_db(transaction=True)


def _page(made: make.Tenant) -> str:
    with tenant(made.organization.pk):
        return f"/admin/apps_registry/sdkkey/{SdkKey.objects.earliest('pk').pk}/"


def _keys(made: make.Tenant) -> list[SdkKey]:
    with tenant(made.organization.pk):
        return list(SdkKey.objects.order_by("pk"))


def _rotate(browser: Client, made: make.Tenant, overlap: str) -> str:
    return submit(browser, f"{_page(made)}rotate/", {"overlap": overlap}).content.decode()


def test_a_rotated_key_works_beside_the_new_one_until_it_ends() -> None:
    made = make.make_tenant()

    page = _rotate(sign_in(made.owner), made, "24")

    (secret,) = set(re.findall(r"pbk_[\w-]{43}", page))
    old, new = _keys(made)
    assert (new.app_id, new.kind, new.name) == (old.app_id, old.kind, old.name)
    assert old.expires_at is not None
    assert timedelta(hours=23) < old.expires_at - timezone.now() <= timedelta(hours=24)
    assert report(made.sdk_key)
    assert report(secret)


def test_a_key_that_was_rotated_at_once_is_refused() -> None:
    made = make.make_tenant()

    _rotate(sign_in(made.owner), made, "0")

    answer = Program(made.sdk_key).post("events", {"event_name": "open"})
    assert answer.status == 403
    assert "was rotated" in answer.data["detail"]


def test_the_page_of_a_rotated_key_says_when_it_ends_and_offers_no_second_rotation() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    before = browser.get(f"{_page(made)}change/").content.decode()
    _rotate(browser, made, "24")

    after = browser.get(f"{_page(made)}change/").content.decode()
    again = _rotate(browser, made, "24")

    assert "Rotate this key" in before
    assert "Rotate this key" not in after
    assert "This key was rotated. It ends on" in after
    assert "Ends on" in browser.get("/admin/apps_registry/sdkkey/").content.decode()
    assert "pbk_" not in again
    assert len(_keys(made)) == 2


def test_a_reload_of_the_page_that_shows_the_new_key_makes_no_other() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    form = {"overlap": "24", "csrfmiddlewaretoken": "one showing of the form"}

    browser.post(f"{_page(made)}rotate/", form)
    again = browser.post(f"{_page(made)}rotate/", form)

    assert again.status_code == 302
    assert len(_keys(made)) == 2


@pytest.mark.parametrize("role", [Role.MARKETER, Role.ANALYST])
def test_only_owners_rotate(role: str) -> None:
    made = make.make_tenant()
    browser = sign_in(make.make_user(role, organization=made.organization))

    status = browser.get(f"{_page(made)}rotate/").status_code
    sent = browser.post(f"{_page(made)}rotate/", {"overlap": "0"}).status_code

    assert (status, sent) == (403, 403)
    assert len(_keys(made)) == 1


def test_a_strangers_key_is_not_there() -> None:
    made, stranger = make.make_tenant(), make.make_tenant()

    answer = sign_in(stranger.owner).post(f"{_page(made)}rotate/", {"overlap": "0"})

    assert answer.status_code == 404
    assert len(_keys(made)) == 1
