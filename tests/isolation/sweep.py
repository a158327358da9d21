"""The sweep: people of another organization try everything that the doors offer."""

import functools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.contrib.auth import SESSION_KEY
from django.test import Client

from tests.admin.pages import sign_in
from tests.isolation import calls
from tests.isolation.account_calls import account_calls
from tests.isolation.admin_calls import admin_calls
from tests.isolation.api_calls import Description, api_calls
from tests.isolation.calls import Call, Leak
from tests.isolation.evidence import fingerprint, rows_that_lead_across
from tests.isolation.routes import Route, swept_routes
from tests.isolation.story import Story
from tests.isolation.visitors import Visitor

requests_made: Counter[str] = Counter()  # by role
runs: list[Counter[str]] = []  # the same of each sweep; conftest.py reports them


@dataclass(slots=True)
class _Visit:
    """One visitor at one route, who looks no further once something was shown if that will do."""

    visitor: Visitor
    briefly: bool
    has_seen: bool = False


def sweep(victim: Story, visitors: Iterable[Visitor], *, briefly: bool = False) -> list[str]:
    """Return everything that people of another organization could see, change or break.

    `briefly` makes each change, but asks a page that has shown something nothing more.
    """
    runs.append(Counter())
    before = fingerprint(victim)
    leaks = [
        f"{leak} as {visitor.role}"
        for visitor in visitors
        for route in swept_routes()
        for leak in _leaks(route, victim, _Visit(visitor, briefly))
    ]
    after = fingerprint(victim)
    leaks += [f"{table} was changed" for table in before if before[table] != after[table]]
    leaks += [f"{relation} leads across" for relation in rows_that_lead_across(victim)]
    return leaks


def _leaks(route: Route, victim: Story, visit: _Visit) -> Iterator[Leak]:
    if route.template.startswith("/accounts/"):
        yield from _with_account(route, victim, visit)
    elif route.template.startswith("/admin/"):
        yield from _with_session(route, victim, visit)
    else:
        yield from _with_keys(route, victim, visit)


def _with_account(route: Route, victim: Story, visit: _Visit) -> Iterator[Leak]:
    for call in account_calls(route, victim):
        yield from _tried(sign_in(visit.visitor.person), call, {}, visit)


def _with_session(route: Route, victim: Story, visit: _Visit) -> Iterator[Leak]:
    visitor = visit.visitor
    browser = sign_in(visitor.person)
    for call in admin_calls(route, victim, visitor, browser):
        yield from _tried(browser, call, {}, visit)
        if call.method == "POST" and SESSION_KEY not in browser.session:
            browser = sign_in(visitor.person)


def _with_keys(route: Route, victim: Story, visit: _Visit) -> Iterator[Leak]:
    program = Client(raise_request_exception=False)
    description = _description()
    for key in visit.visitor.keys:
        for call in api_calls(route, victim, visit.visitor.story, description):
            yield from _tried(program, call, {"Authorization": f"Bearer {key}"}, visit)


@functools.cache
def _description() -> Description:
    return Description()


def _tried(client: Client, call: Call, headers: dict[str, str], visit: _Visit) -> Iterator[Leak]:
    if visit.briefly and visit.has_seen and call.method == "GET":
        return
    for counter in (requests_made, runs[-1]):
        counter[visit.visitor.role] += 1
    answer = calls.make(client, call, headers)
    if leak := calls.leak_in(call, answer):
        visit.has_seen = True
        yield leak
