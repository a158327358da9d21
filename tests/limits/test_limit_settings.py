"""A wrong setting stops the start with a sentence that names it."""

import os
import subprocess
import sys

import pytest

from tests.faults.demo_process import ROOT

_SHOW = (
    "import postbacks.settings as s;"
    "print(s.CACHES['default']['BACKEND'], s.Q_CLUSTER.get('redis'), s.Q_CLUSTER.get('orm'),"
    " s.RATE_LIMIT_SDK_APP)"
)


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    """Read the settings in a process of their own."""
    return subprocess.run(
        [sys.executable, "-c", _SHOW],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("REDIS_URL", "localhost:6379", "must begin with redis://"),
        ("REDIS_URL", "http://localhost", "must begin with redis://"),
        ("REDIS_URL", "redis://localhost:port/0", "wrong"),
        ("RATE_LIMIT_SDK_APP", "60", "write one like 60/s"),
        ("RATE_LIMIT_API", "many", "write one like 60/s"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_a_sentence(
    name: str, value: str, sentence: str
) -> None:
    ended = start(**{name: value})

    assert ended.returncode != 0
    last = ended.stderr.strip().splitlines()[-1]
    assert f"The setting {name} is wrong" in last
    assert sentence in last


def test_without_redis_postgresql_carries_cache_and_tasks() -> None:
    output = start(REDIS_URL="").stdout

    assert output.split() == [
        "postbacks.infrastructure.caches.PostgresCache",
        "None",
        "default",
        "100/1s",
    ]


def test_redis_carries_cache_and_tasks_where_it_is_named() -> None:
    output = start(REDIS_URL="redis://127.0.0.1:1/3", RATE_LIMIT_SDK_APP="600/m").stdout

    assert output.split() == [
        "postbacks.infrastructure.caches.PatientRedisCache",
        "redis://127.0.0.1:1/3",
        "None",
        "600/60s",
    ]
