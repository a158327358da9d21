"""The system check that every admin page, inline and filter is scoped to the organization."""

from collections.abc import Iterator, Sequence

from django.apps import AppConfig
from django.contrib.admin import ModelAdmin
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.admin.sites import AdminSite, all_sites
from django.core.checks import CheckMessage, Error
from django.core.exceptions import FieldDoesNotExist
from django.db import models

from apps_registry.admin_base.tenant_admin import (
    ScopedAdmin,
    TenantAdmin,
    TenantInline,
    TenantRelatedFilter,
)
from apps_registry.tenancy import TenantManager, TenantModel

_ID = "apps_registry.E001"


def check_admin_pages(app_configs: Sequence[AppConfig] | None, **_: object) -> list[CheckMessage]:
    """Report every registered page that could show another organization's rows."""
    return [error for site in all_sites for error in unscoped_pages(site)]


def unscoped_pages(site: AdminSite) -> Iterator[Error]:
    """Yield an error for each unscoped page, inline and filter of a site."""
    for model, page in site._registry.items():
        base = TenantAdmin if issubclass(model, TenantModel) else ScopedAdmin
        yield from _page_errors(page, base)
        yield from _filter_errors(page)
        for inline in page.inlines:
            if not issubclass(inline, TenantInline) or not issubclass(inline.model, TenantModel):
                yield _error(inline, "must subclass TenantInline and show a TenantModel.")


def _page_errors(page: ModelAdmin, base: type[BaseModelAdmin]) -> Iterator[Error]:
    if not isinstance(page, base):
        yield _error(type(page), f"must subclass {base.__name__}.")
    is_tenant_model = issubclass(page.model, TenantModel)
    if is_tenant_model and not isinstance(page.model._default_manager, TenantManager):
        yield _error(page.model, "must keep TenantManager as its default manager.")


def _filter_errors(page: ModelAdmin) -> Iterator[Error]:
    for item in page.list_filter:
        name, filter_class = item if isinstance(item, list | tuple) else (item, None)
        if not isinstance(name, str) or not _is_relation(page.model, name):
            continue
        if not _is_scoped(filter_class):
            yield _error(type(page), f"must filter by “{name}” with TenantRelatedFilter.")


def _is_scoped(filter_class: object) -> bool:
    return isinstance(filter_class, type) and issubclass(filter_class, TenantRelatedFilter)


def _is_relation(model: type[models.Model], path: str) -> bool:
    try:
        return model._meta.get_field(path).is_relation
    except FieldDoesNotExist:
        return True  # a path through a relation


def _error(source: type, requirement: str) -> Error:
    return Error(f"{source.__name__} {requirement}", obj=source, id=_ID)
