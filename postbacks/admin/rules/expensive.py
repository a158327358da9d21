"""Rules whose conditions took too long for an event, as those who set them up are told.

A newer version of a rule is judged anew, so that the notice goes as soon as the rule is changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import F, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from apps_registry.admin_base.permissions import allowed, membership_of
from apps_registry.roles import Right
from postbacks.insights.overview.log_links import list_url
from postbacks.models import CallbackRule, PostbackStatus, RuleStatus, SkipReason
from postbacks.models.rules import EXPENSIVE_REMEDY

_SHOWN_FOR: Final = timedelta(days=7)
_MOST_SHOWN: Final = 10
_BEFORE: Final = timedelta(days=1)  # from when on it skips is not kept, only the newest time


@dataclass(frozen=True, slots=True)
class ExpensiveRule:
    """A rule that skips events, with the way to its conditions and to what was skipped."""

    rule: CallbackRule
    at: datetime
    milliseconds: int
    may_set_up: bool
    remedy: str = EXPENSIVE_REMEDY

    @property
    def conditions_url(self) -> str:
        return (
            reverse("admin:postbacks_callbackrule_change", args=[self.rule.pk])
            + "#id_condition_lines"
        )

    @property
    def skipped_url(self) -> str:
        return list_url(
            "postback",
            rule=str(self.rule.pk),
            status=PostbackStatus.SKIPPED,
            reason=SkipReason.RULE_TOO_EXPENSIVE,
            since=(self.at - _BEFORE).isoformat(timespec="seconds"),
        )


def expensive_rules(request: HttpRequest, of: Q) -> Sequence[ExpensiveRule]:
    """Return those of some rules whose current version was too expensive, the newest first."""
    rules = (
        CallbackRule.objects.filter(of, expensive_version=F("version"))
        .exclude(status=RuleStatus.ARCHIVED)
        .select_related("partner")
        .order_by("-expensive_at", "pk")
    )
    may_set_up = allowed(request, Right.SET_UP)
    return [
        ExpensiveRule(rule, rule.expensive_at, rule.expensive_ms or 0, may_set_up)
        for rule in rules[:_MOST_SHOWN]
        if rule.expensive_at is not None
    ]


def expensive_of_overview(request: HttpRequest) -> dict[str, object]:
    """Return what the Overview shows of them: those of the last days."""
    if membership_of(request) is None:
        return {}
    recent = Q(expensive_at__gte=timezone.now() - _SHOWN_FOR)
    return {"expensive_rules": expensive_rules(request, recent)}
