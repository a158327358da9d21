-- Queue the oldest held postbacks of a rule again, in their order.
WITH chosen AS (
    SELECT postback_id FROM held_postback
    WHERE organization_id = %(organization)s AND rule_id = %(rule)s AND reason = %(reason)s
    ORDER BY postback_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), released AS (
    DELETE FROM held_postback USING chosen
    WHERE held_postback.postback_id = chosen.postback_id
    RETURNING held_postback.*
), due AS (
    SELECT *, now() + row_number() OVER (ORDER BY postback_id) * interval '1 microsecond' AS soon
    FROM released
), queued AS (
    INSERT INTO due_postback (
        postback_id, organization_id, event_received_at, rule_id, host, kind, due_at, tries, paced,
        pinned_version
    )
    SELECT postback_id, organization_id, event_received_at, rule_id, %(host)s, kind,
           -- After a suspension all may change, so that a retry starts its schedule afresh; a delay
           -- that is not over, and a retry of a rule that was only off, keep their time.
           CASE WHEN reason = :'HeldReason.RULE_SUSPENDED' AND tries > 0 THEN soon
                ELSE greatest(due_at, soon) END,
           CASE WHEN reason = :'HeldReason.RULE_SUSPENDED' THEN 0 ELSE tries END,
           %(paced)s, pinned_version
    FROM due
    ON CONFLICT (postback_id) DO NOTHING
    RETURNING postback_id, organization_id, event_received_at, due_at
), updated AS (
    UPDATE postback SET reason = '', next_attempt_at = queued.due_at
    FROM queued
    WHERE postback.organization_id = queued.organization_id AND postback.id = queued.postback_id
      AND postback.event_received_at = queued.event_received_at
)
SELECT postback_id FROM released
