"""Whether a touchpoint's time lets it earn an install: before it, and not too long before it."""

from dataclasses import replace
from datetime import datetime, timedelta

from postbacks.attribution.evidence import CandidateTouchpoint, InstallEvidence, Settings
from postbacks.attribution.matching import Match
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


def time_fault(
    install: InstallEvidence, touchpoint: CandidateTouchpoint, allowed: timedelta
) -> str:
    """Return why a touchpoint's time excludes it; "" if it may have led to the install.

    A click during the download, whose time is the store server's, is fraud and so no fault here.
    """
    reported_after = touchpoint.received_at - touchpoint.occurred_at
    faults = {
        "future": touchpoint.source != CLAIM and reported_after < -FUTURE,
        "stale": touchpoint.source != CLAIM and reported_after > LATE,
        "after_install": touchpoint.occurred_at > install.installed_at + CLOCKS_DIFFER,
        "after_download": touchpoint.occurred_at > bound(install)
        and not is_injected(install, touchpoint),
        "out_of_window": install.installed_at - touchpoint.occurred_at > allowed,
    }
    return next((name for name, applies in faults.items() if applies), "")


def is_injected(install: InstallEvidence, touchpoint: CandidateTouchpoint) -> bool:
    """Tell whether a click happened during the download already (click injection)."""
    return (
        touchpoint.kind == CLICK
        and touchpoint.source != CLAIM
        and install.has_server_begin_time
        and touchpoint.occurred_at > bound(install)
    )
