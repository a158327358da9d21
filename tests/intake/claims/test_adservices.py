"""What Apple's answers to a token of AdServices mean."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from postbacks.intake.claims.adservices import AdServicesAnswer, AskAgain, NoClaim, read_answer

# The four answers of Apple's documentation: with and without the permission to track, each for a
# tap and for a view.
STANDARD = {
    "attribution": True,
    "orgId": 40669820,
    "campaignId": 542370539,
    "conversionType": "Download",
    "claimType": "Click",
    "adGroupId": 542317095,
    "countryOrRegion": "US",
    "keywordId": 87675432,
    "adId": 542317136,
}
VIEW = {**STANDARD, "claimType": "Impression"}


def answer(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_a_tap_whose_time_is_told() -> None:
    claim = read_answer(200, answer(**STANDARD, clickDate="2024-10-08T17:17Z"), tries=1)

    assert isinstance(claim, AdServicesAnswer)
    assert (claim.kind, claim.at) == ("click", datetime(2024, 10, 8, 17, 17, tzinfo=UTC))
    assert claim.params == {
        "claimed_by": "adservices",
        "campaign_id": "542370539",
        "adset_id": "542317095",
        "ad_id": "542317136",
        "keyword": "87675432",
        "org_id": "40669820",
        "conversion_type": "Download",
        "country": "US",
    }


def test_a_tap_whose_time_apple_keeps() -> None:
    claim = read_answer(200, answer(**STANDARD), tries=1)

    assert isinstance(claim, AdServicesAnswer)
    assert (claim.kind, claim.at, claim.params["time_is_unknown"]) == ("click", None, True)


def test_a_view_is_an_impression() -> None:
    timed = read_answer(200, answer(**VIEW, impressionDate="2024-10-08T17:17Z"), tries=1)
    untimed = read_answer(200, answer(**VIEW), tries=1)

    assert isinstance(timed, AdServicesAnswer)
    assert isinstance(untimed, AdServicesAnswer)
    assert (timed.kind, timed.at) == ("impression", datetime(2024, 10, 8, 17, 17, tzinfo=UTC))
    assert (untimed.kind, untimed.at) == ("impression", None)


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, answer(attribution=False)), (400, b"Invalid token"), (403, b""), (200, b"[]")],
)
def test_a_final_no(status: int, body: bytes) -> None:
    assert read_answer(status, body, tries=1) == NoClaim()


@pytest.mark.parametrize(
    ("status", "tries", "wait"),
    [
        (404, 1, timedelta(seconds=5)),
        (404, 2, timedelta(seconds=5)),
        (404, 3, timedelta(hours=1)),
        (404, 9, timedelta(hours=1)),
        (500, 1, timedelta(minutes=5)),
        (503, 3, timedelta(hours=1)),
        (429, 1, timedelta(minutes=5)),
        (None, 1, timedelta(minutes=5)),
    ],
)
def test_apple_is_asked_again(status: int | None, tries: int, wait: timedelta) -> None:
    assert read_answer(status, b"", tries=tries) == AskAgain(wait)


def test_an_answer_that_is_none_is_asked_for_again() -> None:
    assert isinstance(read_answer(200, b"<html>", tries=1), AskAgain)
