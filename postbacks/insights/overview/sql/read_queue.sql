-- Count what waits to be sent, in the queue and outside of it
SELECT queue.waiting, queue.oldest_due_at,
    -- Rule by rule, as held_postback's index goes.
    (SELECT coalesce(sum(held.count), 0)::bigint FROM callback_rule CROSS JOIN LATERAL (
        SELECT count(*) FROM held_postback WHERE organization_id = %(organization)s
            AND rule_id = callback_rule.id
    ) AS held WHERE callback_rule.organization_id = %(organization)s) AS held
FROM (
    SELECT count(*) AS waiting, min(due_at) AS oldest_due_at FROM due_postback
    WHERE organization_id = %(organization)s
) AS queue
