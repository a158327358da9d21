"""① Hands what the SDK's doors refuse to the log of refused events, once the answer is made."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

import msgspec
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from postbacks.intake import refused_events
from postbacks.intake.events.body import BodyError, inflate
from postbacks.intake.events.recording import DEVICE_FORGOTTEN
from postbacks.intake.receipts import FieldError, Receipt, Rejection
from postbacks.intake.refused_events import RefusedReport, read_refused_body
from postbacks.intake.sdk_keys import KnownKey, Reporter
from postbacks.models import RefusalDoor, RefusalReason
from postbacks.web.request_bodies import UnreadableBodyError

_REASONS: Final = {
    HTTPStatus.BAD_REQUEST: RefusalReason.UNREADABLE_BODY,
    HTTPStatus.FORBIDDEN: RefusalReason.NOT_ALLOWED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: RefusalReason.TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: RefusalReason.UNREADABLE_BODY,
    HTTPStatus.UNPROCESSABLE_ENTITY: RefusalReason.INVALID_REQUEST,
    HTTPStatus.TOO_MANY_REQUESTS: RefusalReason.TOO_FAST,
}
_MOST_PARAMETERS: Final = 500
_LARGEST_READ: Final = 256 * 1024  # of a body that nobody has read yet


class RefusalLoggingView(APIView):
    """A view of the SDK's doors: what it refuses of a known key is logged, and the answer goes out.

    Where items of a request are refused, the view names them by `log_rejections`; otherwise the
    request as a whole was.
    """

    door: ClassVar[RefusalDoor]
    _is_logged = False

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        final: HttpResponse = super().finalize_response(request, response, *args, **kwargs)
        key = known_key(request._request)
        if key is not None and not self._is_logged and final.status_code in _REASONS:
            refused_events.log.add(key, [self._refusal_of_request(key, request, final)])
        return final

    def log_rejections(
        self,
        reporter: Reporter,
        receipt: Receipt,
        status: int,
        *,
        arrived: Mapping[str, object] | None = None,
    ) -> None:
        """Log the items of a receipt that were refused.

        `arrived` is what the caller sent where the item was made of it.
        """
        self._is_logged = True
        if receipt.rejected:
            refusals = [
                _refusal_of_item(self.door, status, rejection, arrived)
                for rejection in receipt.rejected
            ]
            refused_events.log.add(reporter, refusals)

    def _refusal_of_request(
        self, key: KnownKey, request: Request, response: HttpResponse
    ) -> RefusedReport:
        reason = _reason(key, response.status_code)
        errors = _errors_of(response)
        if reason is RefusalReason.UNREADABLE_BODY and any(error.pointer for error in errors):
            reason = RefusalReason.INVALID_FIELD
        is_read = reason is not RefusalReason.TOO_FAST
        return RefusedReport(
            door=self.door,
            status_code=response.status_code,
            errors=errors,
            reason=reason,
            item=_arrived(request._request) if is_read else b"",
        )


def known_key(request: HttpRequest) -> KnownKey | None:
    """Return the SDK key of a request, if authentication found one, whether or not it is good."""
    key = getattr(request, "sdk_key", None)
    return key if isinstance(key, KnownKey) else None


def _reason(key: KnownKey, status: int) -> RefusalReason:
    if status == HTTPStatus.FORBIDDEN:
        if key.is_revoked:
            return RefusalReason.KEY_REVOKED
        if key.has_ended:
            return RefusalReason.KEY_ENDED
        if key.is_of_archived_app:
            return RefusalReason.APP_ARCHIVED
    return _REASONS[HTTPStatus(status)]


def _refusal_of_item(
    door: RefusalDoor, status: int, rejection: Rejection, arrived: Mapping[str, object] | None
) -> RefusedReport:
    is_forgotten = any(error.detail == DEVICE_FORGOTTEN for error in rejection.errors)
    item = rejection.item
    return RefusedReport(
        door=door,
        status_code=status,
        errors=rejection.errors,
        reason=RefusalReason.DEVICE_FORGOTTEN if is_forgotten else RefusalReason.INVALID_FIELD,
        index=rejection.index,
        item=item if arrived is None else arrived,
        ids=item if arrived is not None and isinstance(item, Mapping) else {},
    )


def _errors_of(response: HttpResponse) -> tuple[FieldError, ...]:
    """Return what an answer in JSON says, a problem document's or Tenjin's."""
    try:
        answer = msgspec.json.decode(_content_of(response))
    except msgspec.DecodeError:
        return ()
    errors: Sequence[Mapping[str, str]] = answer.get("errors") or [
        {"detail": answer.get("detail") or answer.get("message") or ""}
    ]
    return tuple(
        FieldError(error.get("pointer", ""), str(error.get("detail", ""))) for error in errors
    )


def _content_of(response: HttpResponse) -> bytes:
    if hasattr(response, "render"):  # one of REST framework's, which is rendered later
        return msgspec.json.encode(getattr(response, "data", None) or {})
    return response.content


def _arrived(request: HttpRequest) -> object:
    """Return the query of a refused request, or its body as far as it was read or is small."""
    if query := request.META.get("QUERY_STRING", ""):
        try:
            return dict(parse_qsl(query, max_num_fields=_MOST_PARAMETERS))
        except ValueError:
            return b""
    try:
        is_small = int(request.META.get("CONTENT_LENGTH") or 0) <= _LARGEST_READ
        body = request.body if hasattr(request, "_body") or is_small else b""
        body = inflate(body, request.META.get("HTTP_CONTENT_ENCODING", ""))
    except (BodyError, RequestDataTooBig, UnreadableBodyError, OSError, ValueError):
        body = b""
    return read_refused_body(body)
