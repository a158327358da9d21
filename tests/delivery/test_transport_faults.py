"""What partners do wrong: each fault has its outcome and reason, by every transport."""

import gc
import os
import re
import socket
import ssl
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import count
from urllib.parse import unquote

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from postbacks.delivery.http.address_guard import AddressGuard
from postbacks.delivery.http.destinations import Destinations, parse_networks
from postbacks.delivery.http.dns import SocketAddress
from postbacks.delivery.http.egress_proxy import parse_proxy
from postbacks.delivery.http.head_lines import header_lines
from postbacks.delivery.http.request_guard import origin_of, target_of
from postbacks.delivery.http.response import MOST_BODY, Reply, TransportFailure
from postbacks.delivery.http.transport import Transport
from postbacks.delivery.outcome import Outcome, judge, parse_success
from postbacks.values.outgoing_request import OutgoingRequest
from tests.delivery.partner_server import Behavior, Partners, PartnerServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SHORT = 0.3
AnyTransport = type[Transport]
Fault = Callable[[Partners], PartnerServer]


def speaks_http_2(transport: Transport) -> bool:
    return type(transport).__name__ == "CurlTransport"


def get(url: str) -> OutgoingRequest:
    return OutgoingRequest("GET", url, {})


def answering(answer: bytes, *, body: bytes = b"") -> Fault:
    if body:
        answer += b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    return lambda partners: partners.answering(answer)


def dripping(beginning: bytes, drop: bytes) -> Fault:
    return lambda partners: partners.dripping(beginning, drop)


def flooding(beginning: bytes, wave: bytes) -> Fault:
    return lambda partners: partners.flooding(beginning, wave)


def resetting(beginning: bytes) -> Fault:
    return lambda partners: partners.resetting(beginning)


def half_closed(partners: Partners) -> PartnerServer:
    """Close only its own direction: it would still read, and never answers."""

    def behave(connection: socket.socket) -> None:
        server.next_request(connection)
        connection.shutdown(socket.SHUT_WR)
        server.stopping.wait(5)

    server = partners.start(behave)
    return server


def half_closed_after_answer(partners: Partners) -> PartnerServer:
    def behave(connection: socket.socket) -> None:
        server.next_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nok")
        connection.shutdown(socket.SHUT_WR)
        server.stopping.wait(5)

    server = partners.start(behave)
    return server


