"""Why a credit changes when its install is looked at again, with all touchpoints known by now."""

from uuid import UUID

from postbacks.attribution.evidence import WaterfallVerdict
from postbacks.attribution.matching import AMBIGUOUS
from postbacks.attribution.waterfall import REJECTED

UPGRADE = "upgrade"  # a touchpoint that came late outranks the winner
FRAUD = "fraud"  # the winner turned out to be one
DOUBT = "doubt"  # the winner was a guess, and another device has shown up behind its address
ORIGINAL = "original"  # the install changed whose credit a reinstall goes on with


def cause_of_change(held: UUID | None, verdict: WaterfallVerdict) -> str:
    """Return why an install leaves the touchpoint that it is credited to; empty if it stays.

    Whatever order touchpoints come in, the last look ends where one that knew all would have.
    """
    touch = verdict.credit.touch
    if touch is not None and touch.id == held:
        return ""
    if held is None:
        return UPGRADE if touch is not None else ""
    reason = next((it.reason for it in verdict.candidates if it.touch.id == held), "")
    if reason.startswith(REJECTED):
        return FRAUD
    if reason == AMBIGUOUS:
        return DOUBT
    # Where the winner is gone, by retention or because a device was forgotten, nothing outranks it.
    return UPGRADE if touch is not None and reason else ""
