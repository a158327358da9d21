"""③ Finds the touchpoints that may have earned installs: by shared identifiers, newest first."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from postbacks.attribution.evidence import CandidateTouchpoint
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models.days import whole_days
from postbacks.values import identifiers

# Nothing older can win, whatever is set. Between its own window and this one a touchpoint is
# listed as too old.
LONGEST_WINDOW = timedelta(days=30)
# An address is no proof: it serves for probabilistic matches only, with a day as longest window.
LONGEST_PROBABILISTIC_WINDOW = timedelta(days=1)
SHOWN_AFTER_INSTALL = timedelta(minutes=5)  # clicks so soon after are listed, as too late
MOST_PER_IDENTIFIER = 100
# Anybody may send clicks with a device's id, so where there are as many as that, more are looked
# through: the newest of each sender are candidates, and no flood hides another sender's click.
MOST_LOOKED_THROUGH = 10_000

_FIND_KEYS = load_sql("postbacks.attribution", "find_candidate_keys")
_FIND_FLOODED = load_sql("postbacks.attribution", "find_flooded_keys")
_LOAD = load_sql("postbacks.attribution", "load_candidates")


@dataclass(frozen=True, slots=True)
class CandidateSearch:
    """One install to find touchpoints for: those with one of its identifiers, in its window.

    Of an identifier that was flooded, `per_sender` of each sender are found.
    """

    organization_id: int
    app_id: int
    identifiers: frozenset[str]
    installed_at: datetime
    not_before: datetime | None = None
    most: int = MOST_PER_IDENTIFIER
    per_sender: int = 11


@dataclass(frozen=True, slots=True)
class TouchpointDetails:
    """A touchpoint with the names that its partner, campaign and link have now."""

    touchpoint: CandidateTouchpoint = field(compare=False)
    partner: str = ""
    partner_name: str = ""
    campaign: str = ""
    campaign_name: str = ""
    remote_campaign_id: str = ""
    link: str = ""
    link_name: str = ""


class _KeyMatch(NamedTuple):
    """A touchpoint that shares a key with the search of this `number`."""

    number: int
    touchpoint_id: int
    received_at: datetime
    kind: str
    organization_id: int
    key: UUID


def find_candidates(searches: Sequence[CandidateSearch]) -> list[list[TouchpointDetails]]:
    """Return each search's touchpoints.

    Two statements serve all searches, and a third the identifiers that were flooded. The last opens
    only the days that the others have named, and does not run where nobody clicked.
    """
    windows = [row for number, search in enumerate(searches) for row in _windows(number, search)]
    if not windows:
        return [[] for _ in searches]
    # As JSON: psycopg writes an array element by element, which took longer than the search.
    parameters = {"searches": msgspec.json.encode(windows).decode()}
    matches = prepared.fetch(_KeyMatch, _FIND_KEYS, parameters)
    matches = _look_through_floods(windows, matches)
    touchpoints = _load(matches)
    by_search: list[dict[int, TouchpointDetails]] = [{} for _ in searches]
    for match in matches:
        if match.touchpoint_id in touchpoints:  # retention may have dropped its day
            by_search[match.number][match.touchpoint_id] = touchpoints[match.touchpoint_id]
    return [list(candidates.values()) for candidates in by_search]


def _look_through_floods(
    windows: Sequence[Mapping[str, Any]], matches: list[_KeyMatch]
) -> list[_KeyMatch]:
    """Replace the newest touchpoints of an identifier that has too many by those of each sender."""
    counts = Counter((match.number, match.key) for match in matches)
    flooded = [
        {**window, "keys": keys, "most": 3 * window["most"]}
        for window in windows
        if (keys := [k for k in window["keys"] if counts[window["number"], k] >= window["most"]])
    ]
    if not flooded:
        return matches
    searches = msgspec.json.encode(flooded).decode()
    parameters = {"searches": searches, "deepest": MOST_LOOKED_THROUGH}
    replaced = {(window["number"], key) for window in flooded for key in window["keys"]}
    found_again = prepared.fetch(_KeyMatch, _FIND_FLOODED, parameters)
    return [m for m in matches if (m.number, m.key) not in replaced] + found_again


def _windows(number: int, search: CandidateSearch) -> Iterator[dict[str, Any]]:
    """Yield the keys of a search: those of its ids, and apart those of addresses."""
    keys: dict[bool, list[UUID]] = {False: [], True: []}
    for key, identifier in identifiers.keys_of(search.app_id, search.identifiers).items():
        keys[identifiers.kind_of(identifier) == identifiers.ADDRESS].append(key)
    windows = {False: LONGEST_WINDOW, True: LONGEST_PROBABILISTIC_WINDOW}
    for is_address, keys_of_kind in keys.items():
        first = search.installed_at - windows[is_address]
        if keys_of_kind:
            yield {
                "number": number,
                "organization_id": search.organization_id,
                "app_id": search.app_id,
                "keys": keys_of_kind,
                "first": max(first, search.not_before or first),
                "last": search.installed_at + SHOWN_AFTER_INSTALL,
                "most": search.most,
                "per_sender": search.per_sender,
            }


def _load(matches: Sequence[_KeyMatch]) -> dict[int, TouchpointDetails]:
    if not matches:
        return {}
    distinct = {match.touchpoint_id: match for match in matches}
    first, last = whole_days([match.received_at for match in distinct.values()])
    rows = [match._asdict() for match in distinct.values()]
    parameters = {"matches": msgspec.json.encode(rows).decode(), "first": first, "last": last}
    return dict(prepared.fetch(_details_by_id, _LOAD, parameters))


def _details_by_id(
    *,
    row_id: int,
    identifiers_json: str,
    params_json: str,
    partner: str,
    partner_name: str,
    campaign: str,
    campaign_name: str,
    remote_campaign_id: str,
    link: str,
    link_name: str,
    **touchpoint: Any,
) -> tuple[int, TouchpointDetails]:
    return row_id, TouchpointDetails(
        CandidateTouchpoint(
            **touchpoint,
            identifiers=frozenset(msgspec.json.decode(identifiers_json)),
            params=msgspec.json.decode(params_json),
        ),
        partner,
        partner_name,
        campaign,
        campaign_name,
        remote_campaign_id,
        link,
        link_name,
    )
