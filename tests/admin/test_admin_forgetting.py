"""The page that forgets a device: a look first, then the work, then what was done."""

from datetime import timedelta
from typing import Any

import pytest

from apps_registry.models import AuditEntry
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.infrastructure.database import roles
from postbacks.models import ErasureRequest, Event, Install
from postbacks.privacy.erasure import work
from tests import make
from tests.admin.pages import sign_in
from tests.database import as_role
from tests.events import event, record

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/admin/forget-device/"
GAID = "7d9f2c10-3b64-4f0e-9a51-5e8c1b2a000d"


@pytest.fixture
def gem() -> make.Tenant:
    gem = make.make_tenant()
    record(gem, event("install", gaid=GAID), event("purchase", gaid=GAID, revenue="4.99"))
    with as_role(roles.WORKER):
        while pipeline.work():
            pass
    return gem


def _form(gem: make.Tenant, **fields: Any) -> dict[str, Any]:
    return {"app": gem.app.pk, "kind": "gaid", "value": GAID, "mode": "forget", **fields}


def test_an_owner_looks_says_yes_and_sees_it_done(gem: make.Tenant) -> None:
    browser = sign_in(gem.owner)

    look = browser.post(PAGE, _form(gem)).content.decode()
    with tenant(gem.organization.pk):
        before = ErasureRequest.objects.count()
    done = browser.post(PAGE, _form(gem, confirmed="yes"))
    waiting = browser.get(PAGE).content.decode()
    with as_role(roles.WORKER):
        while work(20.0, last_pass_after=timedelta(0)):
            pass
    after = browser.get(PAGE).content.decode()

    assert "1 install<" in look
    assert "2 events<" in look
    assert before == 0
    assert done.status_code == 302
    assert "Waiting" in waiting
    assert GAID not in waiting
    assert "•••000d" in after
    assert ">Done<" in after
    with tenant(gem.organization.pk):
        assert GAID not in str(list(Event.objects.values()) + list(Install.objects.values()))
        assert AuditEntry.objects.filter(object_type__icontains="erasure").exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"value": ""}, "This field is required."),
        ({"value": "00000000-0000-0000-0000-000000000000"}, "instead of an ID"),
        ({"kind": "nonsense"}, "Select a valid choice."),
    ],
)
def test_what_is_no_device_is_refused_beside_its_field(
    gem: make.Tenant, fields: dict[str, str], words: str
) -> None:
    answer = sign_in(gem.owner).post(PAGE, _form(gem, confirmed="yes", **fields))

    assert words in answer.content.decode()
    with tenant(gem.organization.pk):
        assert not ErasureRequest.objects.exists()


def test_another_organizations_app_can_not_be_named(gem: make.Tenant) -> None:
    other = make.make_tenant()

    answer = sign_in(other.owner).post(PAGE, _form(gem, confirmed="yes"))

    assert "Select a valid choice" in answer.content.decode()
    with tenant(gem.organization.pk):
        assert not ErasureRequest.objects.exists()


@pytest.mark.parametrize("role", [Role.MARKETER, Role.ANALYST])
def test_others_see_requests_and_can_not_make_any(gem: make.Tenant, role: str) -> None:
    browser = sign_in(make.make_user(role, organization=gem.organization))

    page = browser.get(PAGE)
    answer = browser.post(PAGE, _form(gem, confirmed="yes"))

    assert page.status_code == 200
    assert "An owner of your organization" in page.content.decode()
    assert answer.status_code == 403
