-- Find the queues of lanes that send without a pace, in the order of their index.
WITH RECURSIVE queue AS (
    -- One probe of the index for each queue, however many postbacks it holds.
    (SELECT organization_id, host, queue_class(kind, tries) AS class
     FROM due_postback WHERE NOT paced
     ORDER BY organization_id, host, queue_class(kind, tries) LIMIT 1)
    UNION ALL
    SELECT next.organization_id, next.host, next.class
    FROM queue CROSS JOIN LATERAL (
        SELECT organization_id, host, queue_class(kind, tries) AS class
        FROM due_postback
        WHERE NOT paced AND (organization_id, host, queue_class(kind, tries))
            > (queue.organization_id, queue.host, queue.class)
        ORDER BY organization_id, host, queue_class(kind, tries) LIMIT 1
    ) AS next
)
SELECT organization_id, host, class FROM queue
