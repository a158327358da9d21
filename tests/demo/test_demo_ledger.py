"""The stand-in's ledger survives kills and restarts."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

from postbacks.demo.partner.ledger import FILE_NAME
from tests.demo.stand import ROOT, key_that_gets, running


def test_a_key_that_was_accepted_is_not_refused_after_a_restart(tmp_path: Path) -> None:
    key = key_that_gets("/flaky", 500)
    with running(tmp_path) as first:
        assert [first.ask("/flaky", key=key).status for _ in range(2)] == [500, 200]

    with running(tmp_path) as second:
        assert second.ask("/flaky", key=key).status == 200


def test_sigkill_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    keys = [str(uuid4()) for _ in range(200)]
    with running(tmp_path) as killed:
        for key in keys:
            assert killed.ask("/ok", method="POST", key=key, body=b"x" * 300).status == 200
        killed.end(signal.SIGKILL)

    with running(tmp_path) as restarted:
        assert restarted.times_accepted() == dict.fromkeys(keys, 1)
        requests = restarted.received()["requests"]
        assert [request["idempotency_key"] for request in requests] == keys


def test_a_torn_last_line_is_cut_and_the_next_one_is_whole(tmp_path: Path) -> None:
    with running(tmp_path) as stand:
        stand.ask("/ok", key="whole")
    with (tmp_path / FILE_NAME).open("ab") as file:
        file.write(b'{"idempotency_key":"to')

    with running(tmp_path) as restarted:
        restarted.ask("/ok", key="next")
        assert restarted.times_accepted() == {"whole": 1, "next": 1}

    lines = (tmp_path / FILE_NAME).read_text().splitlines()
    assert [json.loads(line)["idempotency_key"] for line in lines] == ["whole", "next"]


def test_a_folder_that_another_one_uses_ends_it_with_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "postbacks.demo.partner.server", "--port", "0"]

    with running(tmp_path):
        ended = subprocess.run(
            [*command, "--data", str(tmp_path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    assert ended.returncode == 1
    assert ended.stderr == f"Another stand-in ad network already uses {tmp_path}.\n"


def test_a_folder_that_cannot_be_written_ends_it_with_one_line(tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.touch()
    command = [sys.executable, "-m", "postbacks.demo.partner.server", "--port", "0"]

    ended = subprocess.run(
        [*command, "--data", str(file)], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert str(file) in ended.stderr
    assert ended.stderr.count("\n") == 1
