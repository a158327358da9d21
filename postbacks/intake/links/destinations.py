"""Where a click leads: only to declared destinations, whatever its address says."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from apps_registry.models.apps import Platform
from postbacks.intake.links.known_links import KnownLink
from postbacks.intake.links.visitors import ANDROID, IOS, MACOS, WINDOWS, VisitorDevice

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
    Platform.IOS: frozenset({IOS}),
    Platform.ANDROID: frozenset({ANDROID, "chromeos"}),
    Platform.AMAZON: frozenset({ANDROID}),
    Platform.WINDOWS: frozenset({WINDOWS}),
}


@dataclass(frozen=True, slots=True)
class LinkDestinations:
    """Where a link may lead, as declared for it and for its app."""

    platform: str
    package: str  # the app's name in its store
    store_url: str = ""
    fallback_url: str = ""
    deep_link: str = ""
    allowed: tuple[str, ...] = ()
    partner_name: str = ""
    campaign_name: str = ""


def destinations_of(link: KnownLink) -> LinkDestinations:
    return LinkDestinations(
        platform=link.platform,
        package=link.store_id if link.platform == Platform.IOS else link.package,
        store_url=link.store_url,
        fallback_url=link.fallback_url,
        deep_link=link.deep_link,
        allowed=tuple(link.allowed_destinations),
        partner_name=link.partner_name,
        campaign_name=link.campaign_name,
    )


def choose_destination(
    link: LinkDestinations,
    device: VisitorDevice,
    parameters: Mapping[str, str],
    *,
    click: str = "",
) -> str | None:
    """Return where a click leads; None if the link leads nowhere.

    `parameters` holds those with a meaning by our names, and the others as they were sent.
    `click` is our id of the click, empty where none was recorded.
    """
    if not _can_run(link.platform, device):
        requested = parameters.get("fallback", "")
        if is_allowed(requested, link.allowed):
            return requested
        return link.fallback_url or _store_page(link, parameters, click)
    requested = parameters.get("deep_link", "")
    if is_allowed(requested, link.allowed):
        return _with_parameters(requested, {CLICK_IN_REFERRER: click} if click else {})
    return _store_page(link, parameters, click)


def choose_deep_link(link: LinkDestinations, parameters: Mapping[str, str]) -> str:
    """Return what the app opens after the install; the link's own unless the click's is allowed."""
    requested = parameters.get("deep_link", "")
    return requested if is_allowed(requested, link.allowed) else link.deep_link


def is_allowed(url: str, allowed: Iterable[str]) -> bool:
    """Tell whether a redirect to an address from the request is allowed."""
    parts = _parts(url)
    return parts is not None and any(_covers(declared, parts) for declared in allowed)


def _parts(url: str) -> tuple[str, str] | None:
    """Return scheme and authority; None if a browser could read the address differently."""
    if len(url) > _LONGEST_URL or _UNSAFE.search(url):
        return None
    match = _URL.fullmatch(url)
    if match is None:
        return None
    scheme, authority = match[1].lower(), match[2]
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
    if scheme in _WEB:  # without a host, any would be allowed
        return bool(authority) and authority.lower() == parts[1]
    return not authority or authority == parts[1]


def _can_run(platform: str, device: VisitorDevice) -> bool:
    systems = _RUNS_ON.get(platform)
    if platform == Platform.IOS and device.os_name == MACOS:
        return not device.is_surely_mac  # else it may be an iPad, and on a Mac the page opens too
    return systems is None or not device.os_name or device.os_name in systems


def _store_page(link: LinkDestinations, parameters: Mapping[str, str], click: str) -> str | None:
    url = link.store_url or _default_store_page(link)
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme == "market" or parts.hostname == "play.google.com":
        return _with_parameters(url, {"referrer": _play_referrer(url, link, parameters, click)})
    if parts.hostname in {"apps.apple.com", "itunes.apple.com"}:
        return _with_parameters(
            url, {name: parameters[name] for name in _APPLE if parameters.get(name)}
        )
    return url


def _default_store_page(link: LinkDestinations) -> str | None:
    name = quote(link.package, safe="")
    if not name:
        return None
    if link.platform == Platform.ANDROID:
        return f"https://play.google.com/store/apps/details?id={name}"
    if link.platform == Platform.IOS:
        number = link.package.removeprefix("id")
        return f"https://apps.apple.com/app/id{number}" if number.isdigit() else None
    if link.platform == Platform.AMAZON:
        return f"https://www.amazon.com/gp/mas/dl/android?p={name}"
    return None


def _play_referrer(
    url: str, link: LinkDestinations, parameters: Mapping[str, str], click: str
) -> str:
    """Return what Google's store passes to the app: our click id, and the source for other SDKs."""
    declared = dict(parse_qsl(dict(parse_qsl(urlsplit(url).query)).get("referrer", "")))
    utm = {
        name: value[:_LONGEST_UTM]
        for name, value in parameters.items()
        if name.startswith("utm_") and value
    }
    own_click = {CLICK_IN_REFERRER: click} if click else {}
    source = {"utm_source": link.partner_name, "utm_campaign": link.campaign_name}
    return urlencode({**own_click, **source, **declared, **utm, **own_click})


def _with_parameters(url: str, parameters: Mapping[str, str]) -> str:
    """Return an address with parameters set; the rest of its query stays as it is."""
    if not parameters:
        return url
    address, mark, fragment = url.partition("#")
    address, _, query = address.partition("?")
    parts = query.split("&") if query else []
    others = [part for part in parts if part.partition("=")[0] not in parameters]
    query = "&".join([*others, urlencode(parameters, quote_via=quote)])
    return f"{address}?{query}{mark}{fragment}"
