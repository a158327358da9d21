"""Addresses of an admin's own pages beside Django's, each named by its view."""

from collections.abc import Callable

from django.contrib.admin import ModelAdmin
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path

_View = Callable[..., HttpResponseBase]


def list_paths(page: ModelAdmin, **views: _View) -> list[URLPattern]:
    """Return the addresses of pages beside a list: `preview=…` is `preview/`."""
    return [_path(page, f"{name}/", name, view) for name, view in views.items()]


def row_paths(page: ModelAdmin, **views: _View) -> list[URLPattern]:
    """Return the addresses of pages of a row: `cancel=…` is `<its id>/cancel/`."""
    return [_path(page, f"<path:object_id>/{name}/", name, view) for name, view in views.items()]


def _path(page: ModelAdmin, route: str, name: str, view: _View) -> URLPattern:
    full_name = f"{page.opts.app_label}_{page.opts.model_name}_{name}"
    return path(route, page.admin_site.admin_view(view), name=full_name)
