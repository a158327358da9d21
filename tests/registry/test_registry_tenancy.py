"""The organization of a transaction, in Python and in PostgreSQL, through all its turns."""

import pytest
from django.db import DatabaseError, connection, transaction

from apps_registry.models import App
from apps_registry.tenancy import (
    NoTenantError,
    WrongTenantError,
    current_organization,
    tenant,
)
from tests import make

pytestmark = pytest.mark.django_db(transaction=True)


class _OnPurposeError(Exception):
    pass


def _tenant_in_postgres() -> int | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_organization()")
        row = cursor.fetchone()
    return row[0] if row else None


def _current_tenants() -> tuple[int | None, int | None]:
    return current_organization(), _tenant_in_postgres()


def test_both_walls_learn_the_organization_and_forget_it_afterwards() -> None:
    made = make.make_tenant()

    with tenant(made.organization.pk):
        inside = _current_tenants()
    outside = _current_tenants()

    assert inside == (made.organization.pk, made.organization.pk)
    assert outside == (None, None)


def test_an_inner_organization_gives_way_to_the_outer_one() -> None:
    with tenant(1):
        with tenant(2):
            inside = _current_tenants()
        after = _current_tenants()

    assert inside == (2, 2)
    assert after == (1, 1)


def test_an_error_inside_an_inner_organization_brings_the_outer_one_back() -> None:
    with tenant(1):
        with pytest.raises(_OnPurposeError), tenant(2):
            raise _OnPurposeError
        after = _current_tenants()

    assert after == (1, 1)


def test_a_rollback_to_a_savepoint_keeps_the_organization() -> None:
    with tenant(1):
        with pytest.raises(_OnPurposeError), transaction.atomic():
            raise _OnPurposeError
        after = _current_tenants()

    assert after == (1, 1)


def test_a_statement_that_fails_leaves_nothing_behind() -> None:
    with (
        pytest.raises(DatabaseError, match="division by zero"),
        tenant(1),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT 1 / 0")

    assert _current_tenants() == (None, None)


def test_a_transaction_marked_for_rollback_leaves_nothing_behind() -> None:
    made = make.make_tenant()

    with tenant(made.organization.pk):
        App.objects.create(name="Never", platform="ios")
        transaction.set_rollback(True)

    assert _current_tenants() == (None, None)
    with tenant(made.organization.pk):
        assert not App.objects.filter(name="Never").exists()


def test_an_organization_inside_somebody_elses_transaction_ends_with_its_block() -> None:
    with transaction.atomic():
        with tenant(1):
            pass
        after = _current_tenants()

    assert after == (None, None)


def test_rows_can_not_be_asked_for_without_an_organization() -> None:
    with pytest.raises(NoTenantError, match="App was asked for outside"):
        App.objects.count()


def test_related_rows_can_not_be_asked_for_without_an_organization() -> None:
    made = make.make_tenant()

    with pytest.raises(NoTenantError):
        made.app.bundle_ids.count()


def test_a_new_row_belongs_to_the_current_organization() -> None:
    made = make.make_tenant()

    with tenant(made.organization.pk):
        app = App.objects.create(name="Moss Valley", platform="ios")

    assert app.organization_id == made.organization.pk


def test_another_organizations_row_can_not_be_saved() -> None:
    ours, theirs = make.make_tenant(), make.make_tenant()

    with tenant(ours.organization.pk), pytest.raises(WrongTenantError):
        theirs.app.save()


def test_a_row_can_not_be_saved_outside_of_an_organization() -> None:
    made = make.make_tenant()

    with pytest.raises(WrongTenantError):
        made.app.save()


def test_a_row_can_not_be_handed_to_another_organization() -> None:
    ours, theirs = make.make_tenant(), make.make_tenant()

    ours.app.organization = theirs.organization

    with tenant(ours.organization.pk), pytest.raises(WrongTenantError):
        ours.app.save()


def test_one_organization_never_finds_the_rows_of_another() -> None:
    ours, theirs = make.make_tenant(), make.make_tenant()

    with tenant(ours.organization.pk):
        apps = list(App.objects.all())
        by_id = App.objects.filter(pk=theirs.app.pk).exists()

    assert apps == [ours.app]
    assert not by_id
