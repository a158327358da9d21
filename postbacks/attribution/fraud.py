"""Why a touchpoint is fraud; the reasons have the names that Adjust gave them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from postbacks.attribution import windows
from postbacks.attribution.evidence import CandidateTouchpoint, InstallEvidence, SettingsByScope
from postbacks.attribution.missed_limits import MissedLimit
from postbacks.attribution.reasons import AFTER_OPEN, DOWNLOAD, FIRST_OPEN
from postbacks.values.identifiers import ADDRESS, OF_DEVICES, OF_ONE_CLICK, kind_of
from postbacks.values.touchpoints import CLAIM, CLICK, LINK, TOO_MANY, VALID_SIGNATURE

ANONYMOUS_TRAFFIC = "anonymous_traffic"
DISTRIBUTION_OUTLIER = "distribution_outlier"
ENGAGEMENT_INJECTION = "engagement_injection"
INCORRECT_SIGNATURE = "incorrect_signature"
MALFORMED_ADVERTISING_ID = "malformed_advertising_id"
TOO_MANY_ENGAGEMENTS = "too_many_engagements"

SHORT_TIME = "short_time_to_install"
TEST_DEVICE = "test_device"
SHORT = timedelta(seconds=10)
HOUR = timedelta(hours=1)

# Partner, kind, source, whether it is signed, who sent it, and the device's identifier.
DeviceOfSender = tuple[int, str, str, bool, str, str]


@dataclass(frozen=True, slots=True)
class Fraud:
    """Why a touchpoint is fraud, with the figures where the reason is about a limit."""

    reason: str
    missed: MissedLimit | None = None


def frauds_of(
    install: InstallEvidence, touchpoints: Sequence[CandidateTouchpoint], settings: SettingsByScope
) -> dict[UUID, Fraud]:
    """Return the touchpoints that are fraud, and why."""
    too_frequent = _too_frequent(install, touchpoints, settings)
    judged = {t.id: _fraud(install, t, settings, too_frequent) for t in touchpoints}
    return {touchpoint_id: fraud for touchpoint_id, fraud in judged.items() if fraud is not None}


def remarks(install: InstallEvidence, winner: CandidateTouchpoint | None) -> tuple[str, ...]:
    """Return what is odd about a credit but decides nothing."""
    is_short = winner is not None and _time_to_install(install, winner) < SHORT
    return (
        *install.remarks,
        *([SHORT_TIME] if is_short else []),
        *([TEST_DEVICE] if install.is_test_device else []),
    )


def _fraud(
    install: InstallEvidence,
    touchpoint: CandidateTouchpoint,
    settings: SettingsByScope,
    too_frequent: Mapping[UUID, MissedLimit],
) -> Fraud | None:
    if install.is_test_device and touchpoint.refused in {"", ANONYMOUS_TRAFFIC}:
        return None
    if touchpoint.refused and not (
        touchpoint.refused == TOO_MANY and _is_this_very_click(install, touchpoint)
    ):
        return Fraud(touchpoint.refused)
    if install.is_anonymous:
        return Fraud(ANONYMOUS_TRAFFIC)
    if windows.is_injected(install, touchpoint):
        missed = replace(windows.since_download(install, touchpoint), subject=DOWNLOAD)
        return Fraud(ENGAGEMENT_INJECTION, missed)
    least, passed = (
        settings.of(touchpoint).least_time_to_install,
        _time_to_install(install, touchpoint),
    )
    if passed < least:
        subject = AFTER_OPEN if passed < timedelta(0) else FIRST_OPEN
        return Fraud(ENGAGEMENT_INJECTION, MissedLimit(abs(passed), least, subject))
    if touchpoint.id in too_frequent:
        return Fraud(TOO_MANY_ENGAGEMENTS, too_frequent[touchpoint.id])
    return None


def _time_to_install(install: InstallEvidence, touchpoint: CandidateTouchpoint) -> timedelta:
    """Return the time from click to first open; endless where it can't be too short.

    A returning device opens an app that it already has; a network's claim is only to the minute.
    """
    if touchpoint.kind != CLICK or touchpoint.source == CLAIM or install.is_return:
        return timedelta.max
    return install.installed_at - touchpoint.occurred_at


def _too_frequent(
    install: InstallEvidence, touchpoints: Sequence[CandidateTouchpoint], settings: SettingsByScope
) -> dict[UUID, MissedLimit]:
    """Return the touchpoints of each device that one sender reported too often in an hour.

    Anybody may open a link with a device's id, so a flood is counted by its sender, first of each
    link and then of all links of the partner, and only the flood itself is rejected: neither what
    another sender reported, nor a signed touchpoint beside unsigned ones, nor the very click that
    the store or the app names.
    """
    counted = [
        touchpoint
        for touchpoint in touchpoints
        if touchpoint.source != CLAIM and not _is_this_very_click(install, touchpoint)
    ]
    too_frequent: dict[UUID, MissedLimit] = {}
    for of_each_link in (True, False):
        groups: dict[object, list[CandidateTouchpoint]] = defaultdict(list)
        for touchpoint in counted:
            if touchpoint.id not in too_frequent:
                link_id = touchpoint.link_id if of_each_link else None
                for key in _keys(touchpoint):
                    groups[link_id, key].append(touchpoint)
        for group in groups.values():
            too_frequent.update(_flood(group, settings))
    return too_frequent


def _flood(
    group: Sequence[CandidateTouchpoint], settings: SettingsByScope
) -> dict[UUID, MissedLimit]:
    """Return all touchpoints of a sender's, if they are too many in any one hour."""
    most = min(settings.of(touchpoint).most_touches_per_hour for touchpoint in group)
    moments = sorted(touchpoint.occurred_at for touchpoint in group)
    if not _are_too_many(moments, most):
        return {}
    missed = MissedLimit(_most_within_hour(moments), most)
    return {touchpoint.id: missed for touchpoint in group}


def _is_this_very_click(install: InstallEvidence, touchpoint: CandidateTouchpoint) -> bool:
    """Tell whether the store's referrer or the app names the click itself, not only its device."""
    shared = touchpoint.identifiers & install.searched_identifiers
    return any(kind_of(identifier) in OF_ONE_CLICK for identifier in shared)


def _keys(touchpoint: CandidateTouchpoint) -> Iterable[DeviceOfSender]:
    devices = sorted(i for i in touchpoint.identifiers if kind_of(i) in OF_DEVICES)
    addresses = sorted(i for i in touchpoint.identifiers if kind_of(i) == ADDRESS)
    if not devices and addresses and touchpoint.user_agent:
        devices = [f"{address} {touchpoint.user_agent}" for address in addresses]
    # What a person opens comes from its own address, of which a mark is left after two days. What a
    # server reports only names one.
    sender = "".join(addresses if touchpoint.source == LINK else ()) or touchpoint.sender
    is_signed = touchpoint.signature == VALID_SIGNATURE
    return [
        (touchpoint.partner_id, touchpoint.kind, touchpoint.source, is_signed, sender, device)
        for device in devices
    ]


def _are_too_many(moments: Sequence[datetime], most: int) -> bool:
    """Tell whether any one hour holds more than `most` of the sorted moments."""
    return any(last - first <= HOUR for first, last in zip(moments, moments[most:], strict=False))


def _most_within_hour(moments: Sequence[datetime]) -> int:
    """Return the most of the sorted moments that any one hour holds."""
    first = most = 0
    for last, moment in enumerate(moments, start=1):
        while moment - moments[first] > HOUR:
            first += 1
        most = max(most, last - first)
    return most
