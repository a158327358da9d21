"""Bodies without a Content-Length: read at every door, within bounds, never taken for empty."""

import gzip
import json
import socket
from io import BytesIO
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.test import RequestFactory

from apps_registry.models import App
from apps_registry.tenancy import tenant as tenant_of
from postbacks.models import ErasureRequest, Event, Touchpoint, UnclaimedCopy
from postbacks.web.request_bodies import (
    UnreadableBodyError,
    UnreadBodies,
    closed_for_reading_when_late,
    read_to_end,
)
from tests import database, make
from tests.web.gunicorn_server import exchange

pytestmark = pytest.mark.django_db(transaction=True)

MEGABYTE = 1024 * 1024
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
EVENT = b'{"event_name": "purchase", "revenue": "9.99", "currency": "EUR"}'
PURCHASE = b"platform=android&price=9.99&quantity=1&currency=EUR&product_id=p"


class Answer:
    """What a WSGI application answered."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self.status = 0
        body = WSGIHandler()(environ, self._start)
        self.text = b"".join(body).decode()

    def _start(self, status: str, headers: list[tuple[str, str]], *_: object) -> None:
        self.status = int(status.split()[0])
        self.headers = dict(headers)


def call(path: str, body: object, *, terminated: bool = True, **more: str) -> Answer:
    """Call the application as a server does that gives the body as a stream."""
    stream = BytesIO(body) if isinstance(body, bytes) else body
    environ = RequestFactory()._base_environ(
        **{
            "PATH_INFO": path,
            "REQUEST_METHOD": "POST",
            "HTTP_TRANSFER_ENCODING": "chunked",
            "CONTENT_TYPE": JSON,
            "wsgi.input": stream,
            "wsgi.input_terminated": terminated,
            **more,
        }
    )
    environ.pop("CONTENT_LENGTH", None)
    environ = {name: value for name, value in {**environ, **more}.items() if value != "absent"}
    return Answer(environ)


def key(tenant: make.Tenant) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"Bearer {tenant.sdk_key}"}


def events_of(tenant: make.Tenant) -> list[Event]:
    with tenant_of(tenant.organization.pk):
        return list(Event.objects.order_by("id"))


# Every door


def test_events_are_read(tenant) -> None:
    answer = call("/api/v1/events", b"[%b, %b]" % (EVENT, EVENT), **key(tenant))

    assert (answer.status, json.loads(answer.text)["accepted"]) == (202, 2)


def test_gzipped_events_are_read(tenant) -> None:
    zipped = {"HTTP_CONTENT_ENCODING": "gzip"}

    answer = call("/api/v1/events", gzip.compress(EVENT), **key(tenant), **zipped)

    assert answer.status == 202, answer.text
    assert str(events_of(tenant)[0].revenue) == "9.99"


@pytest.mark.parametrize("path", ["/v0/purchase", "/v0/purchase/"])
def test_tenjins_purchase_keeps_its_revenue(tenant, path) -> None:
    answer = call(path, PURCHASE, CONTENT_TYPE=FORM, **key(tenant))

    assert (answer.status, json.loads(answer.text)) == (200, {"code": 200})
    (stored,) = events_of(tenant)
    assert (str(stored.revenue), stored.currency) == ("9.99", "EUR")


def test_tenjins_key_in_a_chunked_body_is_found(tenant) -> None:
    body = PURCHASE + f"&api_key={tenant.sdk_key}".encode()

    assert call("/v0/purchase", body, CONTENT_TYPE=FORM).status == 200
    assert len(events_of(tenant)) == 1


def test_touchpoints_are_read(tenant) -> None:
    with tenant_of(tenant.organization.pk):
        link = make.make_link(make.make_campaign(tenant.app, make.make_partner()))
    body = json.dumps([{"link": link.token, "click_id": "c-1"}]).encode()

    answer = call("/api/v1/touchpoints", body, **key(tenant))

    assert answer.status == 202, answer.text
    with tenant_of(tenant.organization.pk):
        assert Touchpoint.objects.get().click_id == "c-1"


def test_a_device_is_forgotten(tenant) -> None:
    answer = call("/api/v1/forget-device", b'{"install_id": "i-1"}', **key(tenant))

    assert answer.status == 202, answer.text
    with tenant_of(tenant.organization.pk):
        assert ErasureRequest.objects.count() == 1


@pytest.mark.parametrize("framework", ["skadnetwork", "appattribution"])
def test_apples_copies_are_read(framework) -> None:
    body = b'{"version": "3.0", "app-id": 525463029, "transaction-id": "t"}'

    answer = call(f"/.well-known/{framework}/report-attribution/", body)

    assert answer.status == 200, answer.text
    with database.superuser().cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {UnclaimedCopy._meta.db_table}")
        assert cursor.fetchone() == (1,)


def test_the_management_api_reads_them(tenant) -> None:
    token = {"HTTP_AUTHORIZATION": f"Bearer {tenant.api_token}"}
    body = b'{"name": "Second", "platform": "ios"}'

    answer = call("/api/v1/apps", body, **token)

    assert answer.status == 201, answer.text
    with tenant_of(tenant.organization.pk):
        assert App.objects.filter(name="Second").exists()


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_form_of_the_admin_is_read(tenant, in_parts) -> None:
    fields = {"login": tenant.owner.email, "password": "correct horse battery"}
    boundary = "limit"
    parts = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    body, kind = "&".join(f"{name}={value}" for name, value in fields.items()), FORM
    if in_parts:
        body, kind = f"{parts}--{boundary}--\r\n", f"multipart/form-data; boundary={boundary}"
    token = "a" * 32

    answer = call(
        "/accounts/login/",
        body.encode(),
        CONTENT_TYPE=kind,
        HTTP_COOKIE=f"csrftoken={token}",
        HTTP_X_CSRFTOKEN=token,
    )

    assert (answer.status, answer.headers.get("Location")) == (302, "/admin/"), answer.text[:300]


# Other ways to come without a length


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_TRANSFER_ENCODING": "absent"},  # HTTP/2 has neither
        {"HTTP_TRANSFER_ENCODING": "Chunked"},
        {"HTTP_TRANSFER_ENCODING": "gzip, chunked"},
        {"CONTENT_LENGTH": ""},
        {"CONTENT_LENGTH": "0"},  # chunks overrule a length (RFC 9112, 6.3)
        {"CONTENT_LENGTH": "7"},
        {"REQUEST_METHOD": "POST", "SERVER_PROTOCOL": "HTTP/2"},
    ],
    ids=str,
)
def test_a_stream_with_an_end_is_read_to_its_end(tenant, headers) -> None:
    assert call("/api/v1/events", EVENT, **key(tenant), **headers).status == 202


def test_an_empty_chunked_body_is_still_an_empty_body(tenant) -> None:
    answer = call("/api/v1/events", b"", **key(tenant))

    assert answer.status == 400
    assert "empty" in answer.text


def test_a_server_that_does_not_end_the_stream_says_what_to_send(tenant) -> None:
    answer = call("/api/v1/events", EVENT, terminated=False, **key(tenant))

    assert answer.status == 411
    assert "Content-Length" in json.loads(answer.text)["detail"]
    assert events_of(tenant) == []


def test_tenjins_sdk_is_refused_in_its_own_shape(tenant) -> None:
    answer = call("/v0/event", PURCHASE, terminated=False, CONTENT_TYPE=FORM, **key(tenant))

    assert answer.status == 411
    assert json.loads(answer.text)["code"] == 411


def test_a_length_without_chunks_is_believed_as_before(tenant) -> None:
    plain = {"HTTP_TRANSFER_ENCODING": "absent", "CONTENT_LENGTH": str(len(EVENT))}

    assert call("/api/v1/events", EVENT + b" more", **key(tenant), **plain).status == 202


def test_a_click_is_not_kept_waiting_for_a_body(tenant) -> None:
    with tenant_of(tenant.organization.pk):
        link = make.make_link(make.make_campaign(tenant.app, make.make_partner()))

    answer = call(f"/c/{link.token}", Unreadable(), REQUEST_METHOD="GET")

    assert answer.status in {302, 404}


# Bounds


class Unreadable(BytesIO):
    """A stream whose reading fails, as gunicorn's does at a malformed chunk."""

    def read(self, _size: int | None = -1, /) -> bytes:
        raise ValueError("bad chunk")


