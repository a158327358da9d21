"""The log as JSON lines, and reports of errors: neither holds personal data or secrets."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from postbacks.infrastructure import environment
from postbacks.web import log_filter
from postbacks.web.log_filter import HideKeysInLinks, json_formatter

ROOT = Path(__file__).resolve().parents[2]
DSN = "https://0123456789abcdef0123456789abcdef@127.0.0.1/1"


def line_of(message: str, *arguments: object, **extra: object) -> dict[str, object]:
    record = logging.getLogger("postbacks.x").makeRecord(
        "postbacks.x", logging.WARNING, "x.py", 1, message, arguments, None, extra=extra
    )
    HideKeysInLinks().filter(record)
    line = json_formatter().format(record)
    assert "\n" not in line
    parsed = json.loads(line)
    assert isinstance(parsed, dict)
    return parsed


def test_a_line_is_one_object_with_chosen_fields_alone() -> None:
    line = line_of("GET %s\n“ü”", "/v0/event?api_key=secret-1", host="a.example:443", request="r")

    assert line.pop("timestamp")
    assert line == {
        "event": "GET /v0/event?api_key=•••\n“ü”",
        "level": "warning",
        "logger": "postbacks.x",
        "host": "a.example:443",
    }


@pytest.mark.parametrize(
    "text",
    [
        "https://a.example/p?idfa=6D92078A-8246-4BA4-AE5B-76104861E7DC&x=1",
        "https://user:pass-1@a.example/p",
        "no user anna@example.com",
        "from 203.0.113.7",
        "from 2001:db8::7:1",
        "device 6D92078A-8246-4BA4-AE5B-76104861E7DC",
        "key hJ3kd82LmQpa0Zx7Yb5Rt1",
        "Authorization: Bearer short1",
        "/accounts/invitation/abc1/",
    ],
)
def test_what_looks_like_a_secret_or_a_person_is_masked(text: str) -> None:
    secrets = "idfa", "pass-1", "anna", "203.0", "db8", "6D92", "hJ3", "short1", "abc1"
    event = log_filter.scrubbed(
        {
            "message": text,
            "logentry": {"message": text, "params": [text, {"a": text}]},
            "exception": {
                "values": [
                    {
                        "value": f"{text}\nDETAIL: Key (name)=(Anna)",
                        "stacktrace": {"frames": [{"function": "f", "vars": {"a": text}}]},
                    }
                ]
            },
            "request": {
                "method": "POST",
                "url": "https://p.example/api/v1/events?api_key=1",
                "query_string": text,
                "data": text,
                "cookies": {"a": text},
                "headers": {"Authorization": text},
                "env": {"REMOTE_ADDR": text},
            },
            "user": {"id": 1, "ip_address": text},
            "extra": {"a": text},
            "breadcrumbs": {"values": [{"message": text}]},
        }
    )

    written = str(event)
    assert not [secret for secret in secrets if secret in written]
    assert "DETAIL" not in written
    assert event["request"] == {"method": "POST", "url": "https://p.example/api/v1/events"}
    assert event["exception"]["values"][0]["stacktrace"]["frames"] == [{"function": "f"}]


def test_plain_words_stay() -> None:
    text = "'NoneType' object has no attribute 'return_claims_of_dead_pumps' in postback_p20260101"
    assert log_filter.masked(text) == text


@pytest.mark.parametrize(
    ("parse", "value", "sentence"),
    [
        (environment.log_format, "xml", "write text or json"),
        (environment.log_level, "loud", "write DEBUG, INFO, WARNING or ERROR"),
        (environment.sentry_dsn, "a.example", "write it as Sentry shows it"),
        (environment.sentry_dsn, "https://key@a.example/", "the project's number"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_to_write(parse, value: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse(value)


def test_without_sentrys_package_the_start_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(environment, "find_spec", lambda _name: None)

    with pytest.raises(ValueError, match=r"install postbacks\[sentry\]"):
        environment.sentry_dsn(DSN)


_LOG_ONE = """
import django, logging
django.setup()
import sentry_sdk
options = sentry_sdk.get_client().options
assert options["before_send"] and not options["send_default_pii"]
logging.getLogger("postbacks.delivery.attempt_reports").info("attempt", extra={"host": "h"})
sentry_sdk.get_client().transport = None
"""


def test_a_process_writes_json_where_asked_for() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _LOG_ONE],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "postbacks.settings",
            "LOG_FORMAT": "json",
            "SENTRY_DSN": DSN,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    (line,) = [json.loads(each) for each in ran.stderr.splitlines()]
    assert (line["event"], line["host"], line["level"]) == ("attempt", "h", "info")
