"""Why a credit changes when its install is reevaluated with all touchpoints known by now."""

from uuid import UUID

from postbacks.attribution.evidence import WaterfallVerdict
from postbacks.attribution.matching import AMBIGUOUS
from postbacks.attribution.reasons import REJECTED

UPGRADE = "upgrade"  # a touchpoint that came late outranks the winner
FRAUD = "fraud"  # the winner turned out to be fraud
DOUBT = "doubt"  # the winner was probabilistic, and another device showed up behind its address
ORIGINAL = "original"  # a reinstall continues another install's credit, which changed


def cause_of_change(credited: UUID | None, verdict: WaterfallVerdict) -> str:
    """Return why an install loses the touchpoint that it is credited to; empty if it keeps it.

    In whatever order touchpoints arrive, the last reevaluation ends where one with all of them
    would have.
    """
    winner = verdict.credit.touchpoint
    if winner is not None and winner.id == credited:
        return ""
    if credited is None:
        return UPGRADE if winner is not None else ""
    reason = next((c.reason for c in verdict.candidates if c.touchpoint.id == credited), "")
    if reason.startswith(REJECTED):
        return FRAUD
    if reason == AMBIGUOUS:
        return DOUBT
    # Without a reason the winner is gone, by retention or an erasure: nothing outranks it.
    return UPGRADE if winner is not None and reason else ""
