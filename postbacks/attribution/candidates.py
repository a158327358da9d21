"""③ Finds the touchpoints that may have earned installs: by shared identifiers, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

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

_FIND_KEYS = load_sql("postbacks.attribution", "find_candidate_keys")
_LOAD = load_sql("postbacks.attribution", "load_candidates")


@dataclass(frozen=True, slots=True)
class CandidateSearch:
    """One install to find touchpoints for: those with one of its identifiers, in its window."""

    organization_id: int
    app_id: int
    identifiers: frozenset[str]
    installed_at: datetime
    not_before: datetime | None = None
    most: int = MOST_PER_IDENTIFIER


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


_NAMES = tuple(name for name in TouchpointDetails.__slots__ if name != "touchpoint")


@dataclass(frozen=True, slots=True)
class _KeyMatch:
    """A touchpoint that shares a key with the search of this `number`."""

    number: int
    touchpoint_id: int
    received_at: datetime
    kind: str
    organization_id: int


def find_candidates(searches: Sequence[CandidateSearch]) -> list[list[TouchpointDetails]]:
    """Return each search's touchpoints.

    Two statements serve all searches. The second opens only the days that the first has named, and
    does not run where nobody clicked.
    """
    keys = [row for number, search in enumerate(searches) for row in _keys(number, search)]
    if not keys:
        return [[] for _ in searches]
    columns = ("numbers", "organizations", "apps", "keys", "firsts", "lasts", "limits")
    lists = map(list, zip(*keys, strict=True))
    matches = prepared.fetch(_KeyMatch, _FIND_KEYS, dict(zip(columns, lists, strict=True)))
    touchpoints = _load(matches)
    by_search: list[dict[int, TouchpointDetails]] = [{} for _ in searches]
    for match in matches:
        if match.touchpoint_id in touchpoints:  # retention may have dropped its day
            by_search[match.number][match.touchpoint_id] = touchpoints[match.touchpoint_id]
    return [list(candidates.values()) for candidates in by_search]


def _keys(number: int, search: CandidateSearch) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    last = search.installed_at + SHOWN_AFTER_INSTALL
    for key, identifier in identifiers.keys_of(search.app_id, search.identifiers).items():
        is_address = identifiers.kind_of(identifier) == identifiers.ADDRESS
        window = LONGEST_PROBABILISTIC_WINDOW if is_address else LONGEST_WINDOW
        first = search.installed_at - window
        if search.not_before is not None:
            first = max(first, search.not_before)
        rows.append((number, search.organization_id, search.app_id, key, first, last, search.most))
    return rows


def _load(matches: Sequence[_KeyMatch]) -> dict[int, TouchpointDetails]:
    distinct = {
        (match.touchpoint_id, match.received_at, match.kind, match.organization_id)
        for match in matches
    }
    if not distinct:
        return {}
    ids, received, kinds, organizations = map(list, zip(*distinct, strict=True))
    first, last = whole_days(received)
    parameters = {
        "ids": ids,
        "received": received,
        "kinds": kinds,
        "organizations": organizations,
        "first": first,
        "last": last,
    }
    return dict(prepared.fetch(_details_by_id, _LOAD, parameters))


def _details_by_id(
    *, row_id: int, identifiers_json: str, params_json: str, **columns: Any
) -> tuple[int, TouchpointDetails]:
    names = {name: columns.pop(name) for name in _NAMES}
    touchpoint = CandidateTouchpoint(
        **columns,
        identifiers=frozenset(msgspec.json.decode(identifiers_json)),
        params=msgspec.json.decode(params_json),
    )
    return row_id, TouchpointDetails(touchpoint, **names)
