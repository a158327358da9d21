"""Why a request by libcurl failed, in our words."""

import re

import pycurl

from postbacks.delivery.http.address_guard import no_connection, out_of_time, too_long
from postbacks.delivery.http.request_guard import Origin
from postbacks.delivery.http.response import TransportFailure, Undelivered, broken

_VERIFY_RESULT = re.compile(r"(?:verify result|certificate problem): ([a-z -]{1,100})")
_TLS_CODES = frozenset(
    {
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_ISSUER_ERROR,
        pycurl.E_SSL_PINNEDPUBKEYNOTMATCH,
        pycurl.E_SSL_INVALIDCERTSTATUS,
    }
)
_RESET_CODES = frozenset({pycurl.E_GOT_NOTHING, pycurl.E_SEND_ERROR, pycurl.E_PARTIAL_FILE})


def failure_of_code(code: int, message: str, origin: Origin) -> Undelivered:
    """Return the failure that libcurl's code stands for, in our words.

    Its message is only read for what kind of failure it is: it may hold what the partner sent.
    """
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return out_of_time()
    if code == pycurl.E_COULDNT_CONNECT:
        return no_connection()
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        reason = _certificate_problem(message, origin)
        return Undelivered(
            TransportFailure.TLS, f"The partner's TLS certificate was refused: {reason}."
        )
    if code in _TLS_CODES:
        return Undelivered(TransportFailure.TLS, "No TLS connection could be agreed on.")
    if message.startswith("Too large response headers"):
        return too_long()
    if code in _RESET_CODES or (code == pycurl.E_RECV_ERROR and _is_reset(message)):
        return broken(TransportFailure.RESET)
    return broken(TransportFailure.PROTOCOL)


def _is_reset(message: str) -> bool:
    return message.startswith(("Recv failure", "OpenSSL SSL_read", "Connection"))


def _certificate_problem(message: str, origin: Origin) -> str:
    problem = _VERIFY_RESULT.search(message)
    if problem:
        return problem[1].strip()
    kind = "IP address" if origin.address is not None else "Hostname"
    return f"{kind} mismatch, certificate is not valid for '{origin.host}'"
