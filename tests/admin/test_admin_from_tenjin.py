"""The page for those who come from Tenjin."""

import html
import re
import subprocess

import pytest
from django.test import override_settings
from pytest_django.live_server_helper import LiveServer

from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.models import Event
from tests import make
from tests.admin.pages import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = "/admin/apps_registry/sdkkey/from-tenjin/"


def test_the_command_on_the_page_works_with_a_key_of_the_app() -> None:
    gem = make.make_tenant()
    server = LiveServer("127.0.0.1")
    with override_settings(PUBLIC_URL=server.url):
        page = sign_in(gem.owner).get(ADDRESS).content.decode()
    command = html.unescape(re.search(r"curl http.*?(?=<)", page, re.DOTALL)[0])

    with_key = command.replace("YOUR_SDK_KEY", gem.sdk_key)
    done = subprocess.run(["sh", "-c", with_key], capture_output=True, check=True, timeout=30)
    server.stop()

    assert done.stdout == b'{"code":200}'
    with tenant(gem.organization.pk):
        assert Event.objects.get().event_name == "open"


@pytest.mark.parametrize("role", list(Role))
def test_every_member_may_read_it_from_the_list_of_keys(role: Role) -> None:
    gem = make.make_tenant()
    browser = sign_in(make.make_user(role, organization=gem.organization))

    listed = browser.get("/admin/apps_registry/sdkkey/").content.decode()
    page = browser.get(ADDRESS)

    assert page.status_code == 200
    assert ADDRESS in listed
    assert ("Add an SDK key" in page.content.decode()) is (role == Role.OWNER)


def test_without_an_app_there_is_an_example() -> None:
    organization = make.make_organization()

    page = sign_in(make.make_user(organization=organization)).get(ADDRESS)

    assert "com.example.game" in page.content.decode()
