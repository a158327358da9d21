"""The commands that an operator types."""

from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, call_command

from apps_registry.models import Membership, Organization, User
from apps_registry.roles import Role
from postbacks.infrastructure.database import roles
from tests import database

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_organization_is_created_with_an_owner_who_can_sign_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OWNER_PASSWORD", "correct horse battery")
    output = StringIO()

    call_command("createorganization", "Gem Harbor", "Owner@Example.com", stdout=output)

    owner = User.objects.get(email="owner@example.com")
    organization = Organization.objects.get(name="Gem Harbor")
    assert owner.check_password("correct horse battery")
    assert Membership.objects.get(user=owner, organization=organization).role == Role.OWNER
    assert str(organization.public_id) in output.getvalue()


@pytest.mark.parametrize(
    ("name", "email", "password", "complaint"),
    [
        ("", "owner@example.com", "correct horse battery", "blank"),
        ("Gem Harbor", "owner", "correct horse battery", "valid email"),
        ("Gem Harbor", "owner@example.com", "short", "too short"),
    ],
)
def test_a_wrong_organization_creates_nothing(
    name: str, email: str, password: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWNER_PASSWORD", password)

    with pytest.raises(CommandError, match=complaint):
        call_command("createorganization", name, email)

    assert not Organization.objects.exists()
    assert not User.objects.exists()


def test_roles_can_be_set_up_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_ADMIN_URL", database.superuser_conninfo())
    output = StringIO()

    call_command("setup_roles", stdout=output)
    call_command("setup_roles", stdout=output)

    with psycopg.connect(database.superuser_conninfo()) as connection:
        messages = {problem.message for problem in roles.problems(connection)}
    assert all("superuser" in message for message in messages), (
        "only the tests' own login is mighty"
    )
    assert output.getvalue().count("can turn into") == 2


def test_roles_cannot_be_set_up_by_a_login_without_rights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(
        "DATABASE_ADMIN_URL", database.superuser_conninfo().replace("postgres", "nobody_at_all")
    )

    with pytest.raises(CommandError, match="DATABASE_ADMIN_URL"):
        call_command("setup_roles")


def test_roles_of_a_missing_database_say_how_to_create_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_ADMIN_URL", database.superuser_conninfo("not_made_yet"))

    with pytest.raises(CommandError, match='CREATE DATABASE "not_made_yet";'):
        call_command("setup_roles")
