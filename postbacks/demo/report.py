"""The figures of a finite run, and whether they are right."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from postbacks.demo.expected import Expectation
from postbacks.demo.sdk import Answer
from postbacks.demo.summary import Outcome


@dataclass(frozen=True, slots=True)
class Report:
    """What a run came to: figures by name (contract, section 1) and claims that must hold."""

    figures: Mapping[str, int | float]
    claims: Mapping[str, bool]

    @classmethod
    def of(
        cls,
        expectation: Expectation,
        answers: Sequence[Answer],
        outcome: Outcome,
        accepted: Mapping[str, int],
    ) -> Self:
        """Put together what the simulator, the API, the database and the stand-in each counted."""
        figures: dict[str, int | float] = {
            "sent_events": expectation.sent_events,
            "expected_postbacks": expectation.postbacks,
            "events": sum(answer.accepted for answer in answers),
            "duplicates": sum(answer.duplicates for answer in answers),
            "rejected": sum(answer.rejected for answer in answers),
            "installs": outcome.installs,
            "attributed": outcome.attributed,
            "postbacks": outcome.postbacks,
            "delivered": outcome.delivered,
            "failed": outcome.failed,
            "skipped": outcome.skipped,
            "received_by_partner": len(accepted),
            "received_twice": sum(times > 1 for times in accepted.values()),
            "p50_ms": outcome.p50_ms,
            "p99_ms": outcome.p99_ms,
        }
        accounted = figures["events"] + figures["duplicates"] + figures["rejected"]
        claims = {
            "The number of postbacks is the expected one": (
                outcome.postbacks == expectation.postbacks
            ),
            "Every event is accounted for": expectation.sent_events == accounted,
            "What we call delivered is what the stand-in accepted": (
                outcome.delivered_ids == frozenset(accepted)
            ),
        }
        return cls(figures, claims)

    @property
    def is_right(self) -> bool:
        """Tell whether every claim holds."""
        return all(self.claims.values())

    @property
    def table(self) -> str:
        """Return the figures and claims for people."""
        width = max(map(len, self.figures))
        lines = [f"  {name:<{width}}  {figure:>10,}" for name, figure in self.figures.items()]
        lines += [f"  {'✓' if holds else '✗'} {claim}." for claim, holds in self.claims.items()]
        return "\n".join(lines)

    @property
    def as_json(self) -> str:
        """Return the figures for programs, in one line."""
        return json.dumps(self.figures)
