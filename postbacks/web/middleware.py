"""Surrounds every request: tenant, transaction, an answer when PostgreSQL is away, policy, stack.

settings.py holds the Content-Security-Policy of a page, `ContentPolicy` those of other answers.
"""

import select
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import psycopg
from csp.constants import HEADER, UNSAFE_EVAL
from csp.middleware import CSPMiddleware, PolicyParts
from django.conf import settings
from django.contrib.auth import logout
from django.db import Error as DatabaseError
from django.db import connection, connections, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone

from apps_registry.audit.actors import Actor, ActorKind, Door, acting_as
from apps_registry.client_address import client_address
from apps_registry.models import Membership, User
from apps_registry.tenancy import current_organization, tenant
from postbacks.infrastructure.database.outages import is_outage, outage_sentence
from postbacks.infrastructure.database.stalls import note_outage
from postbacks.infrastructure.rate_limits.at_once import (
    RETRY_AFTER,
    TooManyAtOnceError,
    end_with,
    long_requests,
)
from postbacks.web import visits
from postbacks.web.problem_documents import unavailable

GetResponse = Callable[[HttpRequest], HttpResponseBase]
View = Callable[..., HttpResponseBase]
V = TypeVar("V")

ORGANIZATION_IN_SESSION = "organization"
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_STACK_VALUES: Final = 32_000  # of 8 bytes
# By the names of their addresses, beside all lists' files.
_LONG_PAGES: Final = frozenset(
    {
        *("export_configuration", "import_configuration", "fraud_report", "search"),
        *("postbacks_alert_preview", "postbacks_discrepancy_start"),
        *("postbacks_callbackrule_preview", "postbacks_callbackrule_translate"),
    }
)


class SignedInRequest(HttpRequest):
    """A request with what `TenantOfRequest` adds for views and templates."""

    memberships: tuple[Membership, ...]
    membership: Membership | None  # under which the person acts
    visit: visits.OperatorVisit | None
    around_view: ExitStack
    turn: ExitStack  # of a long request


def own_transactions(view: V) -> V:
    """Mark a view that opens `tenant(…)` itself because it takes events, streams, or calls out."""
    view.own_transactions = True  # type: ignore[attr-defined]  # a mark on a function or class
    return view


def unbroken_stack(get_response: GetResponse) -> GetResponse:
    """Have CPython keep the calls of a request in one piece of memory.

    It keeps them in chunks of 16 KB, and before 3.13.13 and 3.14.4 (gh-142183) each call out of a
    full chunk maps the next one, which its return unmaps. A page whose loop over rows ran at just
    such a depth took half as long again. A chunk is as large as its first call needs, doubled up
    from 16 KB: one that claims 250 KB leaves 260 KB to the calls below it. Little of both is ever
    touched, and memory that nobody touches costs nothing.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        return get_response(request)

    answer.__code__ = answer.__code__.replace(co_stacksize=_STACK_VALUES)
    return answer


class DatabaseOutage:
    """Answers 503 with Retry-After while the database is away, without naming its address."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return database_is_away(error, request) if is_outage(error) else None


def database_is_away(error: Exception, request: HttpRequest | None = None) -> HttpResponse:
    """Return the 503 of every view while the database is away, full or read-only.

    Whom a browser shows it gets a page, which goes on when the database is back.
    """
    connection.close()
    note_outage()
    sentence = outage_sentence(error)
    answer = unavailable(f"{sentence} Nothing was stored; try again.")
    if request is not None and _is_of_a_person(request):
        is_sending = request.method == "POST"
        address = "" if is_sending else request.get_full_path()
        context = {"sentence": sentence, "is_sending": is_sending, "address": address}
        answer.content = render_to_string("503.html", context).encode()
        answer.headers["Content-Type"] = "text/html; charset=utf-8"
    return answer


def _is_of_a_person(request: HttpRequest) -> bool:
    """Tell a browser, which names HTML among what it takes, from programs, which take all."""
    return "text/html" in request.headers.get("Accept", "")


def renew_closed_connections(**_signal: Any) -> None:
    """Close what PostgreSQL has closed, at the start of a request, so that it is opened again.

    Django would ask PostgreSQL `SELECT 1` before each request. A look at the socket says as much,
    and costs no round trip: a connection that was closed can be read from, a quiet one can't.
    """
    for database in connections.all(initialized_only=True):
        if database.connection is None or database.in_atomic_block:
            continue
        if _is_quiet(database.connection):
            database.health_check_done = True  # type: ignore[attr-defined]  # the stubs lack it
        else:
            database.close()


def _is_quiet(session: psycopg.Connection) -> bool:
    """Tell whether nothing has come over a connection that waits for nothing."""
    if session.closed:
        return False
    poll = select.poll()
    poll.register(session.fileno(), select.POLLIN)
    return not poll.poll(0)


