"""The sweep: people of another organization try everything that the doors offer."""

import functools
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

import pytest
from django.conf import settings
from django.http import HttpResponseBase
from django.test import Client, client
from psycopg import sql

from apps_registry.models import AuditEntry
from apps_registry.roles import Role
from tests.admin.pages import sign_in
from tests.database import superuser
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


# These answers to a program name no row, and so come for every id alike.
_BEFORE_ROWS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED}


@dataclass(slots=True)
class _Visit:
    """A visitor who goes from route to route.

    Who is there briefly leaves a route's pages once one has shown something, and makes each change
    once.
    """

    visitor: Visitor
    briefly: bool
    browser: Client
    finished: set[str] = field(default_factory=set)  # methods at this route

    def sign_in_again(self) -> None:
        """Sign in if the last answer has ended the session."""
        if not self.browser.cookies[settings.SESSION_COOKIE_NAME].value:
            self.browser.force_login(self.visitor.person)


def sweep(victim: Story, visitors: Iterable[Visitor], *, briefly: bool = False) -> list[str]:
    """Return everything that people of another organization could see, change or break.

    `briefly` goes on to the next page once one has shown or changed something.
    """
    runs.append(Counter())
    before = fingerprint(victim)
    with pytest.MonkeyPatch.context() as patch:
        # Nobody looks at what the templates were given, and copying it for each takes long.
        patch.setattr(client, "store_rendered_templates", lambda *_, **__: None)
        leaks = [leak for visitor in visitors for leak in _leaks_to(visitor, victim, briefly)]
    after = fingerprint(victim)
    leaks += [f"{table} was changed" for table in before if before[table] != after[table]]
    leaks += [f"{relation} leads across" for relation in rows_that_lead_across(victim)]
    return leaks


def _leaks_to(visitor: Visitor, victim: Story, briefly: bool) -> Iterator[str]:
    visit = _Visit(visitor, briefly, sign_in(visitor.person))
    for route in swept_routes():
        visit.finished.clear()
        _shorten_log(visitor.story)
        for leak in _leaks(route, victim, visit):
            yield f"{leak} as {visitor.role}"
    key = {"Authorization": f"Bearer {visitor.keys[0]}"}
    page, rows = visit.browser.get("/admin/"), Client().get("/api/v1/apps", headers=key)
    assert page.status_code == rows.status_code == 200, "nothing is shown to who is locked out"


def _shorten_log(story: Story) -> None:
    """Forget what was done at other routes: thousands of entries make the log's pages slow."""
    statement = sql.SQL("DELETE FROM {} WHERE organization_id = %s AND id <> ALL(%s)").format(
        sql.Identifier(AuditEntry._meta.db_table)
    )
    with superuser().transaction():
        superuser().execute("SET LOCAL session_replication_role = replica")
        superuser().execute(statement, [story.organization_id, story.keys[AuditEntry]])


def _leaks(route: Route, victim: Story, visit: _Visit) -> Iterator[Leak]:
    if route.template.startswith("/accounts/"):
        yield from _with_account(route, victim, visit)
    elif route.template.startswith("/admin/"):
        yield from _with_session(route, victim, visit)
    else:
        yield from _with_keys(route, victim, visit)


def _with_account(route: Route, victim: Story, visit: _Visit) -> Iterator[Leak]:
    if visit.visitor.role != Role.OWNER:
        return  # these pages are a person's, whatever her role
    for call in account_calls(route, victim):
        yield from _tried(sign_in(visit.visitor.person), call, {}, visit)


def _with_session(route: Route, victim: Story, visit: _Visit) -> Iterator[Leak]:
    for call in admin_calls(route, victim, visit.visitor, visit.browser):
        yield from _tried(visit.browser, call, {}, visit)
        visit.sign_in_again()


def _with_keys(route: Route, victim: Story, visit: _Visit) -> Iterator[Leak]:
    program = Client(raise_request_exception=False)
    for key in visit.visitor.keys:
        refused: set[tuple[str, str]] = set()
        for call in api_calls(route, victim, visit.visitor, _description()):
            if (call.method, call.accept) in refused:
                continue
            answer = yield from _tried(program, call, {"Authorization": f"Bearer {key}"}, visit)
            if answer is not None and answer.status_code in _BEFORE_ROWS:
                refused.add((call.method, call.accept))


@functools.cache
def _description() -> Description:
    return Description()


def _tried(
    client: Client, call: Call, headers: dict[str, str], visit: _Visit
) -> Generator[Leak, None, HttpResponseBase | None]:
    if call.method in visit.finished:
        return None
    for counter in (requests_made, runs[-1]):
        counter[visit.visitor.role] += 1
    answer = calls.make(client, call, headers)
    leak = calls.leak_in(call, answer)
    if leak:
        yield leak
    if visit.briefly and leak:
        visit.finished.add("GET")
    if visit.briefly and _has_changed(call, answer):
        visit.finished.add(call.method)
    return answer


def _has_changed(call: Call, answer: HttpResponseBase) -> bool:
    """Tell whether a change was made: a form that asks again or is not sure is answered 200."""
    if call.method == "GET" or answer.status_code >= 400:
        return False
    return call.form is None or answer.status_code == HTTPStatus.FOUND
