"""The sweep: another organization's owner tries everything that the doors offer."""

import functools
from collections.abc import Iterator

from django.test import Client

from tests.admin.pages import sign_in
from tests.isolation import calls
from tests.isolation.admin_calls import admin_calls
from tests.isolation.api_calls import Description, api_calls
from tests.isolation.calls import Call, Leak
from tests.isolation.evidence import fingerprint, rows_that_lead_across
from tests.isolation.routes import Route, swept_routes
from tests.isolation.story import Story


def sweep(victim: Story, stranger: Story) -> list[str]:
    """Return everything that another organization's owner could see, change or break."""
    before = fingerprint(victim)
    found = [str(leak) for route in swept_routes() for leak in _leaks(route, victim, stranger)]
    after = fingerprint(victim)
    found += [f"{table} was changed" for table in before if before[table] != after[table]]
    found += [f"{relation} leads across" for relation in rows_that_lead_across(victim)]
    return found


def _leaks(route: Route, victim: Story, stranger: Story) -> Iterator[Leak]:
    by_session = route.template.startswith("/admin/")
    visit = _with_session if by_session else _with_keys
    yield from visit(route, victim, stranger)


def _with_session(route: Route, victim: Story, stranger: Story) -> Iterator[Leak]:
    browser = sign_in(stranger.tenant.owner)
    for call in admin_calls(route, victim, stranger, browser):
        yield from _tried(browser, call, {})
        if route.template == "/admin/logout/":
            browser = sign_in(stranger.tenant.owner)


def _with_keys(route: Route, victim: Story, stranger: Story) -> Iterator[Leak]:
    program = Client(raise_request_exception=False)
    description = _description()
    for key in (stranger.tenant.api_token, stranger.tenant.sdk_key):
        for call in api_calls(route, victim, stranger, description):
            yield from _tried(program, call, {"Authorization": f"Bearer {key}"})


@functools.cache
def _description() -> Description:
    return Description()


def _tried(client: Client, call: Call, headers: dict[str, str]) -> Iterator[Leak]:
    answer = calls.make(client, call, headers)
    if leak := calls.leak_in(call, answer):
        yield leak
