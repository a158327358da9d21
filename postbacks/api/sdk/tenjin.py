"""① Tenjin's API: reads its parameters, calls the intake, and answers as Tenjin does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.request import Request

from apps_registry.tenancy import tenant
from postbacks.api.authentication import SdkKeyAuthentication, credential_in_header
from postbacks.api.problems import answer_exception
from postbacks.api.sdk import tracking_links
from postbacks.api.sdk.report_view import ReportView
from postbacks.insights.device_attribution import attribution_of_installation
from postbacks.intake.events.body import BodyError
from postbacks.intake.events.recording import record_parsed_events
from postbacks.intake.html_entities import READ_AS_MEANT, holds_entity
from postbacks.intake.receipts import Receipt
from postbacks.intake.sdk_keys import Reporter
from postbacks.intake.tenjin.device import installation_id
from postbacks.intake.tenjin.mapping import (
    MEDIATIONS,
    SERVER,
    Call,
    remarks_on_device,
    remarks_on_event,
    remarks_on_repeated,
    remarks_on_time,
    tenjin_name,
    to_sdk_event,
)
from postbacks.intake.tenjin.parameters import (
    CONSENTS,
    NAMES,
    SentParameters,
    in_known_case,
    read_body,
    read_query,
    that_counts,
)
from postbacks.models import EventSource, RefusalDoor
from postbacks.web.middleware import own_transactions
from postbacks.web.request_bodies import UnreadableBodyError, read_chunked_body

_KEY = "api_key"
_BODY = "_parameters_of_body"
_ERROR_HEADERS = ("Retry-After", "WWW-Authenticate")


class TenjinKeyAuthentication(SdkKeyAuthentication):
    """Authenticates an app by its SDK key, which may be one of the parameters."""

    def read_secret(self, request: Request) -> str:
        """Return the key of the header, else of the query, else of the body."""
        if request.META.get("HTTP_AUTHORIZATION"):
            return credential_in_header(request)
        key = _query(request).get(_KEY) or _parameters(request).get(_KEY)
        if not isinstance(key, str) or not key:
            raise exceptions.NotAuthenticated(
                "Send the SDK key as api_key, or as the user name of Basic authentication."
            )
        return key

    def authenticate_header(self, request: Request) -> str:
        return 'Basic realm="SDK key"'


class TenjinView(ReportView):
    """A view of Tenjin's API; each answers GET and POST alike."""

    door = RefusalDoor.TENJIN
    schema = None  # Tenjin's documentation describes it
    authentication_classes = [TenjinKeyAuthentication]
    remarks: Sequence[str] = ()  # on the event that the call reported
    http_method_names = ["get", "post"]  # a HEAD must not report anything

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Read the chunked body of a GET, which no other door waits for."""
        if request.method == "GET" and request.META.get("HTTP_TRANSFER_ENCODING"):
            try:
                read_chunked_body(request._request)
            except UnreadableBodyError as error:
                raise BodyError(error.status, error.detail) from None
            except RequestDataTooBig as error:
                raise BodyError(413, str(error)) from None
        super().initial(request, *args, **kwargs)

    def get(self, request: Request) -> HttpResponse:
        """Answer a call with its parameters in the address, or in a body as after `curl -d`."""
        return self._answered(request)

    def post(self, request: Request) -> HttpResponse:
        """Answer a call with its parameters in a form or in JSON."""
        return self._answered(request)

    def _answered(self, request: Request) -> HttpResponse:
        parameters = _parameters(request)
        answer = self.answer(cast(Reporter, request.auth), parameters)
        if remarks := [*_remarks(request, parameters), *self.remarks]:
            # Tenjin's answer has no place for a remark.
            answer["Warning"] = ", ".join(f'299 - "{remark}"' for remark in remarks)
        return answer

    def answer(self, reporter: Reporter, parameters: Mapping[str, object]) -> HttpResponse:
        """Return the answer to a call."""
        raise NotImplementedError

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]
        """Answer errors in Tenjin's shape; Django answers errors of ours."""
        if isinstance(exc, BodyError):
            return _answer(exc.status, str(exc))
        if isinstance(exc, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
            exc.auth_header = self.get_authenticate_header(self.request)  # type: ignore[union-attr]
        problem = answer_exception(exc, {})
        if problem is None:
            raise exc
        detail = msgspec.json.decode(problem.content)["detail"]
        headers = {name: problem[name] for name in _ERROR_HEADERS if name in problem}
        return _answer(problem.status_code, detail, headers=headers)


@own_transactions
class TenjinEventView(TenjinView):
    """Receives an event, a purchase, an ad impression or a conversion value."""

    call = Call.EVENT
    mediation = ""  # set where a mediation's impressions have an address of their own

    def answer(self, reporter: Reporter, parameters: Mapping[str, object]) -> HttpResponse:
        """Answer 200 once the event is committed, 400 with a sentence if it can't be taken."""
        if self.mediation:
            parameters = {"mediation": self.mediation, **parameters}
        now = datetime.now(UTC)
        event = to_sdk_event(
            self.call, parameters, app_id=reporter.app_id, platform=reporter.platform, now=now
        )
        if parameters.get("sdk_version") == SERVER:  # its address says nothing about the device
            reporter = replace(reporter, ip_address=None, user_agent=None)
        receipt = record_parsed_events([event], reporter=reporter, source=EventSource.TENJIN)
        self.remarks = [*remarks_on_time(parameters, now=now), *remarks_on_event(receipt.warnings)]
        status = 400 if receipt.rejected else 200
        self.log_rejections(reporter, receipt, status, arrived=parameters)
        return _answer(status, _rejection(receipt) if receipt.rejected else "")


@own_transactions
class TenjinUserView(TenjinView):
    """Tells an app the credit of its own installation."""

    def answer(self, reporter: Reporter, parameters: Mapping[str, object]) -> HttpResponse:
        """Answer the attribution under Tenjin's names; 404 before the first open."""
        with tenant(reporter.organization_id):
            credit = attribution_of_installation(reporter.app_id, installation_id(parameters))
        if credit is None:
            return _answer(404, "No open of this installation is known yet; ask again later.")
        return _json(200, credit)


@csrf_exempt
@own_transactions
def nothing_here(request: HttpRequest, address: str) -> HttpResponse:
    """Answer for an address that Tenjin's API does not have, or we don't."""
    return _answer(404, "There is nothing at this address.")


def _query(request: Request) -> SentParameters:
    return read_query(request.META.get("QUERY_STRING", ""))


def _body(request: Request) -> Mapping[str, object]:
    """Return the parameters of the body, which is read once: for the key, or after it."""
    sent = request._request
    body: Mapping[str, object] | None = getattr(sent, _BODY, None)
    if body is None:
        body = read_body(
            sent.body,
            content_type=request.META.get("CONTENT_TYPE", ""),
            encoding=request.META.get("HTTP_CONTENT_ENCODING", ""),
        )
        setattr(sent, _BODY, body)
    return body


def _parameters(request: Request) -> SentParameters:
    """Return the parameters of query and body; the body's take precedence.

    A GET may have a body too: what `curl -X GET -d` sends would be lost otherwise.
    """
    query, body = _query(request), _body(request)
    both = {name for name in query.keys() & body if query[name] != body[name]}
    consents = {name: that_counts(name, query[name], body[name]) for name in both & CONSENTS}
    parameters = SentParameters(in_known_case({**query, **body, **consents}, NAMES))
    parameters.repeated = query.repeated | getattr(body, "repeated", frozenset())
    parameters.repeated |= both - CONSENTS
    return parameters


def _remarks(request: Request, parameters: SentParameters) -> list[str]:
    remarks = [READ_AS_MEANT] if _is_from_html(request) else []
    return [*remarks, *remarks_on_repeated(parameters), *remarks_on_device(parameters)]


def _is_from_html(request: Request) -> bool:
    if holds_entity(request.META.get("QUERY_STRING", "")):
        return True
    is_form = request.META.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
    return is_form and b"&amp;" in request._request.body.lower()


def _rejection(receipt: Receipt) -> str:
    errors = [error for rejection in receipt.rejected for error in rejection.errors]
    if any(error.pointer == "/price" for error in errors):  # the revenue was made of it
        errors = [error for error in errors if error.pointer != "/revenue"]
    return " ".join(f"{tenjin_name(error.pointer)}: {error.detail}" for error in errors)


def _answer(
    code: int, message: str = "", *, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    content: dict[str, object] = {"code": code}
    if message:
        content["message"] = message
    return _json(code, content, headers=headers)


def _json(
    code: int, content: Mapping[str, object], *, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    return HttpResponse(
        msgspec.json.encode(content), status=code, content_type="application/json", headers=headers
    )


_IMPRESSION = TenjinEventView.as_view(call=Call.AD_IMPRESSION)
_VIEWS = {
    "event": TenjinEventView.as_view(),
    "purchase": TenjinEventView.as_view(call=Call.PURCHASE),
    "user": TenjinUserView.as_view(),
    "ad_impression": _IMPRESSION,
    "ad_impressions": _IMPRESSION,
    "conversion-values": TenjinEventView.as_view(call=Call.CONVERSION_VALUE),
}


def _routes() -> Iterator[URLPattern]:
    """Yield each address with and without a slash at its end."""
    for address, view in _VIEWS.items():
        yield path(address, view)
        yield path(f"{address}/", view)
    for mediation in MEDIATIONS:
        view = TenjinEventView.as_view(call=Call.AD_IMPRESSION, mediation=mediation)
        yield path(f"ad_impressions/{mediation}", view)
        yield path(f"ad_impressions/{mediation}/", view)


urlpatterns = [
    *_routes(),
    path("click/<slug:token>", tracking_links.click),
    path("click/<slug:token>/", tracking_links.click),
    path("<path:address>", nothing_here),
]
