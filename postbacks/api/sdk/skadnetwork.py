"""② Receives copies of Apple's postbacks from devices. They carry no key of ours.

Apple fixes the addresses, and after any answer but 200 it tries again for nine days.
"""

from typing import Final

from django.core.exceptions import RequestDataTooBig
from django.http import HttpResponse, UnreadablePostError
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from apps_registry.client_address import client_address
from postbacks.api import throttling
from postbacks.api.sdk.report_view import AlwaysJson
from postbacks.intake.events.body import BodyError
from postbacks.intake.skadnetwork.recording import record_copy
from postbacks.web.middleware import own_transactions
from postbacks.web.problem_documents import problem

# Apple's own end with a slash; a redirect to it would lose the body.
COPY_PATHS: Final = tuple(
    f".well-known/{framework}/report-attribution{slash}"
    for framework in ("skadnetwork", "appattribution")
    for slash in ("/", "")
)


@own_transactions
class SkanCopiesView(APIView):
    """Receives copies of the postbacks of SKAdNetwork and AdAttributionKit."""

    content_negotiation_class = AlwaysJson
    authentication_classes = []
    permission_classes = []

    @extend_schema(exclude=True)
    def post(self, request: Request) -> HttpResponse:
        """Answer 200 once a copy is committed, even if its signature is not valid."""
        address = client_address(request._request)
        throttling.throttle_copies(address)
        try:
            record_copy(
                request._request.body,
                before_keeping=lambda: throttling.throttle_unclaimed_copies(address),
            )
        except BodyError as error:
            return problem(error.status, error.detail)
        except RequestDataTooBig:
            return problem(413, "The copy is larger than 16 KB.")
        except UnreadablePostError:
            return problem(400, "The body ended too early.")
        return HttpResponse(status=200)
