-- Queue a postback once more, unless a worker has it: taking its row would send twice.
WITH queued AS (
    INSERT INTO due_postback AS due (
        postback_id, organization_id, event_received_at, rule_id, host, kind, due_at, paced,
        pinned_version
    )
    VALUES (
        %(id)s, %(organization)s, %(received)s, %(rule)s, %(host)s, %(kind)s,
        coalesce(%(due_at)s::timestamptz, now()), %(paced)s, %(pinned_version)s
    )
    ON CONFLICT (postback_id) DO UPDATE
        SET due_at = CASE WHEN due.claim_id IS NULL THEN excluded.due_at ELSE due.due_at END,
            -- A claim whose lease has ended becomes another one of the same worker's: what that
            -- says later is not logged, and the next worker logs that it may have been sent.
            claim_id = (left(due.claim_id::text, 18) || right(gen_random_uuid()::text, 18))::uuid,
            tries = 0, kind = excluded.kind,
            host = excluded.host, paced = excluded.paced,
            pinned_version = excluded.pinned_version
        WHERE due.claim_id IS NULL OR due.due_at <= now()
    RETURNING postback_id, due_at
), released AS (
    DELETE FROM held_postback USING queued
    WHERE held_postback.organization_id = %(organization)s
      AND held_postback.postback_id = queued.postback_id
)
UPDATE postback SET
    status = CASE WHEN status = :'PostbackStatus.DELIVERED' THEN status
                  ELSE :'PostbackStatus.PENDING' END,
    reason = '', next_attempt_at = queued.due_at
FROM queued
WHERE postback.id = queued.postback_id AND organization_id = %(organization)s
  AND event_received_at = %(received)s
RETURNING id
