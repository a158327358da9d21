"""② Records the clicks and impressions of tracking links.

A link is public, and anybody may open it as often as they like. Nobody is refused a redirect; what
is too much is recorded as `too_many`, earns nothing, and hides no other touchpoint.
"""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

from django.conf import settings

from apps_registry.addresses import first_address
from apps_registry.client_address import client_network, client_site
from apps_registry.models.partners import ClickSigning
from postbacks.infrastructure.rate_limits import limiter
from postbacks.infrastructure.rate_limits.counting import RateLimit, RateVerdict
from postbacks.intake.geoip import country_of
from postbacks.intake.links import signatures
from postbacks.intake.links.destinations import choose_deep_link, destinations_of
from postbacks.intake.links.known_links import KnownLink
from postbacks.intake.links.reading import MAX_VALUE, LinkParameters, clean
from postbacks.intake.links.visitors import Visitor, read_device
from postbacks.intake.touchpoints.recording import (
    NewTouchpoint,
    RecordedTouchpoint,
    commit_touchpoints,
)
from postbacks.models import TouchpointSource
from postbacks.values import identifiers, refusals
from postbacks.values.anonymous_networks import is_anonymous
from postbacks.values.timestamps import parse_timestamp
from postbacks.values.touchpoints import LEFT_OUT, TOO_MANY

FUTURE = timedelta(minutes=5)
OLDEST = timedelta(days=30)
STALE = timedelta(hours=12)
STALE_TOUCHPOINT = "stale_touchpoint"
ANONYMOUS = "anonymous_traffic"
INCORRECT_SIGNATURE = "incorrect_signature"
MAX_USER_AGENT = 1_024
# No person opens a link so often; a network may be allowed to report as much as that.
_OF_ONE_DEVICE = RateLimit(100, 3_600)
_OF_ONE_DEVICE_BY_SERVER = RateLimit(1_000, 3_600)
_OF_ONE_DEVICE_BY_SITE = RateLimit(300, 3_600)
_MARK_BYTES = 2


class TouchpointRefusedError(ValueError):
    """A server's touchpoint is incomplete, or its time impossible; the text says what helps."""


def record_visitor_touchpoint(
    link: KnownLink,
    parameters: LinkParameters,
    visitor: Visitor,
    *,
    kind: str,
    signature: str = "",
    refused: str = "",
    version: int | None = None,
) -> RecordedTouchpoint:
    """Record a person's click or impression durably. Raises ConfigurationChangedError."""
    touchpoint = new_touchpoint(
        link,
        parameters,
        visitor,
        kind=kind,
        source=TouchpointSource.LINK,
        occurred_at=datetime.now(UTC),
        signature=signature,
        refused=refused,
        sender=_mark_of(visitor.address),
        version=version,
    )
    return commit_touchpoints([touchpoint])[0]


def record_server_touchpoint(
    link: KnownLink,
    parameters: LinkParameters,
    *,
    kind: str,
    sender: str,
    signature: str = "",
    refused: str = "",
    version: int | None = None,
) -> RecordedTouchpoint:
    """Record what a network's server reports durably.

    Its request says nothing about the device itself. Raises TouchpointRefusedError and
    ConfigurationChangedError.
    """
    for name, text in parameters.too_long.items():
        raise TouchpointRefusedError(f"{name}: {refusals.too_long(text, MAX_VALUE)}")
    address, agent = parameters.get("ip_address"), parameters.get("user_agent")
    click_time = parameters.get("click_time")
    has_id = any(
        identifiers.kind_of(identifier) != identifiers.CLICK_ID
        for identifier in parameters.identifiers()
    )
    if not (has_id or click_time or (address and agent)):
        raise TouchpointRefusedError(
            "A server must say whose touchpoint it is: send a device ID such as gaid or idfa, or "
            "ip and ua of the device, or at least click_time."
        )
    visitor = Visitor(address, agent, parameters.get("language"))
    touchpoint = new_touchpoint(
        link,
        parameters,
        visitor,
        kind=kind,
        source=TouchpointSource.SERVER,
        occurred_at=_read_click_time(click_time) if click_time else datetime.now(UTC),
        signature=signature,
        refused=refused,
        sender=sender,
        version=version,
    )
    return commit_touchpoints([touchpoint])[0]


def _read_click_time(text: str) -> datetime:
    try:
        return read_occurred_at(text)
    except TouchpointRefusedError as error:
        raise TouchpointRefusedError(f"click_time: {error}") from None


def read_occurred_at(text: str) -> datetime:
    """Return the time of a touchpoint. Raises TouchpointRefusedError."""
    occurred_at = parse_timestamp(text)
    if occurred_at is None:
        raise TouchpointRefusedError(refusals.not_time(text))
    now = datetime.now(UTC)
    if occurred_at > now + FUTURE:
        raise TouchpointRefusedError(
            f"{refusals.quote(text)} is more than 5 minutes in the future. Write when the ad was "
            "shown or clicked."
        )
    if occurred_at < now - OLDEST:
        raise TouchpointRefusedError(
            f"{refusals.quote(text)} is more than 30 days ago. Send a touchpoint within 30 days."
        )
    return occurred_at


