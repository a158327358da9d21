"""The postbacks whose last attempt failed, alike ones in one group, with the partner's answer."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from postbacks.delivery.outcome import Outcome
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.insights.statements import fetch_rows
from postbacks.models import PostbackStatus

SHOWN_BODY_LENGTH = 200
_LOOKBACK = timedelta(days=4)  # after some 73 hours the usual retries have ended
_MOST_ATTEMPTS = 500  # failed attempts of the newest events; some got through after all

_READ_FAILURES = load_sql(
    "postbacks.insights.overview", "read_newest_failures", Outcome, PostbackStatus
)


@dataclass(frozen=True, slots=True)
class FailedPostback:
    """The newest of `count` postbacks of one rule whose last attempt failed in the same way.

    `next_attempt_at` is None once it was given up. `body` is the beginning of the partner's answer,
    one character longer than pages show, so that they can mark a cut.
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
    return fetch_rows(
        FailedPostback,
        _READ_FAILURES,
        since=now - _LOOKBACK,
        until=now,
        limit=limit,
        body_length=SHOWN_BODY_LENGTH + 1,
        most_attempts=_MOST_ATTEMPTS,
    )
