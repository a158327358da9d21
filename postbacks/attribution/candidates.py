"""③ Finds the touchpoints that may have earned installs: by shared names, the newest of each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from postbacks.attribution.evidence import CandidateTouchpoint
from postbacks.infrastructure.database import prepared
from postbacks.models.days import whole_days
from postbacks.values import identifiers

# Nothing older can win, whatever is set; between that and its own window it is shown as too old.
LONGEST_WINDOW = timedelta(days=30)
# An address is no proof: it serves for guesses only, for which a day is the longest window.
LONGEST_PROBABILISTIC_WINDOW = timedelta(days=1)
SHOWN_AFTER_INSTALL = timedelta(
    minutes=5
)  # clicks so soon after the first open are shown, as too late
MOST_PER_IDENTIFIER = 100


@dataclass(frozen=True, slots=True)
class CandidateSearch:
    """One install whose touchpoints are sought: those that share a name, from a moment on."""

    organization_id: int
    app_id: int
    names: frozenset[str]
    installed_at: datetime
    not_before: datetime | None = None
    most: int = MOST_PER_IDENTIFIER


@dataclass(frozen=True, slots=True)
class TouchpointDetails:
    """A touchpoint with the names that its partner, campaign and link have now."""

    touch: CandidateTouchpoint = field(compare=False)
    partner: str = ""
    partner_name: str = ""
    campaign: str = ""
    campaign_name: str = ""
    remote_campaign_id: str = ""
    link: str = ""
    link_name: str = ""


_KEYS = """
SELECT wanted.place, found.touchpoint_id, found.received_at, found.kind, wanted.o
FROM unnest(
    %(places)s::integer[], %(organizations)s::bigint[], %(apps)s::bigint[], %(keys)s::uuid[],
    %(firsts)s::timestamptz[], %(lasts)s::timestamptz[], %(mosts)s::integer[]
) AS wanted (place, o, a, key, first, last, most)
CROSS JOIN LATERAL (  -- each by its key, newest first, however many touchpoints there are
    SELECT touchpoint_id, received_at, kind FROM touchpoint_key
    WHERE organization_id = wanted.o AND app_id = wanted.a AND key = wanted.key
      AND occurred_at BETWEEN wanted.first AND wanted.last
    ORDER BY occurred_at DESC LIMIT wanted.most
) AS found
"""

# After the id the fields of Touch in their order, then those of Found.
_TOUCHES = """
SELECT t.id, t.public_id, t.kind, t.occurred_at, t.received_at, t.partner_id, t.names::text,
       t.source, t.campaign_id, t.link_id, t.click_id, t.site_id, t.os_name, t.os_version,
       t.device_model, t.language, t.user_agent, t.country, t.signature, t.refused,
       t.params::text, p.public_id::text, p.name, coalesce(c.public_id::text, ''),
       coalesce(c.name, ''), coalesce(c.remote_campaign_id, ''), coalesce(l.public_id::text, ''),
       coalesce(l.name, '')
FROM unnest(
    %(ids)s::bigint[], %(moments)s::timestamptz[], %(kinds)s::text[], %(organizations)s::bigint[]
) AS wanted (id, received_at, kind, o)
CROSS JOIN LATERAL (
    SELECT * FROM touchpoint
    WHERE organization_id = wanted.o AND kind = wanted.kind AND id = wanted.id
      AND received_at = wanted.received_at AND received_at BETWEEN %(first)s AND %(last)s
    LIMIT 1
) AS t
JOIN partner AS p ON p.organization_id = t.organization_id AND p.id = t.partner_id
LEFT JOIN campaign AS c ON c.organization_id = t.organization_id AND c.id = t.campaign_id
LEFT JOIN tracking_link AS l ON l.organization_id = t.organization_id AND l.id = t.link_id
"""


def find_candidates(searches: Sequence[CandidateSearch]) -> list[list[TouchpointDetails]]:
    """Return each search's touchpoints.

    Two statements for all of them: the second opens only the days that the first has named, and
    none at all where nobody clicked.
    """
    wanted = [row for place, search in enumerate(searches) for row in _wanted(place, search)]
    if not wanted:
        return [[] for _ in searches]
    columns = ("places", "organizations", "apps", "keys", "firsts", "lasts", "mosts")
    lists = map(list, zip(*wanted, strict=True))
    hits = prepared.run(_KEYS, dict(zip(columns, lists, strict=True)))
    known = _load({tuple(hit[1:]) for hit in hits})
    found: list[dict[int, TouchpointDetails]] = [{} for _ in searches]
    for place, id_, *_ in hits:
        if id_ in known:  # its day may have left already
            found[place][id_] = known[id_]
    return [list(of_search.values()) for of_search in found]


def _wanted(place: int, it: CandidateSearch) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    last = it.installed_at + SHOWN_AFTER_INSTALL
    for key, name in identifiers.keys_of(it.app_id, it.names).items():
        is_guess = identifiers.kind_of(name) == identifiers.ADDRESS
        first = it.installed_at - (LONGEST_PROBABILISTIC_WINDOW if is_guess else LONGEST_WINDOW)
        if it.not_before is not None:
            first = max(first, it.not_before)
        rows.append((place, it.organization_id, it.app_id, key, first, last, it.most))
    return rows


def _load(hits: set[tuple[Any, ...]]) -> dict[int, TouchpointDetails]:
    if not hits:
        return {}
    ids, moments, kinds, organizations = zip(*hits, strict=True)
    first, last = whole_days(moments)
    rows = prepared.run(
        _TOUCHES,
        {
            "ids": list(ids),
            "moments": list(moments),
            "kinds": list(kinds),
            "organizations": list(organizations),
            "first": first,
            "last": last,
        },
    )
    return {row[0]: _found(row[1:]) for row in rows}


def _found(row: Sequence[Any]) -> TouchpointDetails:
    values = dict(zip(CandidateTouchpoint.__slots__, row, strict=False))
    values["names"] = frozenset(msgspec.json.decode(values["names"]))
    values["params"] = msgspec.json.decode(values["params"])
    return TouchpointDetails(CandidateTouchpoint(**values), *row[len(values) :])
