"""Reports errors to Sentry where the operator asks for it, without personal data and secrets.

A report holds the kind of the error, our code's lines, and the method and path of the request. What
somebody sent us, or a partner, stays here: no body, query, header, cookie, address, user, variable
or statement.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from postbacks import __version__
from postbacks.web.log_filter import hide_keys_in_links

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


def start(dsn: str) -> None:
    """Send errors from now on to this DSN."""
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
