"""Whether a touchpoint's time lets it earn an install: before it, and not too long before it."""

from dataclasses import replace
from datetime import datetime, timedelta

from postbacks.attribution.evidence import CandidateTouchpoint, InstallEvidence, Settings
from postbacks.attribution.matching import Match
from postbacks.values.touchpoints import ADSERVICES, CLAIM, CLAIMED_BY, CLICK

LATE = timedelta(hours=12)  # a touchpoint that is told later than this takes no part
FUTURE = timedelta(minutes=5)
CLOCKS_DIFFER = timedelta(seconds=5)  # between a device and us
# AdServices has looked into its own window before it claims an install.
_WINDOW_OF_APPLE = {True: timedelta(days=30), False: timedelta(hours=24)}


def bound(install: InstallEvidence) -> datetime:
    """Return until when a touchpoint can have led to an install, with the clocks' tolerance."""
    if install.install_begin_at is None:
        return install.installed_at + CLOCKS_DIFFER
    tolerance = timedelta(0) if install.install_begin_is_of_server else CLOCKS_DIFFER
    return install.install_begin_at + tolerance


def at_known_time(install: InstallEvidence, touch: CandidateTouchpoint) -> CandidateTouchpoint:
    """Return a touchpoint with a time: a claim without one counts as just before the install."""
    if not touch.time_is_unknown:
        return touch
    last = min(install.installed_at, install.install_begin_at or install.installed_at)
    return replace(touch, occurred_at=last - timedelta(milliseconds=1))


def window(
    install: InstallEvidence, touch: CandidateTouchpoint, found: Match, holds: Settings
) -> timedelta:
    """Return how long before the install a touchpoint may have been."""
    is_click = touch.kind == CLICK
    if touch.source == CLAIM and touch.params.get(CLAIMED_BY) == ADSERVICES:
        return _WINDOW_OF_APPLE[is_click]
    if not found.is_proof:
        if is_click:
            return holds.probabilistic_click_window
        return holds.probabilistic_impression_window
    own = holds.click_window if is_click else holds.impression_window
    if not install.is_return:
        return own
    return holds.reengagement_window if is_click else min(own, holds.reengagement_window)


def fault(install: InstallEvidence, touch: CandidateTouchpoint, allowed: timedelta) -> str:
    """Say what is wrong with a touchpoint's time; "" if it may have led to the install.

    A click during the download, which the store's server dates, is no fault but fraud.
    """
    told_after = touch.received_at - touch.occurred_at
    faults = {
        "future": touch.source != CLAIM and told_after < -FUTURE,
        "stale": touch.source != CLAIM and told_after > LATE,
        "after_install": touch.occurred_at > install.installed_at + CLOCKS_DIFFER,
        "after_download": touch.occurred_at > bound(install) and not is_injected(install, touch),
        "out_of_window": install.installed_at - touch.occurred_at > allowed,
    }
    return next((name for name, is_so in faults.items() if is_so), "")


def is_injected(install: InstallEvidence, touch: CandidateTouchpoint) -> bool:
    """Tell whether a click came while the app was being downloaded already (click injection)."""
    return (
        touch.kind == CLICK
        and touch.source != CLAIM
        and install.install_begin_is_of_server
        and touch.occurred_at > bound(install)
    )