class Endless(BytesIO):
    """A stream that never ends."""

    def __init__(self) -> None:
        super().__init__()
        self.read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert size > 0
        self.read_bytes += size
        return b"x" * size


@pytest.mark.parametrize("path", ["/api/v1/events", "/v0/event", "/accounts/login/"])
def test_an_endless_body_is_too_large(tenant, path) -> None:
    stream = Endless()

    answer = call(path, stream, **key(tenant))

    assert answer.status == 413, answer.text[:200]
    assert stream.read_bytes <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1


def test_a_body_of_five_megabytes_is_read_and_one_byte_more_is_not() -> None:
    most = b"x" * (5 * MEGABYTE)

    assert read_to_end(BytesIO(most), limit=len(most)) == most
    with pytest.raises(RequestDataTooBig):
        read_to_end(BytesIO(most + b"x"), limit=len(most))


def test_a_body_that_trickles_is_given_up_when_its_time_is_over() -> None:
    times = iter(range(1_000))

    class Trickle:
        def read(self, _size: int) -> bytes:
            return b"x"

    with pytest.raises(UnreadableBodyError) as refused:
        read_to_end(Trickle(), limit=MEGABYTE, seconds=30, clock=lambda: float(next(times)))

    assert refused.value.status == 408
    assert next(times) < 40