CHUNKED = b"\r\nTransfer-Encoding: chunked\r\n\r\n"
FAULTS: dict[str, tuple[Fault, Outcome, str | None]] = {
    "resets at once": (resetting(b""), Outcome.RETRY, "reset"),
    "resets in the status line": (resetting(b"HTTP/1.1 20"), Outcome.RETRY, "reset"),
    "resets in the header": (
        resetting(b"HTTP/1.1 200 OK\r\nX-Half: "),
        Outcome.RETRY,
        "reset",
    ),
    "trickles the header": (
        dripping(b"HTTP/1.1 200 OK\r\n", b"X: 1\r\n"),
        Outcome.RETRY,
        "timeout",
    ),
    "trickles the body": (
        dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"a"),
        Outcome.RETRY,
        "timeout",
    ),
    "trickles an error's body": (
        dripping(b"HTTP/1.1 500 Oops\r\nContent-Length: 9999\r\n\r\n", b"a"),
        Outcome.RETRY,
        "http_500",
    ),
    "continues for ever, slowly": (
        dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        Outcome.RETRY,
        "timeout",
    ),
    "continues for ever, fast": (
        flooding(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 9_999),
        Outcome.RETRY,
        "protocol",
    ),
    "sends one header of 10 MB": (
        flooding(b"HTTP/1.1 200 OK\r\nX: ", b"a" * 10_000_000),
        Outcome.RETRY,
        "protocol",
    ),
    "sends endless headers": (
        flooding(b"HTTP/1.1 200 OK\r\n", b"X: 1\r\n" * 9_999),
        Outcome.RETRY,
        "protocol",
    ),
    "sends endless trailers": (
        flooding(b"HTTP/1.1 200 OK" + CHUNKED + b"0\r\n", b"X: 1\r\n" * 9_999),
        Outcome.RETRY,
        "protocol",
    ),
    "sends an endless chunk extension": (
        flooding(b"HTTP/1.1 200 OK" + CHUNKED + b"2;", b"a" * 9_999),
        Outcome.RETRY,
        "protocol",
    ),
    "sends an endless extension of the last chunk": (
        flooding(b"HTTP/1.1 200 OK" + CHUNKED + b"2\r\nok\r\n0;", b"a" * 9_999),
        Outcome.RETRY,
        "protocol",
    ),
    "sends chunks of a byte with long extensions": (
        flooding(b"HTTP/1.1 200 OK" + CHUNKED, (b"1;" + b"a" * 9_999 + b"\r\na\r\n") * 9),
        Outcome.RETRY,
        "protocol",
    ),
    "sends an endless body in chunks": (
        flooding(b"HTTP/1.1 200 OK" + CHUNKED, (b"400\r\n" + b"a" * 1024 + b"\r\n") * 99),
        Outcome.DELIVERED,
        None,
    ),
    "sends early hints for ever, fast": (
        flooding(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 9_999),
        Outcome.RETRY,
        "protocol",
    ),
    "sends early hints for ever, slowly": (
        dripping(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        Outcome.RETRY,
        "timeout",
    ),
    "sends an endless body": (
        flooding(b"HTTP/1.1 200 OK\r\n\r\n", b"a" * MOST_BODY),
        Outcome.DELIVERED,
        None,
    ),
    "redirects without an end": (
        flooding(b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n", b"a" * MOST_BODY),
        Outcome.FAILED,
        "redirect",
    ),
    "redirects to itself": (
        answering(b"HTTP/1.1 307 Again\r\nLocation: /", body=b"again"),
        Outcome.FAILED,
        "redirect",
    ),
    "answers 204 with a body": (
        answering(b"HTTP/1.1 204 No Content\r\nConnection: close", body=b"hello"),
        Outcome.DELIVERED,
        None,
    ),
    "answers 200 with an error": (
        answering(b"HTTP/1.1 200 OK", body=b'{"status": "error"}'),
        Outcome.RETRY,
        "body_says_no",
    ),
    "answers 429": (
        answering(b"HTTP/1.1 429 Slow\r\nRetry-After: 7", body=b"slow"),
        Outcome.RETRY,
        "http_429",
    ),
    "answers 410": (answering(b"HTTP/1.1 410 Gone", body=b"gone"), Outcome.FAILED, "http_410"),
    "closes its half": (half_closed, Outcome.RETRY, "reset"),
    "closes its half after the answer": (half_closed_after_answer, Outcome.DELIVERED, None),
    "hangs": (lambda partners: partners.silent(), Outcome.RETRY, "timeout"),
    "speaks another protocol": (
        answering(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        Outcome.RETRY,
        "protocol",
    ),
    "switches protocols": (
        answering(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        Outcome.RETRY,
        "protocol",
    ),
    "answers HTTP/1.0": (answering(b"HTTP/1.0 200 OK", body=b"ok"), Outcome.DELIVERED, None),
    "breaks off in the body": (
        answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhalf"),
        Outcome.RETRY,
        "reset",
    ),
    "breaks off in a chunk": (
        answering(b"HTTP/1.1 200 OK\r\nConnection: close" + CHUNKED + b"9\r\nhalf"),
        Outcome.RETRY,
        "reset",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_its_outcome_and_reason(
    delivery_sender: Transport, delivery_partners: Partners, fault: str
) -> None:
    misbehave, outcome, error = FAULTS[fault]
    partner = misbehave(delivery_partners)

    reply = delivery_sender.send(get(partner.url()), timeout=SHORT)

    success = {"body_contains": "ok"} if fault == "answers 200 with an error" else {}
    verdict = judge(
        status_code=reply.status_code,
        body=reply.body,
        failure=reply.error,
        detail=reply.detail,
        success=parse_success(success),
    )
    assert (verdict.outcome, verdict.error) == (outcome, error), reply
    assert bool(verdict.detail) is (outcome is not Outcome.DELIVERED)
    assert reply.peer == "127.0.0.1"


@pytest.mark.parametrize(
    "before",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nRetry-After: 7\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 3,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 100 Go\r\n\r\n",
        b"HTTP/1.1 199 Early\r\nContent-Length: 9\r\n\r\n",
    ],
)
def test_an_interim_answer_is_no_answer(
    delivery_sender: Transport, delivery_partners: Partners, before: bytes
) -> None:
    partner = delivery_partners.answering(before + OK)

    replies = [delivery_sender.send(get(partner.url()), timeout=SHORT) for _ in range(2)]

    for reply in replies:
        assert (reply.status_code, reply.body, reply.error) == (200, b"ok", None)
        assert (reply.headers, reply.retry_after) == ({"Content-Length": "2"}, None)
    assert partner.connections == 1


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        (b"2\r\nok\r\n0\r\n\r\n", b"ok"),
        (b'2;a=b;c="d"\r\nok\r\n0;e\r\n\r\n', b"ok"),
        (b"1\r\no\r\n001\r\nk\r\n0\r\nX-Trailer: 1\r\n\r\n", b"ok"),
        (b"0\r\n\r\n", b""),
        (b"9\r\n" + b"\r\n0\r\n\r\n2\r" + b"\r\n0\r\n\r\n", b"\r\n0\r\n\r\n2\r"),
        (b"1\r\na\r\n" * MOST_BODY + b"0\r\n\r\n", b"a" * MOST_BODY),
        (b"%x\r\n%s\r\n0\r\n\r\n" % (MOST_BODY, b"b" * MOST_BODY), b"b" * MOST_BODY),
    ],
)
def test_chunks_are_put_together(
    delivery_sender: Transport, delivery_partners: Partners, chunks: bytes, body: bytes
) -> None:
    partner = delivery_partners.answering(b"HTTP/1.1 200 OK" + CHUNKED + chunks)

    replies = [delivery_sender.send(get(partner.url())) for _ in range(2)]

    assert [(each.status_code, each.error, each.truncated) for each in replies] == [
        (200, None, False)
    ] * 2
    assert [each.body for each in replies] == [body] * 2
    assert partner.connections == 1


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("body", [None, b"", b"a=1&\x00\xff"])
def test_method_and_body_go_out_as_they_are(
    delivery_sender: Transport, delivery_partners: Partners, method: str, body: bytes | None
) -> None:
    partner = delivery_partners.answering(OK)
    request = OutgoingRequest(method, partner.url("/p"), {"X-Empty": ""}, body)

    delivery_sender.send(request)

    head, _, sent = partner.requests[0].partition(b"\r\n\r\n")
    names = {line.partition(b":")[0] for line in head.split(b"\r\n")[1:]}
    assert head.startswith(method.encode() + b" /p HTTP/1.1\r\n")
    assert sent == (body or b"")
    assert (b"Content-Length" in names) is (body is not None or method.startswith("P"))
    assert names - {b"Content-Length"} == {b"Accept-Encoding", b"Host", b"User-Agent", b"X-Empty"}


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("/a/../b/./c", "/a/../b/./c"),
        ("//double//slash", "//double//slash"),
        ("/a%2fb%2F?x=%e9&y=1+1&z='()*!", "/a%2fb%2F?x=%e9&y=1+1&z='()*!"),
        ("/a b?c d#e f", "/a%20b?c%20d"),
        ("/é?ключ=[1]", "/%C3%A9?%D0%BA%D0%BB%D1%8E%D1%87=%5B1%5D"),
        ("/100%?x=100%25", "/100%25?x=100%25"),
        ("?", "/?"),
        ("/?#", "/?"),
    ],
)
def test_a_target_goes_out_byte_for_byte(
    delivery_sender: Transport, delivery_partners: Partners, url: str, target: str
) -> None:
    partner = delivery_partners.answering(OK)

    delivery_sender.send(get(partner.url(url)))

    assert partner.requests[0].split(b" HTTP/1.1")[0].decode() == f"GET {target}"


