"""The audit log's page: what people do in the admin stands there, and can be found and asked."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps_registry.audit.actions import Action
from apps_registry.audit.actors import Actor, ActorKind, Door, acting_as
from apps_registry.models import AuditEntry, Membership
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.models import CallbackRule, RuleStatus
from postbacks.rulebook import saving
from tests import make
from tests.admin.pages import sign_in, submit

pytestmark = pytest.mark.django_db(transaction=True)

LOG = "/admin/apps_registry/auditentry/"
RULES = "/admin/postbacks/callbackrule/"


def newest(made: make.Tenant) -> AuditEntry:
    with tenant(made.organization.pk):
        return AuditEntry.objects.order_by("-id")[0]


def text(client: Client, address: str) -> str:
    page = client.get(address)
    assert page.status_code == 200
    return words(page.content.decode())


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def names(client: Client, query: str) -> list[str]:
    page = client.get(f"{LOG}?{query}")
    assert page.status_code == 200
    return [row.object_name for row in page.context["cl"].page.rows]


def switch(made: make.Tenant, rule: CallbackRule, status: str, *, by: str) -> datetime:
    with acting_as(Actor(ActorKind.PERSON, by, Door.WEB)), tenant(made.organization.pk):
        rule.status = status
        saving.save(rule, by=None)
    return newest(made).at


def asked(made: make.Tenant, rule: CallbackRule, moment: datetime) -> str:
    address = f"{LOG}?rule={rule.pk}&moment={moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    page = sign_in(made.owner).get(address)
    answer = page.content.decode().partition('role="status">')[2].partition("</p>")[0]
    return words(answer)


def test_a_form_is_kept_with_its_person_and_address() -> None:
    made = make.make_tenant()

    submit(sign_in(made.owner), f"/admin/apps_registry/app/{made.app.pk}/change/", {"name": "New"})

    entry = newest(made)
    assert (entry.actor_name, entry.actor_id) == (made.owner.email, made.owner.pk)
    assert (entry.actor_kind, entry.door, entry.ip_address) == ("person", "web", "127.0.0.1")
    assert entry.changes == {"name": ["Gem Harbor iOS", "New"]}


def test_the_address_is_the_one_that_the_trusted_proxy_saw(settings: pytest.FixtureRequest) -> None:
    settings.TRUSTED_PROXY_COUNT = 1  # type: ignore[attr-defined]  # Django's settings
    made = make.make_tenant()
    browser = sign_in(made.owner)
    browser.defaults["HTTP_X_FORWARDED_FOR"] = "203.0.113.7, 198.51.100.9"

    submit(browser, f"/admin/apps_registry/app/{made.app.pk}/change/", {"name": "New"})

    assert newest(made).ip_address == "198.51.100.9"


def test_a_credential_of_a_partners_form_is_kept_without_its_value() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        partner = make.make_partner()
    secret = "a-secret-of-some-length"

    submit(
        sign_in(made.owner),
        f"/admin/apps_registry/partner/{partner.pk}/change/",
        {
            "credentials-TOTAL_FORMS": "1",
            "credentials-0-name": "api_key",
            "credentials-0-secret": secret,
        },
    )

    entry = newest(made)
    assert (entry.action, entry.object_type) == (Action.CREATED, "partner_credential")
    assert entry.changes == {"name": [None, "api_key"], "secret": [None, "•••"]}
    with connection.cursor() as cursor, tenant(made.organization.pk):
        cursor.execute(
            "SELECT count(*) FROM audit_entry WHERE audit_entry::text LIKE %s", [f"%{secret}%"]
        )
        assert cursor.fetchone() == (0,)


def test_an_action_on_a_list_is_kept_for_each_row() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rules = [make.make_rule(), make.make_rule()]

    sign_in(made.owner).post(
        RULES,
        {"action": "pause", "_selected_action": [rule.pk for rule in rules], "confirmed": "1"},
    )

    with tenant(made.organization.pk):
        kept = list(AuditEntry.objects.filter(action=Action.SWITCHED_OFF))
    assert {entry.object_name for entry in kept} == {rule.name for rule in rules}
    assert {entry.actor_name for entry in kept} == {made.owner.email}


def test_a_members_new_role_is_kept() -> None:
    made = make.make_tenant()
    analyst = make.make_user(Role.ANALYST, organization=made.organization)
    membership = Membership.objects.get(user=analyst)

    submit(
        sign_in(made.owner),
        f"/admin/apps_registry/membership/{membership.pk}/change/",
        {"role": Role.MARKETER},
    )

    entry = newest(made)
    assert (entry.object_name, entry.actor_name) == (analyst.email, made.owner.email)
    assert entry.changes == {"role": ["analyst", "marketer"]}


def test_djangos_own_log_stays_empty() -> None:
    made = make.make_tenant()

    submit(sign_in(made.owner), f"/admin/apps_registry/app/{made.app.pk}/change/", {"name": "New"})

    assert LogEntry.objects.count() == 0


@pytest.mark.parametrize("role", Role.values)
def test_every_member_reads_the_log_in_words(role: str) -> None:
    made = make.make_tenant()
    member = make.make_user(role, organization=made.organization)
    with tenant(made.organization.pk):
        rule = make.make_rule()
    switch(made, rule, RuleStatus.PAUSED, by="ada@example.com")

    page = text(sign_in(member), LOG)

    assert "ada@example.com Web Switched off" in page
    assert "Status : Active → to Paused" in page


@pytest.mark.parametrize("role", Role.values)
@pytest.mark.parametrize("page", ["add/", "{}/change/", "{}/delete/"])
def test_nobody_writes_or_deletes_an_entry_in_the_admin(role: str, page: str) -> None:
    made = make.make_tenant()
    browser = sign_in(make.make_user(role, organization=made.organization))
    entry = newest(made)

    answer = browser.post(f"{LOG}{page.format(entry.pk)}", {"actor_name": "nobody", "post": "yes"})
    deleted = browser.post(
        LOG, {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"}
    )

    assert answer.status_code in {403, 404}
    assert deleted.status_code in {200, 302, 403}
    assert newest(made).actor_name == entry.actor_name


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=moss", ["Moss Valley"]),
        ("who=grace", ["Moss Valley"]),
        ("who=grace&action=archived", []),
        ("kind=app&action=created&q=moss", ["Moss Valley"]),
        ("kind=campaign", []),
        ("until=2020-01-01T00:00", []),
        ("since=2020-01-01T00:00&q=moss", ["Moss Valley"]),
    ],
)
def test_entries_are_found_by_filters_in_the_address(query: str, found: list[str]) -> None:
    made = make.make_tenant()
    with (
        acting_as(Actor(ActorKind.PERSON, "grace@example.com", Door.WEB)),
        tenant(made.organization.pk),
    ):
        type(made.app).objects.create(name="Moss Valley", platform="android")

    assert names(sign_in(made.owner), query) == found


def test_a_filter_that_can_not_be_read_is_refused_in_words() -> None:
    made = make.make_tenant()

    page = text(sign_in(made.owner), f"{LOG}?action=nothing&object=nothing")

    assert "Correct the filter that is marked above" in page


def test_the_history_of_a_row_is_what_the_audit_log_has_of_it() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    submit(browser, f"/admin/apps_registry/app/{made.app.pk}/change/", {"name": "New"})

    history = text(browser, f"/admin/apps_registry/app/{made.app.pk}/history/")
    linked = names(browser, f"object={made.app.public_id}")

    assert f"{made.owner.email} Web · 127.0.0.1 Changed Name : Gem Harbor iOS → to New" in history
    assert linked == ["New", "Gem Harbor iOS"]


def test_an_entry_has_a_page_with_all_that_changed() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        make.make_rule(url="https://ads.example.com/a?b={{event_name}}")

    page = text(sign_in(made.owner), f"{LOG}{newest(made).pk}/change/")

    assert "https://ads.example.com/a?b={{event_name}}" in page
    assert "Callback rule" in page


def test_the_question_is_answered_across_several_switches() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule(name="Purchases", status=RuleStatus.DRAFT)
    made_at = newest(made).at
    on = switch(made, rule, RuleStatus.ACTIVE, by="ada@example.com")
    off = switch(made, rule, RuleStatus.PAUSED, by="bob@example.com")
    switch(made, rule, RuleStatus.ACTIVE, by="eve@example.com")
    tick = timedelta(microseconds=1)

    first, second, third, now = (
        asked(made, rule, moment)
        for moment in (made_at + tick, on + tick, off + tick, timezone.now())
    )

    assert "“Purchases” was off (draft). Created by" in first
    assert "“Purchases” was on. Switched on by ada@example.com at" in second
    assert "set to paused by bob@example.com at" in second
    assert "“Purchases” was off (paused). Set to paused by bob@example.com at" in third
    assert "; switched on by eve@example.com at" in third
    assert "“Purchases” was on. Switched on by eve@example.com at" in now


def test_before_its_creation_a_rule_did_not_exist() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule(name="Purchases")

    answer = asked(made, rule, timezone.now() - timedelta(days=3))

    assert "the rule “Purchases” did not exist: it was created at" in answer


def test_what_was_before_the_log_began_nobody_can_say() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule()
        CallbackRule.objects.update(created_at=timezone.now() - timedelta(days=9))

    answer = asked(made, rule, timezone.now() - timedelta(days=3))

    assert "nobody can say: the audit log begins at" in answer


def test_a_question_that_names_no_moment_is_asked_back() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule()

    page = text(sign_in(made.owner), f"{LOG}?rule={rule.pk}")

    assert "Choose a moment." in page


def test_nobody_is_told_what_a_rule_will_be() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule()

    tomorrow = timezone.now() + timedelta(days=1)
    page = text(sign_in(made.owner), f"{LOG}?rule={rule.pk}&moment={tomorrow:%Y-%m-%dT%H:%M}")

    assert "This moment is still to come." in page
    assert "was on." not in page


def test_another_organizations_rule_can_not_be_asked_about() -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")
    with tenant(theirs.organization.pk):
        rule = make.make_rule(name="Theirs alone")

    page = text(sign_in(ours.owner), f"{LOG}?rule={rule.pk}&moment=2026-01-01T10:00")

    assert "Theirs alone" not in page
    assert "There is no such rule." in page


def test_a_list_that_is_taken_away_is_kept_with_its_filters() -> None:
    made = make.make_tenant()

    answer = sign_in(made.owner).get("/admin/apps_registry/app/export/?platform=ios")

    entry = newest(made)
    assert answer.status_code == 200
    assert (entry.action, entry.object_name) == (Action.EXPORTED, "apps")
    assert entry.changes == {"filters": [None, "platform=ios"]}


def test_the_log_itself_can_be_taken_away() -> None:
    made = make.make_tenant()

    answer = sign_in(made.owner).get(f"{LOG}export/?action=created&kind=app")

    file = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]  # it streams
    assert "Gem Harbor iOS" in file
    assert "Name: — → Gem Harbor iOS; Platform: — → iOS" in file


def test_the_scopes_of_a_token_are_named_as_its_form_names_them() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    token = {"name": "Reports", "role": "marketer", "scopes": ["read", "set_up"]}

    submit(browser, "/admin/apps_registry/apitoken/add/", token)
    entry = newest(made)

    page = text(browser, f"{LOG}{entry.pk}/change/")
    assert "Read, Set up" in page
    assert "set_up" not in page
