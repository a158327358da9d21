"""The context with which pages of accounts stand in the frame of the admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from postbacks.web import visits

PREFIX = "/accounts/"


def admin_frame(request: HttpRequest) -> dict[str, object]:
    """Return the admin's context on pages of accounts; the admin's own pages have it already."""
    if not request.path.startswith(PREFIX):
        return {}
    site: Any = admin.site  # the theme's: it has a sidebar
    context = {**site.each_context(request), "is_account_page": True}
    if visits.operator_of(request) is None:
        return context
    # The same as for a member: an operator may belong to no organization.
    return {**context, "has_permission": True, "sidebar_navigation": site.get_sidebar_list(request)}
