"""Reads settings from the environment or a `.env` file; `NAME_FILE` may name a file of the value.

A wrong value stops the start with a sentence that names the setting.
"""

import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import environ
import maxminddb
from django.core.exceptions import ImproperlyConfigured
from redis import Redis

T = TypeVar("T")
D = TypeVar("D")

_env = environ.FileAwareEnv()
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def load(env_file: Path) -> None:
    """Read `.env` if there is one; variables of the environment win."""
    if env_file.is_file():
        environ.Env.read_env(str(env_file))


def text(name: str, default: str = "") -> str:
    """Return the setting unparsed, or the default when unset or empty."""
    return str(_env.str(name, default="") or default)


def required(name: str, *, needed_by: str) -> str:
    """Return a setting that the setting `needed_by` needs. Raises ImproperlyConfigured."""
    if value := text(name):
        return value
    raise ImproperlyConfigured(f"The setting {name} must be set, since {needed_by} is.")


def parsed(name: str, parse: Callable[[str], T], default: D) -> T | D:
    """Return the setting read by `parse`. Raises ImproperlyConfigured with its ValueError."""
    value = text(name)
    if not value:
        return default
    try:
        return parse(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"The setting {name} is wrong: {error}") from None


def boolean(value: str) -> bool:
    """Return True for 1, true, yes, on and False for 0, false, no, off."""
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    if value.strip().lower() not in words:
        raise ValueError(f"“{value}” is neither true nor false.")
    return words[value.strip().lower()]


def words(value: str) -> list[str]:
    """Return the comma-separated parts without surrounding space."""
    return [word.strip() for word in value.split(",") if word.strip()]


def natural(value: str) -> int:
    """Return a whole number of zero or more."""
    if not value.strip().isdigit():
        raise ValueError(f"“{value}” is not a whole number of zero or more.")
    return int(value)


def days(*, at_least: int) -> Callable[[str], int]:
    """Return a parser of a retention in days: 0 means for ever, otherwise at least so many."""

    def parse(value: str) -> int:
        number = natural(value)
        if 0 < number < at_least:
            raise ValueError(f"{number} days are too few; at least {at_least}, or 0 for ever.")
        return number

    return parse


def folder(value: str) -> Path:
    """Return the path of a folder that can be written to. Raises ValueError."""
    path = Path(value)
    if not path.is_absolute():
        raise ValueError(f"{path} must be a whole path, from / on.")
    if not path.is_dir():
        raise ValueError(f"{path} is no folder; make it.")
    if not os.access(path, os.W_OK | os.X_OK):
        raise ValueError(f"{path} can't be written to.")
    return path


def geoip_database(value: str) -> Path:
    """Return the path of a MaxMind database with countries. Raises ValueError."""
    path = Path(value)
    try:
        with maxminddb.open_database(path) as database:
            kind = database.metadata().database_type
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror or error}.") from None
    except maxminddb.InvalidDatabaseError:
        raise ValueError(f"{path} is not a MaxMind database (.mmdb).") from None
    if not any(word in kind for word in ("Country", "City", "Enterprise", "country", "location")):
        raise ValueError(f"{path} knows no countries: it is of the type {kind}.")
    return path


def web_address(value: str) -> str:
    """Return a URL of HTTP or HTTPS with a host. Raises ValueError."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("write it as https://host/path.")
    return value


def log_format(value: str) -> str:
    """Return `text` or `json`. Raises ValueError."""
    if value.strip().lower() not in {"text", "json"}:
        raise ValueError(f"“{value}” is no format; write text or json, or leave it unset.")
    return value.strip().lower()


def log_level(value: str) -> str:
    """Return a level of Python's logging. Raises ValueError."""
    if value.strip().upper() not in _LEVELS:
        raise ValueError(
            f"“{value}” is no level; write {', '.join(_LEVELS[:-1])} or {_LEVELS[-1]}."
        )
    return value.strip().upper()


