"""① Receives touchpoints from servers and apps: reads the body, calls the intake, answers."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request

from postbacks.api.schema import ProblemSchema
from postbacks.api.sdk.event_schema import ReceiptSerializer
from postbacks.api.sdk.events import answer_report
from postbacks.api.sdk.report_view import ReportView
from postbacks.intake.links.server_touchpoints import record_server_touchpoints
from postbacks.models import RefusalDoor
from postbacks.values.touchpoints import LONGEST_CLICK_ID
from postbacks.web.middleware import own_transactions

_ID = {"type": ["string", "null"], "maxLength": 255}
_TOUCHPOINT: dict[str, Any] = {
    "type": "object",
    "description": (
        "A click or an impression. Further fields, such as hashed IDs (`sha1_idfa`, `gaid_md5`), "
        "`os_version`, `campaign_id` or `creative_name`, are kept as parameters of the click."
    ),
    "properties": {
        "touchpoint_id": {
            "type": ["string", "null"],
            "format": "uuid",
            "description": "Made once by the client: what is sent again counts once in seven days.",
        },
        "kind": {
            "type": "string",
            "enum": ["click", "impression"],
            "default": "click",
            "description": "Also understood under the name `type`.",
        },
        "link": {
            "type": "string",
            "description": "Token or ID of a tracking link; this or `campaign` is required.",
        },
        "campaign": {"type": "string", "format": "uuid", "description": "ID of a campaign."},
        "occurred_at": {
            "type": ["string", "number", "null"],
            "description": (
                "ISO 8601 with an offset, or Unix seconds, milliseconds or microseconds; default "
                "now. At most 30 days old; after 12 hours a touchpoint is kept but can earn no "
                "install."
            ),
        },
        "click_id": {
            "type": ["string", "null"],
            "maxLength": LONGEST_CLICK_ID,
            "description": "The network's own ID. The same one counts once in seven days.",
        },
        **dict.fromkeys(("idfa", "gaid", "oaid", "amazon_id", "advertising_id", "idfv"), _ID),
        "ip_address": _ID,
        "user_agent": {"type": ["string", "null"]},
        "site_id": _ID,
        "params": {
            "type": ["object", "null"],
            "description": "For `{{click.<name>}}`: texts, numbers, true or false.",
        },
    },
}
_MANY = {"type": "array", "items": _TOUCHPOINT, "minItems": 1, "maxItems": 1000}
_BODY = {
    "oneOf": [
        _TOUCHPOINT,
        _MANY,
        {"type": "object", "required": ["touchpoints"], "properties": {"touchpoints": _MANY}},
    ]
}


@own_transactions
class TouchpointsView(ReportView):
    """Receives clicks and impressions from a network's or the advertiser's server, or an app."""

    door = RefusalDoor.TOUCHPOINTS
    schema = ProblemSchema()

    @extend_schema(
        summary="Report touchpoints",
        request={"application/json": _BODY},
        responses={202: OpenApiResponse(ReceiptSerializer, "The good touchpoints are committed.")},
    )
    def post(self, request: Request) -> HttpResponse:
        """Answer 202 once the good touchpoints are committed, 422 if there is none.

        One touchpoint, an array, or `{"touchpoints": […]}`; up to 1,000 and 5 MB, also gzipped. One
        that was sent before is counted as a duplicate and answered with the id of the first; one of
        a forgotten device is rejected.
        """
        return answer_report(self, record_server_touchpoints, "touchpoint")
