"""Opens the transport that the operator has chosen."""

from django.conf import settings

from postbacks.delivery.http.destinations import Destinations
from postbacks.delivery.http.requests_transport import RequestsTransport
from postbacks.delivery.http.transport import Transport


def open_transport() -> Transport:
    """Return a transport as the settings say; its `with` closes it."""
    destinations = Destinations(settings.ALLOW_PRIVATE_DESTINATIONS)
    if settings.DELIVERY_TRANSPORT == "requests":
        return RequestsTransport(destinations, proxy=settings.EGRESS_PROXY)
    # Only here: pycurl is an extra.
    from postbacks.delivery.http.curl_transport import CurlTransport

    return CurlTransport(destinations, proxy=settings.EGRESS_PROXY)
