"""What templates of accounts need to stand in the frame of the admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from postbacks.web import visits

PREFIX = "/accounts/"


def frame(request: HttpRequest) -> dict[str, object]:
    """Return the admin's context on pages of accounts; its own pages bring it along."""
    if not request.path.startswith(PREFIX):
        return {}
    site: Any = admin.site  # the theme's: it has a sidebar
    shell = {**site.each_context(request), "is_account_page": True}
    if visits.operator_of(request) is None:
        return shell
    # As a member would have them: an operator may be in no organization.
    return {**shell, "has_permission": True, "sidebar_navigation": site.get_sidebar_list(request)}
