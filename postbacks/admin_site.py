"""The admin site. It stands outside `postbacks/admin/`: inside, it would be set up twice.

It imports no page of `postbacks.admin`: those register themselves with `add_page`.
"""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.contrib.admin import ModelAdmin
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.db.models import ForeignKey, ManyToManyField, Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import rotate_token
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST

from apps_registry.admin_base.theme import AdminSite
from postbacks.insights.overview.page import overview_context
from postbacks.web import visits
from postbacks.web.middleware import ORGANIZATION_IN_SESSION, memberships_of


@dataclass(frozen=True, slots=True)
class StandalonePage:
    """A page that belongs to no model."""

    route: str
    view: Callable[..., HttpResponse]
    name: str
    for_members: bool


class PostbacksAdminSite(AdminSite):
    """The web UI for marketers and analysts."""

    site_title = "Postbacks"
    site_header = "Postbacks"
    index_title = "Overview"
    enable_nav_sidebar = True
    packages = ("apps_registry.", "postbacks.")
    # The theme's search keeps results across organizations; passwords change under /accounts/.
    left_out = frozenset({"search", "password_change_done"})

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.pages: list[StandalonePage] = []
        # What `postbacks.admin` shows on the Overview, for its template.
        self.more_index: list[Callable[[HttpRequest], dict[str, object]]] = []

    def get_urls(self) -> list[URLResolver | URLPattern]:
        urls = super().get_urls()
        theirs = [url for url in urls if getattr(url, "name", "") not in self.left_out]
        switch = self.admin_view(self.switch_organization)
        return [
            path("switch-organization/", switch, name="switch_organization"),
            *(path(page.route, self._entrance(page), name=page.name) for page in self.pages),
            *theirs,
        ]

    def add_page(
        self, route: str, view: Callable[..., HttpResponse], name: str, *, for_members: bool = True
    ) -> None:
        """Serve a page that belongs to no model; `postbacks.admin` calls this at its discovery.

        Only members of an organization may open it; with `for_members=False` the view decides.
        """
        self.pages.append(StandalonePage(route, view, name, for_members))

    def _entrance(self, page: StandalonePage) -> Callable[..., HttpResponse]:
        return self.admin_view(page.view) if page.for_members else page.view

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Add the sidebar's entry to which the page belongs, by whose name pages call it."""
        context = super().each_context(request)
        entries = (entry for group in context["sidebar_navigation"] for entry in group["items"])
        return {**context, "section": next((each for each in entries if each["active"]), None)}

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Lead an operator who is in no organization to the operator's own pages."""
        inner = super().admin_view(view, cacheable)
        for_everybody = view in {self.logout, self.password_change, self.password_change_done}

        @functools.wraps(inner)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if self.has_permission(request) or visits.operator_of(request) is None:
                response: HttpResponse = inner(request, *args, **kwargs)
                return response
            if for_everybody:
                return view(request, *args, **kwargs)  # type: ignore[no-any-return]
            return HttpResponseRedirect(reverse("admin:installation"))

        return guarded

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: type[ModelAdmin] | None = None,
        **options: object,
    ) -> None:
        """Register only our own models.

        Pages that libraries register, such as the queue's with the arguments of every
        organization's tasks, know nothing of tenants.
        """
        models = [model_or_iterable] if isinstance(model_or_iterable, type) else model_or_iterable
        ours = [model for model in models if model.__module__.startswith(self.packages)]
        super().register(ours, admin_class, **options)

    def index(
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> TemplateResponse:
        context = overview_context(request)
        for context_of in self.more_index:
            context |= context_of(request)
        return super().index(request, {**context, **(extra_context or {})})

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """Refuse a field that is no forward relation: for those Django's own view fails."""
        label, name, field = (
            request.GET.get(key, "") for key in ("app_label", "model_name", "field_name")
        )
        try:
            relation = apps.get_model(label, name)._meta.get_field(field)
        except (LookupError, FieldDoesNotExist):
            raise PermissionDenied from None
        if not isinstance(relation, ForeignKey | ManyToManyField):
            raise PermissionDenied
        return super().autocomplete_view(request)

    def login(
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        destination = request.GET.get(REDIRECT_FIELD_NAME)
        query = f"?{urlencode({REDIRECT_FIELD_NAME: destination})}" if destination else ""
        return HttpResponseRedirect(reverse("account_login") + query)

    def password_change(  # type: ignore[override]  # a redirect is an answer too
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        return HttpResponseRedirect(reverse("account_change_password"))

    def has_permission(self, request: HttpRequest) -> bool:
        """Let members in; each page asks what their role allows."""
        return bool(request.user.is_active and getattr(request, "membership", None))

    @method_decorator(require_POST)
    def switch_organization(self, request: HttpRequest) -> HttpResponse:
        """Continue in another organization of which the person is a member.

        The CSRF token changes, so that forms open in other tabs can't write into the wrong one.
        """
        chosen = request.POST.get("organization", "")
        memberships = memberships_of(request)
        if chosen not in {str(membership.organization.public_id) for membership in memberships}:
            raise PermissionDenied
        visits.end(request)
        request.session[ORGANIZATION_IN_SESSION] = chosen
        rotate_token(request)
        return HttpResponseRedirect(reverse("admin:index"))