def new_touchpoint(
    link: KnownLink,
    parameters: LinkParameters,
    visitor: Visitor,
    *,
    kind: str,
    source: str,
    occurred_at: datetime,
    once: str = "",
    signature: str = "",
    refused: str = "",
    sender: str = "",
    version: int | None = None,
) -> NewTouchpoint:
    """Return a touchpoint to record; `once` identifies it where there is no click id."""
    agent = clean(visitor.user_agent)[:MAX_USER_AGENT]
    device = read_device(agent, visitor.accept_language)
    address = first_address(visitor.address or "")  # else a network sent something in its place
    address_identifier = identifiers.address_identifier(address)
    return NewTouchpoint(
        organization_id=link.organization_id,
        app_id=link.app_id,
        partner_id=link.partner_id,
        campaign_id=link.campaign_id,
        link_id=link.id,
        kind=kind,
        source=source,
        occurred_at=occurred_at,
        identifiers=parameters.identifiers()
        | ({address_identifier} if address_identifier else set()),
        once=parameters.get("click_id") or once,
        click_id=parameters.get("click_id"),
        site_id=parameters.get("site_id", limit=255),
        ip_address=address,
        user_agent=agent,
        os_name=device.os_name,
        os_version=device.os_version or parameters.get("os_version", limit=32),
        device_model=device.model,
        language=device.language or parameters.get("language", limit=32),
        country=country_of(address) or "",
        params=_params(link, parameters),
        signature=signature,
        refused=refused or _refusal(link, signature, address, occurred_at),
        sender=sender,
        version=version,
    )


def _refusal(link: KnownLink, signature: str, address: str, occurred_at: datetime) -> str:
    """Return the reason why a touchpoint can't earn credit; empty if there is none."""
    if link.click_signing == ClickSigning.ENFORCE and signature not in {"", signatures.VALID}:
        return INCORRECT_SIGNATURE
    if is_anonymous(address):
        return ANONYMOUS
    return STALE_TOUCHPOINT if datetime.now(UTC) - occurred_at > STALE else ""


def _params(link: KnownLink, parameters: LinkParameters) -> dict[str, object]:
    """Return the values of `{{click.<name>}}`: the link's own, and every parameter.

    `deep_link` is what the app may open, never an address from the request that is not allowed.
    """
    own = {"tracker_id": str(link.public_id), "tracker_name": link.name} if link.id else {}
    params: dict[str, object] = {**own, **parameters.all}
    params.pop("deep_link", None)
    params.pop(LEFT_OUT, None)
    if parameters.left_out:
        params[LEFT_OUT] = dict(parameters.left_out)
    deep_link = choose_deep_link(destinations_of(link), parameters.by_our_name)
    return {**params, "deep_link": deep_link} if deep_link else params


def flood_of_visitor(
    link: KnownLink, parameters: LinkParameters, *, kind: str, address: str | None
) -> str:
    """Count a person's click or impression; return why it is one too many, empty if it is none."""
    name = f"link:{link.organization_id}:{link.id}:{kind}:{client_network(address)}"
    if not limiter.limit(name, settings.RATE_LIMIT_LINKS).allowed:
        return TOO_MANY
    name = f"{kind}:{client_network(address)}"
    flood = _flood_of_device(link, parameters, name, _OF_ONE_DEVICE)
    if flood or (site := client_site(address)) == address:
        return flood
    return _flood_of_device(link, parameters, f"{kind}:{site}", _OF_ONE_DEVICE_BY_SITE)


def flood_of_server(link: KnownLink, parameters: LinkParameters, *, kind: str, sender: str) -> str:
    """Count what a server reports; return why it is one too many, empty if it is none."""
    return _flood_of_device(link, parameters, f"{kind}:{sender}", _OF_ONE_DEVICE_BY_SERVER)


def _flood_of_device(
    link: KnownLink, parameters: LinkParameters, sender: str, rate: RateLimit
) -> str:
    for identifier in sorted(parameters.identifiers()):
        if identifiers.kind_of(identifier) in identifiers.OF_DEVICES:
            name = f"touch:{link.organization_id}:{link.id}:{sender}:{identifier}"
            if not limiter.limit(name, rate).allowed:
                return TOO_MANY
    return ""


def limit_server(link: KnownLink, address: str | None) -> RateVerdict:
    """Count what a network's server reports of a link, as what it would report with a key."""
    name = f"link-server:{link.organization_id}:{link.id}:{client_network(address)}"
    return limiter.limit(name, settings.RATE_LIMIT_SDK_SERVER)


def _mark_of(address: str | None) -> str:
    """Return a mark that many networks share: it tells senders apart once addresses are shortened.

    The clicks of one device are counted by sender; the mark names nobody.
    """
    network, key = client_network(address).encode(), settings.SECRET_KEY.encode()
    return hashlib.blake2b(network, key=key[:64], digest_size=_MARK_BYTES).hexdigest()


def sender_of(address: str | None) -> str:
    """Return a mark of an address from which nobody else can tell it."""
    network = client_network(address).encode()
    return hmac.new(settings.SECRET_KEY.encode(), network, hashlib.sha256).hexdigest()[:16]
