-- Queue a postback once more, due now, unless a worker has it: taking its row would send twice.
WITH queued AS (
    INSERT INTO due_postback AS due
        (postback_id, organization_id, event_received_at, rule_id, host, kind, due_at, paced)
    SELECT %(id)s, organization_id, %(received)s, rule_id,
           coalesce(substring(definition ->> 'url' FROM '^[a-z]+://([^/?#]{1,255})'), ''),
           :'AttemptKind.RESEND', now(),
           EXISTS (SELECT FROM rule_pace WHERE rule_pace.rule_id = %(rule)s)
    FROM callback_rule_version
    WHERE organization_id = %(organization)s AND rule_id = %(rule)s AND number = %(version)s
    ON CONFLICT (postback_id) DO UPDATE
        SET due_at = now(), tries = 0, kind = :'AttemptKind.RESEND', claim_id = NULL
        WHERE due.claim_id IS NULL OR due.due_at <= now()
    RETURNING postback_id, due_at
)
UPDATE postback SET
    status = CASE WHEN status = :'PostbackStatus.DELIVERED' THEN status
                  ELSE :'PostbackStatus.PENDING' END,
    reason = '', next_attempt_at = queued.due_at
FROM queued
WHERE postback.id = queued.postback_id AND organization_id = %(organization)s
  AND event_received_at = %(received)s
RETURNING id
