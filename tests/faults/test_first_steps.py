"""What can go wrong before anything runs: each gets one clear line and an exit code."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from postbacks.demo.child_processes import free_port
from tests.faults.conftest import copy_database
from tests.faults.demo_process import ROOT


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "PORT"}}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def last_line(run: subprocess.CompletedProcess[str]) -> str:
    return run.stderr.strip().splitlines()[-1]


def test_a_port_in_use_is_named_with_the_way_out(data_folder: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]

        run = manage("demo", DATA_DIR=str(data_folder), PORT=str(port))

    assert run.returncode == 1
    assert f"Port {port} can't be used" in last_line(run)
    assert "make demo PORT=" in last_line(run)


@pytest.mark.parametrize("port", ["http", "70000", "0"])
def test_a_port_that_is_no_port_is_refused(port: str, data_folder: Path) -> None:
    run = manage("demo", DATA_DIR=str(data_folder), PORT=port)

    assert run.returncode == 1
    assert last_line(run) == f"CommandError: PORT must be a number from 1 to 65535, not “{port}”."


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")

    run = manage("demo", DATA_DIR=str(in_the_way / "data"))

    assert run.returncode == 1
    assert str(in_the_way / "data") in last_line(run)
    assert "Set DATA_DIR" in last_line(run)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "perhaps"),
        ("TRUSTED_PROXY_COUNT", "-1"),
        ("EMAIL_URL", "mail.example.com"),
        ("ALLOW_PRIVATE_DESTINATIONS", "127.0.0.0/8, everything"),
        ("DATABASE_URL", "mysql://db/postbacks"),
        ("FIELD_ENCRYPTION_KEYS", "only-a-key"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(
    name: str, value: str, data_folder: Path
) -> None:
    run = manage("check", **{"DATA_DIR": str(data_folder), name: value})

    assert run.returncode == 1
    assert name in last_line(run)


def test_production_refuses_to_start_without_secrets(data_folder: Path) -> None:
    run = manage(
        "check", DATA_DIR=str(data_folder), DATABASE_URL="postgresql://app@db.example.com/postbacks"
    )

    assert run.returncode == 1
    assert "SECRET_KEY" in last_line(run)


def test_a_finite_demo_counts_right_and_leaves_nothing_behind(tmp_path: Path) -> None:
    run = manage("demo", "--once", "--devices=60", TMPDIR=str(tmp_path))

    assert run.returncode == 0, run.stderr
    figures = json.loads(run.stdout.strip().splitlines()[-1])
    assert figures["postbacks"] == figures["expected_postbacks"] > 300
    assert figures["sent_events"] == (
        figures["events"] + figures["duplicates"] + figures["rejected"]
    )
    assert figures["received_by_partner"] == figures["delivered"]
    assert figures["received_twice"] == 0
    assert figures["attributed"] == figures["attributed_truth"] > 20
    networks = figures["by_network"].values()
    assert sum(network["earned"] for network in networks) == figures["attributed"]
    assert all(network["earned"] == network["told"] for network in networks)
    assert "Done in" in run.stdout


def test_the_development_server_answers_and_leaves_nothing_behind(
    data_folder: Path, migrated_folder: Path
) -> None:
    copy_database(migrated_folder, data_folder)
    port = free_port()
    inherited = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
    with subprocess.Popen(
        [sys.executable, "manage.py", "dev"],
        cwd=ROOT,
        env={**inherited, "DATA_DIR": str(data_folder), "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as development:
        family = [psutil.Process(development.pid)]
        try:
            assert answers(f"http://127.0.0.1:{port}/readyz", within=240)
            family += family[0].children(recursive=True)
        finally:
            development.terminate()
            development.wait(60)

    _gone, alive = psutil.wait_procs(family, timeout=30)
    assert len(family) > 8
    assert alive == []


def answers(url: str, *, within: float) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            time.sleep(0.2)
    return False
