"""The postbacks whose last try failed, alike ones in one group, with what the partner answered."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from apps_registry.tenancy import current_organization
from postbacks.delivery.outcome import Outcome
from postbacks.models import PostbackStatus

SHOWN_OF_BODY = 200
_TRIED_FOR = timedelta(days=4)  # after some 73 hours the usual retries have ended
_LOOKED_AT = 500  # failed attempts of the newest events; some got through after all

# `outcome <> 'delivered'` stands as in the partial index that serves it. The days are named for
# each table again: what a join says about them comes too late to leave partitions out of the plan.
_READ = f"""
SELECT postback_id, rule_id, event_name, status, next_attempt_at, started_at, number, status_code,
       error, detail, left(response ->> 'body', {SHOWN_OF_BODY + 1}), count
FROM (
    SELECT newest.id, attempt.postback_id, postback.rule_id, postback.event_name, postback.status,
           postback.next_attempt_at, attempt.started_at, attempt.number, attempt.status_code,
           attempt.error, attempt.detail, attempt.response,
           count(*) OVER alike AS count,
           row_number() OVER (alike ORDER BY newest.id DESC) AS place
    FROM (
        SELECT id, event_received_at FROM delivery_attempt
        WHERE organization_id = %(organization)s AND outcome <> '{Outcome.DELIVERED}'
          AND event_received_at > %(since)s AND event_received_at <= %(until)s
        ORDER BY event_received_at DESC, id DESC LIMIT {_LOOKED_AT}
    ) AS newest
    JOIN delivery_attempt AS attempt
      ON attempt.organization_id = %(organization)s
     AND attempt.event_received_at = newest.event_received_at AND attempt.id = newest.id
     AND attempt.event_received_at > %(since)s AND attempt.event_received_at <= %(until)s
    JOIN postback
      ON postback.organization_id = %(organization)s
     AND postback.event_received_at = newest.event_received_at AND postback.id = attempt.postback_id
     AND postback.event_received_at > %(since)s AND postback.event_received_at <= %(until)s
    WHERE postback.status IN ('{PostbackStatus.PENDING}', '{PostbackStatus.FAILED}')
      AND postback.attempts_made = attempt.number AND NOT postback.test
    WINDOW alike AS (
        PARTITION BY postback.rule_id, postback.status, attempt.status_code, attempt.error
    )
) AS last_try
WHERE place = 1
ORDER BY id DESC LIMIT %(limit)s
"""  # noqa: S608  # only our own words are put in


@dataclass(frozen=True, slots=True)
class FailedPostback:
    """This is the newest of `count` postbacks of one rule whose last try failed in the same way.

    `next_attempt_at` is None once it was given up. `body` is what the partner answered, at most
    201 characters of it: one more than people are shown, so that a cut can be told.
    """

    postback_id: int
    rule_id: int
    event_name: str
    status: str
    next_attempt_at: datetime | None
    tried_at: datetime
    number: int
    status_code: int | None
    error: str
    detail: str
    body: str | None
    count: int


def read_newest_failures(now: datetime, limit: int = 5) -> list[FailedPostback]:
    """Read the current organization's newest failures among the events of the last four days."""
    with connection.cursor() as cursor:
        cursor.execute(
            _READ,
            {
                "organization": current_organization(),
                "since": now - _TRIED_FOR,
                "until": now,
                "limit": limit,
            },
        )
        return [FailedPostback(*row) for row in cursor.fetchall()]
