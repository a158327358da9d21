"""What may go onto the wire: a request whose parts can't be read as anything else.

Templates are checked when they are saved; this is the last look, after macros put values in.
"""

import re
from collections.abc import Mapping

from postbacks.delivery.http.request_guard import Origin, origin_of
from postbacks.delivery.http.response import Failure, Undelivered
from postbacks.values.outgoing_request import OutgoingRequest

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_A_HEADER = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
# The transport's own: a second opinion on where a message ends is how requests are smuggled.
_FRAMING = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def checked_origin(request: OutgoingRequest) -> Origin:
    """Return where a request goes, if all of it can be sent.

    Raises Undelivered (invalid request) with a sentence that names the part, never its value.
    """
    if not _TOKEN.fullmatch(request.method):
        raise _invalid("The method is not one that HTTP knows.")
    if _CONTROL.search(request.url):
        raise _invalid("The URL holds a control character.")
    _check_headers(request.headers)
    try:
        return origin_of(request.url)
    except ValueError as error:
        raise _invalid(str(error)) from None


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise _invalid("A header's name holds a character that HTTP doesn't allow there.")
        if name.lower() in _FRAMING:
            raise _invalid(f"The header {name} is set by the transport.")
        if _NOT_IN_A_HEADER.search(value):
            raise _invalid(f"The header {name} holds a character that HTTP doesn't allow there.")


def _invalid(detail: str) -> Undelivered:
    return Undelivered(Failure.INVALID_REQUEST, detail)
