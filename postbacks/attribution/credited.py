"""③ An opening with its verdict: the kind of install, its facts for macros, its rows for people."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from apps_registry.models import ReinstallEvents
from postbacks.attribution import reasons
from postbacks.attribution.candidates import TouchpointDetails
from postbacks.attribution.evidence import (
    Candidate,
    Credit,
    InstallEvidence,
    Settings,
    WaterfallVerdict,
)
from postbacks.attribution.openings import Opening, OpeningKind
from postbacks.models import InstallKind
from postbacks.values.attribution import AttributionFacts
from postbacks.values.touchpoints import LEFT_OUT

# The names under which links may carry the creative.
_CREATIVES = ("creative_name", "creative", "ad_name")


@dataclass(frozen=True, slots=True)
class CreditedOpening:
    """An opening with its verdict, and the details of the touchpoints that competed."""

    opening: Opening
    evidence: InstallEvidence
    settings: Settings
    verdict: WaterfallVerdict
    details: Mapping[UUID, TouchpointDetails] = field(repr=False)

    @property
    def kind(self) -> str:
        """Return the kind of the install: a touchpoint makes a return a reattribution."""
        if self.opening.kind is not OpeningKind.RETURN:
            return InstallKind.INSTALL
        has_touchpoint = self.verdict.credit.touchpoint is not None
        return InstallKind.REATTRIBUTION if has_touchpoint else InstallKind.REINSTALL

    @property
    def winner(self) -> TouchpointDetails | None:
        touchpoint = self.verdict.credit.touchpoint
        return None if touchpoint is None else self.details[touchpoint.id]

    def facts(self) -> AttributionFacts:
        """Return the credit as macros read it, with the current names."""
        credit, at = self.verdict.credit, self.opening.event.event_time
        before = self.opening.before
        if self.kind == InstallKind.INSTALL:
            return attribution_facts(credit, self.winner)
        return_facts: dict[str, Any] = {
            "install_kind": str(self.kind),
            "first_installed_at": before.first_installed_at if before else at,
        }
        if self.kind == InstallKind.REATTRIBUTION:
            return attribution_facts(credit, self.winner, **return_facts, reattributed_at=at)
        return_facts["reinstalled_at"] = at
        if before is None or self.settings.reinstall_events != ReinstallEvents.ORIGINAL:
            return AttributionFacts(**return_facts)
        return replace(before.facts, **return_facts, acquired_at=before.since)

    def candidate_rows(self) -> list[dict[str, object]]:
        """Return a row for people on every touchpoint that competed, and why it lost."""
        return [
            self._row(candidate, reasons.of_reason(candidate.reason, candidate.missed))
            for candidate in self.verdict.candidates
        ]

    def rejection_rows(self) -> list[dict[str, object]]:
        """Return a row for people on every touchpoint that was fraud and would have won."""
        return [
            self._row(fraud, reasons.of_reason(f"{reasons.REJECTED}:{fraud.reason}", fraud.missed))
            for fraud in self.verdict.rejections
        ]

    def _row(self, candidate: Candidate, sentence: str) -> dict[str, object]:
        touchpoint = candidate.touchpoint
        details = self.details[touchpoint.id]
        return {
            "touchpoint": str(touchpoint.id),
            "kind": touchpoint.kind,
            "partner": details.partner_name,
            "campaign": details.campaign_name,
            "occurred_at": touchpoint.occurred_at,
            "method": candidate.method,
            "reason": candidate.reason,
            "sentence": sentence,
            **(candidate.missed.columns() if candidate.missed else {}),
        }


def attribution_facts(
    credit: Credit, details: TouchpointDetails | None, **more: Any
) -> AttributionFacts:
    """Return a credit as macros read it; organic without a touchpoint."""
    touchpoint = credit.touchpoint
    if touchpoint is None or details is None:
        return AttributionFacts(**more)
    click = {
        name: str(value)
        for name, value in touchpoint.params.items()
        if value is not None and name != LEFT_OUT
    }
    campaign_id = click.get("campaign_id") or details.remote_campaign_id or details.campaign
    return AttributionFacts(
        type=credit.type,
        method=credit.method or None,
        partner=details.partner,
        partner_id=touchpoint.partner_id,
        partner_name=details.partner_name,
        campaign_id=campaign_id or None,
        campaign_name=details.campaign_name or click.get("campaign_name"),
        site_id=touchpoint.site_id or None,
        click_id=touchpoint.click_id or None,
        creative_name=_first(click, _CREATIVES),
        tracker_id=details.link or None,
        tracker_name=details.link_name or None,
        touched_at=touchpoint.occurred_at,
        click=click,
        **more,
    )


def _first(values: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((values[name] for name in names if values.get(name)), None)
