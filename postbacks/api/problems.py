"""Errors of the API: each becomes a problem document, the same from every address."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from django.core.exceptions import PermissionDenied, RequestDataTooBig, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views import defaults
from rest_framework import exceptions, status

from postbacks.infrastructure.database.outages import is_outage
from postbacks.intake.events.body import BodyError
from postbacks.web.middleware import database_is_away
from postbacks.web.problem_documents import RETRY_AFTER_SECONDS, problem
from postbacks.web.request_bodies import UnreadableBodyError

_TENJIN = "/v0/"
_API = ("/api/", _TENJIN, "/.well-known/")
_TOO_LARGE = "The body is larger than 5 MB; send less at once."


class Conflict(exceptions.APIException):
    """The request conflicts with the current state; the detail says what would not."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


class NoWorker(exceptions.APIException):
    """Nothing can be sent, for no worker runs; it may soon."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "no_worker"


class InvalidRequest(exceptions.APIException):
    """The request is not valid; `errors` name each place and what would be right there."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid"

    def __init__(self, errors: Sequence[Mapping[str, object]]) -> None:
        self.errors = errors
        super().__init__("The request is not valid.")


def pointer(*steps: object) -> str:
    """Return the JSON pointer (RFC 6901) of a member of a body."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer requests that Django itself refuses: too large, too many fields, unknown host."""
    code, detail = 400, "The request is not valid."
    if isinstance(exception, RequestDataTooBig):
        code, detail = 413, _TOO_LARGE
    elif isinstance(exception, UnreadableBodyError):
        code, detail = exception.status, exception.detail
    if request.path.startswith(_TENJIN):
        content = {"code": code, "message": detail}
        return HttpResponse(
            msgspec.json.encode(content), status=code, content_type="application/json"
        )
    if request.path.startswith(_API):
        return problem(code, detail)
    # Without the request: it may have been refused before its user was looked up.
    page = "413.html" if code == 413 else "400.html"
    return HttpResponse(render_to_string(page), status=code)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer for an address that no pattern matches, such as one with a line end inside."""
    if request.path.startswith(_API):
        return problem(404, "There is nothing at this address.")
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer for an error of ours, revealing only that it is in the log."""
    if request.path.startswith(_API):
        return problem(500, "Something went wrong on our side; it is in the server's log.")
    return defaults.server_error(request)


def answer_exception(error: Exception, context: Mapping[str, object]) -> HttpResponse | None:
    """Turn what a view raised into a problem document; None leaves it to Django."""
    if is_outage(error):
        return database_is_away(error)
    if isinstance(error, RequestDataTooBig):
        return problem(413, _TOO_LARGE)
    if isinstance(error, BodyError):
        return problem(error.status, error.detail)
    if isinstance(error, Http404):
        return problem(404, "There is nothing of yours at this address.")
    if isinstance(error, PermissionDenied):
        return problem(403, "Your role does not allow this.")
    if isinstance(error, ValidationError):
        error = exceptions.ValidationError(
            error.message_dict if hasattr(error, "error_dict") else error.messages
        )
    if not isinstance(error, exceptions.APIException):
        return None
    return _from_api_exception(error)


def _from_api_exception(error: exceptions.APIException) -> HttpResponse:
    headers: dict[str, str] = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if isinstance(error, exceptions.Throttled):
        headers["Retry-After"] = str(
            int(getattr(error, "wait", None) or float(RETRY_AFTER_SECONDS))
        )
    if isinstance(error, NoWorker):
        headers["Retry-After"] = RETRY_AFTER_SECONDS
    if isinstance(error, InvalidRequest):
        return problem(error.status_code, str(error.detail), members={"errors": error.errors})
    if isinstance(error, exceptions.ValidationError):
        errors = [{"pointer": at, "detail": text} for at, text in _flatten(error.detail, "")]
        return problem(error.status_code, "The request is not valid.", members={"errors": errors})
    return problem(error.status_code, str(error.detail), headers=headers)


def _flatten(detail: object, at: str) -> Iterable[tuple[str, str]]:
    """Yield pointer and sentence of each of REST framework's nested details."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from _flatten(inner, at if name == "non_field_errors" else at + pointer(name))
    elif isinstance(detail, list):
        nested = any(isinstance(inner, Mapping | list) for inner in detail)
        for index, inner in enumerate(detail):
            yield from _flatten(inner, at + pointer(index) if nested else at)
    else:
        yield at, str(detail)
