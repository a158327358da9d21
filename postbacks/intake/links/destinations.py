"""Where a click leads: only to what people declared, whatever its address says. Plain Python."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from postbacks.intake.links.devices import ANDROID, IOS, WINDOWS, VisitorDevice

CLICK_IN_REFERRER: Final = "postbacks_click"
_APPLE: Final = ("pt", "ct", "mt")
_LONGEST_URL: Final = 2_000
_LONGEST_UTM: Final = 100

# Scheme, authority, rest. Browsers drop tabs and line ends, and read a backslash as a slash.
_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)([/?#].*)?", re.IGNORECASE | re.DOTALL)
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f-\xa0\\\"<>`]|[^\x00-\x7f]")
_WEB_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")
# What runs in the page, reads files, or holds a second address inside.
FORBIDDEN_SCHEMES: Final = frozenset(
    {
        *("javascript", "vbscript", "data", "blob", "file", "filesystem", "about", "intent"),
        *("view-source", "ws", "wss", "ftp", "jar", "content", "chrome", "resource"),
    }
)
_WEB: Final = frozenset({"http", "https"})
_RUNS_ON: Final[Mapping[str, frozenset[str]]] = {
    "ios": frozenset({IOS}),
    "android": frozenset({ANDROID, "chromeos"}),
    "amazon": frozenset({ANDROID}),
    "windows": frozenset({WINDOWS}),
}


@dataclass(frozen=True, slots=True)
class Places:
    """Where a link may lead: what people declared of it and of its app."""

    platform: str
    package: str  # the app's name in its store
    store_url: str = ""
    fallback_url: str = ""
    deep_link: str = ""
    allowed: tuple[str, ...] = ()
    partner_name: str = ""
    campaign_name: str = ""


def destination(
    places: Places, device: VisitorDevice, parameters: Mapping[str, str], *, click: str = ""
) -> str | None:
    """Return where a click leads; None if the link leads nowhere.

    `parameters` are those with a meaning by our names, and those that came under their own.
    `click` is our id of the click, empty where none was recorded.
    """
    if not _can_run(places.platform, device):
        asked = parameters.get("fallback", "")
        if is_allowed(asked, places.allowed):
            return asked
        return places.fallback_url or _store_page(places, parameters, click)
    asked = parameters.get("deep_link", "")
    if is_allowed(asked, places.allowed):
        return _with(asked, {CLICK_IN_REFERRER: click} if click else {})
    return _store_page(places, parameters, click)


def deep_link(places: Places, parameters: Mapping[str, str]) -> str:
    """Return what the app opens after the install: what the click names if it may, or the link."""
    asked = parameters.get("deep_link", "")
    return asked if is_allowed(asked, places.allowed) else places.deep_link


def is_allowed(url: str, allowed: Iterable[str]) -> bool:
    """Tell whether an address that a stranger wrote may be led to."""
    parts = _parts(url)
    return parts is not None and any(_covers(declared, parts) for declared in allowed)


def _parts(url: str) -> tuple[str, str] | None:
    """Return scheme and authority of an address that every browser reads as we do."""
    if len(url) > _LONGEST_URL or _UNSAFE.search(url):
        return None
    found = _URL.fullmatch(url)
    if found is None:
        return None
    scheme, authority = found[1].lower(), found[2]
    if scheme in FORBIDDEN_SCHEMES or "@" in authority or "%" in authority:
        return None
    if scheme in _WEB:
        authority = authority.lower()
        if not _WEB_HOST.fullmatch(authority):
            return None
    return scheme, authority


def _covers(declared: str, parts: tuple[str, str]) -> bool:
    scheme, _, authority = declared.strip().partition("://")
    scheme = scheme.lower()
    if scheme != parts[0]:
        return False
    if scheme in _WEB:  # without a host it would be everywhere
        return bool(authority) and authority.lower() == parts[1]
    return not authority or authority == parts[1]


def _can_run(platform: str, device: VisitorDevice) -> bool:
    able = _RUNS_ON.get(platform)
    return able is None or not device.os_name or device.os_name in able


def _store_page(places: Places, parameters: Mapping[str, str], click: str) -> str | None:
    url = places.store_url or _made_store_page(places)
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme == "market" or parts.hostname == "play.google.com":
        return _with(url, {"referrer": _play_referrer(url, places, parameters, click)})
    if parts.hostname in {"apps.apple.com", "itunes.apple.com"}:
        return _with(url, {name: parameters[name] for name in _APPLE if parameters.get(name)})
    return url


def _made_store_page(places: Places) -> str | None:
    name = quote(places.package, safe="")
    if not name:
        return None
    if places.platform == "android":
        return f"https://play.google.com/store/apps/details?id={name}"
    if places.platform == "ios":
        number = places.package.removeprefix("id")
        return f"https://apps.apple.com/app/id{number}" if number.isdigit() else None
    if places.platform == "amazon":
        return f"https://www.amazon.com/gp/mas/dl/android?p={name}"
    return None


def _play_referrer(url: str, places: Places, parameters: Mapping[str, str], click: str) -> str:
    """Return what Google's store hands to the app: our click, and who brought it for other SDKs."""
    declared = dict(parse_qsl(dict(parse_qsl(urlsplit(url).query)).get("referrer", "")))
    utm = {
        name: value[:_LONGEST_UTM]
        for name, value in parameters.items()
        if name.startswith("utm_") and value
    }
    told = {
        **({CLICK_IN_REFERRER: click} if click else {}),
        "utm_source": places.partner_name,
        "utm_campaign": places.campaign_name,
    }
    return urlencode({**told, **declared, **utm, **({CLICK_IN_REFERRER: click} if click else {})})


def _with(url: str, more: Mapping[str, str]) -> str:
    """Return an address with parameters set; the rest of its query stays as it was written."""
    if not more:
        return url
    address, mark, fragment = url.partition("#")
    address, _, query = address.partition("?")
    kept = [part for part in query.split("&") if part and part.partition("=")[0] not in more]
    query = "&".join([*kept, urlencode(more, quote_via=quote)])
    return f"{address}?{query}{mark}{fragment}"
