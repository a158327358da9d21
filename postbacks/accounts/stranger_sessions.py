"""Sessions of people who have not signed in: anybody may begin some, so they end soon."""

from collections.abc import Callable
from typing import Final

from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponseBase

SECONDS: Final = 6 * 3_600  # for a second factor, an identity provider or the form of an invitation
_EXPIRY: Final = "_session_expiry"  # under which Django keeps it


class ShortStrangerSessions:
    """Middleware: a session without a person ends after some hours, one with a person as usual."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        session = request.session
        if session.modified and not session.is_empty():
            if SESSION_KEY not in session:
                session.set_expiry(SECONDS)
            elif session.get(_EXPIRY) == SECONDS:  # begun before signing in
                session.set_expiry(None)
        return response