def test_broken_chunks_are_refused_in_a_sentence(tenant) -> None:
    answer = call("/api/v1/events", Unreadable(), **key(tenant))

    assert answer.status == 400
    assert "chunks" in json.loads(answer.text)["detail"]


# The server that README and demo use


def chunked(path: str, sdk_key: str, *chunks: bytes, more: bytes = b"", end: bytes = b"0") -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"Authorization: Bearer {sdk_key}\r\nTransfer-Encoding: chunked\r\n"
    ).encode()
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + more + b"\r\n" + body + end + b"\r\n\r\n"


def test_under_gunicorn_chunks_are_read_and_broken_ones_refused(tenant, port) -> None:
    json_type = b"Content-Type: application/json\r\n"
    form = b"Content-Type: application/x-www-form-urlencoded\r\n"
    zipped = gzip.compress(EVENT)

    answers = [
        exchange(
            port, chunked("/api/v1/events", tenant.sdk_key, EVENT[:9], EVENT[9:], more=json_type)
        ),
        exchange(port, chunked("/v0/purchase", tenant.sdk_key, PURCHASE, more=form)),
        exchange(
            port,
            chunked(
                "/api/v1/events",
                tenant.sdk_key,
                *(zipped[at : at + 1] for at in range(len(zipped))),
                more=json_type + b"Content-Encoding: gzip\r\n",
            ),
        ),
        exchange(port, chunked("/api/v1/events", tenant.sdk_key, EVENT, more=json_type, end=b"zz")),
    ]

    assert [answer.split()[1] for answer in answers] == [b"202", b"200", b"202", b"400"], answers
    assert [str(event.revenue) for event in events_of(tenant)] == ["9.99"] * 3


@pytest.mark.parametrize(
    "body",
    [
        b"2\r\n{}\r\n0\r\n" + b"X-Trailer: a\r\n" * 10_000 + b"\r\n",
        b"2\r\n{}\r\n0\r\n" + b"a" * 100_000,
        b"2;" + b"a" * 100_000 + b"\r\n{}\r\n0\r\n\r\n",
        b"2;" + b"a" * 100_000,
        b"0" * 5_000 + b"2\r\n{}\r\n0\r\n\r\n",
        b"F" * 24 + b"\r\n{}\r\n0\r\n\r\n",
        b"7FFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n",
    ],
    ids=["trailers", "a trailer", "extension", "no line", "zeros", "overflow", "more than may be"],
)
def test_under_gunicorn_chunks_that_can_never_end_are_refused_at_once(
    tenant, port, body: bytes
) -> None:
    answer = exchange(port, chunked("/api/v1/events", tenant.sdk_key)[:-5] + body)

    # What has all come in one piece may still be read, and is then no event.
    assert answer.split()[1] in {b"400", b"413", b"422"}, answer[:300]
    assert b"Connection: close" in answer


def test_under_gunicorn_a_refused_body_leaves_a_connection_that_works(tenant, port) -> None:
    alive = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    good, much = f"Bearer {tenant.sdk_key}", b"x" * 6_000_000
    cases = {
        (413, "too large"): (good, f"Content-Length: {len(much)}", much),
        (401, "no key"): ("Bearer pbk_nobody", f"Content-Length: {len(much)}", much),
        (413, "chunked"): (
            good,
            "Transfer-Encoding: chunked",
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(much), much),
        ),
    }

    for (status, name), (authorization, length, body) in cases.items():
        head = (
            f"POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n"
            f"Authorization: {authorization}\r\nContent-Type: application/json\r\n\r\n"
        )
        answer = exchange(port, head.encode() + body + alive)
        assert answer.startswith(b"HTTP/1.1 %d" % status), (name, answer[:300])
        assert b'{"status": "alive"}' in answer, (name, answer)


