"""③ Which touchpoint earned an install: a pure decision over plain data.

A proven click beats a guessed click, that beats a proven impression, that a guessed one; without
any the install is organic. In one tier the latest wins, by the time at which it happened.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
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
    """How much a touchpoint counts, the most last."""

    GUESSED_IMPRESSION = 1
    IMPRESSION = 2
    GUESSED_CLICK = 3
    CLICK = 4


@dataclass(frozen=True, slots=True)
class _Trial:
    """A touchpoint that was looked at; with a reason it can't earn the install."""

    touch: CandidateTouchpoint
    match: Match
    window: timedelta
    reason: str
    fraud: str = ""

    @property
    def tier(self) -> EvidenceTier:
        if self.touch.kind == CLICK:
            return EvidenceTier.CLICK if self.match.is_proof else EvidenceTier.GUESSED_CLICK
        return EvidenceTier.IMPRESSION if self.match.is_proof else EvidenceTier.GUESSED_IMPRESSION

    @property
    def rank(self) -> Rank:
        """This is total, so that the order in which touchpoints came decides nothing."""
        strength = _AT_ONE_MOMENT.get(self.match.method, 0)
        return self.tier, self.touch.occurred_at, strength, self.touch.id

    def candidate(self, reason: str) -> Candidate:
        return Candidate(self.touch, reason, self.match.method)


def attribute(
    install: InstallEvidence,
    touches: Sequence[CandidateTouchpoint],
    settings: SettingsByScope,
    taken: Collection[UUID] = (),
) -> WaterfallVerdict:
    """Return what earned an install, and why everything else did not.

    The verdict's rejections are the frauds that would have won, the first of them first. Its
    candidates come with the winner first, then the latest; their order, as the winner, does not
    depend on the order of `touches`. Those that are `taken` earned another device by a guess: only
    a proof can make them earn this one.
    """
    dated = {touch.id: windows.at_known_time(install, touch) for touch in touches}
    frauds = fraud.reasons(install, list(dated.values()), settings)
    trials = _without_crowds(
        [_try(install, touch, settings, frauds, taken) for touch in dated.values()]
    )
    able = sorted((one for one in trials if not one.reason), key=_rank, reverse=True)
    winner = next((one for one in able if not one.fraud), None)
    ahead = [one for one in able if one.fraud and (winner is None or one.rank > winner.rank)]
    return WaterfallVerdict(
        credit=_credit(winner),
        candidates=_candidates(trials, winner),
        rejections=tuple(one.candidate(one.fraud) for one in ahead),
        remarks=fraud.remarks(install, winner.touch if winner else None),
    )


def _rank(trial: _Trial) -> Rank:
    return trial.rank


def _try(
    install: InstallEvidence,
    touch: CandidateTouchpoint,
    settings: SettingsByScope,
    frauds: Mapping[UUID, str],
    taken: Collection[UUID],
) -> _Trial:
    holds = settings.of(touch)
    found = matching.match(install, touch, holds)
    allowed = windows.window(install, touch, found, holds)
    reason = found.reason or windows.fault(install, touch, allowed)
    if not reason and found.method == matching.PROBABILISTIC and touch.id in taken:
        reason = matching.ALREADY_CREDITED
    return _Trial(touch, found, allowed, reason, frauds.get(touch.id, ""))


def _without_crowds(trials: Sequence[_Trial]) -> list[_Trial]:
    """Take guesses back where the address could be that of another device just as well."""
    guesses = [
        one for one in trials if one.match.method == matching.PROBABILISTIC and not one.reason
    ]
    sound = {devices.profile(one.touch) for one in guesses if not one.fraud}
    crowd = {one.touch.id for one in guesses if not _is_only_device(one.touch, sound)}
    if any(not devices.may_be_one(one, other) for one in sound for other in sound):
        crowd = {one.touch.id for one in guesses}
    return [
        replace(one, reason=matching.AMBIGUOUS) if one.touch.id in crowd else one for one in trials
    ]


def _is_only_device(touch: CandidateTouchpoint, sound: Iterable[devices.Profile]) -> bool:
    return all(devices.may_be_one(devices.profile(touch), other) for other in sound)


def _credit(winner: _Trial | None) -> Credit:
    if winner is None:
        return Credit()
    return Credit(winner.touch.kind, winner.match.method, winner.touch, winner.window)


def _candidates(trials: Sequence[_Trial], winner: _Trial | None) -> tuple[Candidate, ...]:
    latest_first = sorted(
        trials, key=lambda one: (one is winner, one.touch.occurred_at, one.touch.id), reverse=True
    )
    return tuple(one.candidate(_outcome(one, winner)) for one in latest_first)


def _outcome(trial: _Trial, winner: _Trial | None) -> str:
    if trial is winner:
        return WON
    if trial.reason:
        return trial.reason
    if trial.fraud or winner is None:
        return f"{REJECTED}{trial.fraud}"
    if trial.tier < winner.tier:
        return "lower_tier"
    return "older" if trial.touch.occurred_at < winner.touch.occurred_at else "tie"
