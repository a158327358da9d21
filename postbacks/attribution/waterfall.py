"""③ Which touchpoint earned an install: a pure decision over plain data."""

from collections.abc import Sequence
from datetime import timedelta

from postbacks.attribution.evidence import (
    CLICK,
    Candidate,
    Credit,
    InstallEvidence,
    SettingsLadder,
    Touch,
    Verdict,
)
from postbacks.recognition import ADDRESS, kind_of


def attribute(
    install: InstallEvidence, touches: Sequence[Touch], settings: SettingsLadder
) -> Verdict:
    """Return what earned an install, and why everything else did not."""
    best: tuple[object, ...] | None = None
    winner: Touch | None = None
    for touch in touches:
        shared = {kind_of(one) for one in touch.names & install.names} - {ADDRESS}
        holds = settings.of(touch)
        window = holds.click_window if touch.kind == CLICK else holds.impression_window
        if not shared or not _is_inside(install, touch, window):
            continue
        rank = (touch.kind == CLICK, touch.occurred_at, touch.id)
        if best is None or rank > best:
            best, winner = rank, touch
    if winner is None:
        return Verdict(candidates=tuple(Candidate(touch, "no_match") for touch in touches))
    credit = Credit(winner.kind, "id", winner, settings.of(winner).click_window)
    return Verdict(
        credit,
        tuple(Candidate(touch, "won" if touch is winner else "older") for touch in touches),
    )


def _is_inside(install: InstallEvidence, touch: Touch, window: timedelta) -> bool:
    bound = install.install_begin_at or install.installed_at
    return bound - window <= touch.occurred_at <= bound
