"""Whether a touchpoint's time lets it earn an install: before it, and not too long before it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from postbacks.attribution.evidence import CandidateTouchpoint, InstallEvidence, Settings
from postbacks.attribution.matching import Match
from postbacks.attribution.missed_limits import MissedLimit
from postbacks.values.touchpoints import ADSERVICES, CLAIM, CLAIMED_BY, CLICK

LATE = timedelta(hours=12)  # a touchpoint that is reported later than this is out
FUTURE = timedelta(minutes=5)
CLOCKS_DIFFER = timedelta(seconds=5)  # between a device and us
# AdServices checks its own window before it claims an install; by whether it was a click.
_APPLE_WINDOW = {True: timedelta(days=30), False: timedelta(hours=24)}


def bound(install: InstallEvidence) -> datetime:
    """Return the latest time of a touchpoint that led to an install, with tolerance for clocks."""
    if install.install_begin_at is None:
        return install.installed_at + CLOCKS_DIFFER
    tolerance = timedelta(0) if install.has_server_begin_time else CLOCKS_DIFFER
    return install.install_begin_at + tolerance


def at_known_time(install: InstallEvidence, touchpoint: CandidateTouchpoint) -> CandidateTouchpoint:
    """Date a claim without a time just before the install; return others as they are."""
    if not touchpoint.time_is_unknown:
        return touchpoint
    last = min(install.installed_at, install.install_begin_at or install.installed_at)
    return replace(touchpoint, occurred_at=last - timedelta(milliseconds=1))


def allowed_window(
    install: InstallEvidence, touchpoint: CandidateTouchpoint, match: Match, settings: Settings
) -> timedelta:
    """Return how long before the install a touchpoint may have happened."""
    is_click = touchpoint.kind == CLICK
    if touchpoint.source == CLAIM and touchpoint.params.get(CLAIMED_BY) == ADSERVICES:
        return _APPLE_WINDOW[is_click]
    if not match.is_proof:
        if is_click:
            return settings.probabilistic_click_window
        return settings.probabilistic_impression_window
    ordinary = settings.click_window if is_click else settings.impression_window
    if not install.is_return:
        return ordinary
    return settings.reengagement_window if is_click else min(ordinary, settings.reengagement_window)


def window_subject(install: InstallEvidence, touchpoint: CandidateTouchpoint, match: Match) -> str:
    """Return what a touchpoint's window is for, as people call it."""
    kinds = f"{touchpoint.kind}s"
    if touchpoint.source == CLAIM and touchpoint.params.get(CLAIMED_BY) == ADSERVICES:
        return f"Apple's {kinds}"
    if not match.is_proof:
        return f"probabilistic {kinds}"
    return f"{kinds} of devices that come back" if install.is_return else kinds


@dataclass(frozen=True, slots=True)
class TimeFault:
    """Why a touchpoint's time excludes it, and by how much."""

    code: str
    missed: MissedLimit


def time_fault(
    install: InstallEvidence, touchpoint: CandidateTouchpoint, match: Match, allowed: timedelta
) -> TimeFault | None:
    """Return why a touchpoint's time excludes it; None if it may have led to the install.

    A click during the download, whose time is the store server's, is fraud and so no fault here.
    """
    reported_after = touchpoint.received_at - touchpoint.occurred_at
    before_install = install.installed_at - touchpoint.occurred_at
    is_reported = touchpoint.source != CLAIM
    if is_reported and reported_after < -FUTURE:
        return TimeFault("future", MissedLimit(-reported_after, FUTURE))
    if is_reported and reported_after > LATE:
        return TimeFault("stale", MissedLimit(reported_after, LATE))
    if before_install < -CLOCKS_DIFFER:
        return TimeFault("after_install", MissedLimit(-before_install, CLOCKS_DIFFER))
    if touchpoint.occurred_at > bound(install) and not is_injected(install, touchpoint):
        return TimeFault("after_download", since_download(install, touchpoint))
    if before_install > allowed:
        subject = window_subject(install, touchpoint, match)
        return TimeFault("out_of_window", MissedLimit(before_install, allowed, subject))
    return None


def since_download(install: InstallEvidence, touchpoint: CandidateTouchpoint) -> MissedLimit:
    """Return how long after the beginning of the download a touchpoint happened."""
    begun_at = install.install_begin_at or install.installed_at
    return MissedLimit(touchpoint.occurred_at - begun_at, bound(install) - begun_at)


def is_injected(install: InstallEvidence, touchpoint: CandidateTouchpoint) -> bool:
    """Tell whether a click happened during the download already (click injection)."""
    return (
        touchpoint.kind == CLICK
        and touchpoint.source != CLAIM
        and install.has_server_begin_time
        and touchpoint.occurred_at > bound(install)
    )