class TenantOfRequest:
    """Opens the signed-in person's organization, in its time zone, around view and template.

    `ATOMIC_REQUESTS` would end before a TemplateResponse is rendered, so that a form's choices,
    which are read while rendering, would come up empty.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: SignedInRequest) -> HttpResponseBase:
        try:
            request.memberships = _memberships(request)
            request.visit = _visit(request, request.memberships)
            request.membership = (
                request.visit.membership
                if request.visit
                else _chosen_membership(request, request.memberships)
            )
        except DatabaseError as error:
            if not is_outage(error):
                raise
            return database_is_away(error, request)
        if request.membership is None:
            return self.get_response(request)
        actor_of = visits.actor if request.visit else _person
        with (
            ExitStack() as request.turn,
            acting_as(actor_of(request, request.membership.user)),
            ExitStack() as request.around_view,
        ):
            response = self.get_response(request)
            if response.status_code >= 500 and current_organization() is not None:
                transaction.set_rollback(True)
            if response.streaming:  # a file is made while it is sent
                end_with(response, request.turn)
            return response

    def process_view(
        self, request: SignedInRequest, view: View, *_arguments: object
    ) -> HttpResponse | None:
        membership = request.membership
        if membership is None:
            return None
        organization = membership.organization
        if _is_long(request):
            try:
                request.turn.callback(long_requests().begin(organization.pk))
            except TooManyAtOnceError as refusal:
                return _busy(request, refusal)
        if _has_own_transactions(view):
            return None
        request.around_view.enter_context(tenant(organization.pk))
        request.around_view.enter_context(timezone.override(ZoneInfo(organization.time_zone)))
        return None


def memberships_of(request: HttpRequest) -> tuple[Membership, ...]:
    """Return the memberships of the person of a request, oldest first."""
    return getattr(request, "memberships", ())


def _memberships(request: HttpRequest) -> tuple[Membership, ...]:
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return ()
    user = request.user
    if not isinstance(user, User):
        return ()
    memberships = tuple(user.memberships_for_sign_in())
    for membership in memberships:
        membership.user = user  # or each request would read the person once more
    return memberships


def _visit(
    request: HttpRequest, memberships: tuple[Membership, ...]
) -> visits.OperatorVisit | None:
    """Return an operator's visit; a member of the organization needs none."""
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return None
    visit = visits.current(request)
    own_organizations = {membership.organization_id for membership in memberships}
    return None if visit is None or visit.organization.pk in own_organizations else visit


def _chosen_membership(
    request: HttpRequest, memberships: tuple[Membership, ...]
) -> Membership | None:
    """Return the membership under which this session acts, checked on each request."""
    if not memberships:
        return None
    chosen = request.session.get(ORGANIZATION_IN_SESSION)
    if chosen is None:
        return memberships[0]
    for membership in memberships:
        if str(membership.organization.public_id) == chosen:
            return membership
    logout(request)  # the person was removed from the organization that this session acts under
    return None


def _person(request: HttpRequest, user: User) -> Actor:
    return Actor(
        ActorKind.PERSON, user.email, Door.WEB, user_id=user.pk, address=client_address(request)
    )


def _is_long(request: HttpRequest) -> bool:
    name = request.resolver_match.url_name if request.resolver_match else None
    return name is not None and (name in _LONG_PAGES or name.endswith("_export"))


def _busy(request: HttpRequest, refusal: TooManyAtOnceError) -> HttpResponse:
    sentence = f"{refusal}; try again in {RETRY_AFTER} seconds."
    answer = render(request, "busy.html", {"sentence": sentence}, status=429)
    answer["Retry-After"] = str(RETRY_AFTER)
    return answer


def _has_own_transactions(view: View) -> bool:
    view_class = getattr(view, "view_class", None) or getattr(view, "cls", None)
    return any(getattr(marked, "own_transactions", False) for marked in (view, view_class))


class ContentPolicy(CSPMiddleware):
    """Allows nothing but on pages, and on pages what the settings list.

    A name that slipped through as markup could then still run nothing, load nothing and send
    nothing away. Only the theme of `/admin/` evaluates texts of its own templates (Alpine), so only
    there `'unsafe-eval'` is allowed; `'unsafe-inline'` is allowed nowhere, for styles neither.
    django-csp builds a policy of fifty possible directives for each answer: too slow for the API.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if response.headers.get("Content-Type", "").startswith("text/html"):
            return super().process_response(request, response)
        response.headers.setdefault(HEADER, _NOTHING)
        return response

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if request.path.startswith("/admin/"):
            parts.update = {"script-src": [UNSAFE_EVAL]}
        return parts
