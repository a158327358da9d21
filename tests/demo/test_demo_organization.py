"""The demo's organizations: the one that is lived in, and the empty one beside it."""

from pathlib import Path

import pytest
from pytest_django import Settings

from apps_registry.models import App, Organization, User
from apps_registry.tenancy import tenant
from postbacks.demo import organization as demo

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path  # where the demo keeps its password


def test_the_owner_starts_in_the_full_organization_and_can_switch_to_the_empty_one() -> None:
    made = demo.set_up("http://127.0.0.1:9000")
    demo.set_up("http://127.0.0.1:9000")

    owner = User.objects.get(email="owner@gemharbor.example")
    names = [membership.organization.name for membership in owner.memberships_for_sign_in()]

    assert names == [made.organization.name, demo.EMPTY_NAME]
    with tenant(Organization.objects.get(name=demo.EMPTY_NAME).pk):
        assert not App.objects.exists()


def test_only_the_owner_knows_the_empty_organization() -> None:
    demo.set_up("http://127.0.0.1:9000")

    marketer = User.objects.get(email="marketer@gemharbor.example")

    assert marketer.memberships_for_sign_in().count() == 1
