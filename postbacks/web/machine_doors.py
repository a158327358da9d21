"""The short way of machines: SDKs, tracking links, Tenjin's calls and Apple's copies.

A program has no session, account or message and is shown no page: of Django's surroundings only
those of MACHINE_MIDDLEWARE are of use to it. The others took longer than storing its event.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from postbacks.infrastructure import loop_requests
from postbacks.infrastructure.database.stalls import not_for_ever

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

MACHINE_URLCONF: Final = "postbacks.machine_urls"
_REPORTS: Final = frozenset({"/api/v1/events", "/api/v1/touchpoints"})  # by POST; GET lists events
_QUICK: Final = ("/c/", "/i/", "/v0/")  # beside reports
_DOORS: Final = ("/c/", "/i/", "/v0/", "/.well-known/", "/healthz")


class MachineDoors(WSGIHandler):
    """Django with few middlewares and addresses."""

    def load_middleware(self, is_async: bool = False) -> None:
        """Build the chain of MACHINE_MIDDLEWARE, in Django's own way, before any request."""
        whole = settings.MIDDLEWARE
        settings.MIDDLEWARE = settings.MACHINE_MIDDLEWARE
        try:
            super().load_middleware(is_async)
        finally:
            settings.MIDDLEWARE = whole

    def __call__(self, environ: Environ, start_response: StartResponse) -> HttpResponseBase:
        """Answer a request."""
        if loop_requests.running() is None:
            return super().__call__(environ, start_response)
        # Without the signals of Django's own handler: they renew connections, which loops have not.
        request = WSGIRequest(environ)
        request.urlconf = MACHINE_URLCONF
        response = super().get_response(request)
        cookies = [("Set-Cookie", each.OutputString()) for each in response.cookies.values()]
        status = f"{response.status_code} {response.reason_phrase}"
        start_response(status, [*response.headers.items(), *cookies])
        for close in response._resource_closers:  # type: ignore[attr-defined]  # the stubs lack it
            close()
        return response

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
        handler = self._short if is_for_machines(environ) else self._whole
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
