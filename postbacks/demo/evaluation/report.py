"""The report of a finite run: its figures, and whether they are as expected."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from postbacks.demo.evaluation.expected import Expectation
from postbacks.demo.evaluation.measured import MeasuredOutcome, PartnerReceipts
from postbacks.demo.sending.sdk_client import EventsAnswer

_MAX_LISTED_IDS = 5


@dataclass(frozen=True, slots=True)
class RunReport:
    """The figures of a run, by the names in its JSON, and the claims that must hold.

    `by_network` counts the installs that each network earned and those it was notified of;
    `differences` describe deviations from the expectation.
    """

    figures: Mapping[str, int | float]
    by_network: Mapping[str, Mapping[str, int]]
    claims: Mapping[str, bool]
    differences: tuple[str, ...]

    @classmethod
    def of(
        cls,
        expectation: Expectation,
        answers: Sequence[EventsAnswer],
        outcome: MeasuredOutcome,
        received: PartnerReceipts,
        *,
        scenarios: Mapping[str, str] = MappingProxyType({}),
    ) -> Self:
        """Compare the figures of the simulator, the API, the database and the stand-in.

        `scenarios`, by click id, are named in the differences.
        """
        figures: dict[str, int | float] = {
            "sent_events": expectation.sent_events,
            "expected_postbacks": expectation.postbacks,
            "events": sum(answer.accepted for answer in answers),
            "duplicates": sum(answer.duplicates for answer in answers),
            "rejected": sum(answer.rejected for answer in answers),
            "clicks": outcome.clicks,
            "impressions": outcome.impressions,
            "installs": outcome.installs,
            "attributed": outcome.attributed,
            "attributed_truth": expectation.attributed,
            "comebacks": outcome.comebacks,
            "rejected_installs": outcome.rejected_installs,
            "skan_postbacks": outcome.skan_postbacks,
            "postbacks": outcome.postbacks,
            "delivered": outcome.delivered,
            "failed": outcome.failed,
            "skipped": outcome.skipped,
            "received_by_partner": len(received.times),
            "received_twice": sum(times > 1 for times in received.times.values()),
            "p50_ms": outcome.p50_ms,
            "p99_ms": outcome.p99_ms,
        }
        accounted = figures["events"] + figures["duplicates"] + figures["rejected"]
        claims = {
            "The number of postbacks is the expected one": (
                outcome.postbacks == expectation.postbacks
            ),
            "Each rule sent as many postbacks as expected": not any(
                _rule_differences(expectation, outcome)
            ),
            "Every event is accounted for": expectation.sent_events == accounted,
            "What we call delivered is what the stand-in accepted": (
                outcome.delivered_ids == frozenset(received.times)
            ),
            "The number of attributed installs is the true one": (
                outcome.attributed == expectation.attributed
            ),
            "Every fraud that would have won is rejected and reported": (
                outcome.rejected_installs == expectation.refused
            ),
            "Each copy that Apple signed counts once, and no other": (
                outcome.skan_postbacks == expectation.skan_postbacks
            ),
            "Each network was notified of exactly its installs, by its own click ids": (
                received.notified == expectation.earned
            ),
        }
        by_network = {
            name: {"earned": len(earned), "told": len(received.notified[name])}
            for name, earned in expectation.earned.items()
        }
        differences = (
            *_rule_differences(expectation, outcome),
            *_network_differences(expectation, received, scenarios),
        )
        return cls(figures, by_network, claims, differences)

    @property
    def is_right(self) -> bool:
        return all(self.claims.values())

    @property
    def table(self) -> str:
        """Return figures, claims and differences as a table for people."""
        width = max(map(len, (*self.figures, *self.by_network)))
        lines = [f"  {name:<{width}}  {figure:>10,}" for name, figure in self.figures.items()]
        lines += [
            f"  {name:<{width}}  {counts['earned']:>10,} installs earned, "
            f"{counts['told']:,} notified"
            for name, counts in self.by_network.items()
        ]
        lines += [f"  {'✓' if holds else '✗'} {claim}." for claim, holds in self.claims.items()]
        lines += [f"    {difference}" for difference in self.differences]
        return "\n".join(lines)

    @property
    def as_json(self) -> str:
        return json.dumps({**self.figures, "by_network": self.by_network})


def _rule_differences(expectation: Expectation, outcome: MeasuredOutcome) -> Iterator[str]:
    for name, expected in expectation.by_rule.items():
        if (count := outcome.by_rule.get(name, 0)) != expected:
            yield f"{name}: {count:,} postbacks, expected {expected:,}"


def _network_differences(
    expectation: Expectation, received: PartnerReceipts, scenarios: Mapping[str, str]
) -> Iterator[str]:
    for name, earned in expectation.earned.items():
        for what, ids in (
            ("was not told of", earned - received.notified[name]),
            ("was told by mistake of", received.notified[name] - earned),
        ):
            if ids:
                listed = ", ".join(
                    f"{click_id} ({scenarios.get(click_id, 'unknown')})"
                    for click_id in sorted(ids)[:_MAX_LISTED_IDS]
                )
                yield f"{name} {what} {len(ids):,} installs: {listed}"
