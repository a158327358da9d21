"""③ Looks at credits again, with all touchpoints that are known by now.

A credit changes only for the better: a touchpoint that came late outranks its winner, or its winner
has turned out to be fraud or only one of several guesses. It never changes once the winner's
network was told of the install: then the touchpoint is noted as `late_touch`. What the touchpoint's
time decides, its arrival does not.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from postbacks.attribution import reasons, reattribution_queue, system_events
from postbacks.attribution.causes import ORIGINAL, UPGRADE, cause_of_change
from postbacks.attribution.crediting import Credited, credit
from postbacks.attribution.openings import Opening, OpeningKind
from postbacks.attribution.reattribution_queue import QueuedInstall, StoredCredit
from postbacks.attribution.recording import credit_columns
from postbacks.attribution.settings import load_settings
from postbacks.infrastructure.database import prepared
from postbacks.models import InstallKind
from postbacks.models.system_events import add_system_events
from postbacks.values.attribution import known_facts
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import KnownInstall

LATE_TOUCH = "late_touch"

_encoder = msgspec.json.Encoder(decimal_format="number")

_CHANGE = """
WITH input AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
        install_id bigint, organization_id bigint, version integer, kind text, cause text,
        attribution_type text, method text, partner_id bigint, campaign_id bigint, link_id bigint,
        touchpoint uuid, touched_at timestamptz, window_seconds integer, facts jsonb,
        candidates jsonb, rejections jsonb, remarks jsonb
    )
), changed AS (
    UPDATE install SET
        kind = input.kind, attribution_type = input.attribution_type,
        attribution_version = input.version, method = input.method,
        partner_id = input.partner_id, campaign_id = input.campaign_id, link_id = input.link_id,
        touchpoint = input.touchpoint, touched_at = input.touched_at
    FROM input WHERE install.id = input.install_id
)
INSERT INTO attribution (
    organization_id, install_id, version, decided_at, cause, type, method, partner_id,
    campaign_id, link_id, touchpoint, touched_at, window_seconds, facts, candidates, rejections,
    remarks
)
SELECT organization_id, install_id, version, now(), cause, attribution_type, method, partner_id,
       campaign_id, link_id, touchpoint, touched_at, window_seconds, facts, candidates, rejections,
       remarks
FROM input
"""

_NOTE = """
UPDATE attribution SET candidates = row.candidates, rejections = row.rejections
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
    organization_id bigint, install_id bigint, version integer, candidates jsonb, rejections jsonb
)
WHERE attribution.organization_id = row.organization_id
  AND attribution.install_id = row.install_id AND attribution.version = row.version
