"""Compares what was promised with what the stand-in saw and what the log says.

The expectation comes from the accepted events and from the rules, without the database.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.damage import Wound
from tests.chaos.installation import Installation, Seen
from tests.chaos.traffic import Traffic

_DEATH = re.compile(r"(\S+) has died: of (\d+) claimed postbacks it may have sent (\d+)")
_POSTBACKS = """
    SELECT postback.public_id::text, postback.status, event.event_id::text
    FROM postback JOIN event ON event.id = postback.event_id
        AND event.received_at = postback.event_received_at
"""
_MOST_EVIDENCE = 50
_EVIDENCE = """
    SELECT postback.ctid::text, postback.xmin::text, postback.xmax::text, to_jsonb(postback),
        (SELECT jsonb_agg(to_jsonb(attempt) - 'request' - 'response')
         FROM delivery_attempt AS attempt WHERE attempt.postback_id = postback.id),
        (SELECT jsonb_agg(due) FROM due_postback AS due WHERE due.postback_id = postback.id)
    FROM postback WHERE public_id = %s::uuid
"""
_ATTEMPTS = """
    SELECT postback.public_id::text, attempt.number, attempt.outcome, attempt.status_code
    FROM delivery_attempt AS attempt JOIN postback ON postback.id = attempt.postback_id
        AND postback.event_received_at = attempt.event_received_at
    ORDER BY 1, 2
"""


@dataclass(slots=True)
class Verdict:
    """The figures of a run, and the promises that it broke, a sentence each."""

    figures: dict[str, object] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    evidence: list[tuple[object, ...]] = field(default_factory=list)  # rows, as they are

    def require(self, holds: bool, sentence: str) -> None:
        if not holds:
            self.broken.append(sentence)


@dataclass(slots=True)
class _Log:
    """The attempts of one postback, as the delivery log has them."""

    numbers: list[int] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    answered: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run is held to besides losing nothing."""

    mid_batch: int  # pumps that were killed with requests on the wire, at least
    recovery_seconds: float


def judge(
    installation: Installation, traffic: Traffic, wounds: Sequence[Wound], limits: Limits
) -> Verdict:
    """Judge a run whose queue is empty, or has had its time to become so."""
    verdict = Verdict()
    seen = installation.look()
    expected = traffic.expected()
    statuses = {
        key: status
        for key, status, event in installation.query(_POSTBACKS)
        if event in traffic.accepted_at
    }
    waiting = installation.query(
        "SELECT (SELECT count(*) FROM due_postback), (SELECT count(*) FROM undecided_event),"
        " (SELECT count(*) FROM decision_failure)"
    )[0]
    logs = _read_logs(installation)
    requests = Counter(each.key for each in seen)
    accepted = Counter(each.key for each in seen if each.is_accepted)
    twice = {key: times - 1 for key, times in accepted.items() if times > 1}
    interrupted = sum(log.outcomes["interrupted"] for log in logs.values())
    deaths = deaths_in(installation.logs)
    lost = expected - {(each.event, each.path) for each in seen if each.is_accepted}
    stuck = Counter(status for status in statuses.values() if status != "delivered")

    verdict.figures |= {
        "events": len(traffic.accepted_at),
        "requests tried again by the senders": traffic.unanswered,
        "postbacks expected": len(expected),
        "postbacks": len(statuses),
        "delivered": sum(status == "delivered" for status in statuses.values()),
        "requests seen by the stand-in": len(seen),
        "attempts logged": sum(len(log.numbers) for log in logs.values()),
        "interrupted": interrupted,
        "lost": len(lost),
        "stuck": sum(stuck.values()) + sum(waiting),
        "sent twice": sum(twice.values()),
        "pumps that died": len(deaths),
        "claimed when they died": sum(claimed for claimed, _ in deaths.values()),
        "in flight when they died": sum(begun for _, begun in deaths.values()),
    }
    verdict.require(not lost, f"{len(lost)} postbacks never reached the stand-in: {_some(lost)}")
    verdict.require(
        len(statuses) == len(expected), f"{len(statuses)} postbacks, {len(expected)} expected"
    )
    verdict.require(not stuck, f"not delivered: {dict(stuck)}")
    verdict.require(not any(waiting), f"(due, undecided, failed to decide) at the end: {waiting}")
    unlogged = {
        key
        for key, times in requests.items()
        if times > len(logs[key].numbers if key in logs else [])
    }
    verdict.require(not unlogged, f"{len(unlogged)} postbacks' requests are in no row")
    unseen = {key for key, log in logs.items() if log.answered > requests[key]}
    verdict.require(not unseen, f"{len(unseen)} logged answers that the stand-in never gave")
    unexplained = {
        key
        for key, times in twice.items()
        if times > (logs[key].outcomes["interrupted"] if key in logs else 0)
    }
    verdict.require(
        not unexplained,
        f"{len(unexplained)} postbacks were sent again without an interrupted attempt:"
        f" {_some(unexplained)}",
    )
    disorder = {
        key
        for key, log in logs.items()
        if log.numbers != list(range(1, len(log.numbers) + 1)) or log.outcomes["delivered"] > 1
    }
    verdict.require(not disorder, f"{len(disorder)} postbacks whose attempts are out of order")
    for key in sorted(
        {key for key, status in statuses.items() if status != "delivered"}
        | unlogged
        | unseen
        | unexplained
        | disorder
    )[:_MOST_EVIDENCE]:
        verdict.evidence.append(("requests", key, requests[key], accepted[key]))
        verdict.evidence += installation.query(_EVIDENCE, key)
    _judge_wounds(verdict, wounds, deaths, limits)
    return verdict


