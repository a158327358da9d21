"""The queue's own tables know no tenants, so nobody sees them through us."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import NoReverseMatch, reverse

from tests import make
from tests.admin.pages import sign_in
from tests.isolation.routes import swept_routes

pytestmark = pytest.mark.django_db(transaction=True)

MODELS = list(apps.get_app_config("django_q").get_models())


def test_the_queues_tables_have_no_page() -> None:
    assert MODELS, "there is something to hide"
    assert not {model for model in admin.site._registry if model in MODELS}
    assert not [route for route in swept_routes() if "django_q" in route.template]
    with pytest.raises(NoReverseMatch):
        reverse("admin:django_q_task_changelist")


def test_what_registers_them_is_passed_over() -> None:
    admin.site.register(MODELS)

    assert not {model for model in admin.site._registry if model in MODELS}


@pytest.mark.parametrize(
    "path", ["django_q/", "django_q/task/", "django_q/ormq/", "django_q/schedule/"]
)
def test_an_owner_and_an_operator_find_nothing_at_their_addresses(path: str) -> None:
    owner = make.make_tenant().owner
    owner.is_superuser = True
    owner.save()

    assert sign_in(owner).get(f"/admin/{path}").status_code == 404
