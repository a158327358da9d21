"""Partners on loopback, and a transport that may reach them."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from postbacks.delivery.http.destinations import Destinations, parse_networks
from postbacks.delivery.http.requests_transport import RequestsTransport
from postbacks.delivery.http.transport import Transport
from tests.delivery.partner_server import Partners


@pytest.fixture
def delivery_partners() -> Iterator[Partners]:
    partners = Partners()
    yield partners
    partners.stop()


@pytest.fixture
def delivery_loopback() -> Destinations:
    return Destinations(parse_networks("127.0.0.0/8"))


@pytest.fixture(params=["requests", "curl"])
def delivery_transport(request: pytest.FixtureRequest) -> type[Transport]:
    """Return each transport in turn; curl only where pycurl is installed."""
    if request.param == "requests":
        return RequestsTransport
    pytest.importorskip("pycurl")
    from postbacks.delivery.http.curl_transport import CurlTransport

    return CurlTransport


@pytest.fixture
def delivery_sender(
    delivery_transport: type[Transport], delivery_loopback: Destinations
) -> Iterator[Transport]:
    with delivery_transport(
        delivery_loopback, resolve_timeout=0.5, connect_timeout=0.5
    ) as transport:
        yield transport


@pytest.fixture
def delivery_public_sender(
    delivery_transport: type[Transport],
) -> Iterator[Transport]:
    with delivery_transport(Destinations(), resolve_timeout=0.5, connect_timeout=0.5) as transport:
        yield transport


@pytest.fixture(scope="session")
def delivery_authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def delivery_ca_file(
    delivery_authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> str:
    path: Path = tmp_path_factory.mktemp("authority") / "ca.pem"
    delivery_authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def delivery_tls(delivery_authority: trustme.CA) -> ssl.SSLContext:
    """A server's TLS context with a certificate for partner.example and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    delivery_authority.issue_cert("partner.example").configure_cert(context)
    return context
