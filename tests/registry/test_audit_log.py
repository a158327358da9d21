"""The audit log takes down every change by itself, without secrets, and nobody can rewrite it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from apps_registry.audit.actions import Action
from apps_registry.audit.actors import Actor, ActorKind, Door, acting_as
from apps_registry.audit.audited_model import log_action
from apps_registry.models import (
    App,
    AuditEntry,
    BundleId,
    Membership,
    Organization,
    PartnerCredential,
    SdkKey,
)
from apps_registry.models.audit import AppendOnlyError
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.models import RuleStatus
from postbacks.rulebook import saving
from tests import make
from tests.database import as_role

pytestmark = pytest.mark.django_db(transaction=True)

ADA = Actor(ActorKind.PERSON, "ada@example.com", Door.WEB, user_id=7, address="192.0.2.1")


def newest(made: make.Tenant) -> AuditEntry:
    return entries(made)[0]


def entries(made: make.Tenant) -> list[AuditEntry]:
    with tenant(made.organization.pk):
        return list(AuditEntry.objects.order_by("-id"))


def run(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def test_a_change_is_kept_with_who_made_it_from_where_and_from_what_to_what() -> None:
    made = make.make_tenant()

    with acting_as(ADA), tenant(made.organization.pk):
        made.app.name = "Gem Harbor 2"
        made.app.save()

    entry = newest(made)
    assert (entry.actor_kind, entry.actor_name, entry.actor_id) == ("person", "ada@example.com", 7)
    assert (entry.door, entry.ip_address) == ("web", "192.0.2.1")
    assert (entry.action, entry.object_type) == (Action.CHANGED, "app")
    assert (entry.object_id, entry.object_name) == (str(made.app.public_id), "Gem Harbor 2")
    assert entry.changes == {"name": ["Gem Harbor iOS", "Gem Harbor 2"]}


def test_a_save_that_changes_nothing_leaves_no_entry() -> None:
    made = make.make_tenant()
    before = len(entries(made))

    with tenant(made.organization.pk):
        made.app.save()

    assert len(entries(made)) == before


def test_a_change_that_is_undone_leaves_no_entry() -> None:
    made = make.make_tenant()
    before = len(entries(made))

    made.app.name = "Another"
    with tenant(made.organization.pk):
        made.app.save()
        transaction.set_rollback(True)

    assert len(entries(made)) == before


def test_a_new_row_is_kept_with_what_it_says() -> None:
    made = make.make_tenant()

    with tenant(made.organization.pk):
        make.make_campaign(made.app, make.make_partner("Unity Ads"))

    entry = newest(made)
    assert (entry.action, entry.object_type) == (Action.CREATED, "campaign")
    assert entry.changes["app"] == [None, "Gem Harbor iOS"]
    assert "remote_campaign_id" not in entry.changes


def test_a_deleted_row_is_kept_with_what_it_said() -> None:
    made = make.make_tenant()
    bundle_id = made.bundle_id.identifier

    with tenant(made.organization.pk):
        made.bundle_id.delete()

    entry = newest(made)
    assert (entry.action, entry.object_type) == (Action.DELETED, "bundle_id")
    assert entry.changes["identifier"] == [bundle_id, None]


def test_rows_that_are_deleted_at_once_leave_an_entry_each() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        BundleId.objects.create(app=made.app, identifier="com.example.second")

    with tenant(made.organization.pk):
        made.app.bundle_ids.all().delete()

    assert [entry.action for entry in entries(made)[:2]] == [Action.DELETED] * 2


def test_rows_that_are_changed_at_once_leave_an_entry_each() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        App.objects.create(name="Moss Valley", platform="android")

    with tenant(made.organization.pk):
        changed = App.objects.filter(time_zone="UTC").update(time_zone="Europe/Berlin")

    newest_two = entries(made)[:2]
    assert changed == 2
    assert [entry.changes for entry in newest_two] == [{"time_zone": ["UTC", "Europe/Berlin"]}] * 2


def test_what_a_machine_notes_leaves_no_entry() -> None:
    made = make.make_tenant()
    before = len(entries(made))

    with tenant(made.organization.pk):
        SdkKey.objects.update(last_used_at=timezone.now())

    assert len(entries(made)) == before


@pytest.mark.parametrize(
    ("before", "after", "action"),
    [
        (RuleStatus.DRAFT, RuleStatus.ACTIVE, Action.SWITCHED_ON),
        (RuleStatus.ACTIVE, RuleStatus.PAUSED, Action.SWITCHED_OFF),
        (RuleStatus.PAUSED, RuleStatus.ACTIVE, Action.SWITCHED_ON),
        (RuleStatus.ACTIVE, RuleStatus.SUSPENDED, Action.SUSPENDED),
        (RuleStatus.ACTIVE, RuleStatus.ARCHIVED, Action.ARCHIVED),
        (RuleStatus.DRAFT, RuleStatus.PAUSED, Action.CHANGED),
    ],
)
def test_a_rules_status_is_kept_as_what_it_means(before: str, after: str, action: Action) -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule(status=before)

    with tenant(made.organization.pk):
        rule.status = after
        saving.save(rule, by=None)

    entry = newest(made)
    assert (entry.action, entry.object_type) == (action, "callback_rule")
    assert entry.changes == {"status": [before, after]}


def test_what_a_rule_says_is_kept_from_old_to_new() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule(app=made.app)

    with tenant(made.organization.pk):
        rule.triggers, rule.app = ["purchase"], None
        saving.save(rule, by=None)

    assert newest(made).changes == {
        "app": ["Gem Harbor iOS", None],
        "triggers": [["*"], ["purchase"]],
    }


def test_a_revoked_key_is_kept_as_revoked() -> None:
    made = make.make_tenant()

    with tenant(made.organization.pk):
        SdkKey.objects.get().revoke()

    entry = newest(made)
    assert (entry.action, entry.object_type) == (Action.REVOKED, "sdk_key")


def test_a_changed_credential_is_kept_without_its_value() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        partner = make.make_partner(credentials={"api_key": "the-first-secret-of-all"})

    with tenant(made.organization.pk):
        partner.set_credentials({"api_key": "the-second-secret-of-all"})
        partner.set_credentials({"api_key": None})

    deleted, changed, created = entries(made)[:3]
    assert created.changes == {"name": [None, "api_key"], "secret": [None, "•••"]}
    assert changed.changes == {"secret": ["•••", "•••"]}
    assert deleted.changes == {"name": ["api_key", None], "secret": ["•••", None]}
    assert changed.object_id == str(partner.public_id)
    assert changed.object_name == f"{partner}: api_key"


def test_no_secret_and_no_hash_or_cipher_of_one_stands_anywhere_in_the_log() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        partner = make.make_partner(credentials={"api_key": "the-first-secret-of-all"})
        sealed = PartnerCredential.objects.get().sealed
        hashes = [SdkKey.objects.get().hash, sealed]
        partner.set_credentials({"api_key": "the-second-secret-of-all"})

        log = "\n".join(row[0] for row in run("SELECT audit_entry::text FROM audit_entry"))

    secrets = [made.sdk_key, made.api_token, "the-first-secret", "the-second-secret", *hashes]
    assert [secret for secret in secrets if secret in log] == []


def test_members_and_the_organization_are_kept_too() -> None:
    made = make.make_tenant()
    analyst = make.make_user(Role.ANALYST, organization=made.organization)
    membership = Membership.objects.get(user=analyst)

    membership.role = Role.MARKETER
    membership.save()
    membership.delete()
    made.organization.time_zone = "Europe/Berlin"
    made.organization.save()

    zone, left, promoted, joined = entries(made)[:4]
    assert joined.changes == {"user": [None, analyst.email], "role": [None, "analyst"]}
    assert promoted.changes == {"role": ["analyst", "marketer"]}
    assert (left.action, left.object_name) == (Action.DELETED, analyst.email)
    assert zone.changes == {"time_zone": ["UTC", "Europe/Berlin"]}


def test_a_command_is_kept_as_an_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWNER_PASSWORD", "correct horse battery")

    call_command("createorganization", "Gem Harbor", "ada@example.com", verbosity=0)

    organization = Organization.objects.get()
    with tenant(organization.pk):
        logged = {
            (entry.object_type, entry.actor_name, entry.door) for entry in AuditEntry.objects.all()
        }
    name = "manage.py createorganization"
    assert logged == {("organization", name, "command"), ("membership", name, "command")}


def test_what_changes_no_row_is_recorded_by_name() -> None:
    made = make.make_tenant()

    with acting_as(ADA), tenant(made.organization.pk):
        log_action(Action.EXPORTED, name="delivery log", changes={"rows": [None, 12]})

    entry = newest(made)
    assert (str(entry), entry.object_type) == ("Exported: delivery log", "")
    assert entry.changes == {"rows": [None, 12]}


@pytest.mark.parametrize("role", [roles.WEB, roles.WORKER])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET actor_name = 'nobody'",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
    ],
)
def test_postgresql_refuses_to_change_or_delete_an_entry(role: str, statement: str) -> None:
    made = make.make_tenant()
    before = [str(entry.at) + entry.actor_name for entry in entries(made)]

    with (
        as_role(role),
        pytest.raises(DatabaseError, match=r"permission denied|append_only"),
        tenant(made.organization.pk),
    ):
        run(statement)

    assert [str(entry.at) + entry.actor_name for entry in entries(made)] == before


def test_the_tables_owner_can_not_change_an_entry_either() -> None:
    made = make.make_tenant()

    with (
        as_role(roles.OWNER),
        pytest.raises(DatabaseError, match="audit_entry_is_append_only"),
    ):
        run(  # two statements in one go are one transaction
            "CREATE POLICY everything ON audit_entry TO postbacks_owner USING (true);"
            "UPDATE audit_entry SET actor_name = 'nobody'"
        )

    assert newest(made).actor_name == "Postbacks"


def test_python_refuses_to_change_or_delete_an_entry() -> None:
    made = make.make_tenant()
    entry = newest(made)

    with tenant(made.organization.pk):
        with pytest.raises(AppendOnlyError):
            entry.save()
        with pytest.raises(AppendOnlyError):
            entry.delete()


def test_entries_leave_with_an_organization_that_is_being_removed() -> None:
    made, others = make.make_tenant(), make.make_tenant()
    made.organization.removed_at = datetime.now(UTC)
    made.organization.save()

    with as_role(roles.WORKER):
        run("DELETE FROM audit_entry WHERE organization_id = %s", made.organization.pk)

    assert entries(made) == []
    assert entries(others) != []


def test_an_organization_reads_its_own_log_only() -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")

    names = {entry.object_name for entry in entries(ours)}

    assert theirs.organization.name not in names
    assert ours.organization.name in names


def test_a_rule_that_is_created_active_counts_as_new() -> None:
    made = make.make_tenant()

    with tenant(made.organization.pk):
        rule = make.make_rule(status=RuleStatus.ACTIVE)

    entry = newest(made)
    assert (entry.action, entry.object_name) == (Action.CREATED, rule.name)
    assert entry.changes["status"] == [None, "active"]
