"""Destinations of links: store pages, web pages and deep links into an app. Plain Python."""

from collections.abc import Iterable
from urllib.parse import urlsplit

WEB = ("http", "https")
# These run or show the content of the address itself.
_NEVER = frozenset({"about", "blob", "data", "file", "javascript", "vbscript", "view-source"})


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
