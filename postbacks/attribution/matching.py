"""How a touchpoint matches an install: deterministically, by a proof; probabilistically; not."""

from dataclasses import dataclass

from postbacks.attribution import devices
from postbacks.attribution.evidence import CandidateTouchpoint, InstallEvidence, Settings
from postbacks.values.identifiers import (
    ADDRESS,
    ADVERTISING,
    CLICK_ID,
    HASHES,
    OF_DEVICES,
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

# Why a probabilistic match loses: several devices fit, or another device was credited before.
AMBIGUOUS = "not_alone"
ALREADY_CREDITED = "taken"

_METHODS = {
    ADVERTISING: ADVERTISING_ID,
    **dict.fromkeys(HASHES, ADVERTISING_ID),
    CLICK_ID: DEEP_LINK,
    TOUCH: DEEP_LINK,
    **dict.fromkeys(VENDOR_IDS, VENDOR_ID),
    **dict.fromkeys(OWN_IDS, OWN_ID),
}
_DEVICE_IDS = OF_DEVICES.union(OWN_IDS)


@dataclass(frozen=True, slots=True)
class Match:
    """How a touchpoint matches; with a reason it does not, or must not."""

    method: str = ""
    reason: str = ""

    @property
    def is_proof(self) -> bool:
        return self.method not in {"", PROBABILISTIC}


def match(install: InstallEvidence, touchpoint: CandidateTouchpoint, settings: Settings) -> Match:
    shared = touchpoint.identifiers & install.searched_identifiers
    proofs = {_METHODS[kind] for kind in map(kind_of, shared) if kind in _METHODS}
    if proofs:
        return Match(_strongest(install, touchpoint, shared, proofs))
    if not any(kind_of(identifier) == ADDRESS for identifier in shared):
        return Match(reason="no_match")
    return Match(PROBABILISTIC, _probabilistic_refusal(install, touchpoint, settings))


def _strongest(
    install: InstallEvidence,
    touchpoint: CandidateTouchpoint,
    shared: frozenset[str],
    proofs: set[str],
) -> str:
    if shared & install.referrer_identifiers:
        return REFERRER
    if touchpoint.source == CLAIM:
        return STORE_CLAIM
    order = (ADVERTISING_ID, DEEP_LINK, VENDOR_ID, OWN_ID)
    return next(method for method in order if method in proofs)


def _probabilistic_refusal(
    install: InstallEvidence, touchpoint: CandidateTouchpoint, settings: Settings
) -> str:
    family = devices.os_family(install.os_name or install.platform)
    is_click = touchpoint.kind == CLICK
    is_on = settings.probabilistic_clicks if is_click else settings.probabilistic_impressions
    reasons = {
        "only_proven": install.is_return,
        "switched_off": not is_on,
        "switched_off_on_ios": family == "ios" and not settings.probabilistic_on_ios,
        "has_id": _could_have_proven_itself(install, touchpoint),
        "other_device": not _may_be_same_device(install, touchpoint, family),
    }
    return next((reason for reason, applies in reasons.items() if applies), "")


def _could_have_proven_itself(install: InstallEvidence, touchpoint: CandidateTouchpoint) -> bool:
    """Tell whether a touchpoint of this install would have shared more than an address.

    A click that leads to the Play store is in the referrer that the store gives to the app.
    """
    kinds = {kind_of(identifier) for identifier in touchpoint.identifiers}
    if kinds & _DEVICE_IDS:
        return True
    is_click = touchpoint.kind == CLICK
    is_in_referrer = is_click and (touchpoint.source == LINK or CLICK_ID in kinds)
    return bool(install.referrer) and is_in_referrer


def _may_be_same_device(
    install: InstallEvidence, touchpoint: CandidateTouchpoint, family: str
) -> bool:
    is_family = bool(family) and devices.os_family(touchpoint.os_name) == family
    return is_family and devices.may_be_one(devices.profile(install), devices.profile(touchpoint))
