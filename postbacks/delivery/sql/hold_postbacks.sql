-- Hold postbacks that have just left the queue.
WITH input AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
        organization_id bigint, postback_id bigint, event_received_at timestamptz, rule_id bigint,
        kind text, due_at timestamptz, tries integer, pinned_version integer, reason text
    )
), held AS (
    INSERT INTO held_postback (
        postback_id, organization_id, event_received_at, rule_id, kind, due_at, tries,
        pinned_version, reason, held_at
    )
    SELECT postback_id, organization_id, event_received_at, rule_id, kind, due_at, tries,
           pinned_version, reason, now()
    FROM input
    ON CONFLICT (postback_id) DO NOTHING
)
UPDATE postback SET
    -- A delivered postback, which waited to be sent again, needs no reason.
    reason = CASE WHEN delivered_at IS NULL THEN input.reason ELSE '' END,
    next_attempt_at = NULL
FROM input
WHERE postback.organization_id = input.organization_id AND postback.id = input.postback_id
  AND postback.event_received_at = input.event_received_at
  AND postback.event_received_at BETWEEN '-infinity' AND 'infinity'
