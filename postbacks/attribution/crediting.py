"""③ Credits openings of apps: looks up their touchpoints and asks the waterfall."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from postbacks.attribution import guess_locks, matching, reasons
from postbacks.attribution.candidates import (
    MOST_PER_IDENTIFIER,
    CandidateSearch,
    TouchpointDetails,
    find_candidates,
)
from postbacks.attribution.evidence import (
    Candidate,
    Credit,
    InstallEvidence,
    Settings,
    SettingsByScope,
    WaterfallVerdict,
)
from postbacks.attribution.install_evidence import read_install
from postbacks.attribution.openings import Opening, OpeningKind
from postbacks.attribution.settings import AppKey, every_level
from postbacks.attribution.waterfall import attribute
from postbacks.models import InstallKind
from postbacks.values import identifiers
from postbacks.values.attribution import AttributionFacts
from postbacks.values.install_context import KnownInstall

# What macros call a parameter of the click, by the names under which links may carry it.
_CREATIVES = ("creative_name", "creative", "ad_name")


@dataclass(frozen=True, slots=True)
class Credited:
    """An opening with its verdict, and what is known of the touchpoints that it speaks of."""

    opening: Opening
    evidence: InstallEvidence
    settings: Settings
    verdict: WaterfallVerdict
    found: Mapping[UUID, TouchpointDetails] = field(repr=False)

    @property
    def kind(self) -> str:
        """Return the kind of the install that began: a touchpoint makes a return a won one."""
        if self.opening.occasion is not OpeningKind.RETURN:
            return InstallKind.INSTALL
        has_touch = self.verdict.credit.touch is not None
        return InstallKind.REATTRIBUTION if has_touch else InstallKind.REINSTALL

    @property
    def winner(self) -> TouchpointDetails | None:
        """Return the touchpoint that earned it."""
        touch = self.verdict.credit.touch
        return None if touch is None else self.found[touch.id]

    def facts(self) -> AttributionFacts:
        """Return what macros say of the credit, with the names of now."""
        event, kind = self.opening.event, self.kind
        if kind == InstallKind.INSTALL:
            return facts_of(self.verdict.credit, self.winner)
        before = self.opening.before
        first = before.first_installed_at if before else event.event_time
        if kind == InstallKind.REATTRIBUTION:
            return facts_of(
                self.verdict.credit, self.winner, install_kind=kind, first_installed_at=first,
                reattributed_at=event.event_time,
            )  # fmt: skip
        return _of_reinstall(before, first, event.event_time, self.settings)

    def candidates(self) -> list[dict[str, object]]:
        """Return every touchpoint that was looked at, and why it lost, for people."""
        return [self._row(it, reasons.of_reason(it.reason)) for it in self.verdict.candidates]

    def rejections(self) -> list[dict[str, object]]:
        """Return the touchpoints that were fraud and would have won, for people."""
        return [
            self._row(it, reasons.of_reason(f"rejected:{it.reason}"))
            for it in self.verdict.rejections
        ]

    def _row(self, it: Candidate, sentence: str) -> dict[str, object]:
        found = self.found[it.touch.id]
        return {
            "touchpoint": str(it.touch.id),
            "kind": it.touch.kind,
            "partner": found.partner_name,
            "campaign": found.campaign_name,
            "occurred_at": it.touch.occurred_at,
            "method": it.method,
            "reason": it.reason,
            "sentence": sentence,
        }


def credit(
    openings: Sequence[Opening], ladders: Mapping[AppKey, SettingsByScope]
) -> list[Credited]:
    """Return what each opening is credited to; asks the database once for all of them."""
    evidences = [_evidence(opening) for opening in openings]
    holding = [ladders[opening.event.organization_id, opening.event.app.id] for opening in openings]
    searches = [
        _search(opening, evidence, ladder)
        for opening, evidence, ladder in zip(openings, evidences, holding, strict=True)
    ]
    asked = [
        _EvidenceRequest(opening, evidence, ladder, candidates)
        for opening, evidence, ladder, candidates in zip(
            openings, evidences, holding, find_candidates(searches), strict=True
        )
    ]
    return _credit_probabilistic_once(asked, [it.credited() for it in asked])


@dataclass(frozen=True, slots=True)
class _EvidenceRequest:
    """An opening with all that the waterfall is asked about it."""

    opening: Opening
    evidence: InstallEvidence
    ladder: SettingsByScope
    candidates: Sequence[TouchpointDetails]

    @property
    def device(self) -> guess_locks.Holder:
        return self.opening.event.app.id, self.opening.event.device

    def credited(self, taken: Collection[UUID] = ()) -> Credited:
        touches = [it.touch for it in self.candidates]
        verdict = attribute(self.evidence, touches, self.ladder, taken)
        if self.opening.occasion is OpeningKind.REENGAGEMENT:
            verdict = _if_away_long_enough(self.opening, verdict, self.ladder)
        found = {it.touch.id: it for it in self.candidates}
        return Credited(self.opening, self.evidence, self.ladder.app, verdict, found)


def _credit_probabilistic_once(
    asked: Sequence[_EvidenceRequest], credited: Sequence[Credited]
) -> list[Credited]:
    """Take back guesses at touchpoints that another device has, here or from before."""
    doubtful = [
        one for one, it in zip(asked, credited, strict=True) if _probabilistic_touchpoint(it)
    ]
    holders = dict(
        guess_locks.holders_of(
            {one.opening.event.organization_id for one in doubtful},
            {it.touch.id for one in doubtful for it in one.candidates},
        )
    )
    settled = []
    for one, it in zip(asked, credited, strict=True):
        fair = it
        if _probabilistic_touchpoint(it) in holders:
            fair = one.credited({id_ for id_, who in holders.items() if who != one.device})
        if (touch := _probabilistic_touchpoint(fair)) is not None:
            holders[touch] = one.device
        settled.append(fair)
    return settled


def _probabilistic_touchpoint(it: Credited) -> UUID | None:
    """Return the touchpoint that the opening is credited to by a guess, if it is."""
    given = it.verdict.credit
    return given.touch.id if given.touch and given.method == matching.PROBABILISTIC else None


def facts_of(credit: Credit, found: TouchpointDetails | None, **more: Any) -> AttributionFacts:
    """Return what macros say of a credit; organic without a touchpoint."""
    touch = credit.touch
    if touch is None or found is None:
        return AttributionFacts(**more)
    click = {name: str(value) for name, value in touch.params.items() if value is not None}
    return AttributionFacts(
        type=credit.type,
        method=credit.method or None,
        partner=found.partner,
        partner_id=touch.partner_id,
        partner_name=found.partner_name,
        campaign_id=click.get("campaign_id") or found.remote_campaign_id or found.campaign or None,
        campaign_name=found.campaign_name or click.get("campaign_name"),
        site_id=touch.site_id or None,
        click_id=touch.click_id or None,
        creative_name=_first(click, _CREATIVES),
        tracker_id=found.link or None,
        tracker_name=found.link_name or None,
        touched_at=touch.occurred_at,
        click=click,
        **more,
    )


def _of_reinstall(
    before: KnownInstall | None, first: datetime, at: datetime, settings: Settings
) -> AttributionFacts:
    """Credit a return without a touchpoint to whom the install before was, or to nobody."""
    own: dict[str, Any] = {
        "install_kind": InstallKind.REINSTALL.value,
        "first_installed_at": first,
        "reinstalled_at": at,
    }
    if before is None or settings.reinstall_events != "original":
        return AttributionFacts(**own)
    return replace(before.facts, **own, acquired_at=before.since)


def _first(values: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((values[name] for name in names if values.get(name)), None)


def _evidence(opening: Opening) -> InstallEvidence:
    return read_install(
        opening.event,
        is_return=opening.occasion is not OpeningKind.INSTALL,
        was_downloaded=opening.occasion is not OpeningKind.REENGAGEMENT,
    )


def _search(
    opening: Opening, evidence: InstallEvidence, ladder: SettingsByScope
) -> CandidateSearch:
    names = evidence.names
    if evidence.is_return or not allows_probabilistic(ladder):
        names = frozenset(one for one in names if identifiers.kind_of(one) != identifiers.ADDRESS)
    return CandidateSearch(
        opening.event.organization_id,
        opening.event.app.id,
        names,
        evidence.installed_at,
        opening.not_before,
        max(MOST_PER_IDENTIFIER, *(rung.most_touches_per_hour + 1 for rung in every_level(ladder))),
    )


def allows_probabilistic(ladder: SettingsByScope) -> bool:
    """Tell whether an address alone may credit an install anywhere in the app."""
    return any(
        rung.probabilistic_clicks or rung.probabilistic_impressions for rung in every_level(ladder)
    )


def _if_away_long_enough(
    opening: Opening, verdict: WaterfallVerdict, ladder: SettingsByScope
) -> WaterfallVerdict:
    """Win back only whom the winner's own settings call away; links and partners may differ."""
    touch = verdict.credit.touch
    away = opening.event.event_time - opening.install.last_seen_at
    if touch is None or away >= ladder.of(touch).inactivity:
        return verdict
    return WaterfallVerdict()
