"""How a production starts: checked by Django, refused with a weak secret, closed by headers."""

import base64
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from apps_registry.models import Organization, User
from postbacks.infrastructure import environment

ROOT = Path(__file__).resolve().parent.parent.parent
_KEY = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def production(transactional_db: None, tmp_path: Path) -> dict[str, str]:
    """The environment of a production with the tests' database."""
    database = connection.settings_dict
    return {
        "PATH": os.environ["PATH"],
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": f"postgresql://{database['USER']}@/{database['NAME']}"
        f"?host={database['HOST']}&port={database['PORT']}",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "FIELD_ENCRYPTION_KEYS": f"k1:{_KEY}",
        "PUBLIC_URL": "https://postbacks.example.com",
        "ALLOWED_HOSTS": "postbacks.example.com",
        "TRUSTED_PROXY_COUNT": "1",
    }


def _run(production: dict[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=production,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_production_passes_djangos_check_of_deployments(production: dict[str, str]) -> None:
    ran = _run(
        production,
        "manage.py",
        "check",
        "--deploy",
        "--fail-level",
        "WARNING",
        "--database",
        "default",
    )

    assert ran.returncode == 0, ran.stderr
    assert "no issues (0 silenced)" in ran.stdout


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("RETENTION_DAYS_CLICKS", "30", "at least 31, or 0 for ever"),
        ("RETENTION_DAYS_EVENTS", "forever", "not a whole number"),
    ],
)
def test_data_that_would_leave_too_early_stop_the_start_with_a_sentence(
    production: dict[str, str], name: str, value: str, sentence: str
) -> None:
    ran = _run({**production, name: value}, "manage.py", "check")

    assert ran.returncode != 0
    assert name in ran.stderr
    assert sentence in ran.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "too-short"),
        ("SECRET_KEY", "changeme-0123456789abcdefghijklmnopqrstuvwxyz"),
        ("SECRET_KEY", "a" * 64),
        ("SECRET_KEY", "django-insecure-0123456789abcdefghijklmnopqrstuvwxyz"),
        ("FIELD_ENCRYPTION_KEYS", ""),
        ("FIELD_ENCRYPTION_KEYS", "k1:c2hvcnQ="),
    ],
)
def test_a_weak_secret_stops_the_start_with_a_sentence(
    production: dict[str, str], name: str, value: str
) -> None:
    ran = _run({**production, name: value}, "manage.py", "check")

    assert ran.returncode != 0
    assert name in ran.stderr
    assert not value or value not in ran.stderr


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("", "must be set"),
        ("k1", "write it as id:key"),
        ("k1:abcde", "the key “k1” is not URL-safe base64"),
        ("k1:c2hvcnQ=", "the key “k1” has 5 bytes"),
        ("k1:c2hvcnQ", "the key “k1” has 5 bytes"),
        (f"k2:{'a' * 43},k1:{'a' * 42}", "the key “k1” has 31 bytes"),
        (f"k1:{'a' * 44}", "the key “k1” has 33 bytes"),
    ],
)
def test_a_wrong_encryption_key_says_what_is_wrong_and_how_to_make_one(
    production: dict[str, str], value: str, sentence: str
) -> None:
    ran = _run({**production, "FIELD_ENCRYPTION_KEYS": value}, "manage.py", "check")

    assert ran.returncode != 0
    assert sentence in ran.stderr
    assert "make one with python -c" in ran.stderr
    assert "padding" not in ran.stderr


def test_an_encryption_key_may_leave_its_padding_out(production: dict[str, str]) -> None:
    ran = _run(
        {**production, "FIELD_ENCRYPTION_KEYS": f"k1:{secrets.token_urlsafe(32)}"},
        "manage.py",
        "shell",
        "-c",
        "from apps_registry.crypto import encryption as e\n"
        "print(e.decrypt(e.encrypt('hi', context='c'), context='c'))",
    )

    assert ran.stdout.strip().endswith("hi"), ran.stderr


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        (["createorganization", "Gem Harbor", "owner@example.com"], "Set OWNER_PASSWORD"),
        (["createoperator", "operator@example.com"], "Set OPERATOR_PASSWORD"),
    ],
)
def test_without_a_terminal_no_password_is_asked_for(
    production: dict[str, str], command: list[str], remedy: str
) -> None:
    ran = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=production,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,  # away from the terminal of the tests
    )

    assert ran.returncode != 0
    assert f"There is no terminal to ask for a password. {remedy}" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not Organization.objects.exists()
    assert not User.objects.exists()


