"""Every page of the admin, as the URL resolver knows it: a new one need not be listed."""

from django.contrib import admin
from django.db import models
from django.http import HttpResponseBase

from tests.isolation.routes import Route, swept_routes
from tests.isolation.story import Story


def admin_routes() -> list[Route]:
    """Return the routes of the admin."""
    return [route for route in swept_routes() if route.template.startswith("/admin/")]


def shows_rows(route: Route) -> bool:
    """Tell whether a route is the list or the form of one of our tables, which all have."""
    lists = {f"/admin/{_place(model)}/" for model in admin.site._registry}
    return route.template in lists or route.template.endswith("/change/")


def address(route: Route, story: Story) -> str:
    """Return where a route leads for the story's own rows."""
    model = next(
        (
            model
            for model in admin.site._registry
            if route.template.startswith(f"/admin/{_place(model)}/")
        ),
        None,
    )
    return route.template % {name: _value(name, model, story) for name in route.parameters}


def is_page(answer: HttpResponseBase) -> bool:
    """Tell whether an answer is a page for people; not a part of one, a file or a redirect."""
    is_html = answer.headers.get("Content-Type", "").startswith("text/html")
    if answer.status_code != 200 or answer.streaming or not is_html:
        return False
    return b"<html" in answer.content  # type: ignore[attr-defined]  # it does not stream


def _place(model: type[models.Model]) -> str:
    return model._meta.label_lower.replace(".", "/")


def _value(name: str, model: type[models.Model] | None, story: Story) -> object:
    if name == "app_label":
        return "postbacks"
    if model is None:
        return 1
    by_uuid = "uuid" in name or name in {"public_id", "event_id"}
    return story.uuids[model][0] if by_uuid else story.keys[model][0]
