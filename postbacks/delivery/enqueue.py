"""⑥ Writes down what is owed: the postback and, if it is to be sent, its place in the queue."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from postbacks.infrastructure.database import prepared
from postbacks.models import PostbackStatus


@dataclass(frozen=True, slots=True)
class NewPostback:
    """One postback to be written. With a `reason` it is skipped, otherwise due after a delay."""

    public_id: str
    organization_id: int
    rule_id: int
    rule_version: int
    app_id: int
    event_id: int
    sdk_event_id: str
    event_name: str
    event_received_at: datetime
    install_id: int | None
    attribution_version: int
    installed_at: datetime | None
    delay_seconds: int
    host: str
    reason: str
    paced: bool = False  # the rule limits how fast it sends


_OWE = f"""
WITH input AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
        public_id uuid, organization_id bigint, rule_id bigint, rule_version integer,
        app_id bigint, event_id bigint, sdk_event_id uuid, event_name text,
        event_received_at timestamptz, install_id bigint, attribution_version integer,
        installed_at timestamptz,
        delay_seconds integer, host text, reason text, paced boolean
    )
), owed AS (
    INSERT INTO postback (
        public_id, organization_id, rule_id, rule_version, app_id, event_id, sdk_event_id,
        event_name, event_received_at, install_id, attribution_version, installed_at, status,
        reason, created_at, next_attempt_at
    )
    SELECT public_id, organization_id, rule_id, rule_version, app_id, event_id, sdk_event_id,
           event_name, event_received_at, install_id, attribution_version, installed_at,
           CASE reason WHEN '' THEN '{PostbackStatus.PENDING}'
                       ELSE '{PostbackStatus.SKIPPED}' END,
           reason, now(),
           CASE reason WHEN '' THEN now() + make_interval(secs => delay_seconds) END
    FROM input
    ON CONFLICT ON CONSTRAINT one_postback_per_rule_event_and_attribution DO NOTHING
    RETURNING id, public_id, status
), queued AS (
    INSERT INTO due_postback
        (postback_id, organization_id, event_received_at, rule_id, host, due_at, paced)
    SELECT owed.id, organization_id, event_received_at, rule_id, host,
           now() + make_interval(secs => delay_seconds), paced
    FROM owed JOIN input USING (public_id)
    WHERE owed.status = '{PostbackStatus.PENDING}'
)
SELECT count(*) FROM owed
"""  # noqa: S608  # only our own words are put in


def enqueue_postbacks(postbacks: Sequence[NewPostback]) -> int:
    """Write postbacks and return how many were new: an event decided twice owes nothing twice."""
    if not postbacks:
        return 0
    ((owed,),) = prepared.run(_OWE, {"rows": msgspec.json.encode(postbacks).decode()})
    return int(owed)
