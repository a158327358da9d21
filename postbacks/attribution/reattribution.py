"""③ Reevaluates the credits of installs with all touchpoints that have arrived by now.

A credit changes only for the better: a touchpoint that came late outranks its winner, or its winner
has turned out to be fraud or an ambiguous probabilistic match. It never changes once the winner's
network was notified of the install: then the touchpoint is listed as `late_touch`. When touchpoints
arrive decides nothing; when they occurred does.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from postbacks.attribution import reasons, reattribution_queue, system_events
from postbacks.attribution.causes import ORIGINAL, UPGRADE, cause_of_change
from postbacks.attribution.credited import CreditedOpening
from postbacks.attribution.crediting import credit_openings
from postbacks.attribution.openings import Opening, OpeningKind
from postbacks.attribution.reattribution_queue import QueuedInstall, StoredCredit
from postbacks.attribution.recording import credit_columns
from postbacks.attribution.settings import load_settings
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import FigureKind, InstallKind
from postbacks.models.system_events import add_system_events
from postbacks.values.attribution import known_facts
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import KnownInstall

LATE_TOUCH = "late_touch"

_encoder = msgspec.json.Encoder(decimal_format="number")

_CHANGE_CREDITS = load_sql("postbacks.attribution", "change_credits", FigureKind)

_UPDATE_CANDIDATES = """
UPDATE attribution SET candidates = row.candidates, rejections = row.rejections
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
    organization_id bigint, install_id bigint, version integer, candidates jsonb, rejections jsonb
)
WHERE attribution.organization_id = row.organization_id
  AND attribution.install_id = row.install_id AND attribution.version = row.version
"""


@dataclass(frozen=True, slots=True)
class Reevaluation:
    """An install's stored credit beside the current credit, and the cause of a change."""

    stored: StoredCredit
    event: StoredEvent
    credited: CreditedOpening
    cause: str  # empty if the credit stays

    @property
    def losing_partner_id(self) -> int | None:
        """Return the partner who would lose the install."""
        return self.stored.install.facts.partner_id if self.cause else None


@dataclass(frozen=True, slots=True)
class CreditChange:
    """An install with its new credit, and the event that began it."""

    event: StoredEvent
    install: KnownInstall


def reevaluate(queued: Sequence[QueuedInstall]) -> list[Reevaluation]:
    """Return the current credit of each install for which a touchpoint may have arrived."""
    openings = [
        (
            stored,
            Opening(stored.event, _opening_kind(stored.install), stored.install, stored.before),
        )
        for stored in reattribution_queue.load_stored_credits(
            install.install_id for install in queued if not install.is_quiet
        )
        if stored.event is not None  # retention may have dropped it
    ]
    settings = load_settings((stored.organization_id, stored.app_id) for stored, _ in openings)
    results = credit_openings([opening for _, opening in openings], settings)
    return [
        Reevaluation(stored, opening.event, credited, _cause(stored.install, credited))
        for (stored, opening), credited in zip(openings, results, strict=True)
    ]


def save_changes(
    reevaluations: Sequence[Reevaluation],
    queued: Sequence[QueuedInstall],
    *,
    already_notified: Container[int],
    now: datetime,
) -> list[CreditChange]:
    """Save the new credits, and when each install is reevaluated next.

    `already_notified` holds our ids of the events that began installs and that the winner's network
    was notified of: their credits stay.
    """
    changing = [r for r in reevaluations if r.cause and r.event.id not in already_notified]
    staying = [r for r in reevaluations if not r.cause or r.event.id in already_notified]
    _change_credits(changing)
    _update_candidates(staying)
    system_events.emit_rejections(r.credited for r in reevaluations)
    changes = [_credit_change(reevaluation) for reevaluation in changing]
    add_system_events(
        [
            system_events.attribution_updated(
                change.event, change.install, before=r.stored.install.facts, at=now
            )
            for r, change in zip(changing, changes, strict=True)
        ]
    )
    reattribution_queue.finalize(i.install_id for i in queued if i.is_over)
    reattribution_queue.await_late_touchpoints(i.install_id for i in queued if not i.is_over)
    return changes


def _opening_kind(install: KnownInstall) -> OpeningKind:
    is_first = install.kind == InstallKind.INSTALL
    return OpeningKind.INSTALL if is_first else OpeningKind.RETURN


def _cause(install: KnownInstall, credited: CreditedOpening) -> str:
    """Return why the credit changes; empty if it stays."""
    if install.kind != InstallKind.REINSTALL:
        return cause_of_change(install.touchpoint, credited.verdict)
    winner = credited.verdict.credit.touchpoint
    if winner is not None:
        return UPGRADE if winner.id != install.touchpoint else ""
    continued = credit_columns(credited, credited.facts())["touchpoint"]
    return ORIGINAL if continued != install.touchpoint else ""


def _change_credits(reevaluations: Iterable[Reevaluation]) -> None:
    rows = [_new_version(reevaluation) for reevaluation in reevaluations]
    if rows:
        prepared.run(_CHANGE_CREDITS, {"rows": _encoder.encode(rows).decode()})


def _new_version(reevaluation: Reevaluation) -> dict[str, object]:
    stored, credited = reevaluation.stored, reevaluation.credited
    facts = credited.facts()
    return {
        **credit_columns(credited, facts),
        "install_id": stored.install.id,
        "organization_id": stored.organization_id,
        "version": stored.install.version + 1,
        "kind": credited.kind,
        "cause": reevaluation.cause,
        "facts": known_facts(facts),
        "candidates": credited.candidate_rows(),
        "rejections": credited.rejection_rows(),
        "remarks": credited.verdict.remarks,
    }


def _update_candidates(reevaluations: Iterable[Reevaluation]) -> None:
    """Add the touchpoints that have arrived and lost to the credits that stay."""
    rows = [row for reevaluation in reevaluations if (row := _further_candidates(reevaluation))]
    if rows:
        prepared.run(_UPDATE_CANDIDATES, {"rows": _encoder.encode(rows).decode()})


def _further_candidates(reevaluation: Reevaluation) -> dict[str, object] | None:
    stored = reevaluation.stored
    candidates = _with_new(stored.candidates, _losers(reevaluation))
    rejections = _with_new(stored.rejections, reevaluation.credited.rejection_rows())
    if (candidates, rejections) == (stored.candidates, stored.rejections):
        return None
    return {
        "organization_id": stored.organization_id,
        "install_id": stored.install.id,
        "version": stored.install.version,
        "candidates": candidates,
        "rejections": rejections,
    }


def _losers(reevaluation: Reevaluation) -> list[dict[str, object]]:
    """Return the candidates where the credit stays: one that would win came too late."""
    rows = reevaluation.credited.candidate_rows()
    winner = reevaluation.credited.verdict.credit.touchpoint
    if winner is None or winner.id == reevaluation.stored.install.touchpoint:
        return rows
    late = {"reason": LATE_TOUCH, "sentence": reasons.of_reason(LATE_TOUCH)}
    return [{**row, **late} if row["touchpoint"] == str(winner.id) else row for row in rows]


def _with_new(
    stored: list[dict[str, object]], rows: list[dict[str, object]]
) -> list[dict[str, object]]:
    ids = {row["touchpoint"] for row in stored}
    return [*stored, *(row for row in rows if row["touchpoint"] not in ids)]


def _credit_change(reevaluation: Reevaluation) -> CreditChange:
    install, credited = reevaluation.stored.install, reevaluation.credited
    changed = replace(
        install, kind=credited.kind, version=install.version + 1, facts=credited.facts()
    )
    return CreditChange(reevaluation.event, changed)
