"""The stand-in ad network, asked over HTTP."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from postbacks.demo.partner import server
from tests.demo.stand import ROOT, Stand, key_that_gets, running


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with running(tmp_path) as started:
        yield started


def test_an_accepted_request_is_listed_as_it_came(stand: Stand) -> None:
    reply = stand.ask("/ok/a%20b?x=1&y=%26", method="PUT", key="k1", body="{“é”}".encode())

    listed = stand.received()
    assert (reply.status, reply.body) == (200, '{"status":"ok"}')
    assert (listed["accepted"], listed["received_twice"]) == (1, 0)
    [request] = listed["requests"]
    assert request["idempotency_key"] == "k1"
    assert (request["method"], request["path"]) == ("PUT", "/ok/a%20b")
    assert (request["query"], request["body"]) == ("x=1&y=%26", "{“é”}")
    assert request["headers"]["Idempotency-Key"] == "k1"
    assert request["status"] == 200
    assert request["received_at"].endswith("+00:00")


def test_a_key_that_is_accepted_twice_is_counted_once_and_told(stand: Stand) -> None:
    for key in ("once", "twice", "twice"):
        stand.ask("/ok", method="POST", key=key)

    listed = stand.received()
    assert (listed["accepted"], listed["received_twice"]) == (2, 1)
    assert stand.times_accepted() == {"once": 1, "twice": 2}


def test_the_list_holds_the_newest_last_and_can_be_narrowed(stand: Stand) -> None:
    for key in ("a", "b", "c", "a"):
        stand.ask("/ok", key=key)

    newest = stand.received("?limit=2")["requests"]
    of_a_key = stand.received("?idempotency_key=a")["requests"]
    assert [request["idempotency_key"] for request in newest] == ["c", "a"]
    assert [request["idempotency_key"] for request in of_a_key] == ["a", "a"]
    assert stand.ask("/received?limit=many").status == 400


def test_a_request_without_a_key_is_listed_but_not_counted(stand: Stand) -> None:
    assert stand.ask("/picky/by-hand").status == 200

    listed = stand.received()
    assert listed["accepted"] == 0
    assert [request["idempotency_key"] for request in listed["requests"]] == [None]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/flaky/x", 500), ("/limited/x", 429), ("/moody/x", 500), ("/moody/x", 429)],
)
def test_a_refusal_is_for_the_first_time_only(stand: Stand, path: str, status: int) -> None:
    key = key_that_gets(path, status)

    first = stand.ask(path, key=key)
    second = stand.ask(path, key=key)

    assert (first.status, second.status) == (status, 200)
    assert first.retry_after == ("1" if status == 429 else None)
    assert stand.received()["answered"] == {"200": 1, str(status): 1}
    assert stand.times_accepted() == {key: 1}


def test_picky_refuses_the_same_key_for_good(stand: Stand) -> None:
    key = key_that_gets("/picky", 404)

    statuses = [stand.ask("/picky/payer", key=key).status for _ in range(3)]

    assert statuses == [404, 404, 404]
    assert stand.received()["accepted"] == 0


def test_slow_takes_its_time_over_some_keys(stand: Stand) -> None:
    path_behavior = server.behavior_of("/slow")
    key = next(key for key in map(str, range(1000)) if server.response_delay(path_behavior, key))

    started = time.monotonic()
    reply = stand.ask("/slow", key=key)

    assert time.monotonic() - started >= 0.15
    assert reply.status == 200


def test_sigterm_ends_it_within_a_second_though_a_connection_is_kept(stand: Stand) -> None:
    stand.ask("/healthz")

    stand.process.send_signal(signal.SIGTERM)

    assert stand.process.wait(timeout=1) == 0


def test_a_body_of_unknown_length_is_refused_and_the_connection_closed(stand: Stand) -> None:
    with socket.create_connection(("127.0.0.1", stand.port), timeout=10) as raw:
        raw.sendall(
            b"POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nhi\r\n0\r\n\r\n"
        )
        answer = raw.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 411 ")
    assert b"Connection: close" in answer


def test_a_long_body_is_read_to_its_end_but_only_its_start_is_kept(stand: Stand) -> None:
    first = stand.ask("/ok", method="POST", key="long", body=b"x" * 1_000_000)
    listed = stand.received("?idempotency_key=long")

    assert first.status == 200
    [request] = listed["requests"]
    assert request["body"] == "x" * 65_536


def test_any_method_is_taken_and_head_gets_no_body(stand: Stand) -> None:
    for method in ("PATCH", "DELETE", "HEAD", "POST", "X-CUSTOM"):
        assert stand.ask("/ok", method=method, key=method).status == 200

    assert list(stand.times_accepted()) == ["PATCH", "DELETE", "HEAD", "POST", "X-CUSTOM"]


def test_a_taken_port_ends_it_with_one_line(stand: Stand, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "postbacks.demo.partner.server", "--port", str(stand.port)]

    ended = subprocess.run(
        [*command, "--data", str(tmp_path / "other")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert f"port {stand.port}" in ended.stderr
    assert ended.stderr.count("\n") == 1
