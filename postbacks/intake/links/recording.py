"""Records the clicks and impressions of tracking links."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apps_registry.models.partners import ClickSigning
from postbacks.intake.countries import country_of
from postbacks.intake.links import signatures
from postbacks.intake.links.destinations import Places, deep_link
from postbacks.intake.links.devices import read_device
from postbacks.intake.links.known_links import KnownLink
from postbacks.intake.links.reading import LinkParameters, clean
from postbacks.intake.touchpoints.recording import (
    NewTouchpoint,
    RecordedTouchpoint,
    record_touchpoints,
)
from postbacks.models import TouchpointSource
from postbacks.values import identifiers
from postbacks.values.anonymous_networks import is_anonymous
from postbacks.values.timestamps import parse_timestamp

FUTURE = timedelta(minutes=5)
OLDEST = timedelta(days=30)
STALE = timedelta(hours=12)
STALE_TOUCHPOINT = "stale_touchpoint"
ANONYMOUS = "anonymous_traffic"
INCORRECT_SIGNATURE = "incorrect_signature"
MAX_USER_AGENT = 1_024
MAX_CLICK_ID = 1_024


class TouchpointRefusedError(ValueError):
    """A server's touchpoint says too little, or a time that can't be; the text says what helps."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """The device that an ad was shown on, as far as a request or a report tells."""

    address: str | None
    user_agent: str = ""
    accept_language: str = ""


def places_of(link: KnownLink) -> Places:
    """Return where a link may lead."""
    return Places(
        platform=link.platform,
        package=link.store_id if link.platform == "ios" else link.package,
        store_url=link.store_url,
        fallback_url=link.fallback_url,
        deep_link=link.deep_link,
        allowed=tuple(link.allowed_destinations),
        partner_name=link.partner_name,
        campaign_name=link.campaign_name,
    )


def record_visit(
    link: KnownLink, kind: str, parameters: LinkParameters, visitor: Visitor, signature: str = ""
) -> RecordedTouchpoint:
    """Record a person's click or impression, in the transaction of the link's organization."""
    touchpoint = new_touchpoint(
        link, kind, parameters, visitor, TouchpointSource.LINK, occurred_at=datetime.now(UTC),
        signature=signature,
    )  # fmt: skip
    return record_touchpoints([touchpoint])[0]


def record_report(
    link: KnownLink, kind: str, parameters: LinkParameters, signature: str = ""
) -> RecordedTouchpoint:
    """Record what a network's server reports: nothing of its own request is the device's.

    Raises TouchpointRefusedError.
    """
    address, agent = parameters.get("ip_address"), parameters.get("user_agent")
    told = parameters.get("click_time")
    has_id = any(identifiers.kind_of(n) != identifiers.CLICK_ID for n in parameters.names())
    if not (has_id or told or (address and agent)):
        raise TouchpointRefusedError(
            "A server must say whose touchpoint it is: send a device id such as gaid or idfa, or "
            "ip and ua of the device, or at least click_time."
        )
    visitor = Visitor(address, agent, parameters.get("language"))
    occurred_at = checked_moment(told) if told else datetime.now(UTC)
    touchpoint = new_touchpoint(
        link, kind, parameters, visitor, TouchpointSource.SERVER, occurred_at=occurred_at,
        signature=signature,
    )  # fmt: skip
    return record_touchpoints([touchpoint])[0]


def checked_moment(text: str) -> datetime:
    """Return the time of a touchpoint. Raises TouchpointRefusedError."""
    moment = parse_timestamp(text)
    if moment is None:
        raise TouchpointRefusedError(
            "The time must be Unix seconds or milliseconds, or ISO 8601 with an offset, such as "
            "2026-05-04T10:00:00Z."
        )
    now = datetime.now(UTC)
    if moment > now + FUTURE:
        raise TouchpointRefusedError("The time is more than 5 minutes in the future.")
    if moment < now - OLDEST:
        raise TouchpointRefusedError("The time is more than 30 days ago.")
    return moment


def new_touchpoint(
    link: KnownLink,
    kind: str,
    parameters: LinkParameters,
    visitor: Visitor,
    source: str,
    *,
    occurred_at: datetime,
    once: str = "",
    signature: str = "",
) -> NewTouchpoint:
    """Return a touchpoint as it is recorded; `once` is the id of one without a click id."""
    agent = clean(visitor.user_agent)[:MAX_USER_AGENT]
    device = read_device(agent, visitor.accept_language)
    address = _address(visitor.address)
    by_address = identifiers.address_identifier(address)
    return NewTouchpoint(
        organization_id=link.organization_id,
        app_id=link.app_id,
        partner_id=link.partner_id,
        campaign_id=link.campaign_id,
        link_id=link.id,
        kind=kind,
        source=source,
        occurred_at=occurred_at,
        names=parameters.names() | ({by_address} if by_address else set()),
        once=parameters.get("click_id") or once,
        click_id=parameters.get("click_id", most=MAX_CLICK_ID),
        site_id=parameters.get("site_id", most=255),
        ip_address=address,
        user_agent=agent,
        os_name=device.os_name,
        os_version=device.os_version or parameters.get("os_version", most=32),
        device_model=device.model,
        language=device.language or parameters.get("language", most=32),
        country=country_of(address) or "",
        params=_params(link, parameters),
        signature=signature,
        refused=_refusal(link, signature, address, occurred_at),
    )


def _address(text: str | None) -> str:
    try:
        return str(ipaddress.ip_address((text or "").strip()))[:64]
    except ValueError:  # a network sent something else in its place
        return ""


def _refusal(link: KnownLink, signature: str, address: str, occurred_at: datetime) -> str:
    """Return why a touchpoint can earn nothing; empty if nothing speaks against it."""
    if link.click_signing == ClickSigning.ENFORCE and signature not in {"", signatures.VALID}:
        return INCORRECT_SIGNATURE
    if is_anonymous(address):
        return ANONYMOUS
    return STALE_TOUCHPOINT if datetime.now(UTC) - occurred_at > STALE else ""


def _params(link: KnownLink, parameters: LinkParameters) -> dict[str, object]:
    """Return what `{{click.<name>}}` reads: the link by its names, and every parameter.

    `deep_link` is what the app may open, never what a stranger wrote.
    """
    own = {"tracker_id": str(link.public_id), "tracker_name": link.name} if link.id else {}
    params: dict[str, object] = {**own, **parameters.all}
    params.pop("deep_link", None)
    opens = deep_link(places_of(link), parameters.known)
    return {**params, "deep_link": opens} if opens else params
