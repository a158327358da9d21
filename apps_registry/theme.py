"""The look of the web UI: django-unfold, named here alone.

Our own widgets, styles and scripts use none of its classes, so that Django's plain admin stays a
way back.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the theme has no types; it keeps to Django's
    from django.contrib.admin import AdminSite, ModelAdmin, TabularInline
else:
    from unfold.admin import ModelAdmin, TabularInline
    from unfold.sites import UnfoldAdminSite as AdminSite

__all__ = ["AdminSite", "ModelAdmin", "TabularInline"]
