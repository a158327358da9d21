"""The product's settings for the benchmark: the defaults, whatever environment or `.env` say."""

import os
from pathlib import Path

from postbacks.infrastructure.database.embedded import EmbeddedServer

_DEFAULT = (
    "DATABASE_ROLE",
    "DEBUG",
    "ALLOWED_HOSTS",
    "TRUSTED_PROXY_COUNT",
    "PUMPS",
    "PUBLIC_URL",
    "SECRET_KEY",
    "FIELD_ENCRYPTION_KEYS",
    "WORKER_NAME",
    "SUPERVISOR_PID",
    "REDIS_URL",
    "RATE_LIMIT_SDK_APP",
    "RATE_LIMIT_SDK_SERVER",
    "RATE_LIMIT_API",
    "RATE_LIMIT_UNKNOWN",
    "RATE_LIMIT_TESTS",
)


def apply(server: EmbeddedServer) -> None:
    """Set the environment of this process and its children; Django has not read it yet."""
    for name in _DEFAULT:
        os.environ[name] = ""  # unset, `.env` would speak
    for name in (*_DEFAULT, "DATABASE_URL"):
        os.environ.pop(f"{name}_FILE", None)
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "postbacks.settings",
        "DATA_DIR": str(server.data_dir),
        "DATABASE_URL": server.url,
        "ALLOW_PRIVATE_DESTINATIONS": "127.0.0.0/8",
    }


def folder() -> Path:
    """Return where results are kept: beside everything else that this checkout writes."""
    root = Path(__file__).parents[2]
    return Path(os.environ.get("DATA_DIR") or root / ".local").resolve() / "bench"
