"""Why a rule was suspended, since when, and what waits for it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.urls import reverse

from apps_registry.tenancy import current_organization
from postbacks.delivery.outcome import Outcome
from postbacks.models import CallbackRule, DuePostback, RuleStatus

MOST_COUNTED = 10_000
_LOOKED_BACK = timedelta(days=7)
_LOOKED_AT = 500  # failed attempts of the organization's newest events

# `outcome <> 'delivered'` stands as in the partial index that serves it.
_READ = f"""
SELECT max(attempt.started_at)
FROM (
    SELECT postback_id, event_received_at, started_at, status_code FROM delivery_attempt
    WHERE organization_id = %(organization)s AND outcome <> '{Outcome.DELIVERED}'
      AND event_received_at > %(since)s AND event_received_at <= %(until)s
    ORDER BY event_received_at DESC, id DESC LIMIT {_LOOKED_AT}
) AS attempt
JOIN postback
  ON postback.organization_id = %(organization)s
 AND postback.event_received_at = attempt.event_received_at
 AND postback.id = attempt.postback_id
 AND postback.event_received_at > %(since)s AND postback.event_received_at <= %(until)s
WHERE attempt.status_code = 410 AND postback.rule_id = %(rule)s AND NOT postback.test
"""  # noqa: S608  # only our own words are put in


@dataclass(frozen=True, slots=True)
class Suspension:
    """This is what the banner says. `since` is None where the answer is too long ago to be found;
    at most MOST_COUNTED postbacks are counted.
    """

    since: datetime | None
    waiting: str
    log_url: str

    @property
    def is_one(self) -> bool:
        """Tell whether a single postback waits."""
        return self.waiting == "1"


def suspension_of(rule_id: int) -> Suspension | None:
    """Return what there is to say of a suspended rule; None for any other."""
    if not CallbackRule.objects.filter(pk=rule_id, status=RuleStatus.SUSPENDED).exists():
        return None
    waiting = DuePostback.objects.filter(rule_id=rule_id)[: MOST_COUNTED + 1].count()
    return Suspension(
        since=_gone_at(rule_id),
        waiting=f"{waiting:,}" if waiting <= MOST_COUNTED else f"more than {MOST_COUNTED:,}",
        log_url=f"{reverse('admin:postbacks_postback_changelist')}?rule={rule_id}&time=7d",
    )


def _gone_at(rule_id: int) -> datetime | None:
    now = datetime.now(UTC)
    given = {
        "organization": current_organization(),
        "rule": rule_id,
        "since": now - _LOOKED_BACK,
        "until": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(_READ, given)
        (moment,) = cursor.fetchone()
    return moment if isinstance(moment, datetime) else None
