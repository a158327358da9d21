"""The lines of the log: as JSON where asked for, and without the keys that stand in URLs."""

import logging
import re

_KEY_IN_LINK = re.compile(
    r"(/accounts/(?:invitation|password/reset/key)/|\bapi_key=)[^\s/?&\"']+", re.IGNORECASE
)


# The fields of an attempt's line. Other extras, such as Django's requests, are not written.
ATTEMPT_FIELDS = (
    "postback",
    "organization",
    "rule_id",
    "attempt",
    "kind",
    "outcome",
    "status_code",
    "error_code",
    "duration_ms",
    "host",
)


def json_formatter() -> logging.Formatter:
    """Return a formatter that writes each line as a JSON object."""
    import structlog  # only where it is used

    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        foreign_pre_chain=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(allow=ATTEMPT_FIELDS),
            structlog.processors.format_exc_info,
        ],
    )


def hide_keys_in_links(line: str) -> str:
    return _KEY_IN_LINK.sub(r"\1•••", line)


class HideKeysInLinks(logging.Filter):
    """Masks the key of an invitation's or a password's link, and Tenjin's, in every line."""

    def filter(self, record: logging.LogRecord) -> bool:
        line = record.getMessage()
        hidden = hide_keys_in_links(line)
        if hidden != line:
            record.msg, record.args = hidden, ()
        return True


# Django's loggers of requests that it refuses: a filter holds for one logger, not for those below.
CALLERS_FAULTS = (
    "django.request",
    *(
        f"django.security.{error}"
        for error in (
            "DisallowedHost",
            "DisallowedRedirect",
            "InvalidSessionKey",
            "RequestDataTooBig",
            "SuspiciousFileOperation",
            "SuspiciousMultipartForm",
            "SuspiciousOperation",
            "SuspiciousSession",
            "TooManyFieldsSent",
            "TooManyFilesSent",
        )
    ),
)


class CallersFaults(logging.Filter):
    """Writes one line, without a traceback, for a request that Django refused as its caller's.

    Anybody can send a wrong `Host` or too many fields, and nobody learns from where it was noticed.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        is_refused = record.name == "django.request" and getattr(record, "status_code", 500) < 500
        if is_refused or record.name != "django.request":
            record.exc_info = record.exc_text = None
        return True


_FILTER = HideKeysInLinks()


def hide_keys_of_web_server(*, as_json: bool = False) -> None:
    """Filter gunicorn's own lines, if it writes any, in the same way, and write them alike."""
    for name in ("gunicorn.access", "gunicorn.error"):
        logger = logging.getLogger(name)
        logger.addFilter(_FILTER)
        for handler in logger.handlers if as_json else ():
            handler.setFormatter(json_formatter())
