"""An organization goes with everything it has, and with nothing of anybody else."""

import sys
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from apps_registry.models import ApiToken, Membership, Organization, User
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.models import Event
from postbacks.privacy import organization_removal
from tests import make
from tests.admin.pages import sign_in
from tests.api.calling import Program, report
from tests.database import as_role
from tests.isolation.evidence import fingerprint
from tests.isolation.story import Story, live_through, tenant_models

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> str:
    output = StringIO()
    with as_role(roles.WORKER):
        call_command("remove_organization", *arguments, stdout=output)
    return output.getvalue()


def rows_left(organization_id: int) -> dict[str, int]:
    """Count in every table that has the column, whatever our models say."""
    with as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid "
            "WHERE attname = 'organization_id' AND relkind IN ('r', 'p') AND NOT relispartition "
            "AND relnamespace = 'public'::regnamespace"
        )
        tables = [table for (table,) in cursor.fetchall()]
        counts = {}
        for table in tables:
            cursor.execute(
                f"SELECT count(*) FROM {table} WHERE organization_id = %s", [organization_id]
            )
            (counts[table],) = cursor.fetchone()
    return counts


def test_no_table_keeps_a_row_of_a_removed_organization() -> None:
    story, other = live_through("Gem Harbor"), live_through("Moss Valley")
    before, others = rows_left(story.organization_id), fingerprint(other)
    assert all(before.values()), "every table has something to lose"
    assert {model._meta.db_table for model in tenant_models()} <= before.keys()

    run(story.tenant.organization.name, "--yes")

    assert not any(rows_left(story.organization_id).values())
    assert not Organization.objects.filter(pk=story.organization_id).exists()
    assert fingerprint(other) == others


def test_people_stay_without_a_place_to_sign_in_to() -> None:
    story = live_through("Gem Harbor")

    output = run(str(story.tenant.organization.public_id), "--yes")

    assert "1 person is a member of nothing else" in output
    owner = User.objects.get(pk=story.tenant.owner.pk)
    assert not owner.memberships_for_sign_in().exists()
    assert sign_in(owner).get("/admin/").status_code == 302


def test_a_dry_run_counts_and_changes_nothing() -> None:
    story = live_through("Gem Harbor")
    before = fingerprint(story)

    output = run(story.tenant.organization.name, "--dry-run")

    assert "           1 row of callback_rule\n" in output
    assert fingerprint(story) == before


def test_the_name_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    story = live_through("Gem Harbor")
    before = fingerprint(story)
    monkeypatch.setattr(sys, "stdin", StringIO("Gem Harbour\n"))

    with pytest.raises(CommandError, match="not its name"):
        run(story.tenant.organization.name)

    assert fingerprint(story) == before


def test_the_right_name_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    organization = live_through("Gem Harbor").tenant.organization
    monkeypatch.setattr(sys, "stdin", StringIO(f"{organization.name}\n"))

    run(organization.name)

    assert not Organization.objects.exists()


def test_two_organizations_of_one_name_are_told_apart_by_id() -> None:
    first = Organization.objects.create(name="Gem Harbor")
    second = Organization.objects.create(name="Gem Harbor")

    with pytest.raises(CommandError, match=str(second.public_id)):
        run("Gem Harbor", "--yes")
    run(str(first.public_id), "--yes")

    assert list(Organization.objects.all()) == [second]


def test_an_unknown_organization_is_named() -> None:
    with pytest.raises(CommandError, match="no organization “Nobody”"):
        run("Nobody", "--yes")


@pytest.mark.parametrize("batches", range(1, 20, 3))
def test_a_removal_that_was_interrupted_goes_on(batches: int) -> None:
    story, other = live_through("Gem Harbor"), live_through("Moss Valley")
    others = fingerprint(other)
    left = iter(range(batches - 1))

    def interrupt(_table: str, _deleted: int) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    with as_role(roles.WORKER), pytest.raises(KeyboardInterrupt):
        organization_removal.remove(story.tenant.organization, on_batch=interrupt, batch=1)
    run(story.tenant.organization.name, "--yes")

    assert not any(rows_left(story.organization_id).values())
    assert fingerprint(other) == others


def test_events_of_many_days_go_day_by_day() -> None:
    made = make.make_tenant()
    for _ in range(5):
        report(made.sdk_key)
    with as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute("SELECT ensure_partitions((now() - interval '40 days')::date, 2)")
    with as_role(roles.WORKER), tenant(made.organization.pk):
        event = Event.objects.first()
        assert event is not None
        event.pk, event.received_at = event.pk + 1_000, event.received_at - timedelta(days=39)
        event.save(force_insert=True)
    batches: list[tuple[str, int]] = []

    with as_role(roles.WORKER):
        organization_removal.remove(
            made.organization, on_batch=lambda table, n: batches.append((table, n)), batch=2
        )

    assert [count for table, count in batches if table == "event"] == [1, 2, 2, 1]


def switched_off() -> Story:
    """Return an organization whose removal has begun, and whose rows are all still there."""
    story = live_through("Gem Harbor")
    with as_role(roles.WORKER):
        organization_removal.switch_off(story.tenant.organization)
    return story


def test_keys_stop_at_once() -> None:
    tenant_ = switched_off().tenant

    answer = Program(tenant_.sdk_key).post("events", {"event_name": "purchase"})

    assert answer.status == 403


def test_tokens_stop_at_once() -> None:
    story = switched_off()
    with tenant(story.organization_id):
        personal = make.make_api_token(
            user=story.tenant.owner
        )  # as by a request that was on its way

    assert Program(story.tenant.api_token).get("apps").status == 403
    assert Program(personal).get("apps").status == 403
    with tenant(story.organization_id):
        assert ApiToken.objects.count() == 2


def test_members_are_out_at_once() -> None:
    owner = make.make_tenant("Moss Valley").owner
    story = live_through("Gem Harbor")
    Membership.objects.create(organization=story.tenant.organization, user=owner, role="owner")
    browser: Client = sign_in(owner)
    browser.post(
        "/admin/switch-organization/", {"organization": story.tenant.organization.public_id}
    )

    with as_role(roles.WORKER):
        organization_removal.switch_off(story.tenant.organization)

    assert browser.get("/admin/").status_code == 302, "the session ends"
    page = sign_in(owner).get("/admin/").content.decode()
    assert "Moss Valley" in page
    assert story.tenant.organization.name not in page
