"""Where links may lead: addresses of stores and pages, and what an app opens. Plain Python."""

from collections.abc import Iterable
from urllib.parse import urlsplit

WEB = ("http", "https")
# They run or show what stands in the address itself.
_NEVER = frozenset({"about", "blob", "data", "file", "javascript", "vbscript", "view-source"})


def is_web_page(address: str) -> bool:
    """Tell whether an address is one that a browser opens: http or https, with a host."""
    scheme, host = _place(address)
    return scheme in WEB and bool(host)


def is_destination(address: str) -> bool:
    """Tell whether people may be led to an address at all, be it a page or an app's own."""
    scheme, host = _place(address)
    if not scheme or scheme in _NEVER or f"{scheme}://" != address[: len(scheme) + 3].lower():
        return False
    return bool(host) or scheme not in WEB


def fits(address: str, allowed: Iterable[str]) -> bool:
    """Tell whether an address is one of the allowed destinations.

    `gemharbor://` allows every address of that scheme, `https://go.example.com` every page of that
    host and of no other, below it neither.
    """
    scheme, host = _place(address)
    places = (_place(one) for one in allowed)
    return is_destination(address) and any(
        scheme == allowed_scheme and (not allowed_host or host == allowed_host)
        for allowed_scheme, allowed_host in places
    )


def _place(address: str) -> tuple[str, str]:
    """Return scheme and host, in small letters; nothing where the address can't be read."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "", ""
    return parts.scheme.lower(), parts.netloc.lower()