def test_of_one_header_the_last_counts(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    partner = delivery_partners.answering(OK)
    headers = {"idempotency-key": "theirs", "Content-type": "a/b", "accept-Encoding": "gzip"}
    headers |= {"Idempotency-Key": "ours", "content-Type": "c/d", "Accept": "x/y", "X-Blank": " "}

    delivery_sender.send(OutgoingRequest("POST", partner.url(), headers, b"{}"))

    lines = partner.requests[0].partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    values = {name.lower(): value.strip() for name, _, value in (x.partition(b":") for x in lines)}
    assert len(values) == len(lines)
    assert (values[b"idempotency-key"], values[b"content-type"]) == (b"ours", b"c/d")
    assert (values[b"accept-encoding"], values[b"accept"]) == (b"identity", b"x/y")
    assert values[b"x-blank"] == b""


def test_one_request_leaves_nothing_to_the_next(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    partner = delivery_partners.answering(OK)
    with_secret = OutgoingRequest("PUT", partner.url("/1"), {"Authorization": "s3cret"}, b"s3cret")

    for request in (with_secret, get(partner.url("/2"))):
        delivery_sender.send(request)

    assert partner.connections == 1
    assert b"s3cret" not in partner.requests[1]
    assert b"Content-Length" not in partner.requests[1]


def test_methods_may_follow_each_other_in_any_order(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    methods = ["POST", "GET", "PATCH", "DELETE", "GET", "GET", "PUT", "POST", "DELETE", "GET"]
    partner = delivery_partners.answering(OK)

    replies = [
        delivery_sender.send(
            OutgoingRequest(method, partner.url(), {}, b"x" if method.startswith("P") else None)
        )
        for method in methods
    ]

    assert [reply.body for reply in replies] == [b"ok"] * len(methods)
    assert [request.split()[0].decode() for request in partner.requests] == methods
    assert [request.endswith(b"x") for request in partner.requests] == [
        method.startswith("P") for method in methods
    ]


@given(
    st.dictionaries(
        st.sampled_from(
            ["Accept", "accept", "X-A", "x-a", "User-Agent", "Accept-Encoding", "Content-Type"]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=5),
        max_size=5,
    ),
    st.booleans(),
)
def test_prepared_header_lines_are_those_that_are_written_one_by_one(
    headers: dict[str, str], has_body: bool
) -> None:
    last = {name.lower(): (name, value) for name, value in headers.items()}
    last["accept-encoding"] = ("Accept-Encoding", "identity")
    left_out = ("Accept", "Expect", "Content-Type") if has_body else ("Accept",)
    expected = [f"{name}:".encode() for name in left_out if name.lower() not in last]
    for name, value in last.values():
        line = f"{name}: {value}" if value.strip(" \t") else f"{name};"
        expected.append(line.encode("latin-1"))

    lines = header_lines(headers, has_body=has_body)

    assert sorted(lines) == sorted(expected)


@given(
    st.sampled_from(["http://", "HTTPS://", "https://", "ftp://", "http:/", ""]),
    st.text(st.sampled_from("aB1.:@[]/?#%5c-"), max_size=12),
    st.text(st.sampled_from("aé %2F/?#&=."), max_size=12),
)
def test_a_url_s_known_beginning_says_what_all_of_it_says(
    scheme: str, authority: str, rest: str
) -> None:
    url = f"{scheme}{authority}{rest}"
    whole = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)", url)
    for _ in range(2):
        try:
            origin = origin_of(url)
        except ValueError:
            continue
        assert whole is not None
        assert (origin.scheme, origin) == (whole[1].lower(), origin_of(f"{whole[0]}/"))
        path = url[whole.end() :].partition("#")[0]
        path = path if path.startswith("/") else f"/{path}"
        # Where some percent sign begins no escape, each stands for itself.
        assert unquote(target_of(url)) in {unquote(path), path}


def test_many_requests_are_open_at_once_without_a_thread_each(
    delivery_loopback: Destinations, delivery_partners: Partners
) -> None:
    curl = pytest.importorskip("postbacks.delivery.http.curl_transport")
    arrived, release = threading.Semaphore(0), threading.Event()

    def behave(connection: socket.socket) -> None:
        partner.next_request(connection)
        arrived.release()
        release.wait(5)
        connection.sendall(OK)

    partner = delivery_partners.start(behave)
    replies: list[Reply] = []
    with curl.CurlTransport(delivery_loopback) as transport:
        before = threading.active_count()
        for _ in range(200):
            transport.start(get(partner.url()), timeout=10, done=replies.append)
        for _ in range(200):
            arrived.acquire(timeout=10)
        ours = threading.active_count() - before - partner.connections
        release.set()

    assert [reply.status_code for reply in replies] == [200] * 200
    assert ours <= 0
    assert transport.capacity > 1_000


def test_one_host_has_only_its_share_of_connections_and_waiting_costs_no_time(
    delivery_loopback: Destinations, delivery_partners: Partners, monkeypatch: pytest.MonkeyPatch
) -> None:
    curl = pytest.importorskip("postbacks.delivery.http.curl_transport")
    monkeypatch.setattr(curl, "_OF_ONE_HOST", 4)

    turns = count()

    def hang_at_first(connection: socket.socket) -> None:
        if next(turns) < 4:
            partner.stopping.wait(5)
        while partner.next_request(connection):
            connection.sendall(OK)

    partner = delivery_partners.start(hang_at_first)
    replies: list[Reply] = []

    with curl.CurlTransport(delivery_loopback) as transport:
        for timeout in (0.2, 5.0):
            for _ in range(4):
                transport.start(get(partner.url()), timeout=timeout, done=replies.append)
        other = transport.send(get(delivery_partners.answering(OK).url()))

    assert other.status_code == 200
    assert replies[0].error is TransportFailure.TIMEOUT  # before that, none of the others had room
    assert Counter(reply.error for reply in replies) == {TransportFailure.TIMEOUT: 4, None: 4}
    assert all(reply.duration_ms >= 150 for reply in replies[:4])


# What is left behind


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
@pytest.mark.parametrize(
    "fault",
    [
        "resets in the header",
        "sends endless headers",
        "sends an endless body",
        "closes its half",
        "speaks another protocol",
        "answers 429",
    ],
)
def test_nothing_grows_over_many_faults(
    delivery_sender: Transport, delivery_partners: Partners, fault: str
) -> None:
    calm = delivery_partners.answering(OK)
    delivery_sender.send(get(calm.url()))
    partner = FAULTS[fault][0](delivery_partners)
    before = _counted()

    for number in range(200):
        delivery_sender.send(get(partner.url(f"/{number}")), timeout=5)

    assert len(partner.requests) == 200
    partner.stop()
    delivery_sender.send(get(calm.url()))
    descriptors, threads, objects = (
        after - earlier for after, earlier in zip(_counted(), before, strict=True)
    )
    assert (descriptors <= 4, threads <= 0) == (True, True), (descriptors, threads)
    assert objects < 2_000  # ten for each would be a leak; 200 requests are kept by the partner


def _counted() -> tuple[int, int, int]:
    gc.collect()
    return len(os.listdir("/proc/self/fd")), threading.active_count(), len(gc.get_objects())


def test_a_closed_transport_leaves_nothing(
    delivery_transport: AnyTransport, delivery_loopback: Destinations, delivery_partners: Partners
) -> None:
    partner = delivery_partners.answering(OK)
    before = threading.active_count()
    replies: list[Reply] = []

    with delivery_transport(delivery_loopback) as opened:
        for _ in range(20):
            opened.start(get(partner.url()), timeout=5, done=replies.append)

    assert [reply.status_code for reply in replies] == [200] * 20
    assert threading.active_count() - partner.connections <= before
    with pytest.raises(RuntimeError):
        opened.start(get(partner.url()), timeout=5, done=replies.append)


# Names


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is nobody's address")
def test_each_new_connection_goes_where_its_name_leads_now(
    delivery_sender: Transport, delivery_partners: Partners, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A former request's answer serves no later one, whoever's that is."""
    real, answers = socket.getaddrinfo, ["127.0.0.1", "127.0.0.2", "127.0.0.1"]
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _host, port, **options: real(answers.pop(0), port, **options)
    )
    close = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    partner = delivery_partners.answering(close)
    url = partner.url(host="moving.example")

    with socket.create_server(("127.0.0.2", partner.port)) as elsewhere:

        def answer_once() -> None:
            connection, _ = elsewhere.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(close)

        first = delivery_sender.send(get(url))
        accepting = threading.Thread(target=answer_once)
        accepting.start()
        replies = [first, *(delivery_sender.send(get(url)) for _ in range(2))]
        accepting.join(5)

    assert [reply.peer for reply in replies] == ["127.0.0.1", "127.0.0.2", "127.0.0.1"]
    assert [reply.error for reply in replies] == [None] * 3
    assert answers == []


def test_libcurl_gets_no_socket_to_what_is_forbidden() -> None:
    """The second wall, behind the look-up's: the very address of each socket is judged."""
    handles = pytest.importorskip("postbacks.delivery.http.curl_handle")
    handle = handles.CurlHandle(AddressGuard(Destinations()))
    exchange = handles.CurlExchange(get("http://partner.example/"), print, 15.0, 0.0)
    handle.exchange = exchange
    inside = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, ("10.0.0.1", 80))
    outside = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, ("8.8.8.8", 80))

    before_the_lookup = handle._open_socket(0, outside)
    exchange.addresses = (SocketAddress(socket.AF_INET, ("8.8.8.8", 80)),)

    assert before_the_lookup == handle._open_socket(0, inside) == handles._NO_SOCKET
    assert isinstance(handle._open_socket(0, outside), socket.socket)


# TLS and HTTP/2


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every name live on loopback."""
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _host, port, **options: real("127.0.0.1", port, **options)
    )


@pytest.fixture
def trusting(
    delivery_transport: AnyTransport, delivery_ca_file: str, resolved: None
) -> Iterator[Transport]:
    destinations = Destinations(parse_networks("127.0.0.0/8"), range(1, 65_536))
    with delivery_transport(destinations, ca_file=delivery_ca_file) as transport:
        yield transport


def tls_for(
    authority: trustme.CA, *protocols: str, not_after: datetime | None = None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("partner.example", not_after=not_after).configure_cert(context)
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


def test_an_expired_certificate_is_refused(
    trusting: Transport, delivery_partners: Partners, delivery_authority: trustme.CA
) -> None:
    expired = tls_for(delivery_authority, not_after=datetime(2020, 1, 1, tzinfo=UTC))
    partner = delivery_partners.answering(OK, tls=expired)

    reply = trusting.send(get(partner.url(host="partner.example")))

    assert reply.error is TransportFailure.TLS
    assert reply.detail == ("The partner's TLS certificate was refused: certificate has expired.")
    assert partner.requests == []


def test_http_2_is_spoken_where_both_can(
    trusting: Transport, delivery_partners: Partners, delivery_authority: trustme.CA
) -> None:
    """`requests` stays with HTTP/1.1. The server is a few frames by hand: its answer is 204."""
    spoken: list[str | None] = []
    context = tls_for(delivery_authority, "h2", "http/1.1")
    partner = delivery_partners.start(partial(_serve_both, spoken), context)

    replies = [trusting.send(get(partner.url(host="partner.example"))) for _ in range(3)]

    assert [(reply.status_code, reply.error) for reply in replies] == [(204, None)] * 3
    assert partner.connections == 1
    assert spoken == (["h2"] if speaks_http_2(trusting) else ["http/1.1"])


def _serve_both(spoken: list[str | None], connection: socket.socket) -> None:
    assert isinstance(connection, ssl.SSLSocket)
    spoken.append(connection.selected_alpn_protocol())
    if spoken[-1] != "h2":
        while connection.recv(65_536):
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        return
    stream = connection.makefile("rb")
    stream.read(24)  # the preface
    connection.sendall(_frame(4, 0, 0))
    while head := stream.read(9):
        length, kind, number = int.from_bytes(head[:3]), head[3], int.from_bytes(head[5:])
        stream.read(length)
        if kind == 1:  # HEADERS: answered by an indexed ":status: 204", end of headers and stream
            connection.sendall(_frame(1, 5, number, b"\x89"))


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


# An egress proxy


def tunnel(answer: bytes, seen: list[bytes]) -> Behavior:
    """Behave as a proxy that answers so, and opens a tunnel to loopback if that is a yes."""

    def behave(connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request and (portion := connection.recv(65_536)):
            request += portion
        seen.append(request)
        connection.sendall(answer)
        if b" 200 " not in answer:
            return
        port = int(request.split()[1].rpartition(b":")[2])
        with socket.socket() as onward, suppress(OSError):
            onward.connect(("127.0.0.1", port))
            back = threading.Thread(target=_pass_on, args=(onward, connection), daemon=True)
            back.start()
            _pass_on(connection, onward)
            back.join(5)

    return behave


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while portion := source.recv(65_536):
            target.sendall(portion)
        target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_requests_leave_through_the_egress_proxy(
    delivery_transport: AnyTransport,
    delivery_partners: Partners,
    delivery_authority: trustme.CA,
    delivery_ca_file: str,
    resolved: None,
    scheme: str,
) -> None:
    tls = tls_for(delivery_authority) if scheme == "https" else None
    partner = delivery_partners.answering(OK, tls=tls)
    seen: list[bytes] = []
    proxy = delivery_partners.start(tunnel(b"HTTP/1.1 200 Connected\r\n\r\n", seen))
    url = f"http://us%65r:p%40ss@proxy.example:{proxy.port}"
    request = OutgoingRequest(
        "GET", partner.url("/p?token=s3cret", host="partner.example"), {"X-Key": "s3cret"}
    )

    with delivery_transport(
        Destinations(allowed_ports=range(1, 65_536)),
        ca_file=delivery_ca_file,
        proxy=parse_proxy(url),
    ) as transport:
        replies = [transport.send(request) for _ in range(3)]

    assert [(reply.status_code, reply.peer) for reply in replies] == [(200, None)] * 3
    assert (len(seen), len(partner.requests)) == (1, 3)
    assert seen[0].startswith(f"CONNECT partner.example:{partner.port} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in seen[0]
    assert b"s3cret" not in seen[0]
    assert b"Proxy" not in partner.requests[0]


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n", "The egress proxy answered 407."),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 2\r\n\r\nno", "The egress proxy answered 502."),
        (b"HTTP/1.1 403 No\r\n\r\n", "The egress proxy answered 403."),
        (b"banana\r\n\r\n", "The egress proxy"),
        (b"", "The egress proxy"),
        (None, "The egress proxy could not be reached."),
    ],
)
def test_what_fails_in_the_proxy_is_not_the_partners_fault(
    delivery_transport: AnyTransport,
    delivery_loopback: Destinations,
    delivery_partners: Partners,
    answer: bytes | None,
    detail: str,
) -> None:
    partner = delivery_partners.answering(OK)
    proxy = delivery_partners.start(tunnel(answer or b"", []))
    if answer is None:
        proxy.stop()

    with delivery_transport(
        delivery_loopback, proxy=parse_proxy(f"http://127.0.0.1:{proxy.port}")
    ) as transport:
        reply = transport.send(get(partner.url()), timeout=5)

    assert (reply.error, reply.status_code) == (TransportFailure.PROXY, None)
    assert reply.detail.startswith(detail)
    assert partner.connections == 0


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "169.254.169.254", "[::1]", "db.internal", "intranet"]
)
def test_not_even_a_proxy_is_asked_for_what_is_forbidden(
    delivery_transport: AnyTransport, delivery_partners: Partners, host: str
) -> None:
    proxy = delivery_partners.start(tunnel(b"HTTP/1.1 200 Connected\r\n\r\n", []))

    with delivery_transport(
        Destinations(), proxy=parse_proxy(f"http://127.0.0.1:{proxy.port}")
    ) as transport:
        reply = transport.send(get(f"http://{host}/"), timeout=5)

    assert reply.error is TransportFailure.BLOCKED
    assert proxy.connections == 0


@pytest.mark.parametrize(
    "value",
    [
        "proxy.example:3128",
        "socks5://proxy.example:1080",
        "http://proxy.example",
        "http://proxy.example:3128/path",
        "http://proxy.example:99999",
        "http://:3128",
        "http://user:s3cret@proxy.example",
    ],
)
def test_a_wrong_proxy_is_refused_without_repeating_it(value: str) -> None:
    with pytest.raises(ValueError, match=re.escape("http://proxy.example:3128")) as refused:
        parse_proxy(value)

    assert "s3cret" not in str(refused.value)
