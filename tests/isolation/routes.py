"""Every route that the URL resolver knows, so that a new one is swept without being listed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern
from django.utils.regex_helper import normalize

SWEPT = ("/admin/", "/accounts/", "/api/", "/v0/")


@dataclass(frozen=True, slots=True)
class Route:
    """An address with places for ids, such as `/admin/postbacks/event/%(object_id)s/change/`."""

    template: str
    parameters: tuple[str, ...]


def swept_routes() -> list[Route]:
    """Return the routes of admin, accounts, API and Tenjin's API, each once.

    Lists come before what names a row: some of these would remove what a list could show.
    """
    templates = dict.fromkeys(_walk(get_resolver().url_patterns, "/"))
    routes = [
        Route(template, tuple(re.findall(r"%\((\w+)\)s", template)))
        for template in templates
        if template.startswith(SWEPT)
    ]
    return sorted(routes, key=lambda route: bool(route.parameters))


def _walk(patterns: "list[URLPattern | URLResolver]", prefix: str) -> Iterator[str]:
    for entry in patterns:
        template = prefix + _template(entry)
        if isinstance(entry, URLResolver):
            yield from _walk(entry.url_patterns, template)
        else:
            yield template


def _template(entry: "URLPattern | URLResolver") -> str:
    if isinstance(entry.pattern, RegexPattern):
        return str(normalize(entry.pattern.regex.pattern)[0][0])
    return re.sub(r"<(?:\w+:)?(\w+)>", r"%(\1)s", str(entry.pattern))
