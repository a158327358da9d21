"""What people type into a tracking link: its destinations and query parameters. Plain Python."""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

WEB = ("http", "https")
HIDDEN = "•••"
LONGEST = 2_000  # characters of parameters

# These run or show the content of the address itself.
_NEVER = frozenset({"about", "blob", "data", "file", "javascript", "vbscript", "view-source"})
_HIGHEST_PORT = 65_535
_PORT = re.compile(r"https?://[^/?#]*:([0-9]{1,400})(?=[/?#]|$)", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:amp;)+", re.IGNORECASE)
_SHOWN = 300  # characters of an address in a sentence about it
_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")


def is_web_page(address: str) -> bool:
    """Return whether an address is a web page: http or https, with a host."""
    scheme, host = _scheme_and_host(address)
    return scheme in WEB and bool(host)


def is_destination(address: str) -> bool:
    """Return whether a link may lead to an address at all, a web page or a deep link."""
    scheme, host = _scheme_and_host(address)
    if not scheme or scheme in _NEVER or f"{scheme}://" != address[: len(scheme) + 3].lower():
        return False
    return bool(host) or scheme not in WEB


def is_allowed(address: str, allowed: Iterable[str]) -> bool:
    """Return whether an address matches one of the allowed destinations.

    `gemharbor://` allows every address of that scheme, `https://go.example.com` every page of that
    host, but not of its subdomains.
    """
    scheme, host = _scheme_and_host(address)
    return is_destination(address) and any(
        scheme == allowed_scheme and (not allowed_host or host == allowed_host)
        for allowed_scheme, allowed_host in map(_scheme_and_host, allowed)
    )


def _scheme_and_host(address: str) -> tuple[str, str]:
    """Return scheme and host in lower case, empty if the address can't be parsed."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "", ""
    return parts.scheme.lower(), parts.netloc.lower()


def masked_address(address: str) -> str:
    """Return an address with its host alone: path, query and user name may be a key."""
    try:
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return HIDDEN
    if not host:
        return HIDDEN if address else ""
    is_all = parts.path in {"", "/"} and not (parts.query or parts.fragment or "@" in parts.netloc)
    return address if is_all else f"{parts.scheme}://{host}/{HIDDEN}"


def address_errors(address: str) -> Iterator[str]:
    """Yield a sentence for each fault of a web page's or deep link's address as it was pasted."""
    match = _PORT.match(address)
    if match and not 0 < int(match[1]) <= _HIGHEST_PORT:
        yield f"“{match[1][:20]}” is not a port: ports go from 1 to 65535. Most need none."
    if _ENTITY.search(address):
        meant = _ENTITY.sub("&", address)
        yield f"This was copied out of HTML: write & where it has &amp;, as in {meant[:_SHOWN]}"


def normalized_parameters(text: str) -> str:
    """Return the parameters without surrounding spaces, “?” and “&”."""
    return text.strip().lstrip("?&").rstrip("&")


def parameter_errors(text: str) -> Iterator[str]:
    """Yield a sentence for each error in the parameters."""
    if len(text) > LONGEST:
        yield f"These are {len(text):,} characters; browsers and networks take {LONGEST:,}."
    if re.search(r"[\s#]", text) or not text.isprintable():
        yield "Leave out spaces, line breaks and “#”; write %20 for a space."
        return
    names: set[str] = set()
    for pair in text.split("&") if text else ():
        name, _, value = pair.partition("=")
        yield from _pair_errors(name, value, is_repeated=name in names)
        names.add(name)


def _pair_errors(name: str, value: str, *, is_repeated: bool) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield f"“{name[:80]}” is no name of a parameter. Write name=value, with & between pairs."
    elif is_repeated:
        yield f"“{name}” is there twice; which of them should count?"
    elif not value:
        yield f"“{name}” has no value. Write the network's macro there, as in {name}={{macro}}."
    elif "{{" in value:
        yield (
            f"“{value[:80]}” is a macro of callback rules. The network knows only its own, for "
            "example {clickid}."
        )
