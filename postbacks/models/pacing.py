"""Copies a rule's limits to the table that the queue reads."""

from datetime import UTC, datetime

from postbacks.models.postbacks import DuePostback
from postbacks.models.rules import CallbackRule, RulePace


def keep_pace(rule: CallbackRule) -> None:
    """Store a rule's limits; its queued postbacks are claimed by them from now on.

    The row stays after the limits are lifted, since queued postbacks still look it up; without
    limits it holds nothing back.
    """
    is_paced = rule.rate_limit_per_second is not None or rule.max_in_flight is not None
    before = RulePace.objects.filter(pk=rule.pk).first()
    if before is None and not is_paced:
        return
    limits = (rule.rate_limit_per_second, rule.max_in_flight)
    if before is not None and (before.rate_limit_per_second, before.max_in_flight) == limits:
        return
    RulePace.objects.update_or_create(
        pk=rule.pk,
        defaults={"rate_limit_per_second": limits[0], "max_in_flight": limits[1]},
        create_defaults={
            "rate_limit_per_second": limits[0],
            "max_in_flight": limits[1],
            "next_at": datetime.now(UTC),
        },
    )
    if is_paced:
        DuePostback.objects.filter(rule=rule, paced=False).update(paced=True)
