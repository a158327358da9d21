"""The outcomes of touchpoints: which earned an install, which lost or were rejected, and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import F, TextChoices

from postbacks.attribution import reasons
from postbacks.models import Attribution, Install, InstallKey, Touchpoint
from postbacks.values import identifiers
from postbacks.values.uuid7 import uuid_or_none

_MOST_INSTALLS = 500  # that one page of touchpoints is compared with, the newest first


class TouchpointStatus(TextChoices):
    """What a touchpoint has come to."""

    CREDITED = "credited", "Credited"
    LOST = "lost", "Lost"
    REJECTED = "rejected", "Rejected"
    UNMATCHED = "unmatched", "No install"


@dataclass(frozen=True, slots=True)
class TouchpointOutcome:
    """What a touchpoint has come to, and the install that it was considered for, if any.

    `reason` is a code of `attribution.reasons`, empty without an install.
    """

    status: TouchpointStatus
    reason: str = ""
    sentence: str = (
        "No install is known that it could have led to. If one comes within its window, it counts."
    )
    install: Install | None = None


def outcomes_of(touchpoints: Sequence[Touchpoint]) -> dict[UUID, TouchpointOutcome]:
    """Return what each has come to, by its public ID, with as many statements for many as for one.

    An install that only had its address in common is found until its credit is final.
    """
    decisions = _decisions_about(touchpoints)
    considered: dict[UUID, TouchpointOutcome] = {}
    for decision in decisions:
        for public_id, outcome in _verdicts(decision):
            known = considered.get(public_id)
            if known is None or known.status != TouchpointStatus.CREDITED:
                considered[public_id] = outcome
    return {
        touchpoint.public_id: _refusal(touchpoint)
        or considered.get(touchpoint.public_id)
        or TouchpointOutcome(TouchpointStatus.UNMATCHED)
        for touchpoint in touchpoints
    }


def _refusal(touchpoint: Touchpoint) -> TouchpointOutcome | None:
    if not touchpoint.refused:
        return None
    code = touchpoint.refused
    return TouchpointOutcome(TouchpointStatus.REJECTED, code, reasons.of_fraud(code))


def _decisions_about(touchpoints: Sequence[Touchpoint]) -> Sequence[Attribution]:
    """Return the current decisions on installs that touchpoints may have led to, the first last."""
    credited = Install.objects.filter(touchpoint__in=[row.public_id for row in touchpoints])
    keys = {
        identifiers.key_of(row.app_id, spelling)
        for row in touchpoints
        for name in row.names
        for spelling in identifiers.spellings(str(name))
    }
    named = InstallKey.objects.filter(
        app_id__in={row.app_id for row in touchpoints}, key__in=keys
    ).order_by("-install_id")
    installs = {
        *credited.order_by("pk").values_list("pk", flat=True)[:_MOST_INSTALLS],
        *named.values_list("install_id", flat=True)[:_MOST_INSTALLS],
    }
    current = Attribution.objects.filter(
        install__in=installs, version=F("install__attribution_version")
    )
    return list(current.order_by("-install_id").prefetch_related("install__partner"))


def _verdicts(decision: Attribution) -> Iterator[tuple[UUID, TouchpointOutcome]]:
    """Yield what a decision says of each touchpoint that it names."""
    for row, status in judged_touchpoints(decision):
        public_id = uuid_or_none(str(row.get("touchpoint")))
        if public_id is not None:
            reason = str(row.get("reason") or "").rpartition(":")[2]
            sentence = str(row.get("sentence") or "")
            yield public_id, TouchpointOutcome(status, reason, sentence, decision.install)


def judged_touchpoints(
    decision: Attribution,
) -> Iterator[tuple[Mapping[str, Any], TouchpointStatus]]:
    """Yield a decision's row on each touchpoint that it names, with what the touchpoint came to."""
    for row in json_objects(decision.candidates):
        prefix, _, reason = str(row.get("reason") or "").rpartition(":")
        if prefix == reasons.REJECTED:
            yield row, TouchpointStatus.REJECTED
        elif reason == reasons.WON:
            yield row, TouchpointStatus.CREDITED
        else:
            yield row, TouchpointStatus.LOST
    for row in json_objects(decision.rejections):
        yield row, TouchpointStatus.REJECTED


def json_objects(stored: object) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a JSON list; erased values are skipped."""
    for row in stored if isinstance(stored, list) else ():
        if isinstance(row, Mapping):
            yield row
