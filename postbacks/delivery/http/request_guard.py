"""Checks a request before it is sent: no part of it may be read in two ways.

Templates are checked when they are saved; this is the last check, after macros put values in. A
URL is read strictly: if two parsers could read it differently, it is refused.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple
from urllib.parse import quote

from postbacks.delivery.http.response import TransportFailure, Undelivered
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


_DEFAULT_PORTS = {"http": 80, "https": 443}
_SCHEME_AND_AUTHORITY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)")
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?")
_PLAIN = re.compile(r"([A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_SCHEME_AT_LEAST = len("http://x")
_SHORT = 300
_NOT_ENCODED = "/?:@!$&'()*+,;=-._~"
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_PLAIN_PART = rf"[A-Za-z0-9{re.escape(_NOT_ENCODED)}]*+"
_TARGET = re.compile(rf"{_PLAIN_PART}(?:{_ESCAPE.pattern}{_PLAIN_PART})*+")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# The WHATWG's rule: a host whose last label is a number is an IPv4 address in one of its
# spellings (octal, hexadecimal, shortened, one integer).
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class Origin(NamedTuple):
    """The part of a URL that decides where a connection goes."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Return host and port as a URL has them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """Return the host as an IP address, None when it is a name."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None


def checked_origin(request: OutgoingRequest) -> Origin:
    """Return where a request goes, if every part of it can be sent.

    Raises Undelivered (invalid request) with a sentence that names the part, never its value.
    """
    if not _is_token(request.method):
        raise _invalid("The method is not one that HTTP knows.")
    if not request.url.isprintable() and _CONTROL.search(request.url):
        raise _invalid("The URL holds a control character.")
    _check_headers(request.headers)
    try:
        return origin_of(request.url)
    except ValueError as error:
        raise _invalid(str(error)) from None


def origin_of(url: str) -> Origin:
    """Return scheme, host (lower case, no brackets, no trailing dot) and port of `url`.

    Raises ValueError with a sentence for people that repeats nothing but scheme, host and port.
    """
    return _beginning(url)[0]


def target_of(url: str) -> str:
    """Return the path and query of a URL without its fragment, byte for byte as they are.

    Only what may not stand in a URL, such as a space or a letter beyond ASCII, is percent-encoded.
    """
    target = url[_beginning(url)[1] :].partition("#")[0]
    target = target if target.startswith("/") else f"/{target}"
    if _TARGET.fullmatch(target):
        return target
    path, mark, query = target.partition("?")
    return _encoded(path) + mark + _encoded(query)


def _encoded(part: str) -> str:
    has_escapes_only = len(_ESCAPE.findall(part)) == part.count("%")
    return quote(part, safe=_NOT_ENCODED + ("%" if has_escapes_only else ""))


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _is_token(name):
            raise _invalid("A header's name holds a character that HTTP doesn't allow there.")
        if _is_framing(name):
            raise _invalid(f"The header {name} is set by the transport.")
        is_plain = value.isascii() and value.isprintable()
        if not is_plain and _NOT_IN_A_HEADER.search(value):
            raise _invalid(f"The header {name} holds a character that HTTP doesn't allow there.")


def _invalid(detail: str) -> Undelivered:
    return Undelivered(TransportFailure.INVALID_REQUEST, detail)


def _beginning(url: str) -> tuple[Origin, int]:
    """Return the origin of a URL, and how many of its characters say so.

    Rules name the same few partners again and again: what stands before the path is read once.
    """
    end = url.find("/", _SCHEME_AT_LEAST)
    beginning = url if end == -1 else url[:end]
    return _known_beginning(beginning) if len(beginning) <= _SHORT else _read_beginning(beginning)


def _read_beginning(url: str) -> tuple[Origin, int]:
    match = _SCHEME_AND_AUTHORITY.match(url)
    if not match or match[1].lower() not in _DEFAULT_PORTS:
        raise ValueError("A URL starts with https:// or http://.")
    return _origin(match[1].lower(), match[2]), match.end()


_known_beginning = lru_cache(maxsize=4096)(_read_beginning)


@lru_cache(maxsize=4096)
def _is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _is_framing(name: str) -> bool:
    return name.lower() in _FRAMING


def _origin(scheme: str, authority: str) -> Origin:
    if "@" in authority:
        raise ValueError("A URL must not hold a user name or password; use a header instead.")
    if "\\" in authority or "%5c" in authority.lower():
        raise ValueError("The host must not hold a backslash.")
    host, port = _host_and_port(authority)
    number = int(port) if port else _DEFAULT_PORTS[scheme]
    if not 0 < number < 65_536:
        raise ValueError(f"{number} is not a port: ports go from 1 to 65535.")
    return Origin(scheme, host, number)


def _host_and_port(authority: str) -> tuple[str, str | None]:
    bracketed = _BRACKETED.fullmatch(authority)
    if bracketed:
        return _ipv6(bracketed[1]), bracketed[2]
    plain = _PLAIN.fullmatch(authority)
    if not plain:
        raise ValueError(
            "The URL's host must be a name such as partner.example or an IP address;"
            " international names are written in their xn-- form."
        )
    return _name_or_ipv4(plain[1].lower().removesuffix(".")), plain[2]


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise ValueError(f"[{text}] is not an IPv6 address.") from None


def _name_or_ipv4(host: str) -> str:
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise ValueError(
                f"{host} is not an IP address of four decimal numbers such as 192.0.2.1."
            ) from None
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{host[:253]} is not a host name.")
    return host
