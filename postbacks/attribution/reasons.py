"""The sentences that explain credits to people, one for each code."""

from collections.abc import Mapping
from typing import Final

from postbacks.attribution import matching
from postbacks.attribution.missed_limits import MissedLimit
from postbacks.values.touchpoints import TOO_MANY

WON: Final = "won"
REJECTED: Final = "rejected"  # followed by a colon and the code of the fraud

METHODS: Mapping[str, str] = {
    matching.REFERRER: "The Play store gave the app the referrer of this very click.",
    matching.STORE_CLAIM: "The ad network itself says that its ad led to this install.",
    matching.ADVERTISING_ID: "The ad and the app saw the same advertising ID.",
    matching.DEEP_LINK: "The app was opened by a link that carries this click's ID.",
    matching.VENDOR_ID: "The ad was shown in another app of yours on the same device (vendor ID).",
    matching.OWN_ID: "The touchpoint names the ID that the app's SDK made on this device.",
    matching.PROBABILISTIC: (
        "Probabilistic: the same address and kind of device, and no other fits."
    ),
}

REASONS: Mapping[str, str] = {
    WON: "It earned the install.",
    "lower_tier": (
        "Another touchpoint ranks higher: clicks before impressions, proofs before probabilistic "
        "matches."
    ),
    "older": "Another touchpoint of the same rank happened later, and the last one wins.",
    "tie": "Another touchpoint happened at the same moment and has the stronger proof.",
    "out_of_window": "It happened longer before the install than its attribution window allows.",
    "after_install": "It happened after the app was opened for the first time.",
    "after_download": "It happened when the download had begun, so it can't have led to it.",
    "future": "Its time lies in the future of the moment at which it was reported.",
    "stale": "The partner reported it more than 12 hours after it happened.",
    "late_touch": "It arrived after the network that earned the install had been notified.",
    "no_match": "Nothing shows that it was this device.",
    "switched_off": "Only the address fits, and probabilistic matching is off for it.",
    "switched_off_on_ios": "Only the address fits, and probabilistic matching is off on iOS.",
    "has_id": "Only the address fits, although its IDs would have shown if it were this device.",
    "other_device": "The address fits, but it was another kind of device.",
    matching.AMBIGUOUS: "The address fits several devices, so the match is ambiguous.",
    matching.ALREADY_CREDITED: (
        "Only the address fits, and another device was credited to it before."
    ),
    "only_proven": "Only the address fits; a device that comes back needs a proof.",
}

FRAUD: Mapping[str, str] = {
    "anonymous_traffic": ("It came from an anonymous address, such as a data center's or a VPN's."),
    "distribution_outlier": (
        "Too few installs of this site follow soon after their click, as when clicks are invented."
    ),
    "engagement_injection": (
        "The click came during the download, or a moment before the first open: somebody saw the "
        "install and claims it."
    ),
    "incorrect_signature": "Its signature is missing, wrong or too old.",
    "malformed_advertising_id": "Its advertising ID is not one that a device makes.",
    TOO_MANY: (
        "Its sender opened this link too often in a short time: more often than all people do who "
        "share one address, or with one device's ID."
    ),
    "too_many_engagements": (
        "The partner reported too many touchpoints of this device within one hour."
    ),
}

REMARKS: Mapping[str, str] = {
    "short_time_to_install": "Less than 10 seconds passed from the click to the first open.",
    "test_device": (
        "It is marked as a test device, so no click was rejected for its time, number or address."
    ),
    "malformed_advertising_id": (
        "An advertising ID of the app is not one that a device makes; it was ignored for "
        "attribution."
    ),
}

# What an engagement injection's time counts to; the third is a click after the first open.
DOWNLOAD: Final = "download"
FIRST_OPEN: Final = "first_open"
AFTER_OPEN: Final = "after_open"

_CLAIMED = "somebody saw the install and claims it."
# With the figures, by the code, or by the code and what the figures are about.
_WITH_FIGURES: Mapping[str, str] = {
    "out_of_window": "It happened {measured} before the install, window {limit} for {subject}.",
    "after_install": (
        "It happened {measured} after the app was opened for the first time, limit {limit}."
    ),
    "after_download": (
        "It happened {measured} after the download had begun, limit {limit}, so it can't have led "
        "to it."
    ),
    "future": (
        "Its time lies {measured} after the moment at which it was reported, limit {limit}."
    ),
    "stale": "The partner reported it {measured} after it happened, limit {limit}.",
    f"engagement_injection:{DOWNLOAD}": (
        f"The click came {{measured}} after the download had begun, limit {{limit}}: {_CLAIMED}"
    ),
    f"engagement_injection:{FIRST_OPEN}": (
        "The click came {measured} before the first open, at least {limit} is possible: "
        f"{_CLAIMED}"
    ),
    f"engagement_injection:{AFTER_OPEN}": (
        "The click came {measured} after the first open, at least {limit} before it is possible: "
        f"{_CLAIMED}"
    ),
    "too_many_engagements": (
        "The partner reported {measured} touchpoints of this device within one hour, limit {limit}."
    ),
}

_UNKNOWN = "For a reason that this version does not know."


def of_remark(code: str) -> str:
    return REMARKS.get(code, _UNKNOWN)


def of_reason(code: str, missed: MissedLimit | None = None) -> str:
    """Return the sentence of a candidate's reason, for example `older` or `rejected:…`.

    It names the limit and what was measured, if there is one.
    """
    before, _, fraud = code.partition(":")
    if before == REJECTED:
        sentence = _with_figures(fraud, missed) or FRAUD.get(fraud, _UNKNOWN)
        return f"Rejected as fraud. {sentence}"
    return _with_figures(code, missed) or REASONS.get(code, _UNKNOWN)


def of_fraud(code: str) -> str:
    return FRAUD.get(code, _UNKNOWN)


def _with_figures(code: str, missed: MissedLimit | None) -> str:
    if missed is None:
        return ""
    words = _WITH_FIGURES.get(code) or _WITH_FIGURES.get(f"{code}:{missed.subject}", "")
    measured, limit = missed.texts()
    return words.format(measured=measured, limit=limit, subject=missed.subject)
