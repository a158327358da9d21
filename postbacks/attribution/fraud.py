"""Why a touchpoint is fraud; the reasons have the names that Adjust gave them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from postbacks.attribution import windows
from postbacks.attribution.evidence import CandidateTouchpoint, InstallEvidence, SettingsByScope
from postbacks.values.identifiers import ADDRESS, ADVERTISING, HASHES, VENDOR_IDS, kind_of
from postbacks.values.touchpoints import CLAIM, CLICK

ANONYMOUS_TRAFFIC = "anonymous_traffic"
DISTRIBUTION_OUTLIER = "distribution_outlier"
ENGAGEMENT_INJECTION = "engagement_injection"
INCORRECT_SIGNATURE = "incorrect_signature"
MALFORMED_ADVERTISING_ID = "malformed_advertising_id"
TOO_MANY_ENGAGEMENTS = "too_many_engagements"

SHORT_TIME = "short_time_to_install"
SHORT = timedelta(seconds=10)
HOUR = timedelta(hours=1)

_IDS = frozenset({ADVERTISING, *HASHES, *VENDOR_IDS})

DeviceOfPartner = tuple[int, str, str]  # partner, kind, and the device's identifier


def reasons(
    install: InstallEvidence, touchpoints: Sequence[CandidateTouchpoint], settings: SettingsByScope
) -> dict[UUID, str]:
    """Return the reason of each touchpoint that is fraud."""
    too_frequent = _too_frequent(touchpoints, settings)
    judged = {t.id: _reason(install, t, settings, too_frequent) for t in touchpoints}
    return {touchpoint_id: reason for touchpoint_id, reason in judged.items() if reason}


def remarks(install: InstallEvidence, winner: CandidateTouchpoint | None) -> tuple[str, ...]:
    """Return what is odd about a credit but decides nothing."""
    is_short = winner is not None and _time_to_install(install, winner) < SHORT
    return (*install.remarks, *([SHORT_TIME] if is_short else []))


def _reason(
    install: InstallEvidence,
    touchpoint: CandidateTouchpoint,
    settings: SettingsByScope,
    too_frequent: set[UUID],
) -> str:
    if touchpoint.refused:
        return touchpoint.refused
    if install.is_anonymous:
        return ANONYMOUS_TRAFFIC
    least = settings.of(touchpoint).least_time_to_install
    if windows.is_injected(install, touchpoint) or _time_to_install(install, touchpoint) < least:
        return ENGAGEMENT_INJECTION
    return TOO_MANY_ENGAGEMENTS if touchpoint.id in too_frequent else ""


def _time_to_install(install: InstallEvidence, touchpoint: CandidateTouchpoint) -> timedelta:
    """Return the time from click to first open; endless where it can't be too short.

    A returning device opens an app that it already has; a network's claim is only to the minute.
    """
    if touchpoint.kind != CLICK or touchpoint.source == CLAIM or install.is_return:
        return timedelta.max
    return install.installed_at - touchpoint.occurred_at


def _too_frequent(
    touchpoints: Sequence[CandidateTouchpoint], settings: SettingsByScope
) -> set[UUID]:
    """Return the touchpoints of each device that a partner reported too often in an hour."""
    by_key: dict[DeviceOfPartner, list[CandidateTouchpoint]] = defaultdict(list)
    for touchpoint in touchpoints:
        if touchpoint.source != CLAIM:
            for key in _keys(touchpoint):
                by_key[key].append(touchpoint)
    return {
        touchpoint.id
        for group in by_key.values()
        if _are_too_many(
            sorted(touchpoint.occurred_at for touchpoint in group),
            min(settings.of(touchpoint).most_touches_per_hour for touchpoint in group),
        )
        for touchpoint in group
    }


def _keys(touchpoint: CandidateTouchpoint) -> Iterable[DeviceOfPartner]:
    devices = sorted(i for i in touchpoint.identifiers if kind_of(i) in _IDS)
    addresses = [i for i in touchpoint.identifiers if kind_of(i) == ADDRESS]
    if not devices and addresses and touchpoint.user_agent:
        devices = [f"{address} {touchpoint.user_agent}" for address in addresses]
    return [(touchpoint.partner_id, touchpoint.kind, device) for device in devices]


def _are_too_many(moments: Sequence[datetime], most: int) -> bool:
    """Tell whether any one hour holds more than `most` of the sorted moments."""
    return any(last - first <= HOUR for first, last in zip(moments, moments[most:], strict=False))
