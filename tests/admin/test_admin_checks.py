"""The system checks, each made to fire."""

import pytest
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.core.checks import Tags, run_checks
from django.core.checks.registry import registry
from django.db import connection
from pytest_django import Settings

from apps_registry.admin.apps import AppAdmin
from apps_registry.admin_base.tenant_admin import TenantAdmin
from apps_registry.checks import check_admin_pages, unscoped_pages
from apps_registry.models import App, BundleId, Campaign, Organization
from postbacks.checks import check_database_roles, check_times_nest
from postbacks.infrastructure.database import roles
from tests.database import as_role


class ForgetfulInline(admin.TabularInline):
    model = BundleId


class AdminWithForgetfulInline(TenantAdmin):
    inlines = [ForgetfulInline]


class AdminWithOpenFilter(TenantAdmin):
    list_filter = ["partner"]


class AdminWithFilterThroughRelation(TenantAdmin):
    list_filter = [("app__name", admin.AllValuesFieldListFilter)]


@pytest.mark.parametrize(
    ("model", "page", "words"),
    [
        (App, admin.ModelAdmin, "ModelAdmin must subclass TenantAdmin."),
        (Organization, admin.ModelAdmin, "ModelAdmin must subclass ScopedAdmin."),
        (App, AdminWithForgetfulInline, "ForgetfulInline must subclass TenantInline"),
        (Campaign, AdminWithOpenFilter, "must filter by “partner” with TenantRelatedFilter."),
        (Campaign, AdminWithFilterThroughRelation, "must filter by “app__name” with"),
    ],
)
def test_e001_reports_a_page_that_forgets_whose_rows_it_shows(
    model: type, page: type[admin.ModelAdmin], words: str
) -> None:
    site = AdminSite()
    site.register(model, page)

    (error,) = unscoped_pages(site)

    assert error.id == "apps_registry.E001"
    assert words in error.msg


def test_e001_is_silent_about_a_scoped_page() -> None:
    site = AdminSite()
    site.register(App, AppAdmin)

    assert list(unscoped_pages(site)) == []


def test_our_own_pages_are_checked_at_every_start() -> None:
    # Pages that other tests have made may still be in memory, so our own site is looked at alone.
    assert list(unscoped_pages(admin.site)) == []
    assert check_admin_pages in registry.get_checks()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HTTP_TOTAL_SECONDS", 16, "HTTP_TOTAL_SECONDS (16 s) must be less than LEASE_SECONDS / 4"),
        ("LEASE_SECONDS", 480, "LEASE_SECONDS / 4 (120 s) must be less than Q_CLUSTER timeout"),
        ("Q_CLUSTER", {"timeout": 60, "retry": 60}, "must be less than Q_CLUSTER retry (60 s)."),
    ],
)
def test_e001_of_postbacks_reports_times_that_do_not_nest(
    settings: Settings, name: str, value: object, words: str
) -> None:
    setattr(settings, name, value)

    (error,) = check_times_nest(None)

    assert error.id == "postbacks.E001"
    assert words in error.msg


def test_our_times_nest() -> None:
    assert check_times_nest(None) == []


@pytest.mark.django_db(transaction=True)
def test_our_roles_are_humble() -> None:
    assert check_database_roles(None, databases=["default"]) == []
    assert run_checks(tags=[Tags.database], databases=["default"]) == []


@pytest.mark.django_db(transaction=True)
def test_e002_reports_a_role_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "ROLES", (*roles.ROLES, "postbacks_nobody"))

    (error,) = check_database_roles(None, databases=["default"])

    assert error.id == "postbacks.E002"
    assert error.msg == "The role “postbacks_nobody” is missing."


@pytest.mark.django_db(transaction=True)
def test_e002_reports_a_database_that_can_not_be_entered_as_the_role() -> None:
    options = connection.settings_dict["OPTIONS"]
    connection.close()
    options["assume_role"] = "postbacks_nobody"
    try:
        (error,) = check_database_roles(None, databases=["default"])
    finally:
        options["assume_role"] = roles.WEB
        connection.close()

    assert error.id == "postbacks.E002"
    assert "postbacks_nobody" in error.msg


@pytest.mark.django_db(transaction=True)
def test_the_check_looks_at_the_login_and_not_at_the_role_of_the_moment() -> None:
    with as_role(roles.WORKER):
        assert check_database_roles(None, databases=["default"]) == []
