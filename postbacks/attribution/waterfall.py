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
from postbacks.attribution.matching import Match
from postbacks.values.touchpoints import CLICK

WON = "won"
REJECTED = "rejected:"

_AT_ONE_MOMENT = {matching.REFERRER: 3, matching.STORE_CLAIM: 2, matching.ADVERTISING_ID: 1}

Rank = tuple["EvidenceTier", datetime, int, UUID]


class EvidenceTier(IntEnum):
    """The tiers of the waterfall, the strongest last."""

    PROBABILISTIC_IMPRESSION = 1
    IMPRESSION = 2
    PROBABILISTIC_CLICK = 3
    CLICK = 4


@dataclass(frozen=True, slots=True)
class _Trial:
    """A touchpoint under trial; with a reason it can't earn the install."""

    touchpoint: CandidateTouchpoint
    match: Match
    window: timedelta
    reason: str
    fraud: str = ""

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
        return Candidate(self.touchpoint, reason, self.match.method)


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
    frauds = fraud.reasons(install, list(dated.values()), settings)
    trials = _refuse_ambiguous(
        [
            _try(
                install,
                touchpoint,
                settings.of(touchpoint),
                fraud=frauds.get(touchpoint.id, ""),
                is_already_credited=touchpoint.id in already_credited,
            )
            for touchpoint in dated.values()
        ]
    )
    eligible = sorted((t for t in trials if not t.reason), key=_rank, reverse=True)
    winner = next((trial for trial in eligible if not trial.fraud), None)
    rejected = [t for t in eligible if t.fraud and (winner is None or t.rank > winner.rank)]
    return WaterfallVerdict(
        credit=_credit(winner),
        candidates=_candidates(trials, winner),
        rejections=tuple(trial.candidate(trial.fraud) for trial in rejected),
        remarks=fraud.remarks(install, winner.touchpoint if winner else None),
    )


def _rank(trial: _Trial) -> Rank:
    return trial.rank


def _try(
    install: InstallEvidence,
    touchpoint: CandidateTouchpoint,
    settings: Settings,
    *,
    fraud: str,
    is_already_credited: bool,
) -> _Trial:
    match = matching.match(install, touchpoint, settings)
    window = windows.allowed_window(install, touchpoint, match, settings)
    reason = match.reason or windows.time_fault(install, touchpoint, window)
    if not reason and match.method == matching.PROBABILISTIC and is_already_credited:
        reason = matching.ALREADY_CREDITED
    return _Trial(touchpoint, match, window, reason, fraud)


def _refuse_ambiguous(trials: Sequence[_Trial]) -> list[_Trial]:
    """Refuse probabilistic matches whose address could be another device's just as well."""
    probabilistic = [
        trial
        for trial in trials
        if trial.match.method == matching.PROBABILISTIC and not trial.reason
    ]
    profiles = {devices.profile(trial.touchpoint) for trial in probabilistic if not trial.fraud}
    if any(not devices.may_be_one(first, second) for first in profiles for second in profiles):
        ambiguous = {trial.touchpoint.id for trial in probabilistic}
    else:
        ambiguous = {
            trial.touchpoint.id
            for trial in probabilistic
            if not _is_only_device(trial.touchpoint, profiles)
        }
    return [
        replace(trial, reason=matching.AMBIGUOUS) if trial.touchpoint.id in ambiguous else trial
        for trial in trials
    ]


def _is_only_device(touchpoint: CandidateTouchpoint, profiles: Iterable[devices.Profile]) -> bool:
    own = devices.profile(touchpoint)
    return all(devices.may_be_one(own, profile) for profile in profiles)


def _credit(winner: _Trial | None) -> Credit:
    if winner is None:
        return Credit()
    touchpoint = winner.touchpoint
    return Credit(touchpoint.kind, winner.match.method, touchpoint, winner.window)


def _candidates(trials: Sequence[_Trial], winner: _Trial | None) -> tuple[Candidate, ...]:
    def position(trial: _Trial) -> tuple[bool, datetime, UUID]:
        return trial is winner, trial.touchpoint.occurred_at, trial.touchpoint.id

    winner_then_latest = sorted(trials, key=position, reverse=True)
    return tuple(trial.candidate(_outcome(trial, winner)) for trial in winner_then_latest)


def _outcome(trial: _Trial, winner: _Trial | None) -> str:
    if trial is winner:
        return WON
    if trial.reason:
        return trial.reason
    if trial.fraud or winner is None:
        return f"{REJECTED}{trial.fraud}"
    if trial.tier < winner.tier:
        return "lower_tier"
    is_older = trial.touchpoint.occurred_at < winner.touchpoint.occurred_at
    return "older" if is_older else "tie"
