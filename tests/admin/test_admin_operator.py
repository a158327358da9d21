"""An operator sees health and names; what an organization has, only on a visit that shows."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from apps_registry.models import (
    ApiToken,
    App,
    AuditEntry,
    Invitation,
    Membership,
    Organization,
    User,
)
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.models import WorkerHeartbeat
from postbacks.web import visits
from tests import make
from tests.admin.pages import sign_in
from tests.database import as_role
from tests.isolation.account_calls import account_calls
from tests.isolation.admin_calls import admin_calls
from tests.isolation.api_calls import Description, api_calls
from tests.isolation.calls import leak_in
from tests.isolation.calls import make as call
from tests.isolation.evidence import fingerprint
from tests.isolation.routes import swept_routes
from tests.isolation.story import MARKER, Story, live_through, mark
from tests.isolation.visitors import owner_of

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = ["/admin/installation/", "/admin/organizations/"]


def make_operator() -> User:
    return User.objects.create_superuser("operator@example.com", "correct horse battery")


def enter(browser: Client, organization: Organization, **fields: str) -> int:
    answer = browser.post(
        f"/admin/organizations/{organization.public_id}/enter/",
        {"reason": "Ticket 4711", "purpose": "look", **fields},
    )
    return answer.status_code


def log_of(organization: Organization) -> list[AuditEntry]:
    with tenant(organization.pk):
        return list(AuditEntry.objects.filter(action__in=["visited", "left"]).order_by("pk"))


def text(browser: Client, path: str) -> str:
    answer = browser.get(path)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


@pytest.fixture
def operator() -> User:
    return make_operator()


def test_an_operator_without_an_organization_signs_in_and_lands_at_the_installation() -> None:
    make_operator()

    answer = Client().post(
        "/accounts/login/?next=/admin/",
        {"login": "operator@example.com", "password": "correct horse battery"},
        follow=True,
    )

    assert answer.redirect_chain[-1] == ("/admin/installation/", 302)
    assert "Everything" in answer.content.decode() or "Something" in answer.content.decode()


@pytest.mark.parametrize("path", PAGES)
def test_nobody_else_gets_in(path: str) -> None:
    story = live_through("Gem Harbor")
    entry = f"/admin/organizations/{story.tenant.organization.public_id}/enter/"

    owner = sign_in(story.tenant.owner)

    assert [owner.get(page).status_code for page in (path, entry)] == [403, 403]
    assert owner.post("/admin/leave-organization/").status_code == 403
    assert enter(owner, story.tenant.organization) == 403
    assert log_of(story.tenant.organization) == []
    stranger = Client().get(path)
    assert stranger.status_code == 302
    assert stranger.headers["Location"].startswith("/admin/login/")
    assert path not in owner.get("/admin/").content.decode()


def test_the_installation_page_says_what_to_do_about_what_is_bad(operator: User) -> None:
    story = live_through("Gem Harbor")
    assert story.keys
    WorkerHeartbeat.objects.create(name="host-1:pump:0", beat_at=datetime.now(UTC))

    page = text(sign_in(operator), "/admin/installation/")

    assert "No worker has run yet" in page
    assert "Start manage.py worker; its log says why it ended." in page
    assert "Could not be decided and are tried again: 1." in page
    assert "In the queue: 1. Due now: 1." in page
    assert "Waiting for a decision: 1, the oldest for" in page
    assert "host-1:pump:0" in page
    assert "The database answers." in page


def test_organizations_are_listed_with_counts(operator: User) -> None:
    story = live_through("Gem Harbor")
    make.make_organization("Moss Valley")

    page = text(sign_in(operator), "/admin/organizations/")

    row = page[page.index(story.tenant.organization.name) :].partition("</tr>")[0]
    numbers = re.findall(r'pb-number">(\d+)', row)
    assert numbers == ["1", "1"], "one member, one event"
    assert "<time" in row
    assert "none yet" in page


def test_organizations_are_found_by_name_and_id_and_paged(operator: User) -> None:
    Organization.objects.bulk_create(Organization(name=f"Studio {n:02}") for n in range(30))
    wanted = Organization.objects.get(name="Studio 17")
    browser = sign_in(operator)

    first, second = (text(browser, f"/admin/organizations/?page={n}") for n in (1, 2))
    by_name = text(browser, "/admin/organizations/?q=studio+17")
    by_id = text(browser, f"/admin/organizations/?q={wanted.public_id}")

    assert "Page 1 of 2" in first
    assert ("Studio 24" in first, "Studio 25" in first) == (True, False)
    assert "Studio 29" in second
    for page in (by_name, by_id):
        assert "Studio 17" in page
        assert "Studio 18" not in page
    assert "Nothing found" in text(browser, "/admin/organizations/?q=nobody")


def test_a_visit_to_look_shows_what_an_analyst_sees(operator: User) -> None:
    story = live_through("Gem Harbor")
    organization = story.tenant.organization
    browser = sign_in(operator)

    assert enter(browser, organization) == 302

    page = text(browser, "/admin/apps_registry/app/")
    assert "You are visiting" in page
    assert organization.name in page
    assert story.tenant.app.name in page
    assert browser.get("/admin/apps_registry/app/add/").status_code == 403
    (entry,) = log_of(organization)
    assert (entry.action, entry.actor_kind, entry.actor_name) == (
        "visited",
        "operator",
        "operator@example.com",
    )
    assert entry.changes == {"reason": [None, "Ticket 4711"], "role": [None, "analyst"]}
    assert not Membership.objects.filter(user=operator).exists()


def test_a_visit_to_help_may_change_things_in_the_operators_name(operator: User) -> None:
    story = live_through("Gem Harbor")
    browser = sign_in(operator)
    enter(browser, story.tenant.organization, purpose="help")

    answer = browser.post(
        "/admin/apps_registry/app/",
        {"action": "archive", "_selected_action": story.keys[App], "confirmed": "yes"},
    )

    assert answer.status_code == 302
    with tenant(story.organization_id):
        entry = AuditEntry.objects.get(action="archived")
        assert (entry.actor_kind, entry.actor_id) == ("operator", operator.pk)


def test_nobody_enters_without_a_reason(operator: User) -> None:
    organization = make.make_organization()
    browser = sign_in(operator)

    assert enter(browser, organization, reason="  ") == 200
    assert enter(browser, organization, purpose="everything") == 200

    assert log_of(organization) == []
    assert browser.get("/admin/").status_code == 302


def test_leaving_ends_the_visit_and_is_written_down(operator: User) -> None:
    organization = make.make_organization()
    browser = sign_in(operator)
    enter(browser, organization)

    browser.post("/admin/leave-organization/")

    assert [entry.action for entry in log_of(organization)] == ["visited", "left"]
    assert browser.get("/admin/").headers["Location"] == "/admin/installation/"


def test_a_visit_can_be_left_where_the_organization_requires_a_second_factor(
    operator: User,
) -> None:
    organization = make.make_tenant().organization
    Organization.objects.filter(pk=organization.pk).update(require_second_factor=True)
    browser = sign_in(operator)
    enter(browser, organization)

    inside = browser.get("/admin/")
    health = browser.get("/admin/installation/")
    left = browser.post("/admin/leave-organization/")

    assert inside["Location"] == "/accounts/second-factor/"
    assert health.status_code == 200
    assert left["Location"] == "/admin/organizations/"
    assert [entry.action for entry in log_of(organization)] == ["visited", "left"]


def test_signing_out_ends_the_visit_too(operator: User) -> None:
    organization = make.make_organization()
    browser = sign_in(operator)
    enter(browser, organization)

    browser.post("/admin/logout/")

    assert log_of(organization)[-1].changes == {"reason": [None, "signed out"]}


def test_a_visit_ends_by_itself_after_an_hour(operator: User) -> None:
    organization = make.make_organization()
    browser = sign_in(operator)
    enter(browser, organization)
    session = browser.session
    session["visit"]["until"] = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    session.save()

    answer = browser.get("/admin/apps_registry/app/")

    assert answer.headers["Location"] == "/admin/installation/"
    assert log_of(organization)[-1].changes == {"reason": [None, "the hour was over"]}


def test_whoever_is_no_operator_any_more_is_out(operator: User) -> None:
    organization = make.make_organization()
    browser = sign_in(operator)
    enter(browser, organization)
    User.objects.filter(pk=operator.pk).update(is_superuser=False)

    answer = browser.get("/admin/apps_registry/app/")

    assert answer.status_code == 302
    assert log_of(organization)[-1].action == "left"


def test_a_second_visit_leaves_the_first(operator: User) -> None:
    first, second = make.make_organization("Gem Harbor"), make.make_organization("Moss Valley")
    browser = sign_in(operator)

    enter(browser, first)
    enter(browser, second)

    assert [entry.action for entry in log_of(first)] == ["visited", "left"]
    assert [entry.action for entry in log_of(second)] == ["visited"]
    assert second.name in text(browser, "/admin/")


def test_an_operator_who_is_a_member_keeps_the_own_role(operator: User) -> None:
    organization = make.make_organization()
    Membership.objects.create(organization=organization, user=operator, role=Role.OWNER)
    browser = sign_in(operator)

    assert enter(browser, organization) == 302

    page = text(browser, "/admin/apps_registry/app/")
    assert "You are visiting" not in page
    assert browser.get("/admin/apps_registry/app/add/").status_code == 200
    assert "Installation" in page
    assert log_of(organization) == []


def test_an_organization_that_is_being_removed_can_not_be_entered(operator: User) -> None:
    organization = make.make_organization()
    organization.removed_at = datetime.now(UTC)
    organization.save()
    browser = sign_in(operator)

    assert enter(browser, organization) == 404
    assert "Being removed" in text(browser, "/admin/organizations/")


@pytest.fixture
def victim() -> Story:
    """A tenant whose every text is marked but its name, which operators may know."""
    story = live_through("Victim")
    mark(story)
    with as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute("UPDATE organization SET name = 'Victim'")
    return story


def test_an_operator_without_a_visit_sees_and_changes_nothing_of_an_organization(
    operator: User, victim: Story
) -> None:
    browser, description = sign_in(operator), Description()
    as_owner = replace(owner_of(victim), person=operator, is_thorough=True)
    before, found, tried = fingerprint(victim), [], 0
    entry = f"/admin/organizations/{victim.tenant.organization.public_id}/enter/"
    sign_out = {"/admin/logout/", "/accounts/logout/"}

    for route in swept_routes():
        if route.template.startswith("/admin/"):
            calls = admin_calls(route, victim, as_owner, browser)
        elif route.template.startswith("/accounts/"):
            calls = account_calls(route, victim)
        else:
            calls = api_calls(route, victim, as_owner, description)
        for one in calls:
            if one.method == "POST" and one.path in {entry, *sign_out}:
                continue
            tried += 1
            if leak := leak_in(one, call(browser, one, {})):
                found.append(str(leak))

    assert tried > 500
    assert found == []
    assert fingerprint(victim) == before
    assert MARKER not in Session.objects.get().session_data


def test_an_operator_is_made_by_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATOR_PASSWORD", "correct horse battery")

    call_command("createoperator", "Root@Example.com", stdout=StringIO())

    made = User.objects.get(email="root@example.com")
    assert made.is_superuser
    assert made.check_password("correct horse battery")


def test_a_password_can_be_made_and_is_shown_once() -> None:
    output = StringIO()

    call_command("createoperator", "root@example.com", "--generate-password", stdout=output)

    (password,) = re.findall(r"shown only now: (\S+)", output.getvalue())
    assert User.objects.get().check_password(password)


def test_a_member_becomes_an_operator_and_keeps_the_password() -> None:
    owner = make.make_tenant().owner

    call_command("createoperator", owner.email, stdout=StringIO())

    owner.refresh_from_db()
    assert owner.is_superuser
    assert owner.check_password("correct horse battery")


@pytest.mark.parametrize(
    ("email", "password"), [("root", "correct horse battery"), ("a@b.co", "short")]
)
def test_a_wrong_operator_is_not_made(
    email: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPERATOR_PASSWORD", password)

    with pytest.raises(CommandError):
        call_command("createoperator", email, stdout=StringIO())

    assert not User.objects.exists()


def test_whoever_is_deactivated_on_a_visit_is_out_and_the_visit_ends(operator: User) -> None:
    made = make.make_tenant()
    browser = sign_in(operator)
    enter(browser, made.organization)
    User.objects.filter(pk=operator.pk).update(is_active=False)

    answers = [browser.get(path) for path in ("/admin/", "/accounts/login/")]

    assert [answer.status_code for answer in answers] == [302, 200]
    left = log_of(made.organization)[-1]
    assert (left.action, left.actor_kind) == ("left", "system")


@pytest.mark.parametrize(("purpose", "made_for"), [("look", []), ("help", [None])])
def test_no_token_of_an_operators_own_is_left_of_a_visit(
    operator: User, purpose: str, made_for: list[None]
) -> None:
    made = make.make_tenant()
    browser = sign_in(operator)
    enter(browser, made.organization, purpose=purpose)

    browser.post(
        "/admin/apps_registry/apitoken/add/",
        {"name": "mine", "owner": "personal", "role": "analyst", "scopes": ["read"]},
    )

    with tenant(made.organization.pk):
        tokens = ApiToken.objects.filter(name="mine")
        assert list(tokens.values_list("user_id", flat=True)) == made_for


@pytest.mark.parametrize("end", ["", "2099-01-31T00:00"])
def test_a_token_made_on_a_visit_ends_with_it(operator: User, end: str) -> None:
    made = make.make_tenant()
    browser = sign_in(operator)
    enter(browser, made.organization, purpose="help")
    wish = {"name": "help", "role": "owner", "scopes": ["read", "manage"], "expires_at": end}

    page = browser.post("/admin/apps_registry/apitoken/add/", wish)

    with tenant(made.organization.pk):
        token = ApiToken.objects.get(name="help")
    assert "ends with your visit" in page.content.decode()
    assert token.expires_at is not None
    assert token.expires_at <= datetime.now(UTC) + visits.LENGTH
    path = f"/admin/apps_registry/apitoken/{token.pk}/change/"
    browser.post(path, {"name": "longer", "expires_at": "2099-01-31T00:00"})
    with tenant(made.organization.pk):
        assert ApiToken.objects.get(name="longer").expires_at == token.expires_at


@pytest.mark.parametrize("address", ["operator@example.com", "Operator@Example.com"])
def test_a_visiting_operator_does_not_invite_themselves(operator: User, address: str) -> None:
    made = make.make_tenant()
    browser = sign_in(operator)
    enter(browser, made.organization, purpose="help")

    page = browser.post("/admin/apps_registry/invitation/add/", {"email": address, "role": "owner"})

    assert "This is your own address" in page.content.decode()
    assert not Invitation.objects.filter(organization=made.organization).exists()
