"""③ Credits openings of apps: finds their touchpoints and runs the waterfall.

Each touchpoint is credited to one device only by a probabilistic match: it may be wrong, but not
right twice. The first device keeps it. Two workers that credit at once take turns, by a lock that
ends with the transaction in which the credit is recorded.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from postbacks.attribution import matching
from postbacks.attribution.candidates import (
    MOST_PER_IDENTIFIER,
    CandidateSearch,
    TouchpointDetails,
    find_candidates,
)
from postbacks.attribution.credited import CreditedOpening
from postbacks.attribution.evidence import InstallEvidence, SettingsByScope, WaterfallVerdict
from postbacks.attribution.install_evidence import mark_evidences, read_install
from postbacks.attribution.openings import Opening, OpeningKind
from postbacks.attribution.settings import AppKey, every_level
from postbacks.attribution.waterfall import attribute
from postbacks.infrastructure.database import prepared
from postbacks.values import identifiers

AppDevice = tuple[int, str]  # app and device

_LOCK_TOUCHPOINTS = """
SELECT pg_advisory_xact_lock(hashtextextended(id::text, 1))
FROM (SELECT DISTINCT id FROM unnest(%(ids)s::uuid[]) AS id ORDER BY id) AS distinct_id
"""
# A statement of its own after the lock: only so does it see what others have recorded before.
_LOAD_CREDITED_DEVICES = """
SELECT touchpoint, app_id, device FROM install
WHERE organization_id = ANY(%(organizations)s::bigint[]) AND touchpoint = ANY(%(ids)s::uuid[])
  AND method = %(method)s
"""


def credit_openings(
    openings: Sequence[Opening], settings: Mapping[AppKey, SettingsByScope]
) -> list[CreditedOpening]:
    """Return the credit of each opening; asks the database once for all of them."""
    scopes = [settings[opening.event.organization_id, opening.event.app.id] for opening in openings]
    evidences = mark_evidences(
        [opening.event for opening in openings],
        [_evidence(opening) for opening in openings],
        {key[0] for key, scope in settings.items() if scope.has_test_devices},
    )
    searches = [
        _search(opening, evidence, scope)
        for opening, evidence, scope in zip(openings, evidences, scopes, strict=True)
    ]
    to_credit = [
        _OpeningToCredit(opening, evidence, scope, candidates)
        for opening, evidence, scope, candidates in zip(
            openings, evidences, scopes, find_candidates(searches), strict=True
        )
    ]
    return _credit_probabilistic_once(to_credit)


def allows_probabilistic(settings: SettingsByScope) -> bool:
    """Tell whether an address alone may credit an install anywhere in the app."""
    return any(
        level.probabilistic_clicks or level.probabilistic_impressions
        for level in every_level(settings)
    )


@dataclass(frozen=True, slots=True)
class _OpeningToCredit:
    """An opening with everything that the waterfall decides on."""

    opening: Opening
    evidence: InstallEvidence
    settings: SettingsByScope
    candidates: Sequence[TouchpointDetails]

    @property
    def device(self) -> AppDevice:
        device = identifiers.normalize_device(self.opening.event.device)
        return self.opening.event.app.id, device

    def credited(self, already_credited: Collection[UUID] = ()) -> CreditedOpening:
        touchpoints = [candidate.touchpoint for candidate in self.candidates]
        verdict = attribute(self.evidence, touchpoints, self.settings, already_credited)
        if self.opening.kind is OpeningKind.REENGAGEMENT:
            verdict = _if_away_long_enough(self.opening, verdict, self.settings)
        details = {candidate.touchpoint.id: candidate for candidate in self.candidates}
        return CreditedOpening(self.opening, self.evidence, self.settings.app, verdict, details)


def _evidence(opening: Opening) -> InstallEvidence:
    return read_install(
        opening.event,
        is_return=opening.kind is not OpeningKind.INSTALL,
        was_downloaded=opening.kind is not OpeningKind.REENGAGEMENT,
    )


def _search(
    opening: Opening, evidence: InstallEvidence, settings: SettingsByScope
) -> CandidateSearch:
    searched = evidence.searched_identifiers
    if evidence.is_return or not allows_probabilistic(settings):
        searched = frozenset(i for i in searched if identifiers.kind_of(i) != identifiers.ADDRESS)
    most_per_hour = max(level.most_touches_per_hour for level in every_level(settings))
    return CandidateSearch(
        organization_id=opening.event.organization_id,
        app_id=opening.event.app.id,
        identifiers=searched,
        installed_at=evidence.installed_at,
        not_before=opening.not_before,
        most=max(MOST_PER_IDENTIFIER, most_per_hour + 1),
        per_sender=most_per_hour + 1,
    )


def _if_away_long_enough(
    opening: Opening, verdict: WaterfallVerdict, settings: SettingsByScope
) -> WaterfallVerdict:
    """Apply the inactivity of the winner's own level: links and partners may differ."""
    touchpoint = verdict.credit.touchpoint
    away = opening.event.event_time - opening.install.last_seen_at
    if touchpoint is None or away >= settings.of(touchpoint).inactivity:
        return verdict
    return WaterfallVerdict()


def _credit_probabilistic_once(openings: Sequence[_OpeningToCredit]) -> list[CreditedOpening]:
    """Credit each opening; undo a probabilistic match that another device has, here or stored."""
    credited = [opening.credited() for opening in openings]
    probabilistic = [
        opening
        for opening, result in zip(openings, credited, strict=True)
        if _probabilistic_touchpoint(result)
    ]
    devices = _lock_credited_devices(
        {opening.opening.event.organization_id for opening in probabilistic},
        {c.touchpoint.id for opening in probabilistic for c in opening.candidates},
    )
    results = []
    for opening, first_result in zip(openings, credited, strict=True):
        result = first_result
        if _probabilistic_touchpoint(result) in devices:
            others = {id_ for id_, device in devices.items() if device != opening.device}
            result = opening.credited(others)
        if (touchpoint := _probabilistic_touchpoint(result)) is not None:
            devices[touchpoint] = opening.device
        results.append(result)
    return results


def _probabilistic_touchpoint(credited: CreditedOpening) -> UUID | None:
    result = credited.verdict.credit
    is_probabilistic = result.method == matching.PROBABILISTIC
    return result.touchpoint.id if result.touchpoint and is_probabilistic else None


def _lock_credited_devices(
    organizations: Collection[int], touchpoints: Collection[UUID]
) -> dict[UUID, AppDevice]:
    """Lock touchpoints, and return the device that each is credited to by a probabilistic match."""
    if not touchpoints:
        return {}
    ids = [str(touchpoint) for touchpoint in touchpoints]
    prepared.run(_LOCK_TOUCHPOINTS, {"ids": ids})
    rows = prepared.run(
        _LOAD_CREDITED_DEVICES,
        {"organizations": sorted(organizations), "ids": ids, "method": matching.PROBABILISTIC},
    )
    return {
        touchpoint: (app_id, identifiers.normalize_device(device))
        for touchpoint, app_id, device in rows
    }
