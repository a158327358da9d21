"""③ Which touchpoint earned an install: a pure decision over plain data.

A proven click beats a probabilistic click, which beats a proven impression, which beats a
probabilistic one; without any the install is organic. Within a tier the latest occurrence wins.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum
from uuid import UUID

from postbacks.attribution import devices, fraud, matching, windows
from postbacks.attribution.evidence import (
    Candidate,
    CandidateTouchpoint,
    Credit,
    InstallEvidence,
    Settings,
    SettingsByScope,
    WaterfallVerdict,
)
from postbacks.attribution.fraud import Fraud
from postbacks.attribution.matching import Match
from postbacks.attribution.missed_limits import MissedLimit
from postbacks.attribution.reasons import REJECTED, WON
from postbacks.values.touchpoints import CLICK

_AT_ONE_MOMENT = {matching.REFERRER: 3, matching.STORE_CLAIM: 2, matching.ADVERTISING_ID: 1}

Rank = tuple["EvidenceTier", datetime, int, UUID]


class EvidenceTier(IntEnum):
    """The tiers of the waterfall, the strongest last."""

    PROBABILISTIC_IMPRESSION = 1
    IMPRESSION = 2
    PROBABILISTIC_CLICK = 3
    CLICK = 4


@dataclass(frozen=True, slots=True)
class _JudgedTouchpoint:
    """A touchpoint as judged: with a reason it can't earn the install."""

    touchpoint: CandidateTouchpoint
    match: Match
    window: timedelta
    reason: str
    fraud: Fraud | None = None
    missed: MissedLimit | None = None  # what `reason` is about

    @property
    def tier(self) -> EvidenceTier:
        is_proof = self.match.is_proof
        if self.touchpoint.kind == CLICK:
            return EvidenceTier.CLICK if is_proof else EvidenceTier.PROBABILISTIC_CLICK
        return EvidenceTier.IMPRESSION if is_proof else EvidenceTier.PROBABILISTIC_IMPRESSION

    @property
    def rank(self) -> Rank:
        # A total order: the order of arrival must decide nothing.
        strength = _AT_ONE_MOMENT.get(self.match.method, 0)
        return self.tier, self.touchpoint.occurred_at, strength, self.touchpoint.id

    def candidate(self, reason: str) -> Candidate:
        missed = self.fraud.missed if self.fraud and not self.reason else self.missed
        return Candidate(self.touchpoint, reason, self.match.method, missed)


def attribute(
    install: InstallEvidence,
    touchpoints: Sequence[CandidateTouchpoint],
    settings: SettingsByScope,
    already_credited: Collection[UUID] = (),
) -> WaterfallVerdict:
    """Return what earned an install, and why everything else did not.

    Rejections are the frauds that would have won, the strongest first. Candidates list the winner
    first, then the latest. Neither they nor the winner depend on the order of `touchpoints`. Those
    in `already_credited` earned another device by a probabilistic match: they earn this one only
    by a proof.
    """
    dated = {t.id: windows.at_known_time(install, t) for t in touchpoints}
    frauds = fraud.frauds_of(install, list(dated.values()), settings)
    all_judged = _refuse_ambiguous(
        [
            _judge(
                install,
                touchpoint,
                settings.of(touchpoint),
                fraud=frauds.get(touchpoint.id),
                is_already_credited=touchpoint.id in already_credited,
            )
            for touchpoint in dated.values()
        ]
    )
    eligible = sorted(
        (judged for judged in all_judged if not judged.reason), key=_rank, reverse=True
    )
    winner = next((judged for judged in eligible if not judged.fraud), None)
    rejected = [
        judged
        for judged in eligible
        if judged.fraud and (winner is None or judged.rank > winner.rank)
    ]
    return WaterfallVerdict(
        credit=_credit(winner),
        candidates=_candidates(all_judged, winner),
        rejections=tuple(
            judged.candidate(judged.fraud.reason) for judged in rejected if judged.fraud
        ),
        remarks=fraud.remarks(install, winner.touchpoint if winner else None),
    )


def _rank(judged: _JudgedTouchpoint) -> Rank:
    return judged.rank


def _judge(
    install: InstallEvidence,
    touchpoint: CandidateTouchpoint,
    settings: Settings,
    *,
    fraud: Fraud | None,
    is_already_credited: bool,
) -> _JudgedTouchpoint:
    match = matching.match(install, touchpoint, settings)
    window = windows.allowed_window(install, touchpoint, match, settings)
    if match.reason:
        return _JudgedTouchpoint(touchpoint, match, window, match.reason, fraud)
    fault = windows.time_fault(install, touchpoint, match, window)
    if fault is not None:
        return _JudgedTouchpoint(touchpoint, match, window, fault.code, fraud, fault.missed)
    is_refused = match.method == matching.PROBABILISTIC and is_already_credited
    reason = matching.ALREADY_CREDITED if is_refused else ""
    return _JudgedTouchpoint(touchpoint, match, window, reason, fraud)


def _refuse_ambiguous(all_judged: Sequence[_JudgedTouchpoint]) -> list[_JudgedTouchpoint]:
    """Refuse probabilistic matches whose address could be another device's just as well."""
    probabilistic = [
        judged
        for judged in all_judged
        if judged.match.method == matching.PROBABILISTIC and not judged.reason
    ]
    profiles = {devices.profile(judged.touchpoint) for judged in probabilistic if not judged.fraud}
    if any(not devices.may_be_one(first, second) for first in profiles for second in profiles):
        ambiguous = {judged.touchpoint.id for judged in probabilistic}
    else:
        ambiguous = {
            judged.touchpoint.id
            for judged in probabilistic
            if not _is_only_device(judged.touchpoint, profiles)
        }
    return [
        replace(judged, reason=matching.AMBIGUOUS) if judged.touchpoint.id in ambiguous else judged
        for judged in all_judged
    ]


def _is_only_device(touchpoint: CandidateTouchpoint, profiles: Iterable[devices.Profile]) -> bool:
    own = devices.profile(touchpoint)
    return all(devices.may_be_one(own, profile) for profile in profiles)


def _credit(winner: _JudgedTouchpoint | None) -> Credit:
    if winner is None:
        return Credit()
    touchpoint = winner.touchpoint
    return Credit(touchpoint.kind, winner.match.method, touchpoint, winner.window)


def _candidates(
    all_judged: Sequence[_JudgedTouchpoint], winner: _JudgedTouchpoint | None
) -> tuple[Candidate, ...]:
    def position(judged: _JudgedTouchpoint) -> tuple[bool, datetime, UUID]:
        return judged is winner, judged.touchpoint.occurred_at, judged.touchpoint.id

    winner_then_latest = sorted(all_judged, key=position, reverse=True)
    return tuple(judged.candidate(_outcome(judged, winner)) for judged in winner_then_latest)


def _outcome(judged: _JudgedTouchpoint, winner: _JudgedTouchpoint | None) -> str:
    if judged is winner:
        return WON
    if judged.reason:
        return judged.reason
    if judged.fraud is not None or winner is None:
        return f"{REJECTED}:{judged.fraud.reason if judged.fraud else ''}"
    if judged.tier < winner.tier:
        return "lower_tier"
    is_older = judged.touchpoint.occurred_at < winner.touchpoint.occurred_at
    return "older" if is_older else "tie"
