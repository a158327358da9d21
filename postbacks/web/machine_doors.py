"""The short way of machines: SDKs, tracking links, Tenjin's calls and Apple's copies.

A program has no session, account or message and is shown no page: of Django's surroundings only
those of MACHINE_MIDDLEWARE are of use to it. The others took longer than storing its event.
"""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any, BinaryIO, Final, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import LimitedStream, WSGIHandler, WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.urls import ResolverMatch

from postbacks.infrastructure import loop_requests
from postbacks.infrastructure.database.stalls import not_for_ever, not_for_ever_in_page

Environ = dict[str, Any]
Header = tuple[str, str]
Kind = tuple[int, str | None, tuple[str, ...]]  # of an answer: its status, type and own headers
StartResponse = Callable[..., Any]

MACHINE_URLCONF: Final = "postbacks.machine_urls"
_REPORTS: Final = frozenset({"/api/v1/events", "/api/v1/touchpoints"})  # by POST; GET lists events
_GOOD: Final = frozenset({200, 202, 302})
_LENGTH: Final = "Content-Length"
_MOST_HOSTS: Final = 100  # of callers; the names are theirs where ALLOWED_HOSTS allows any
_QUICK: Final = ("/c/", "/i/", "/v0/")  # beside reports
_DOORS: Final = ("/c/", "/i/", "/v0/", "/.well-known/", "/healthz")


class LoopWSGIRequest(WSGIRequest):
    """A request of the loop, whose body has come, and its view's answer once that is made."""

    made_response: HttpResponse | None = None

    def __init__(self, environ: Environ) -> None:
        path = environ["PATH_INFO"]
        if not (path.isascii() and settings.FORCE_SCRIPT_NAME is None):
            super().__init__(environ)
            return
        # As Django does, less what PlainReader has seen to.
        self.environ = self.META = environ
        self.path = self.path_info = path
        self.method = environ["REQUEST_METHOD"]
        self._set_content_type_params(environ)  # type: ignore[attr-defined]  # the stubs lack it
        body = environ["wsgi.input"]
        self._body: bytes = body.getvalue()  # or Django would copy it in pieces
        self._stream = cast(BinaryIO, LimitedStream(body, len(self._body)))
        self._read_started = False
        self.resolver_match = None


class MachineDoors(WSGIHandler):
    """Django with few middlewares and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self._added_by_host: dict[tuple[str, str | None], dict[Kind, list[Header]]] = {}
        self._matches: dict[str, ResolverMatch] = {}
        view = convert_exception_to_response(self._get_response)
        self._view = cast(Callable[[HttpRequest], HttpResponse], view)  # Django's word is wider

    def load_middleware(self, is_async: bool = False) -> None:
        """Build the chain of MACHINE_MIDDLEWARE, in Django's own way, before any request."""
        whole = settings.MIDDLEWARE
        settings.MIDDLEWARE = settings.MACHINE_MIDDLEWARE
        try:
            super().load_middleware(is_async)
        finally:
            settings.MIDDLEWARE = whole
        if self._view_middleware or self._template_response_middleware:  # type: ignore[attr-defined]  # the stubs lack it
            raise ImproperlyConfigured("No middleware of machines may have process_view.")

    def __call__(self, environ: Environ, start_response: StartResponse) -> HttpResponseBase:
        """Answer a request."""
        if loop_requests.running() is None:
            return super().__call__(environ, start_response)
        # Without the signals of Django's own handler: they renew connections, which loops have not.
        request = LoopWSGIRequest(environ)
        request.urlconf = MACHINE_URLCONF
        response, headers = self._answer_in_loop(request)
        cookies = [("Set-Cookie", each.OutputString()) for each in response.cookies.values()]
        start_response(
            f"{response.status_code} {response.reason_phrase}",
            [*response.headers.items(), *headers, *cookies],
        )
        request.close()
        return response

    def _answer_in_loop(self, request: LoopWSGIRequest) -> tuple[HttpResponseBase, list[Header]]:
        """Return the answer to a request of the loop, and headers that it does not have yet.

        What middlewares ask is whether they let a host in, and what they add to a good answer
        depends on its kind: all of them took as long as the view. So the first request of a host
        passes them, and the first answer of each kind; errors and pages always do.
        """
        host = (request.META.get("HTTP_HOST", ""), request.scheme)
        added_by_kind = self._added_by_host.get(host)
        if added_by_kind is None:
            response = super().get_response(request)
            if response.status_code in _GOOD:
                if len(self._added_by_host) >= _MOST_HOSTS:
                    self._added_by_host.clear()
                self._added_by_host[host] = {}
            return response, []
        made = self._view(request)
        own = tuple(made.headers)
        kind = (made.status_code, made.headers.get("Content-Type"), own)
        if (added := added_by_kind.get(kind)) is not None:
            length = str(len(made.content))
            return made, [(name, length if name == _LENGTH else value) for name, value in added]
        request.made_response = made
        response = super().get_response(request)
        if response is made and kind[0] in _GOOD and not str(kind[1]).startswith("text/html"):
            added_by_kind[kind] = [each for each in response.headers.items() if each[0] not in own]
        return response, []

    def _get_response(self, request: HttpRequest) -> HttpResponseBase:
        """Return the answer of the view, which is at the end of the chain."""
        made: HttpResponseBase | None = getattr(request, "made_response", None)
        return self._call_view(request) if made is None else made

    def _call_view(self, request: HttpRequest) -> HttpResponseBase:
        """Call the view as Django does, which asks each time for what no view of machines has."""
        view, arguments, named = self.resolve_request(request)
        try:
            response: HttpResponseBase = view(request, *arguments, **named)
            if isinstance(response, SimpleTemplateResponse):
                response = response.render()
        except Exception as error:
            answer = self.process_exception_by_middleware(error, request)
            if answer is None:
                raise
            return answer
        return response

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        """Find the view of a request; those of reports, which are most, are kept."""
        match = self._matches.get(request.path_info)
        if match is None:
            match = super().resolve_request(request)
            if request.path_info in _REPORTS:
                self._matches[request.path_info] = match
        request.resolver_match = match
        return match

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a request by the addresses of machines."""
        request.urlconf = MACHINE_URLCONF
        with not_for_ever():
            return super().get_response(request)


class TwoWays:
    """One WSGI application: machines take the short way, everybody else the whole one."""

    def __init__(self, whole: WSGIHandler, short: WSGIHandler) -> None:
        self._whole = whole
        self._short = short

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        is_short = is_for_machines(environ)
        handler = self._short if is_short else self._whole
        with nullcontext() if is_short else not_for_ever_in_page():
            answer: Iterable[bytes] = handler(environ, start_response)
        return answer


def is_for_machines(environ: Environ) -> bool:
    """Tell whether only programs call the address of a request."""
    path: str = environ.get("PATH_INFO", "")
    if path in _REPORTS:
        return bool(environ["REQUEST_METHOD"] == "POST")
    return path.startswith(_DOORS)


def may_run_in_loop(environ: Environ) -> bool:
    """Tell whether a request needs memory and a commit alone, as nearly all of its address do."""
    path: str = environ["PATH_INFO"]
    if path in _REPORTS:
        return bool(environ["REQUEST_METHOD"] == "POST")
    return path.startswith(_QUICK)