"""


@dataclass(frozen=True, slots=True)
class Reevaluation:
    """A second look at an install: what it is credited to now, and why that would change it."""

    now: StoredCredit
    event: StoredEvent
    credited: Credited
    cause: str

    @property
    def loser(self) -> int | None:
        """Return the partner who would lose the install."""
        return self.now.install.facts.partner_id if self.cause else None


@dataclass(frozen=True, slots=True)
class CreditChange:
    """An install with its new credit, and the event that began it."""

    event: StoredEvent
    install: KnownInstall


def reevaluate(taken: Sequence[QueuedInstall]) -> list[Reevaluation]:
    """Return a look at each install that something may have come for."""
    standings = reattribution_queue.load_credits(it.install_id for it in taken if not it.is_quiet)
    openings = [
        (it, Opening(it.event, _occasion(it.install), it.install, it.before))
        for it in standings
        if it.event is not None  # it may have left with its day
    ]
    ladders = load_settings((it.organization_id, it.app_id) for it, _ in openings)
    credited = credit([opening for _, opening in openings], ladders)
    return [
        Reevaluation(standing, opening.event, it, _cause(standing, it))
        for (standing, opening), it in zip(openings, credited, strict=True)
    ]


def save_changes(
    looks: Sequence[Reevaluation],
    told: Container[int],
    taken: Sequence[QueuedInstall],
    *,
    now: datetime,
) -> list[CreditChange]:
    """Write what the looks have changed, and when each install is looked at next.

    `told` are our numbers of the events that began installs and of which the winner was told.
    """
    changing = [it for it in looks if it.cause and it.event.id not in told]
    _change(changing)
    _note(it for it in looks if not it.cause or it.event.id in told)
    system_events.emit_rejections([it.credited for it in looks])
    changes = [_as_change(it) for it in changing]
    add_system_events(
        [
            system_events.attribution_updated(
                change.event, change.install.public_id, change.install.version,
                now=change.install.facts, before=it.now.install.facts, at=now,
            )
            for it, change in zip(changing, changes, strict=True)
        ]
    )  # fmt: skip
    reattribution_queue.finalize(it.install_id for it in taken if it.is_over)
    reattribution_queue.await_late_touchpoints(it.install_id for it in taken if not it.is_over)
    return changes


def _occasion(install: KnownInstall) -> OpeningKind:
    return OpeningKind.INSTALL if install.kind == InstallKind.INSTALL else OpeningKind.RETURN


def _cause(now: StoredCredit, credited: Credited) -> str:
    """Return why the credit changes; empty if it stays."""
    held, touch = now.install.touchpoint, credited.verdict.credit.touch
    if now.install.kind != InstallKind.REINSTALL:
        return cause_of_change(held, credited.verdict)
    if touch is None:
        return ORIGINAL if credit_columns(credited, credited.facts())["touchpoint"] != held else ""
    return UPGRADE if touch.id != held else ""


def _change(looks: Iterable[Reevaluation]) -> None:
    rows = [
        {
            **credit_columns(it.credited, (facts := it.credited.facts())),
            "install_id": it.now.install.id,
            "organization_id": it.now.organization_id,
            "version": it.now.install.version + 1,
            "kind": it.credited.kind,
            "cause": it.cause,
            "facts": known_facts(facts),
            "candidates": it.credited.candidates(),
            "rejections": it.credited.rejections(),
            "remarks": it.credited.verdict.remarks,
        }
        for it in looks
    ]
    if rows:
        prepared.run(_CHANGE, {"rows": _encoder.encode(rows).decode()})


def _note(looks: Iterable[Reevaluation]) -> None:
    """Add to the credits that stay what has come for them and lost."""
    rows = [row for it in looks if (row := _news(it))]
    if rows:
        prepared.run(_NOTE, {"rows": _encoder.encode(rows).decode()})


def _news(it: Reevaluation) -> dict[str, object] | None:
    candidates = _added(it.now.candidates, _losers(it))
    rejections = _added(it.now.rejections, it.credited.rejections())
    if (candidates, rejections) == (it.now.candidates, it.now.rejections):
        return None
    return {
        "organization_id": it.now.organization_id,
        "install_id": it.now.install.id,
        "version": it.now.install.version,
        "candidates": candidates,
        "rejections": rejections,
    }


def _losers(it: Reevaluation) -> list[dict[str, object]]:
    """Return the candidates as they are seen where the credit stays: who would win came late."""
    rows = it.credited.candidates()
    touch = it.credited.verdict.credit.touch
    if touch is None or touch.id == it.now.install.touchpoint:
        return rows
    late = {"reason": LATE_TOUCH, "sentence": reasons.of_reason(LATE_TOUCH)}
    return [{**row, **late} if row["touchpoint"] == str(touch.id) else row for row in rows]


def _added(
    known: list[dict[str, object]], found: list[dict[str, object]]
) -> list[dict[str, object]]:
    ids = {row["touchpoint"] for row in known}
    return [*known, *(row for row in found if row["touchpoint"] not in ids)]


def _as_change(it: Reevaluation) -> CreditChange:
    install, facts = it.now.install, it.credited.facts()
    return CreditChange(
        it.event,
        replace(install, kind=it.credited.kind, version=install.version + 1, facts=facts),
    )
