"""Tests get copies of a tenant's rows: a copy has everything that our own code gives a tenant."""

import pytest
from psycopg import sql

from apps_registry.audit.actors import acting_as, command_actor
from apps_registry.models import AuditEntry, SdkKey, StoreClaim
from apps_registry.models.store_claims import ClaimState
from apps_registry.tenancy import tenant
from tests import make
from tests.admin.pages import sign_in
from tests.database import superuser

pytestmark = pytest.mark.django_db(transaction=True)


def rows_by_table() -> dict[str, int]:
    tables = superuser().execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND pg_relation_size(oid) > 0"
        " AND relnamespace = 'public'::regnamespace AND relname NOT LIKE 'django_%'"
    )
    counts = {
        name: superuser()
        .execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name)))
        .fetchone()
        for (name,) in tables.fetchall()
    }
    return {name: count[0] for name, count in counts.items() if count and count[0]}


@pytest.mark.parametrize("key_kind", SdkKey.Kind)
def test_a_copy_differs_from_a_tenant_made_anew_in_nothing_but_ids_keys_and_names(
    key_kind: str,
) -> None:
    make.make_tenant(key_kind=key_kind)  # the first takes the number in Apple's store
    others = rows_by_table()
    anew = make.make_tenant_anew("Anew", key_kind=key_kind)
    after_one = rows_by_table()
    for name in ("First", "Copy"):
        copy = make.make_tenant(name, key_kind=key_kind)
    after_all = rows_by_table()

    assert make.template_of(copy).text == make.template_of(anew).text
    of_one = {name: count - others.get(name, 0) for name, count in after_one.items()}
    assert after_all == {name: count + 2 * of_one[name] for name, count in after_one.items()}
    assert of_one["audit_entry"] == 7


def test_a_copy_is_what_our_code_reads() -> None:
    make.make_tenant()
    first, second = make.make_tenant("Moss “Valley”"), make.make_tenant("Moss “Valley”")

    for made in (first, second):
        for row in (made.organization, made.owner):
            again = type(row).objects.get(pk=row.pk)
            assert vars(again) | {"_state": 0} == vars(row) | {"_state": 0}
        with tenant(made.organization.pk):
            assert type(made.app).objects.get() == made.app
            assert str(made.app) == "Moss “Valley” iOS"
            assert SdkKey.objects.get().app == made.app
            assert type(made.bundle_id).objects.get().identifier == made.bundle_id.identifier
            names = set(AuditEntry.objects.values_list("object_name", flat=True))
            assert {made.organization.name, made.owner.email, str(made.app)} <= names
        assert sign_in(made.owner).get("/admin/").status_code == 200
    assert first.organization.name != second.organization.name
    assert first.sdk_key != second.sdk_key


def test_of_copies_too_only_the_first_has_the_number_in_apples_store() -> None:
    states = []
    for _ in range(3):
        with tenant(make.make_tenant().organization.pk):
            states.append(StoreClaim.objects.get().state)

    assert states == [ClaimState.ACCEPTED, ClaimState.WAITING, ClaimState.WAITING]


def test_the_audit_log_says_who_makes_a_copy() -> None:
    names = []
    with acting_as(command_actor("restore")):
        for _ in range(2):
            with tenant(make.make_tenant().organization.pk):
                names.append(set(AuditEntry.objects.values_list("actor_name", flat=True)))

    assert names == [{"manage.py restore"}] * 2
