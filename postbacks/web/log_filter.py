"""What errors and requests leave in writing: the log's lines, and reports to Sentry.

The log's lines have no keys of URLs, and are JSON where asked for. A report, where the operator
wants them, holds the kind of the error, our code's lines, and the method and path of the request.
What somebody sent us, or a partner, stays here: no body, query, header, cookie, address, user,
variable or statement.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from postbacks import __version__

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

_MASK: Final = "•••"
_LONGEST: Final = 500
_SECRET: Final = re.compile(
    r"(?<=\?)[^\s\"'<>]+"  # the query of a URL
    r"|(?<=//)[^\s/@\"']+(?=@)"  # a URL's user and password
    r"|[\w.+-]+@[\w-]+\.[\w.-]+"  # an e-mail address
    r"|(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])"  # an IP address
    r"|(?<![\w:])(?:[0-9a-fA-F]{0,4}:){3,7}[0-9a-fA-F]{0,4}(?![\w:])"
    r"|(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{20,}={0,2}"  # keys, tokens, ids of devices
    r"|(?<=[Bb]earer )\S+|(?<=[Bb]asic )\S+"
)
_KEPT_OF_REQUEST: Final = ("method", "url")
_REMOVED: Final = ("user", "breadcrumbs", "extra", "server_name", "modules")
_MASKED: Final = ("message", "transaction", "logentry", "tags")


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


def report_errors(dsn: str) -> None:
    """Send errors from now on to this DSN, Sentry's address."""
    import sentry_sdk
    from sentry_sdk.integrations.django import DjangoIntegration

    sentry_sdk.init(
        dsn=dsn,
        release=f"postbacks@{__version__}",
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_enabling_integrations=False,
        integrations=[DjangoIntegration()],
        before_send=scrubbed,  # type: ignore[arg-type]  # an event is a TypedDict there
    )


def scrubbed(event: dict[str, Any], _hint: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a report with nothing in it that names a person or opens a door."""
    for name in _REMOVED:
        event.pop(name, None)
    if request := event.get("request"):
        event["request"] = {
            name: masked(str(request[name]).partition("?")[0])
            for name in _KEPT_OF_REQUEST
            if name in request
        }
    for name in _MASKED:
        if name in event:
            event[name] = _masked_all(event[name])
    for error in (event.get("exception") or {}).get("values") or []:
        # The second line of PostgreSQL's messages quotes a row.
        error["value"] = masked(str(error.get("value") or "").partition("\n")[0])
        frames = (error.get("stacktrace") or {}).get("frames") or []
        for frame in frames:
            frame.pop("vars", None)
    return event


def masked(text: str) -> str:
    """Return a text without what looks like a key, an address or a query."""
    return _SECRET.sub(_MASK, hide_keys_in_links(text[:_LONGEST]))


def _masked_all(value: object) -> object:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {name: _masked_all(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_masked_all(each) for each in value]
    return value if isinstance(value, int | float | bool | None) else _MASK
