import gzip
import logging
import random
import socket
import ssl
import struct
import sys
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from time import monotonic

import pytest

from postbacks.delivery.http.address_guard import told_to_authors
from postbacks.delivery.http.destinations import Destinations
from postbacks.delivery.http.response import (
    LONGEST_HEADER,
    MOST_BODY,
    MOST_HEADERS,
    Reply,
    TransportFailure,
    seconds_to_wait,
)
from postbacks.delivery.http.transport import Transport
from postbacks.values.outgoing_request import OutgoingRequest
from postbacks.values.request_timings import unpack
from tests.delivery.partner_server import Partners

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OK_AND_CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
SHORT = 0.3  # seconds for a request that won't be answered in time
IN_TIME_MS = 20_000  # a stalled machine's time; what isn't left in time never ends


AnyTransport = type[Transport]


def get(url: str, headers: dict[str, str] | None = None) -> OutgoingRequest:
    return OutgoingRequest("GET", url, headers or {})


def answer(head: bytes, body: bytes = b"") -> bytes:
    return head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class Names:
    """Stands in for DNS: names to what each look-up in turn answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self._answers: dict[str, list[list[str]]] = {}
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)

    def answer(self, host: str, *answers: list[str]) -> None:
        self._answers[host] = list(answers)

    def _getaddrinfo(self, host: str, port: int, **options: int) -> list[object]:
        if host not in self._answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        self.asked.append(host)
        answers = self._answers[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [entry for a in addresses for entry in self._real(a, port, **options)]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


# What goes out and what comes back


def test_an_answer_comes_back_whole(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    partner = delivery_partners.answering(answer(b"HTTP/1.1 201 Made\r\nX-Id: 7", b'{"ok": 1}'))

    reply = delivery_sender.send(get(partner.url()))

    assert (reply.status_code, reply.body, reply.truncated) == (201, b'{"ok": 1}', False)
    assert reply.headers == {"X-Id": "7", "Content-Length": "9"}
    assert (reply.error, reply.detail, reply.peer) == (None, "", "127.0.0.1")
    assert 0 <= reply.duration_ms < IN_TIME_MS


def test_a_request_goes_out_as_it_was_rendered(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    partner = delivery_partners.answering(OK)
    url = partner.url("/a/%2e%2E/b%7Ec?x=%41&empty=&x=1%2B1#fragment")
    headers = {
        "Content-Type": "text/plain",
        "accept-encoding": "br",
        "X-Name": "é",
    }

    delivery_sender.send(OutgoingRequest("POST", url, headers, "тіло".encode()))

    head, _, body = partner.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /a/%2e%2E/b%7Ec?x=%41&empty=&x=1%2B1 HTTP/1.1"
    assert sorted(lines[1:]) == [
        b"Accept-Encoding: identity",
        b"Content-Length: 8",
        b"Content-Type: text/plain",
        b"Host: 127.0.0.1:%d" % partner.port,
        b"User-Agent: Postbacks",
        b"X-Name: \xe9",
    ]
    assert body == "тіло".encode()


def test_a_url_without_a_path_asks_for_the_root(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    partner = delivery_partners.answering(OK)

    delivery_sender.send(get(partner.url("?id=1")))

    assert partner.requests[0].startswith(b"GET /?id=1 HTTP/1.1\r\n")


def test_a_connection_serves_many_requests(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    partner = delivery_partners.answering(
        OK,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK,
    )

    replies = [delivery_sender.send(get(partner.url(f"/{number}"))) for number in range(6)]

    assert [reply.status_code for reply in replies] == [200, 204, 200, 200, 200, 200]
    assert [reply.peer for reply in replies] == ["127.0.0.1"] * 6
    assert (len(partner.requests), partner.connections) == (6, 1)


def test_the_parts_of_its_time_are_those_that_there_were(
    delivery_sender: Transport, delivery_partners: Partners, names: Names
) -> None:
    """Only the first request of a name looks it up and opens a connection."""
    partner = delivery_partners.answering(OK, OK)
    names.answer("partner.example", ["127.0.0.1"])
    request = get(partner.url(host="partner.example"))

    first, second = (unpack(delivery_sender.send(request).timings or 0) for _ in range(2))

    assert None not in (first.dns_ms, first.connect_ms, first.first_byte_ms)
    assert first.tls_ms is None
    assert not first.is_reused
    assert (second.dns_ms, second.connect_ms, second.tls_ms) == (None, None, None)
    assert second.is_reused


def test_without_an_answer_there_is_no_first_byte(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    partner = delivery_partners.silent()

    reply = delivery_sender.send(get(partner.url()), timeout=SHORT)

    timings = unpack(reply.timings or 0)
    assert timings.connect_ms is not None
    assert (timings.dns_ms, timings.tls_ms, timings.first_byte_ms) == (None, None, None)


def test_threads_share_a_sender(delivery_sender: Transport, delivery_partners: Partners) -> None:
    partner = delivery_partners.answering(OK)

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(delivery_sender.send, [get(partner.url("/p"))] * 80))

    assert {(reply.status_code, reply.body, reply.error) for reply in replies} == {
        (200, b"ok", None)
    }
    assert len(partner.requests) == 80
    assert partner.connections <= 8


def test_a_long_idle_connection_is_not_trusted(
    delivery_transport: AnyTransport, delivery_loopback: Destinations, delivery_partners: Partners
) -> None:
    partner = delivery_partners.answering(OK)

    with delivery_transport(delivery_loopback, idle_seconds=0.0) as transport:
        replies = [transport.send(get(partner.url())) for _ in range(2)]

    assert [reply.status_code for reply in replies] == [200, 200]
    assert partner.connections == 2


# Where a request may go


@pytest.mark.parametrize(
    ("host", "error"),
    [
        ("127.0.0.1", TransportFailure.BLOCKED),
        ("localhost", TransportFailure.BLOCKED),
        ("LOCALHOST.", TransportFailure.BLOCKED),
        ("[::1]", TransportFailure.BLOCKED),
        ("[::ffff:127.0.0.1]", TransportFailure.BLOCKED),
        ("[::ffff:7f00:1]", TransportFailure.BLOCKED),
        ("[::127.0.0.1]", TransportFailure.BLOCKED),
        ("[0:0:0:0:0:ffff:127.0.0.1]", TransportFailure.BLOCKED),
        ("0.0.0.0", TransportFailure.BLOCKED),  # noqa: S104
        ("169.254.169.254", TransportFailure.BLOCKED),
        ("intranet", TransportFailure.BLOCKED),
        ("metadata.google.internal", TransportFailure.BLOCKED),
        ("2130706433", TransportFailure.INVALID_REQUEST),
        ("0177.0.0.1", TransportFailure.INVALID_REQUEST),
        ("0x7f.0.0.1", TransportFailure.INVALID_REQUEST),
        ("0x7f000001", TransportFailure.INVALID_REQUEST),
        ("127.1", TransportFailure.INVALID_REQUEST),
        ("①②⑦.⓪.⓪.①", TransportFailure.INVALID_REQUEST),
        ("partner.example@127.0.0.1", TransportFailure.INVALID_REQUEST),
        ("partner.example\\@127.0.0.1", TransportFailure.INVALID_REQUEST),
    ],
)
def test_no_spelling_of_an_inner_address_is_reached(
    delivery_public_sender: Transport,
    delivery_partners: Partners,
    host: str,
    error: TransportFailure,
) -> None:
    partner = delivery_partners.answering(OK)

    reply = delivery_public_sender.send(get(partner.url(host=host)))

    assert (reply.error, reply.status_code, reply.peer) == (error, None, None)
    assert partner.connections == 0


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::ffff:127.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        ["2606:4700:4700::1111", "fd00::1"],
        ["169.254.169.254"],
    ],
)
def test_one_inner_address_refuses_a_name(
    delivery_public_sender: Transport, names: Names, addresses: list[str]
) -> None:
    names.answer("partner.example", addresses)

    reply = delivery_public_sender.send(get("http://partner.example/"))

    assert (reply.error, reply.peer) == (TransportFailure.BLOCKED, None)


def test_a_blocked_destination_tells_nothing_but_the_operators_log(
    delivery_public_sender: Transport, names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    names.answer("inner.example", ["10.1.2.3"])
    names.answer("meta.example", ["169.254.169.254"])

    replies = [
        delivery_public_sender.send(get(f"http://{host}/"))
        for host in ("inner.example", "meta.example", "127.0.0.1", "db.internal")
    ]

    assert {reply.detail for reply in replies} == {"This destination is not allowed."}
    assert "10.1.2.3 is not a public address (private)" in caplog.text


def test_authors_can_not_tell_an_inner_name_from_one_that_is_nowhere(
    delivery_public_sender: Transport, names: Names
) -> None:
    names.answer("inner.example", ["10.1.2.3"])
    names.answer("meta.example", ["169.254.169.254"])
    names.answer("mixed.example", ["8.8.8.8", "fd00::1"])
    names.answer("port.example", ["8.8.8.8"])
    hosts = ["inner.example", "meta.example", "mixed.example", "port.example:22", "db.internal"]

    told = {
        (reply.error, reply.detail, reply.peer, reply.status_code, reply.timings)
        for host in [*hosts, "localhost", "intranet", "nowhere.example"]
        for url in [f"http://{host}/"]
        for reply in [told_to_authors(delivery_public_sender.send(get(url)), url)]
    }

    no_address = "The partner's host name has no address."
    assert told == {(TransportFailure.DNS, no_address, None, None, None)}


def test_a_port_that_is_not_the_webs_is_refused(
    delivery_public_sender: Transport, names: Names
) -> None:
    names.answer("partner.example", ["8.8.8.8"])

    reply = delivery_public_sender.send(get("http://partner.example:22/"))

    assert reply.error is TransportFailure.BLOCKED


def test_a_name_that_changes_its_answer_is_refused_at_its_next_connection(
    delivery_sender: Transport, delivery_partners: Partners, names: Names
) -> None:
    partner = delivery_partners.answering(OK_AND_CLOSE)
    names.answer("rebinding.example", ["127.0.0.1"], ["10.0.0.1"])
    request = get(partner.url(host="rebinding.example"))

    replies = [delivery_sender.send(request) for _ in range(2)]

    assert [reply.error for reply in replies] == [None, TransportFailure.BLOCKED]


def test_the_address_judged_is_the_address_connected_to(
    delivery_sender: Transport, delivery_partners: Partners, names: Names
) -> None:
    partner = delivery_partners.answering(OK)
    names.answer("rebinding.example", ["127.0.0.1"], ["10.0.0.1"])
    request = get(partner.url(host="rebinding.example"))

    replies = [delivery_sender.send(request) for _ in range(3)]

    assert [reply.peer for reply in replies] == ["127.0.0.1"] * 3
    assert names.asked == ["rebinding.example"]
    assert b"Host: rebinding.example:%d" % partner.port in partner.requests[0]


def test_a_dead_address_leaves_time_for_the_next(
    delivery_sender: Transport, delivery_partners: Partners, names: Names
) -> None:
    partner = delivery_partners.answering(OK)
    names.answer("partner.example", ["127.0.0.9", "127.0.0.1"])

    reply = delivery_sender.send(get(partner.url(host="partner.example")))

    assert (reply.status_code, reply.peer) == (200, "127.0.0.1")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is nobody's address")
def test_a_hanging_address_leaves_time_for_the_next(
    delivery_sender: Transport, delivery_partners: Partners, names: Names
) -> None:
    partner = delivery_partners.answering(OK)
    names.answer("partner.example", ["127.0.0.2", "127.0.0.1"])

    # With nobody accepting and the queue full, further connections hang.
    with socket.create_server(("127.0.0.2", partner.port), backlog=0), ExitStack() as queue:
        for _ in range(3):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.2", partner.port))
        reply = delivery_sender.send(get(partner.url(host="partner.example")))

    assert (reply.status_code, reply.peer) == (200, "127.0.0.1")
    assert 200 <= reply.duration_ms < IN_TIME_MS


def test_a_name_without_an_address_is_a_dns_failure(
    delivery_public_sender: Transport, names: Names
) -> None:
    reply = delivery_public_sender.send(get("http://nowhere.example/?token=s3cret"))

    assert reply.error is TransportFailure.DNS
    assert reply.detail == "The partner's host name has no address."


def test_a_hanging_name_server_is_not_waited_for(
    delivery_transport: AnyTransport,
    delivery_loopback: Destinations,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_up, released = [], threading.Event()

    def hang(host: str, *_: object, **__: object) -> list[object]:
        looked_up.append(host)
        released.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with delivery_transport(delivery_loopback, resolve_timeout=0.1) as transport:
        started = monotonic()
        replies = [transport.send(get("http://hanging.example/")) for _ in range(3)]
        elapsed = monotonic() - started
        released.set()

    assert [reply.error for reply in replies] == [TransportFailure.DNS] * 3
    assert elapsed < IN_TIME_MS / 1000
    assert looked_up == ["hanging.example"]


def test_nobody_there_is_a_connect_failure(delivery_sender: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    reply = delivery_sender.send(get(f"http://127.0.0.1:{port}/?token=s3cret"))

    assert reply.error is TransportFailure.CONNECT
    assert reply.detail == "No connection could be made to the partner's server."


def test_a_redirect_is_an_answer_like_any_other(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    partner = delivery_partners.answering(answer(b"HTTP/1.1 302 Found\r\nLocation: /again"))

    reply = delivery_sender.send(get(partner.url()))

    assert (reply.status_code, reply.headers["Location"], reply.error) == (302, "/again", None)
    assert len(partner.requests) == 1


def test_the_environment_changes_nothing(
    delivery_sender: Transport,
    delivery_partners: Partners,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    partner = delivery_partners.answering(OK)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password s3cret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")

    reply = delivery_sender.send(get(partner.url()))

    assert reply.status_code == 200
    assert b"Authorization" not in partner.requests[0]


# How long an answer may take, and how long it may be


@pytest.mark.parametrize(
    ("beginning", "drop"),
    [
        (b"HTTP/1.1 200 O", b"K"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
        (b"HTTP/1.1 200 OK\r\n", b"X: 1\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_a_dripping_head_ends_in_time(
    delivery_sender: Transport, delivery_partners: Partners, beginning: bytes, drop: bytes
) -> None:
    partner = delivery_partners.dripping(beginning, drop)

    reply = delivery_sender.send(get(partner.url()), timeout=SHORT)

    assert (reply.error, reply.status_code) == (TransportFailure.TIMEOUT, None)
    assert 250 <= reply.duration_ms < IN_TIME_MS


@pytest.mark.parametrize(
    ("beginning", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"a"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"a"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    ],
)
def test_a_dripping_body_ends_in_time_and_what_came_is_kept(
    delivery_sender: Transport, delivery_partners: Partners, beginning: bytes, drop: bytes
) -> None:
    partner = delivery_partners.dripping(beginning, drop)

    reply = delivery_sender.send(get(partner.url()), timeout=SHORT)

    assert (reply.error, reply.status_code) == (TransportFailure.TIMEOUT, 200)
    assert reply.body.startswith(b"aa")
    assert 250 <= reply.duration_ms < IN_TIME_MS


def test_a_silent_partner_is_left_in_time(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    partner = delivery_partners.silent()

    reply = delivery_sender.send(get(partner.url()), timeout=SHORT)

    assert reply.error is TransportFailure.TIMEOUT
    assert reply.detail == "The partner did not answer completely in time."
    assert 250 <= reply.duration_ms < IN_TIME_MS


def test_a_partner_that_does_not_read_is_left_in_time(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    partner = delivery_partners.silent()
    request = OutgoingRequest("POST", partner.url(), {}, b"x" * 16_000_000)

    reply = delivery_sender.send(request, timeout=SHORT)

    assert reply.error is TransportFailure.TIMEOUT
    assert reply.duration_ms < IN_TIME_MS


@pytest.mark.parametrize("status", [b"200 OK", b"302 Found", b"500 Oops"])
@pytest.mark.parametrize(
    ("framing", "wave"),
    [
        (b"", b"a" * 65_536),
        (b"Content-Length: 99999999999\r\n", b"a" * 65_536),
        (b"Transfer-Encoding: chunked\r\n", b"10000\r\n" + b"a" * 65_536 + b"\r\n"),
    ],
)
def test_an_endless_body_is_cut(
    delivery_sender: Transport,
    delivery_partners: Partners,
    status: bytes,
    framing: bytes,
    wave: bytes,
) -> None:
    partner = delivery_partners.flooding(b"HTTP/1.1 " + status + b"\r\n" + framing + b"\r\n", wave)

    reply = delivery_sender.send(get(partner.url()))

    assert reply.status_code == int(status[:3])
    assert (reply.body, reply.truncated, reply.error) == (b"a" * MOST_BODY, True, None)


def test_a_cut_answers_connection_is_not_used_again(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    partner = delivery_partners.answering(answer(b"HTTP/1.1 200 OK", b"a" * (MOST_BODY + 2)))

    replies = [delivery_sender.send(get(partner.url())) for _ in range(2)]

    assert [reply.truncated for reply in replies] == [True, True]
    assert partner.connections == 2


def test_a_body_of_just_64_kib_is_whole(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    partner = delivery_partners.answering(answer(b"HTTP/1.1 200 OK", b"a" * MOST_BODY))

    replies = [delivery_sender.send(get(partner.url())) for _ in range(2)]

    assert [len(reply.body) for reply in replies] == [MOST_BODY, MOST_BODY]
    assert not any(reply.truncated for reply in replies)
    assert partner.connections == 1


@pytest.mark.parametrize(
    ("beginning", "wave"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: 1\r\n" * 9_999),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 9_999),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a" * 65_536),
        (b"HTTP/1.1 200 OK\r\n", b"X: 1\r\n" * 9_999),
    ],
)
def test_what_the_parser_would_read_forever_is_stopped(
    delivery_sender: Transport, delivery_partners: Partners, beginning: bytes, wave: bytes
) -> None:
    partner = delivery_partners.flooding(beginning, wave)

    reply = delivery_sender.send(get(partner.url()))

    assert reply.error is TransportFailure.PROTOCOL
    assert reply.duration_ms < IN_TIME_MS


def test_many_and_long_headers_are_cut(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    many = b"\r\n".join(
        b"X-%d: %s" % (number, b"a" * (10_000 if number < 20 else 10)) for number in range(90)
    )
    partner = delivery_partners.answering(answer(b"HTTP/1.1 200 OK\r\n" + many, b"ok"))

    reply = delivery_sender.send(get(partner.url()))

    assert (reply.status_code, reply.body) == (200, b"ok")
    assert len(reply.headers) == MOST_HEADERS
    assert {len(value) for value in reply.headers.values()} == {LONGEST_HEADER, 10}


def test_headers_hold_no_control_characters(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    partner = delivery_partners.answering(
        answer(b"HTTP/1.1 200 OK\r\nX-Nul: a\x01b\x1b[31m", b"ok")
    )

    reply = delivery_sender.send(get(partner.url()))

    assert reply.headers["X-Nul"] == "a b [31m"


@pytest.mark.parametrize(
    ("encoding", "compressed"),
    [
        ("gzip", gzip.compress(b"fine", mtime=0)),
        ("deflate", zlib.compress(b"fine")),
        ("GZip", b"fine"),
    ],
)
def test_a_compressed_answer_is_read(
    delivery_sender: Transport,
    delivery_partners: Partners,
    encoding: str,
    compressed: bytes,
) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}".encode()
    partner = delivery_partners.answering(answer(head, compressed))

    reply = delivery_sender.send(get(partner.url()))

    assert (reply.body, reply.truncated) == (b"fine", False)


def test_a_gzip_bomb_is_cut(delivery_sender: Transport, delivery_partners: Partners) -> None:
    bomb = gzip.compress(bytes(20_000_000))
    partner = delivery_partners.answering(
        answer(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip", bomb)
    )

    reply = delivery_sender.send(get(partner.url()))

    assert (len(reply.body), reply.truncated, reply.error) == (MOST_BODY, True, None)


# What goes wrong on the way


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\nX-Half: "])
def test_a_reset_before_the_head_is_complete(
    delivery_sender: Transport, delivery_partners: Partners, beginning: bytes
) -> None:
    partner = delivery_partners.resetting(beginning)

    reply = delivery_sender.send(get(partner.url()))

    assert (reply.error, reply.status_code) == (TransportFailure.RESET, None)
    assert len(partner.requests) == 1


@pytest.mark.parametrize(
    "broken",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
    ],
)
def test_a_body_that_breaks_off_is_not_whole(
    delivery_sender: Transport, delivery_partners: Partners, broken: bytes
) -> None:
    partner = delivery_partners.answering(broken)

    reply = delivery_sender.send(get(partner.url()))

    assert (reply.error, reply.status_code) == (TransportFailure.RESET, 200)
    assert reply.detail == "The connection broke before the answer was complete."


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzebra\r\nok\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
def test_what_is_not_an_http_answer_is_a_protocol_failure(
    delivery_sender: Transport, delivery_partners: Partners, garbage: bytes
) -> None:
    partner = delivery_partners.answering(garbage)

    replies = [delivery_sender.send(get(partner.url()), timeout=SHORT) for _ in range(2)]

    assert {reply.error for reply in replies} <= {TransportFailure.PROTOCOL, TransportFailure.RESET}
    assert all(reply.detail for reply in replies)
    assert partner.connections == 2


def test_no_garbage_raises(delivery_sender: Transport, delivery_partners: Partners) -> None:
    dice = random.Random(20)  # noqa: S311
    parts = [b"HTTP/1.1 ", b"200", b" OK", b"\r\n", b"\r\n\r\n", b":", b"Content-Length", b": -1"]
    parts += [b"Transfer-Encoding: chunked", b"Content-Encoding: gzip", b"\x00\xff", b"0", b"ok"]
    parts += [b"Content-Length: 2", b"Retry-After: Sun, 99 Foo 1e9", b"Set-Cookie: a=b", b" ", b";"]
    garbage = [b"".join(dice.choices(parts, k=dice.randint(1, 24))) for _ in range(200)]
    beginnings = [b"", b"HTTP/1.1 200 OK\r\n"]

    def behave(connection: socket.socket) -> None:
        number = int(partner.next_request(connection).split()[1][1:])
        connection.sendall(beginnings[number % 2] + garbage[number])

    partner = delivery_partners.start(behave)

    replies = [delivery_sender.send(get(partner.url(f"/{n}")), timeout=2) for n in range(200)]

    assert all(isinstance(reply, Reply) for reply in replies)
    assert {TransportFailure.PROTOCOL, TransportFailure.RESET} < {reply.error for reply in replies}


def test_a_stale_connection_is_silently_replaced(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    def behave(connection: socket.socket) -> None:
        partner.next_request(connection)
        connection.sendall(OK)
        if partner.connections == 1:
            partner.next_request(connection)  # and leave without an answer

    partner = delivery_partners.start(behave)

    replies = [delivery_sender.send(get(partner.url(f"/{number}"))) for number in (1, 2)]

    assert [(reply.status_code, reply.error) for reply in replies] == [(200, None), (200, None)]
    assert [request.split()[1] for request in partner.requests] == [b"/1", b"/2", b"/2"]
    assert partner.connections == 2


def test_a_stale_connection_is_replaced_only_once(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    def behave(connection: socket.socket) -> None:
        if partner.next_request(connection) and partner.connections == 1:
            connection.sendall(OK)
            partner.next_request(connection)

    partner = delivery_partners.start(behave)

    replies = [delivery_sender.send(get(partner.url(f"/{number}"))) for number in (1, 2)]

    assert [reply.error for reply in replies] == [None, TransportFailure.RESET]
    assert [request.split()[1] for request in partner.requests] == [b"/1", b"/2", b"/2"]


def test_a_stale_connection_is_not_replaced_by_another_stale_one(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    both_open = threading.Barrier(2)

    def behave(connection: socket.socket) -> None:
        partner.next_request(connection)
        if partner.connections <= 2:
            both_open.wait(5)
        connection.sendall(OK)
        partner.next_request(connection)  # and leave without an answer

    partner = delivery_partners.start(behave)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(delivery_sender.send, [get(partner.url("/both"))] * 2))

    reply = delivery_sender.send(get(partner.url()))

    assert (reply.status_code, reply.error) == (200, None)
    assert partner.connections == 3


def test_a_request_whose_answer_began_is_not_sent_again(
    delivery_sender: Transport, delivery_partners: Partners
) -> None:
    def behave(connection: socket.socket) -> None:
        partner.next_request(connection)
        connection.sendall(OK)
        if partner.next_request(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Half: ")
            partner.stopping.wait(0.2)  # a reset throws away what wasn't read yet
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    partner = delivery_partners.start(behave)

    replies = [delivery_sender.send(get(partner.url())) for _ in range(2)]

    assert [reply.error for reply in replies] == [None, TransportFailure.RESET]
    assert (len(partner.requests), partner.connections) == (2, 1)


@pytest.mark.parametrize(
    ("method", "url", "headers"),
    [
        ("GET", "", {"X-Name": "ключ"}),
        ("GET", "", {"X-Name": "a\r\nX-Other: b"}),
        ("GET", "", {"X-Name": "a\nb"}),
        ("GET", "", {"X-Name": "a\x00b"}),
        ("GET", "", {"X Name": "a"}),
        ("GET", "", {"": "a"}),
        ("GET", "", {"Host": "other.example"}),
        ("GET", "", {"content-length": "0"}),
        ("GET", "", {"Transfer-Encoding": "chunked"}),
        ("GET\r\n", "", {}),
        ("GET", "/\r\nX-Other: b", {}),
        ("GET", "/\x00", {}),
        ("GET", "ftp", {}),
    ],
)
def test_a_request_that_could_be_read_in_two_ways_is_not_sent(
    delivery_sender: Transport,
    delivery_partners: Partners,
    method: str,
    url: str,
    headers: dict[str, str],
) -> None:
    partner = delivery_partners.answering(OK)
    target = "ftp://partner.example/" if url == "ftp" else partner.url(url or "/")

    reply = delivery_sender.send(OutgoingRequest(method, target, headers))

    assert (reply.error, reply.status_code) == (TransportFailure.INVALID_REQUEST, None)
    assert reply.detail
    assert partner.connections == 0


def test_no_failure_repeats_what_the_url_and_headers_hold(
    delivery_sender: Transport,
    delivery_partners: Partners,
    names: Names,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    partners = [
        delivery_partners.resetting(b""),
        delivery_partners.resetting(b"HTTP/1.1 200 OK\r\nX"),
        delivery_partners.answering(b"banana\r\n\r\n"),
        delivery_partners.answering(
            b"HTTP/1.1 200 OK\r\n: no name\r\nbad\r\nContent-Length: 0\r\n\r\n"
        ),
        delivery_partners.dripping(b"", b"H"),
    ]
    urls = [partner.url("/s3cret?token=s3cret") for partner in partners]
    urls += ["http://10.0.0.1/?s3cret", "http://nowhere.example/?s3cret", "http://a\tb/?s3cret"]
    urls += ["http://127.0.0.1:1/?s3cret", "http://user:s3cret@partner.example/"]

    replies = [
        delivery_sender.send(get(url, {"Authorization": "s3cret"}), timeout=SHORT) for url in urls
    ]
    replies.append(delivery_sender.send(get(urls[0], {"X-Key": "s3cret\n"})))

    assert "s3cret" not in repr(replies)
    assert "s3cret" not in caplog.text


# When the partner says to wait


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (b"120", 120.0),
        (b" 0 ", 0.0),
        (b"Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        (b"-5", None),
        (b"1.5", None),
        (b"soon", None),
        (b"", None),
        (b"9" * 400, None),
        (b"Sun, 99 Foo 99999 99:99:99 GMT", None),
        (b"\xff\xfe", None),
    ],
)
def test_retry_after_is_read_or_left(
    delivery_sender: Transport,
    delivery_partners: Partners,
    header: bytes,
    seconds: float | None,
) -> None:
    partner = delivery_partners.answering(
        answer(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: " + header)
    )

    reply = delivery_sender.send(get(partner.url()))

    assert (reply.status_code, reply.retry_after, reply.error) == (429, seconds, None)


def test_retry_after_may_be_a_date(delivery_sender: Transport, delivery_partners: Partners) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    partner = delivery_partners.answering(
        answer(f"HTTP/1.1 503 Busy\r\nRetry-After: {date}".encode())
    )

    reply = delivery_sender.send(get(partner.url()))

    assert reply.retry_after is not None
    assert 580 < reply.retry_after <= 600


def test_a_date_without_a_zone_is_in_gmt() -> None:
    now = datetime(1994, 11, 6, 8, 49, 0, tzinfo=UTC)

    assert seconds_to_wait("Sun, 06 Nov 1994 08:49:37 -0000", now) == 37.0


# TLS


@pytest.fixture
def tls_sender(
    delivery_transport: AnyTransport, delivery_loopback: Destinations, delivery_ca_file: str
) -> Iterator[Transport]:
    with delivery_transport(delivery_loopback, ca_file=delivery_ca_file) as transport:
        yield transport


def test_tls_is_verified_and_kept_alive(
    tls_sender: Transport,
    delivery_partners: Partners,
    delivery_tls: ssl.SSLContext,
    names: Names,
) -> None:
    asked_for: list[str | None] = []
    delivery_tls.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    partner = delivery_partners.answering(OK, tls=delivery_tls)
    names.answer("partner.example", ["127.0.0.1"])

    replies = [tls_sender.send(get(partner.url(host="partner.example"))) for _ in range(3)]

    assert [(reply.status_code, reply.body) for reply in replies] == [(200, b"ok")] * 3
    assert partner.connections == 1
    assert asked_for == ["partner.example"]
    assert [unpack(reply.timings or 0).tls_ms is None for reply in replies] == [False, True, True]


def test_a_certificate_for_another_name_is_refused(
    tls_sender: Transport,
    delivery_partners: Partners,
    delivery_tls: ssl.SSLContext,
    names: Names,
) -> None:
    partner = delivery_partners.answering(OK, tls=delivery_tls)
    names.answer("other.example", ["127.0.0.1"])

    by_name = tls_sender.send(get(partner.url(host="other.example")))
    by_address = tls_sender.send(get(partner.url()))

    assert by_name.error is by_address.error is TransportFailure.TLS
    assert "not valid for 'other.example'" in by_name.detail
    assert partner.requests == []


def test_an_unknown_authority_is_refused(
    delivery_sender: Transport,
    delivery_partners: Partners,
    delivery_tls: ssl.SSLContext,
    names: Names,
) -> None:
    partner = delivery_partners.answering(OK, tls=delivery_tls)
    names.answer("partner.example", ["127.0.0.1"])

    reply = delivery_sender.send(get(partner.url(host="partner.example")))

    assert reply.error is TransportFailure.TLS
    assert "certificate was refused" in reply.detail
    assert partner.requests == []


def test_tls_before_1_2_is_refused(
    tls_sender: Transport,
    delivery_partners: Partners,
    delivery_tls: ssl.SSLContext,
    names: Names,
) -> None:
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        delivery_tls.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        delivery_tls.maximum_version = ssl.TLSVersion.TLSv1_1
    partner = delivery_partners.answering(OK, tls=delivery_tls)
    names.answer("partner.example", ["127.0.0.1"])

    reply = tls_sender.send(get(partner.url(host="partner.example")))

    assert reply.error is TransportFailure.TLS


def test_plain_http_where_tls_is_expected_is_a_tls_failure(
    tls_sender: Transport, delivery_partners: Partners
) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    partner = delivery_partners.start(behave)

    reply = tls_sender.send(get(partner.url().replace("http://", "https://")))

    assert reply.error is TransportFailure.TLS


def test_a_handshake_that_never_ends_is_left_in_time(
    tls_sender: Transport, delivery_partners: Partners
) -> None:
    partner = delivery_partners.silent()

    reply = tls_sender.send(get(partner.url().replace("http://", "https://")), timeout=SHORT)

    assert reply.error is TransportFailure.TIMEOUT
    assert reply.duration_ms < IN_TIME_MS


def test_a_dripping_body_over_tls_ends_in_time(
    tls_sender: Transport,
    delivery_partners: Partners,
    delivery_tls: ssl.SSLContext,
    names: Names,
) -> None:
    def behave(connection: socket.socket) -> None:
        partner.next_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        while not partner.stopping.wait(0.02):
            connection.sendall(b"a")

    partner = delivery_partners.start(behave, delivery_tls)
    names.answer("partner.example", ["127.0.0.1"])

    reply = tls_sender.send(get(partner.url(host="partner.example")), timeout=SHORT)

    assert (reply.error, reply.status_code) == (TransportFailure.TIMEOUT, 200)
    assert reply.duration_ms < IN_TIME_MS
