-- Count events that wait for a decision, up to a limit, and the seconds that the oldest waits.
WITH RECURSIVE first AS (
    -- The oldest of each organization is its first, as in the queue's index.
    (SELECT organization_id, received_at FROM undecided_event
     ORDER BY organization_id, id LIMIT 1)
    UNION ALL
    SELECT next.organization_id, next.received_at
    FROM first CROSS JOIN LATERAL (
        SELECT organization_id, received_at FROM undecided_event
        WHERE organization_id > first.organization_id ORDER BY organization_id, id LIMIT 1
    ) AS next
)
SELECT (SELECT count(*) FROM (
            SELECT FROM undecided_event ORDER BY organization_id, id LIMIT %(most)s
        ) AS counted),
       coalesce(extract(epoch FROM now() - min(received_at)), 0)::int
FROM first
