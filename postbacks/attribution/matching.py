"""How a touchpoint and an install recognized each other: by a proof, by a guess, or not at all."""

from dataclasses import dataclass

from postbacks.attribution import devices
from postbacks.attribution.evidence import CandidateTouchpoint, InstallEvidence, Settings
from postbacks.values.identifiers import (
    ADDRESS,
    ADVERTISING,
    CLICK_ID,
    HASHES,
    OWN_IDS,
    TOUCH,
    VENDOR_IDS,
    kind_of,
)
from postbacks.values.touchpoints import CLAIM, CLICK, LINK

# From the strongest to the weakest: the order in which touchpoints of one moment win.
REFERRER = "referrer"
STORE_CLAIM = "claim"
ADVERTISING_ID = "advertising_id"
DEEP_LINK = "click_id"
VENDOR_ID = "vendor_id"
OWN_ID = "own_id"
PROBABILISTIC = "probabilistic"

AMBIGUOUS = "not_alone"  # what a guess loses by when several devices fit
ALREADY_CREDITED = "taken"  # … and when another device has it

_METHODS = {
    ADVERTISING: ADVERTISING_ID,
    **dict.fromkeys(HASHES, ADVERTISING_ID),
    CLICK_ID: DEEP_LINK,
    TOUCH: DEEP_LINK,
    **dict.fromkeys(VENDOR_IDS, VENDOR_ID),
    **dict.fromkeys(OWN_IDS, OWN_ID),
}
_DEVICE_IDS = frozenset({ADVERTISING, *HASHES, *VENDOR_IDS, *OWN_IDS})


@dataclass(frozen=True, slots=True)
class Match:
    """How a touchpoint was recognized; with a reason it was not, or must not be."""

    method: str = ""
    reason: str = ""

    @property
    def is_proof(self) -> bool:
        """Tell whether the match is certain."""
        return self.method not in {"", PROBABILISTIC}


def match(install: InstallEvidence, touch: CandidateTouchpoint, holds: Settings) -> Match:
    """Return how an install and a touchpoint recognized each other."""
    shared = touch.names & install.names
    proofs = {_METHODS[kind] for kind in map(kind_of, shared) if kind in _METHODS}
    if proofs:
        return Match(_strongest(install, touch, shared, proofs))
    if not any(kind_of(one) == ADDRESS for one in shared):
        return Match(reason="no_match")
    return Match(PROBABILISTIC, _keeps_from_guessing(install, touch, holds))


def _strongest(
    install: InstallEvidence, touch: CandidateTouchpoint, shared: frozenset[str], proofs: set[str]
) -> str:
    if shared & install.referrer_names:
        return REFERRER
    if touch.source == CLAIM:
        return STORE_CLAIM
    order = (ADVERTISING_ID, DEEP_LINK, VENDOR_ID, OWN_ID)
    return next(method for method in order if method in proofs)


def _keeps_from_guessing(
    install: InstallEvidence, touch: CandidateTouchpoint, holds: Settings
) -> str:
    family = devices.os_family(install.os_name or install.platform)
    is_on = holds.probabilistic_clicks if touch.kind == CLICK else holds.probabilistic_impressions
    reasons = {
        "only_proven": install.is_return,
        "switched_off": not is_on,
        "switched_off_on_ios": family == "ios" and not holds.probabilistic_on_ios,
        "has_id": _could_have_proven_itself(install, touch),
        "other_device": not _may_be_same_device(install, touch, family),
    }
    return next((reason for reason, is_so in reasons.items() if is_so), "")


def _could_have_proven_itself(install: InstallEvidence, touch: CandidateTouchpoint) -> bool:
    """Tell whether a touchpoint that is this install's would have shown more than an address.

    A click that leads to the Play store is in the referrer that the store gives to the app.
    """
    kinds = {kind_of(one) for one in touch.names}
    if kinds & _DEVICE_IDS:
        return True
    is_in_referrer = touch.kind == CLICK and (touch.source == LINK or CLICK_ID in kinds)
    return bool(install.referrer) and is_in_referrer


def _may_be_same_device(install: InstallEvidence, touch: CandidateTouchpoint, family: str) -> bool:
    is_family = bool(family) and devices.os_family(touch.os_name) == family
    return is_family and devices.may_be_one(devices.profile(install), devices.profile(touch))
