-- Count a day's events and installs beside those of the day before, and what waits to be sent
SELECT
    (SELECT count(*) FROM event WHERE organization_id = %(organization)s
        AND received_at > %(since)s AND received_at <= %(until)s) AS events,
    (SELECT count(*) FROM event WHERE organization_id = %(organization)s
        AND received_at > %(before)s AND received_at <= %(since)s) AS events_before,
    recent.installs, recent.attributed,
    (SELECT count(*) FROM install WHERE organization_id = %(organization)s
        AND event_received_at > %(before)s AND event_received_at <= %(since)s) AS installs_before,
    queue.waiting, queue.oldest_due_at,
    -- Rule by rule, as held_postback's index goes.
    (SELECT coalesce(sum(held.count), 0)::bigint FROM callback_rule CROSS JOIN LATERAL (
        SELECT count(*) FROM held_postback WHERE organization_id = %(organization)s
            AND rule_id = callback_rule.id
    ) AS held WHERE callback_rule.organization_id = %(organization)s) AS held
FROM (
    SELECT count(*) AS waiting, min(due_at) AS oldest_due_at FROM due_postback
    WHERE organization_id = %(organization)s
) AS queue, (
    SELECT count(*) AS installs,
           count(*) FILTER (WHERE attribution_type <> 'organic') AS attributed
    FROM install WHERE organization_id = %(organization)s
        AND event_received_at > %(since)s AND event_received_at <= %(until)s
) AS recent