def sentry_dsn(value: str) -> str:
    """Return where errors are reported to. Raises ValueError, which does not quote it."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not (parts.username and parts.hostname):
        raise ValueError("write it as Sentry shows it: https://<key>@<host>/<project>.")
    if not parts.path.rpartition("/")[2].isdigit():
        raise ValueError("it must end with the project's number: https://<key>@<host>/<project>.")
    if find_spec("sentry_sdk") is None:
        raise ValueError("it needs sentry-sdk: install postbacks[sentry], or leave it unset.")
    return value


def metrics_token(value: str) -> str:
    """Return a token that can stand in a header and can't be guessed. Raises ValueError."""
    if len(value) < 16 or not value.isascii() or any(sign.isspace() for sign in value):
        raise ValueError(
            "it must have at least 16 characters without spaces; make one with "
            "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return value


def delivery_transport(value: str) -> str:
    """Return the name of a transport that can be used here. Raises ValueError."""
    name = value.strip().lower()
    if name not in {"curl", "requests"}:
        raise ValueError(f"“{value}” is no transport; write curl or requests, or leave it unset.")
    if name == "curl" and not has_pycurl():
        raise ValueError("curl needs pycurl: install postbacks[curl], or write requests.")
    return name


def has_pycurl() -> bool:
    return find_spec("pycurl") is not None


def redis_url(url: str) -> str:
    if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("it must begin with redis://, rediss:// or unix://")
    Redis.from_url(url)  # raises for what can't be a port or a number of a database
    return url


MAKE_ENCRYPTION_KEY = (
    "make one with python -c 'import secrets; print(\"k1:\" + secrets.token_urlsafe(32))'"
)


def encryption_keys(value: str) -> dict[str, str]:
    """Return the keys by their ids, in order. Raises ValueError, which quotes no key."""
    parts = (part.split(":", 1) for part in words(value) if ":" in part)
    # `token_urlsafe` leaves the padding out.
    keys = {name: key.rstrip("=") + "=" * (-len(key.rstrip("=")) % 4) for name, key in parts}
    if not keys:
        raise ValueError(
            "write it as id:key[,older-id:older-key], each key 32 bytes in URL-safe base64; "
            f"{MAKE_ENCRYPTION_KEY}"
        )
    for name, key in keys.items():
        if (size := _decoded_size(key)) != 32:
            fault = "is not URL-safe base64" if size is None else f"has {size} bytes"
            raise ValueError(
                f"the key “{name}” {fault}; it must be 32 bytes in URL-safe base64. "
                f"To {MAKE_ENCRYPTION_KEY}"
            )
    return keys


def _decoded_size(key: str) -> int | None:
    try:
        return len(urlsafe_b64decode(key))
    except ValueError:
        return None


def first_encryption_key() -> str:
    return "k1:" + urlsafe_b64encode(secrets.token_bytes(32)).decode()


def email(value: str) -> dict[str, object]:
    """Return Django's settings for a mail server's address, such as smtp+tls://user:pw@host:587."""
    scheme = value.partition("://")[0]
    if scheme not in environ.Env.EMAIL_SCHEMES:
        schemes = ", ".join(environ.Env.EMAIL_SCHEMES)
        raise ValueError(f"it must begin with one of {schemes}, and then “://”.")
    return dict(environ.Env.email_url_config(value))


def stored_secret(path: Path, make: Callable[[], str]) -> str:
    """Return the secret stored in a file of the data folder, made on first use.

    It is written under another name and linked into place: two processes that start at once agree.
    """
    try:
        if not path.exists():
            _store(path, make())
        return path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"The data folder {path.parent} can't be written ({error.strerror}). "
            "Set DATA_DIR to a folder of yours."
        ) from None


def _store(path: Path, secret: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fresh.touch(mode=0o600)
    fresh.write_text(secret)
    with suppress(FileExistsError):
        path.hardlink_to(fresh)
    fresh.unlink()
