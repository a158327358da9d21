"""Compiles the URL template so that no value can change where a request goes.

Scheme, host and port are fixed text. Path segments and query values are each encoded alone, so the
rendered URL keeps the template's structure.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

import idna
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from postbacks.callbacks.macros.encoders import RAW_REFUSED, for_path, url_literal
from postbacks.callbacks.macros.parameters import Parameters, compile_query
from postbacks.callbacks.macros.problems import Problems, RenderError, too_large
from postbacks.callbacks.macros.skeleton import (
    HOLE,
    Hole,
    Limit,
    Skeleton,
    SkeletonRow,
    laid_out,
)

LONGEST_URL: Final = 8_192
_LIMIT: Final = Limit("The URL", LONGEST_URL)
DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_BEGINNING: Final = re.compile(r"(https?)://([^/?#]*)", re.IGNORECASE | re.ASCII)
_SCHEME: Final = re.compile(r"[^:/?#]*://")
_DOTS: Final = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)
_FIRST_OF_DOTS: Final = ".%"
_CONTROL: Final = re.compile(r"[\x01-\x1f\x7f]")
# A name, an IPv4 address or a bracketed IPv6 address, and perhaps a port.
_PLAIN_HOST: Final = re.compile(
    r"(?P<host>[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?",
    re.IGNORECASE,
)
_HIGHEST_PORT: Final = 65_535
_WIDE_COLON: Final = "\N{FULLWIDTH COLON}"


@dataclass(frozen=True, slots=True)
class OpenSegment:
    """A segment of the path with macros in it, and perhaps with a credential."""

    row: SkeletonRow
    has_secret: bool = False

    def render(self, results: Sequence[object]) -> str:
        """Render the segment. Raises RenderError if it would lead elsewhere.

        Dots that a credential had a part in are left out: an error would reveal something.
        """
        text = self.row.fill(results, _LIMIT)
        if text[:1] in _FIRST_OF_DOTS and _DOTS.fullmatch(text):
            if self.has_secret:
                return ""
            raise RenderError("path_changed", "A value would have been a dot segment of the path.")
        return text


@dataclass(frozen=True, slots=True)
class CompiledUrl:
    """A URL with holes in path and query.

    `host` and `port` are the template's; with `host_index` the host is a credential, and both are
    known only when the URL is rendered. `plain` is everything before the query, if that has no
    macros.
    """

    scheme: str
    authority: str
    host: str
    port: int
    host_index: int | None
    path: tuple[str | OpenSegment, ...]
    slashes: int
    query: Parameters | None
    has_raw: bool
    plain: str | None

    def render(self, results: Sequence[object], authority: str, room: int = 0) -> str:
        """Render the URL, which may be longer by `room`.

        Raises RenderError if a value would change where it leads.
        """
        url = self._before_query(results, authority) if self.plain is None else self.plain
        query = self.query.render(results, _LIMIT) if self.query is not None else ""
        url = f"{url}?{query}" if query else url
        if len(url) > LONGEST_URL + room:
            raise too_large(_LIMIT.part, LONGEST_URL)
        if self.has_raw and not self._leads_to_template(url, authority):
            raise RenderError(RAW_REFUSED, "A raw value would have changed where the URL leads.")
        return url

    def _before_query(self, results: Sequence[object], authority: str) -> str:
        path = [
            segment if isinstance(segment, str) else segment.render(results)
            for segment in self.path
        ]
        return f"{self.scheme}://{authority}{''.join(path)}"

    def authority_for(self, results: Sequence[object], allowed_hosts: Collection[str]) -> str:
        """Return the host and port to send to; a host that is a credential is checked here."""
        if self.host_index is None:
            return self.authority
        text = str(results[self.host_index] or "")
        split = split_host(text)
        if split is None:
            raise RenderError("bad_host", "The credential host is not a plain host name.")
        host, port = split
        if not is_allowed(host, port or DEFAULT_PORTS[self.scheme], allowed_hosts):
            raise RenderError(
                "host_not_allowed", "The credential host is not one of the partner's allowed hosts."
            )
        return text.lower()

    def lane_of(self, credential_host: object | None) -> str:
        """Return the host and port of a credential host, "" if it is not a plain host."""
        split = split_host(str(credential_host or ""))
        return "" if split is None else f"{split[0]}:{split[1] or DEFAULT_PORTS[self.scheme]}"

    def _leads_to_template(self, url: str, authority: str) -> bool:
        parts = urlsplit(url)
        return (
            (parts.scheme, parts.netloc) == (self.scheme, authority)
            and parts.path.count("/") == self.slashes
            and not parts.fragment
        )


def compile_url(skeleton: Skeleton, problems: Problems, *, drop: bool) -> CompiledUrl | None:
    """Compile a URL template; None, with problems added, if its beginning is unusable."""
    beginning = _BEGINNING.match(skeleton.text)
    if beginning is None:
        _check_beginning(skeleton, problems)
        return None
    _check_text(skeleton, problems)
    scheme, authority = beginning[1].lower(), beginning[2]
    host_hole = _host_hole(skeleton, beginning.start(2), beginning.end(2))
    host = _plain_authority(skeleton, beginning, problems) if host_hole is None else ("", None)
    path_end = skeleton.text.find("?")
    path_end = len(skeleton.text) if path_end == -1 else path_end
    query = None
    if path_end < len(skeleton.text):
        query = compile_query(skeleton, path_end + 1, problems, drop=drop)
    if host is None:
        return None
    path = _path(skeleton, beginning.end(), path_end, problems)
    is_plain = host_hole is None and all(isinstance(segment, str) for segment in path)
    return CompiledUrl(
        scheme=scheme,
        authority=authority.lower() if host_hole is None else "",
        host=host[0],
        port=host[1] or DEFAULT_PORTS[scheme],
        host_index=None if host_hole is None else host_hole.index,
        path=path,
        slashes=skeleton.text.count("/", beginning.end(), path_end),
        query=query,
        has_raw=any(hole.raw for hole in skeleton.holes.values()),
        plain=f"{scheme}://{authority.lower()}{''.join(map(str, path))}" if is_plain else None,
    )


def split_host(text: str) -> tuple[str, int | None] | None:
    """Split "Ads.example.com:8443" into host and port; None if it is not a plain host."""
    match = _PLAIN_HOST.fullmatch(text)
    if match is None or ".." in text:
        return None
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 1 <= port <= _HIGHEST_PORT:
        return None
    return match["host"].lower(), port


def is_allowed(host: str, port: int, allowed_hosts: Collection[str]) -> bool:
    """Tell whether the list has a host, by its own name or by `*.example.com`.

    An entry without a port allows every port, one with a port allows only that one.
    """
    return any(_is_entry(host.lower(), port, entry.strip().lower()) for entry in allowed_hosts)


def _check_beginning(skeleton: Skeleton, problems: Problems) -> None:
    scheme = _SCHEME.match(skeleton.text)
    if scheme is not None and HOLE in scheme[0]:
        hole = next(iter(skeleton.holes.values()))
        problems.add(hole.position, "A macro can't stand in the scheme, host or port of a URL.")
    else:
        problems.add(0, "A URL must begin with https:// or http://.")


def _check_text(skeleton: Skeleton, problems: Problems) -> None:
    text = skeleton.text
    if len(text) > LONGEST_URL:
        problems.add(0, f"A URL has at most {LONGEST_URL} characters.")
    for character, why in (
        ("#", "A URL can't have a fragment: it would never reach the server."),
        ("\\", "A URL can't have a backslash."),
    ):
        if character in text:
            problems.add(skeleton.position(text.index(character)), why)
    if control := _CONTROL.search(text):
        problems.add(skeleton.position(control.start()), "A URL can't have control characters.")
    if text != text.rstrip():
        problems.add(skeleton.position(len(text.rstrip())), "The URL ends with a space.")


def _host_hole(skeleton: Skeleton, start: int, end: int) -> Hole | None:
    if skeleton.text[start:end] != HOLE:
        return None
    hole = skeleton.holes[start]
    is_host = hole.expression is not None and hole.expression.is_credential_host
    return hole if is_host else None


def _plain_authority(
    skeleton: Skeleton, beginning: re.Match[str], problems: Problems
) -> tuple[str, int | None] | None:
    authority, start = beginning[2], beginning.start(2)
    holes = skeleton.holes_in(start, beginning.end(2))
    for hole in holes:
        problems.add(hole.position, "A macro can't stand in the scheme, host or port of a URL.")
    if holes:
        return None
    if "@" in authority:
        problems.add(start, "A URL can't have a user name or password: use a header.")
        return None
    host = split_host(authority)
    if host is None or not _is_agreed(beginning[0], host[0]):
        problems.add(start, *_host_fault(authority))
        return None
    return host


def _host_fault(authority: str) -> tuple[str, str | None]:
    """Return what is wrong with a host and its port, and what was probably meant."""
    host, colon, port = authority.rpartition(":")
    if not colon or host.count(":") != host.strip("[]").count(":") or "]" in port:
        host, colon, port = authority, "", ""  # the colons are those of an IPv6 address
    plain = host.rstrip(".")
    if split_host(plain):
        if colon and not port:
            return "The port after the colon is missing.", plain
        if colon and not (port.isascii() and port.isdigit()):
            return f"“{port[:20]}” is not a port: ports are numbers from 1 to 65535.", None
        if colon and split_host(f"{plain}:{port}") is None:
            return f"{port[:20]} is not a port: ports go from 1 to 65535.", None
        if plain != host:
            return "The host ends with a dot; write it without.", f"{plain}{colon}{port}"
    meant = _ascii_host(authority)
    if meant is not None and not authority.isascii():
        return f"A URL has its host in ASCII letters. Write it as {meant}.", meant
    return "This is not a host name.", meant


def _is_agreed(url: str, host: str) -> bool:
    """Tell whether both parsers that will see the URL find the same host in it.

    Requests checked by one parser and sent by another have gone to the wrong server before.
    """
    try:
        ours, theirs = urlsplit(url).hostname, parse_url(url).host
        urlsplit(url).port  # noqa: B018  # raises for an invalid port
    except (ValueError, LocationParseError):
        return False
    return ours == (theirs or "").strip("[]").lower() == host.strip("[]")


def _ascii_host(authority: str) -> str | None:
    """Return the host that browsers open for one in another script, with its port.

    IDNA 2008 after UTS 46's non-transitional mapping: ß and ς are letters of their own. IDNA 2003,
    which Python has, replaces both: another host, perhaps of another owner.
    """
    try:
        written = unquote(authority, errors="strict").replace(_WIDE_COLON, ":")
        name, colon, port = written.partition(":")
        labels = idna.uts46_remap(name, std3_rules=False, transitional=False).split(".")
        encoded = ".".join(
            label if label.isascii() else idna.alabel(label).decode() for label in labels
        )
    except (UnicodeError, idna.IDNAError):
        return None
    host = f"{encoded}{colon}{port}"
    # Circled digits and the like would make an IP address of what looks like a name.
    is_name = not encoded.rpartition(".")[2].isdigit()
    return host if host != authority and is_name and split_host(host) else None


def _path(
    skeleton: Skeleton, start: int, end: int, problems: Problems
) -> tuple[str | OpenSegment, ...]:
    path: list[str | OpenSegment] = []
    closed = ""
    for number, text in enumerate(skeleton.text[start:end].split("/")):
        closed += "/" if number else ""
        if HOLE in text:
            row = laid_out(skeleton.chunks(start, start + len(text), url_literal, for_path))
            holes = skeleton.holes_in(start, start + len(text))
            path += (closed, OpenSegment(row, any(hole.secret for hole in holes)))
            closed = ""
        else:
            closed += url_literal(text)
        if _DOTS.fullmatch(text):
            problems.add(skeleton.position(start), "A path can't have . or .. as a segment.")
        start += len(text) + 1
    return tuple(path) if not closed else (*path, closed)


def _is_entry(host: str, port: int, entry: str) -> bool:
    wildcard = entry.startswith("*.")
    allowed = split_host(entry[2:] if wildcard else entry)
    if allowed is None:
        return False
    name, only_port = allowed
    if only_port is not None and only_port != port:
        return False
    return host.endswith(f".{name}") if wildcard else host == name
