"""① Receives events from SDKs and servers: reads the body, calls the intake, answers."""

from typing import Protocol, cast

import msgspec
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request

from postbacks.api.sdk.event_schema import ReceiptSerializer, events_body_schema
from postbacks.api.sdk.report_view import ReportView
from postbacks.api.throttling import count_events
from postbacks.intake.events.body import BodyError
from postbacks.intake.events.recording import record_events
from postbacks.intake.receipts import FieldError, Receipt
from postbacks.intake.sdk_keys import Reporter
from postbacks.models import RefusalDoor
from postbacks.web.middleware import own_transactions
from postbacks.web.problem_documents import problem


@own_transactions
class SdkEventsView(ReportView):
    """Receives events from an app's SDK or the advertiser's server."""

    door = RefusalDoor.EVENTS

    @extend_schema(
        summary="Report events",
        request={"application/json": events_body_schema()},
        responses={202: OpenApiResponse(ReceiptSerializer, "The good events are committed.")},
    )
    def post(self, request: Request) -> HttpResponse:
        """Answer 202 once the good events are committed, 422 if there is none.

        One event, an array, or `{"events": […]}`, where `sent_at` may stand beside them; up to
        1,000 events and 5 MB, also gzipped. An event that was sent before (same `event_id`) is
        counted as a duplicate and changes nothing, so that everything can be sent again safely.
        """
        return answer_report(self, record_events, "event")


class RecordItems(Protocol):
    """Records the good items of a body. Raises BodyError for a body that can't be read."""

    def __call__(self, body: bytes, *, encoding: str, reporter: Reporter) -> Receipt: ...


def answer_report(view: ReportView, record: RecordItems, noun: str) -> HttpResponse:
    """Record what a request reports: 202 once the good items are committed, 422 without any."""
    request, reporter = view.request._request, cast(Reporter, view.request.auth)
    try:
        receipt = record(
            request.body,
            encoding=request.META.get("HTTP_CONTENT_ENCODING", ""),
            reporter=reporter,
        )
    except BodyError as error:
        return problem(error.status, error.detail)
    count_events(reporter, len(receipt.ids))
    content = receipt_content(receipt)
    status = 202 if any(receipt.ids) else 422
    view.log_rejections(reporter, receipt, status)
    if status == 422:
        return problem(422, f"No {noun} of the request is valid.", members=content)
    return HttpResponse(msgspec.json.encode(content), status=202, content_type="application/json")


def receipt_content(receipt: Receipt) -> dict[str, object]:
    """Return a receipt as the API answers it."""
    return {
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "rejected": [
            {"index": rejection.index, "errors": [_error(error) for error in rejection.errors]}
            for rejection in receipt.rejected
        ],
        "ids": receipt.ids,
        "warnings": [
            {"index": warning.index, "pointer": warning.pointer, "detail": warning.detail}
            for warning in receipt.warnings
        ],
    }


def _error(error: FieldError) -> dict[str, str]:
    return {"pointer": error.pointer, "detail": error.detail}
