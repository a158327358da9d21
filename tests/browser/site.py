"""A web server in this process, and an organization that has lived through it all."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import uuid4
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from apps_registry.models import User
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.models import (
    AttemptKind,
    CallbackRule,
    DeliveryAttempt,
    Event,
    Postback,
    PostbackStatus,
    RuleStatus,
    SkipReason,
)
from tests import database, make
from tests.admin.pages import sign_in
from tests.isolation.story import Story, live_through
from tests.workers import sending_tests


@dataclass(frozen=True, slots=True)
class Site:
    """Where the pages are, and whose."""

    url: str
    story: Story
    analyst: User
    newcomer: User  # the owner of an organization in which nothing has happened yet
    answers: dict[str, HttpResponse] = field(default_factory=dict)

    def program_of(self, person: User) -> Client:
        """Return a client without a browser, which asks this server's own address."""
        client = sign_in(person)
        client.defaults["HTTP_HOST"] = urlsplit(self.url).netloc
        return client

    def answer_with(self, path: str, answer: HttpResponse) -> None:
        """Give the browser what a client got already: to make a page twice would take time."""
        self.answers[path] = answer

    @property
    def owner(self) -> User:
        """Return who may see and do everything."""
        return self.story.tenant.owner


@contextmanager
def served() -> Iterator[Site]:
    """Fill the database, serve it, and empty it again."""
    story = live_through("Gem Harbor")
    _have_every_state(story)
    analyst = make.make_user(Role.ANALYST, organization=story.tenant.organization)
    newcomer = make.make_user(organization=make.make_organization("Fresh Start"))
    server = LiveServer("127.0.0.1")
    try:
        site = Site(server.url, story, analyst, newcomer)
        server.thread.httpd.set_app(_with_given_answers(site, server.thread.httpd.get_app()))
        with sending_tests():
            yield site
    finally:
        server.stop()
        database.empty()


def _with_given_answers(site: Site, live: WSGIApplication) -> WSGIApplication:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = site.answers.pop(environ["PATH_INFO"], None)
        if answer is None:
            return live(environ, start_response)
        cookies = [("Set-Cookie", cookie.OutputString()) for cookie in answer.cookies.values()]
        status = f"{answer.status_code} {answer.reason_phrase}"
        start_response(status, [*answer.items(), *cookies])
        return [answer.content]

    return application


def session_of(person: User) -> str:
    """Return the session cookie of somebody who has signed in."""
    return sign_in(person).cookies[settings.SESSION_COOKIE_NAME].value


def _have_every_state(story: Story) -> None:
    """Add what the story lacks, so that every badge and every wording is on some page."""
    with database.as_role(roles.WORKER), tenant(story.organization_id):
        event = Event.objects.get()
        active, paused, _draft = (
            make.make_rule(name=f"A rule that is {status}", status=status, app=event.app)
            for status in (RuleStatus.ACTIVE, RuleStatus.PAUSED, RuleStatus.DRAFT)
        )
        delivered = _postback(active, event, PostbackStatus.DELIVERED, last_status_code=200)
        _attempt(delivered, "timeout", error="read_timeout")
        _attempt(delivered, "delivered", number=2, status_code=200)
        _postback(paused, event, PostbackStatus.SKIPPED, reason=SkipReason.MISSING_MACRO)
        _postback(
            make.make_rule(),
            event,
            PostbackStatus.PENDING,
            last_status_code=503,
            next_attempt_at=event.received_at + timedelta(hours=1),
        )


def _postback(rule: CallbackRule, event: Event, status: str, **fields: object) -> Postback:
    return Postback.objects.create(
        public_id=uuid4(),
        rule=rule,
        rule_version=1,
        app=event.app,
        event=event,
        status=status,
        sdk_event_id=event.event_id,
        event_name=event.event_name,
        created_at=event.received_at,
        event_received_at=event.received_at,
        attempts_made=2,
        **fields,
    )


def _attempt(postback: Postback, outcome: str, **fields: object) -> None:
    given: dict[str, object] = {"number": 1, "kind": AttemptKind.AUTO, "duration_ms": 40, **fields}
    DeliveryAttempt.objects.create(
        postback=postback,
        event_received_at=postback.event_received_at,
        outcome=outcome,
        started_at=datetime.now(UTC),
        request={
            "method": "GET",
            "url": "https://ads.example.com/postback?a-long-one=" + "x" * 90,
            "headers": {"User-Agent": "Postbacks"},
        },
        response={"headers": {"Content-Type": "application/json"}, "body": '{"status": "ok"}'},
        **given,
    )