def _judge_wounds(
    verdict: Verdict,
    wounds: Sequence[Wound],
    deaths: dict[str, tuple[int, int]],
    limits: Limits,
) -> None:
    for wound in wounds:
        for what, seconds in (
            ("delivery went on", wound.recovered_in),
            ("the claims came back", wound.returned_in),
        ):
            if what == "the claims came back" and wound.claims is None:
                continue
            verdict.require(
                seconds is not None and seconds <= limits.recovery_seconds,
                f"{wound.kind}: {what} {'never' if seconds is None else f'after {seconds:.1f} s'}",
            )
        if wound.pump in deaths and wound.in_flight is not None:
            begun = deaths[wound.pump][1]
            verdict.require(
                begun <= wound.in_flight,
                f"{wound.pump}: {begun} interrupted, {wound.in_flight} were in flight",
            )
    in_batch = [wound for wound in wounds if wound.in_flight]
    verdict.figures["pumps killed in the middle of a batch"] = len(in_batch)
    verdict.figures["in flight at these kills"] = sum(w.in_flight or 0 for w in in_batch)
    verdict.figures["longest recovery, seconds"] = _longest([w.recovered_in for w in wounds])
    verdict.figures["longest until claims came back, seconds"] = _longest(
        [w.returned_in for w in wounds]
    )
    verdict.require(
        len(in_batch) >= limits.mid_batch,
        f"only {len(in_batch)} pumps were killed in the middle of a batch, not {limits.mid_batch}",
    )


def deaths_in(logs: Path) -> dict[str, tuple[int, int]]:
    """Return what the workers' logs say of dead pumps: name, postbacks claimed and begun."""
    return {
        name: (int(claimed), int(begun))
        for log in sorted(logs.glob("worker*.log"))
        for name, claimed, begun in _DEATH.findall(log.read_text(errors="replace"))
    }


def _read_logs(installation: Installation) -> dict[str, _Log]:
    logs: dict[str, _Log] = {}
    for key, number, outcome, status_code in installation.query(_ATTEMPTS):
        log = logs.setdefault(key, _Log())
        log.numbers.append(number)
        log.outcomes[outcome] += 1
        log.answered += status_code is not None
    return logs


def _longest(durations: Sequence[float | None]) -> float:
    return round(max((seconds for seconds in durations if seconds is not None), default=0.0), 1)


def _some(things: set) -> str:
    return ", ".join(map(str, sorted(things)[:3]))


def seen_after(seen: Sequence[Seen], traffic: Traffic, moment: float) -> float | None:
    """Return when a partner first got a postback of an event posted after a moment."""
    first = None
    for each in reversed(seen):  # in the order of their moments
        if each.at <= moment:
            break
        if traffic.posted_at.get(each.event, 0.0) > moment:
            first = each.at
    return first
