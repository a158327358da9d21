"""Nothing that history refers to is deleted: it is archived, by people and by programs alike."""

import uuid

import pytest
from django.contrib import admin
from django.db import connection, models
from django.utils.text import slugify

from apps_registry.admin_base.tenant_admin import ArchivingAdmin
from apps_registry.models.tracking_links import new_token
from apps_registry.tenancy import TenantModel, tenant
from postbacks.infrastructure.database import roles
from tests.admin.pages import sign_in
from tests.api.calling import owner_of
from tests.isolation.story import Story, live_through, tenant_models

pytestmark = pytest.mark.django_db(transaction=True)


def archivable() -> list[type[TenantModel]]:
    """Return every model that has the state, so that one of tomorrow is tested by itself."""
    return [model for model in tenant_models() if _can_be_archived(model)]


def _can_be_archived(model: type[models.Model]) -> bool:
    return any(
        field.name == "status" and "archived" in dict(field.choices or ())
        for field in model._meta.concrete_fields
    )


def address(model: type[TenantModel], story: Story) -> str:
    return f"{slugify(model._meta.verbose_name_plural)}/{story.uuids[model][0]}"


def status(model: type[TenantModel], story: Story) -> str:
    with tenant(story.organization_id):
        return str(model.objects.get(pk=story.keys[model][0]).status)  # type: ignore[attr-defined]


each = pytest.mark.parametrize("model", archivable(), ids=lambda model: model.__name__)


def test_these_are_archived() -> None:
    assert {"App", "Partner", "Campaign", "CallbackRule"} <= {
        model.__name__ for model in archivable()
    }


@each
def test_a_program_archives_it_by_delete(model: type[TenantModel]) -> None:
    story = live_through("Gem Harbor")
    api = owner_of(story.tenant)

    answers = [api.delete(address(model, story)).status for _ in range(2)]

    assert answers == [204, 204]
    assert status(model, story) == "archived"
    assert api.get(address(model, story)).data["status"] == "archived"
    listed = api.rows(address(model, story).partition("/")[0])
    assert str(story.uuids[model][0]) not in {row["id"] for row in listed}


@each
def test_people_archive_it_from_its_list(model: type[TenantModel]) -> None:
    story = live_through("Gem Harbor")
    path = f"/admin/{model._meta.label_lower.replace('.', '/')}/"

    sign_in(story.tenant.owner).post(
        path, {"action": "archive", "_selected_action": story.keys[model], "confirmed": "yes"}
    )

    assert isinstance(admin.site._registry[model], ArchivingAdmin)
    assert status(model, story) == "archived"


@each
def test_its_name_is_free_again(model: type[TenantModel]) -> None:
    story = live_through("Gem Harbor")
    owner_of(story.tenant).delete(address(model, story))

    with tenant(story.organization_id):
        successor = model.objects.get(pk=story.keys[model][0])
        successor.pk, successor.public_id, successor.status = None, uuid.uuid4(), "active"  # type: ignore[attr-defined]
        if hasattr(successor, "token"):
            successor.token = new_token()
        successor.save(force_insert=True)

        assert model.objects.count() == 2


@each
def test_postgresql_lets_no_page_and_no_program_delete_it(model: type[TenantModel]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT has_table_privilege(%s, %s, 'DELETE')", [roles.WEB, model._meta.db_table]
        )
        (may_delete,) = cursor.fetchone()

    assert not may_delete
