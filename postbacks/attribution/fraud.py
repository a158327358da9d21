"""Why a touchpoint is fraud, by the names that Adjust gave to the reasons."""

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

Key = tuple[int, str, str]  # partner, kind, and whose the touchpoints are


def reasons(
    install: InstallEvidence, touches: Sequence[CandidateTouchpoint], settings: SettingsByScope
) -> dict[UUID, str]:
    """Return the touchpoints that are fraud, with the reason of each."""
    crowded = _crowded(touches, settings)
    found = {touch.id: _reason(install, touch, crowded, settings) for touch in touches}
    return {one: reason for one, reason in found.items() if reason}


def remarks(install: InstallEvidence, winner: CandidateTouchpoint | None) -> tuple[str, ...]:
    """Return what is odd about a credit and decides nothing."""
    is_short = winner is not None and _time_to_install(install, winner) < SHORT
    return (*install.remarks, *([SHORT_TIME] if is_short else []))


def _reason(
    install: InstallEvidence,
    touch: CandidateTouchpoint,
    crowded: set[UUID],
    settings: SettingsByScope,
) -> str:
    if touch.refused:
        return touch.refused
    if install.is_anonymous:
        return ANONYMOUS_TRAFFIC
    least = settings.of(touch).least_time_to_install
    if windows.is_injected(install, touch) or _time_to_install(install, touch) < least:
        return ENGAGEMENT_INJECTION
    return TOO_MANY_ENGAGEMENTS if touch.id in crowded else ""


def _time_to_install(install: InstallEvidence, touch: CandidateTouchpoint) -> timedelta:
    """Return the time from click to first open; endless where it can't be too short.

    Who comes back opens an app that is there already; a network's claim is only to the minute.
    """
    if touch.kind != CLICK or touch.source == CLAIM or install.is_return:
        return timedelta.max
    return install.installed_at - touch.occurred_at


def _crowded(touches: Sequence[CandidateTouchpoint], settings: SettingsByScope) -> set[UUID]:
    """Return the touchpoints of everybody for whom a partner reported too many in an hour."""
    by_key: dict[Key, list[CandidateTouchpoint]] = defaultdict(list)
    for touch in touches:
        if touch.source != CLAIM:
            for key in _keys(touch):
                by_key[key].append(touch)
    return {
        touch.id
        for those in by_key.values()
        if _are_too_many(
            sorted(touch.occurred_at for touch in those),
            min(settings.of(touch).most_touches_per_hour for touch in those),
        )
        for touch in those
    }


def _keys(touch: CandidateTouchpoint) -> Iterable[Key]:
    ids = sorted(one for one in touch.names if kind_of(one) in _IDS)
    addresses = [one for one in touch.names if kind_of(one) == ADDRESS]
    if not ids and addresses and touch.user_agent:
        ids = [f"{one} {touch.user_agent}" for one in addresses]
    return [(touch.partner_id, touch.kind, one) for one in ids]


def _are_too_many(moments: Sequence[datetime], most: int) -> bool:
    """Tell whether more than `most` of the sorted moments lie within any one hour."""
    return any(last - first <= HOUR for first, last in zip(moments, moments[most:], strict=False))
