"""An answer taken off the wire in small portions, or what kept it from coming."""

import ssl
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPException, IncompleteRead

from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError

from postbacks.delivery.http.response import (
    MOST_BODY,
    Failure,
    Reply,
    Undelivered,
    capped_headers,
    inflated,
    seconds_to_wait,
)

# All that http.client, urllib3 and requests (an OSError) raise for what a partner does.
TROUBLE = (Undelivered, HTTPError, HTTPException, OSError)

_DETAILS = {
    Failure.RESET: "The connection broke before the answer was complete.",
    Failure.TLS: "The TLS connection broke.",
    Failure.PROTOCOL: "The partner's answer is not valid HTTP.",
}


def read(answer: HTTPResponse) -> Reply:
    """Return an answer's status, headers and at most 64 KiB of its body."""
    if answer.status < 200:
        # The parser takes an interim answer for the final one, and would take that for the
        # answer to the next request on this connection.
        answer.close()
        return failed(Reply(), Undelivered(Failure.PROTOCOL, _DETAILS[Failure.PROTOCOL]))
    head = Reply(
        status_code=answer.status,
        headers=capped_headers(answer.headers.itermerged()),
        retry_after=seconds_to_wait(answer.headers.get("Retry-After")),
    )
    body = bytearray()
    try:
        # One byte more than is kept tells whether there is more.
        while portion := answer.read1(MOST_BODY + 1 - len(body)):
            body += portion
    except TROUBLE as error:
        head = failed(head, error)
    finally:
        # What was read to its end is back in the pool; of the rest, this closes the connection.
        answer.close()
    text, more = inflated(bytes(body[:MOST_BODY]), answer.headers.get("Content-Encoding", ""))
    return replace(head, body=text, truncated=more or len(body) > MOST_BODY)


def failed(reply: Reply, error: BaseException) -> Reply:
    """Return the reply with what went wrong, told in our own words."""
    if isinstance(error, Undelivered):
        return replace(reply, error=error.failure, detail=error.detail)
    failure = failure_of(error)
    return replace(reply, error=failure, detail=_DETAILS[failure])


def failure_of(error: BaseException) -> Failure:
    """Return the kind of any of `TROUBLE`."""
    if isinstance(error, Undelivered):
        return error.failure
    causes = tuple(_causes(error))
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return Failure.TLS
    broken = any(isinstance(cause, ConnectionError | IncompleteRead) for cause in causes)
    return Failure.RESET if broken else Failure.PROTOCOL


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it wraps: requests and urllib3 carry the cause as an argument."""
    yield error
    for argument in error.args:
        if isinstance(argument, BaseException):
            yield from _causes(argument)
