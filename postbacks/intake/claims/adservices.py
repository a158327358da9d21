"""Apple's answers to a token of AdServices, and when to ask again. Plain data.

Source: Apple's documentation of AAAttribution.attributionToken(): a token lives 24 hours; 404 means
that Apple has no answer yet: ask again after 5 seconds, three times in all.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from postbacks.values.timestamps import parse_timestamp
from postbacks.values.touchpoints import ADSERVICES, CLAIMED_BY, CLICK, IMPRESSION, TIME_IS_UNKNOWN

TOKEN_LIVES = timedelta(hours=24)
_SOON = timedelta(seconds=5)
_SOON_TRIES = 3
_TROUBLE = timedelta(minutes=5)
_LATER = timedelta(hours=1)

# Apple's names of what was advertised, beside the link parameters of the same meaning.
_PARAMETERS = {
    "campaignId": "campaign_id",
    "adGroupId": "adset_id",
    "adId": "ad_id",
    "keywordId": "keyword",
    "orgId": "org_id",
    "conversionType": "conversion_type",
    "countryOrRegion": "country",
}


@dataclass(frozen=True, slots=True)
class AdServicesAnswer:
    """An ad of Apple's that led to an install; `at` is None where Apple does not tell the time."""

    kind: str
    at: datetime | None
    params: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NoClaim:
    """None of Apple's ads led to the install, or the token is not valid."""


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Apple has no answer yet."""

    wait: timedelta


def read_answer(
    status: int | None, body: bytes, *, tries: int
) -> AdServicesAnswer | NoClaim | AskAgain:
    """Return the parsed answer; `status` is None if there was no answer, `tries` counts from 1."""
    if status == 404:
        return AskAgain(_SOON if tries < _SOON_TRIES else _LATER)
    if status is None or status == 429 or status >= 500:
        return AskAgain(_TROUBLE if tries < _SOON_TRIES else _LATER)
    if status != 200:
        return NoClaim()
    try:
        answer = json.loads(body)
    except ValueError:
        return AskAgain(_LATER)
    if not isinstance(answer, dict) or answer.get("attribution") is not True:
        return NoClaim()
    return _claim(answer)


def _claim(answer: Mapping[str, object]) -> AdServicesAnswer:
    kind = IMPRESSION if answer.get("claimType") == "Impression" else CLICK
    at = parse_timestamp(answer.get("impressionDate" if kind == IMPRESSION else "clickDate"))
    params: dict[str, object] = {
        ours: str(answer[theirs]) for theirs, ours in _PARAMETERS.items() if answer.get(theirs)
    }
    params[CLAIMED_BY] = ADSERVICES
    if at is None:
        params[TIME_IS_UNKNOWN] = True
    return AdServicesAnswer(kind, at, params)