_ASK = """
import json
from django.core.wsgi import get_wsgi_application
get_wsgi_application()
from django.test import Client
answers = {
    "plain": Client(headers={"host": "postbacks.example.com"}).get("/accounts/login/"),
    "proxied": Client(headers={"host": "postbacks.example.com", "x-forwarded-proto": "https"})
        .get("/accounts/login/"),
    "alive": Client(headers={"host": "postbacks.example.com"}).get("/healthz"),
    "stranger": Client(headers={"host": "evil.example.com", "x-forwarded-proto": "https"})
        .get("/accounts/login/"),
}
print(json.dumps({
    name: [answer.status_code, dict(answer.headers), answer.cookies.output()]
    for name, answer in answers.items()
}))
"""


def test_a_production_is_closed_by_its_headers(production: dict[str, str]) -> None:
    settings = {**production, "DJANGO_SETTINGS_MODULE": "postbacks.settings"}
    ran = _run(settings, "-W", "ignore", "-c", _ASK)
    assert ran.returncode == 0, ran.stderr
    answers = json.loads(ran.stdout)

    status, headers, _ = answers["plain"]
    assert (status, headers["Location"]) == (301, "https://postbacks.example.com/accounts/login/")
    status, headers, cookies = answers["proxied"]
    assert status == 200
    assert headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
    assert headers["X-Frame-Options"] == "DENY"
    for word in ("__Host-csrftoken=", "HttpOnly", "Secure", "SameSite=Lax", "Path=/"):
        assert word in cookies
    assert "Domain" not in cookies
    assert answers["alive"][0] == 200
    assert answers["stranger"][0] == 400


_FIRST = """
import io, sys
from postbacks.wsgi import application
loaded = set(sys.modules)
for path in ("/healthz", "/c/a", "/api/v1/apps", "/accounts/login/"):
    environ = {
        "REQUEST_METHOD": "POST" if path == "/c/a" else "GET", "PATH_INFO": path,
        "SERVER_NAME": "postbacks.example.com", "SERVER_PORT": "443", "wsgi.input": io.BytesIO(),
        "wsgi.url_scheme": "https", "REMOTE_ADDR": "127.0.0.1",
    }
    b"".join(application(environ, lambda *_: None))
ours = ("postbacks.api", "postbacks.admin", "postbacks.intake")
print(*sorted(name for name in set(sys.modules) - loaded if name.startswith(ours)))
"""


def test_no_first_request_waits_for_our_views_to_be_imported(production: dict[str, str]) -> None:
    settings = {**production, "DJANGO_SETTINGS_MODULE": "postbacks.settings"}

    ran = _run(settings, "-W", "ignore", "-c", _FIRST)

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == []


def test_the_cookie_of_a_session_is_bound_to_the_host(production: dict[str, str]) -> None:
    settings = {**production, "DJANGO_SETTINGS_MODULE": "postbacks.settings"}
    names = ("SESSION_COOKIE_NAME", "SESSION_COOKIE_SECURE", "SESSION_COOKIE_HTTPONLY")
    expressions = ", ".join(f"settings.{name}" for name in (*names, "SESSION_COOKIE_SAMESITE"))

    ran = _run(settings, "-c", f"from django.conf import settings; print({expressions})")

    assert ran.stdout.split() == ["__Host-sessionid", "True", "True", "Lax"]


def test_the_image_holds_no_secrets_and_its_containers_get_every_setting() -> None:
    left_out = (ROOT / ".dockerignore").read_text().split()
    compose = (ROOT / "compose.yaml").read_text()

    assert {".env", ".local"} <= set(left_out)
    assert "env_file: .env" in compose


@pytest.mark.parametrize(
    ("value", "has_pycurl", "sentence"),
    [
        ("fast", True, "“fast” is no transport; write curl or requests"),
        ("curl,requests", True, "write curl or requests"),
        ("curl", False, "install postbacks[curl], or write requests"),
    ],
)
def test_a_wrong_transport_stops_the_start_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, value: str, has_pycurl: bool, sentence: str
) -> None:
    monkeypatch.setenv("DELIVERY_TRANSPORT", value)
    monkeypatch.setattr(environment, "has_pycurl", lambda: has_pycurl)

    with pytest.raises(ImproperlyConfigured) as refused:
        environment.parsed("DELIVERY_TRANSPORT", environment.delivery_transport, default=None)

    assert "The setting DELIVERY_TRANSPORT is wrong" in str(refused.value)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("value", "has_pycurl", "name"),
    [("requests", True, "requests"), (" CURL ", True, "curl"), ("requests", False, "requests")],
)
def test_the_transport_is_the_one_that_the_setting_names(
    monkeypatch: pytest.MonkeyPatch, value: str, has_pycurl: bool, name: str
) -> None:
    monkeypatch.setattr(environment, "has_pycurl", lambda: has_pycurl)

    assert environment.delivery_transport(value) == name