def test_under_gunicorn_a_body_without_end_is_answered_and_the_connection_closed(
    tenant, port
) -> None:
    head = (
        "POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000000000\r\n"
        f"Authorization: Bearer {tenant.sdk_key}\r\n\r\n"
    )

    answer = exchange(port, head.encode() + b"x" * 1_000_000)

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"Connection: close" in answer


def refuse(body: BytesIO, length: str, *, status: int) -> HttpResponseBase:
    """Answer a request without reading its body."""
    environ = RequestFactory()._base_environ(REQUEST_METHOD="POST", CONTENT_LENGTH=length)
    request = WSGIRequest({**environ, "wsgi.input": body})
    return UnreadBodies(lambda _request: HttpResponse(status=status))(request)


@pytest.mark.parametrize("status", [401, 408, 411, 413, 429, 503])
def test_what_a_refused_request_still_sends_is_read(status: int) -> None:
    body = BytesIO(b"x" * 100_000)
    environ = {
        **RequestFactory()._base_environ(REQUEST_METHOD="POST"),
        "wsgi.input": body,
        "CONTENT_LENGTH": "100000",
    }

    answer = UnreadBodies(lambda _request: HttpResponse(status=status))(WSGIRequest(environ))

    assert "Connection" not in answer.headers
    assert body.read() == b""


@pytest.mark.parametrize(("length", "sent"), [("90000000", 30_000_000), ("1000", 999)])
def test_what_is_too_much_or_does_not_come_closes_the_connection(length: str, sent: int) -> None:
    environ = {
        **RequestFactory()._base_environ(REQUEST_METHOD="POST"),
        "wsgi.input": BytesIO(b"x" * sent),
        "CONTENT_LENGTH": length,
    }

    answer = UnreadBodies(lambda _request: HttpResponse(status=401))(WSGIRequest(environ))

    assert answer.headers["Connection"] == "close"


def test_a_connection_that_is_late_is_closed_for_reading_and_can_still_be_answered() -> None:
    server, caller = socket.socketpair()
    with server, caller:
        caller.sendall(b"1")
        with closed_for_reading_when_late(server, seconds=0.001):
            received = [server.recv(1), server.recv(1)]  # the second would wait for ever
        server.sendall(b"408")

        assert received == [b"1", b""]
        assert caller.recv(3) == b"408"


def test_the_chunked_body_of_a_get_is_read(tenant) -> None:
    answer = call("/v0/purchase", PURCHASE, REQUEST_METHOD="GET", CONTENT_TYPE=FORM, **key(tenant))

    assert answer.status == 200
    assert str(events_of(tenant)[0].revenue) == "9.99"


@pytest.mark.parametrize("ends_quietly", [False, True])
def test_a_body_that_stalls_until_it_is_closed_is_too_slow_whatever_the_clock_says(
    ends_quietly,
) -> None:
    server, caller = socket.socketpair()

    class Stalled:
        """Reads as gunicorn does: a closed connection fails, or looks like the end."""

        def read(self, size: int) -> bytes:
            piece = server.recv(size)
            if not piece and not ends_quietly:
                raise ValueError("no more data")
            return piece

    with server, caller:
        caller.sendall(b"1")
        with (
            pytest.raises(UnreadableBodyError) as refused,
            closed_for_reading_when_late(server, seconds=0.001) as is_late,
        ):
            read_to_end(Stalled(), limit=MEGABYTE, clock=lambda: 0.0, is_late=is_late)

    assert refused.value.status == 408


def test_a_caller_that_goes_away_is_not_called_slow() -> None:
    server, caller = socket.socketpair()

    class Cut:
        def read(self, size: int) -> bytes:
            if not (piece := server.recv(size)):
                raise ValueError("no more data")
            return piece

    with server:
        caller.sendall(b"1")
        caller.close()
        with (
            pytest.raises(UnreadableBodyError) as refused,
            closed_for_reading_when_late(server) as is_late,
        ):
            read_to_end(Cut(), limit=MEGABYTE, is_late=is_late)

    assert refused.value.status == 400
