-- Count the due and the claimed postbacks, reading at most so many rows of each, lane by lane.
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
), walked AS MATERIALIZED (
    SELECT * FROM queue LIMIT %(queues)s
)
SELECT (
    SELECT count(*) FROM (
        SELECT FROM walked CROSS JOIN LATERAL (
            SELECT FROM due_postback AS due
            WHERE NOT paced AND due.organization_id = walked.organization_id
              AND due.host = walked.host AND queue_class(due.kind, due.tries) = walked.class
              AND due_at <= now()
            LIMIT %(most)s
        ) AS row
        LIMIT %(most)s
    ) AS due
) AS due, (
    -- Until its lease ends a claimed row is due in the future; retries may be due then too.
    SELECT count(claim_id) FROM (
        SELECT claim_id FROM walked CROSS JOIN LATERAL (
            SELECT claim_id FROM due_postback AS due
            WHERE NOT paced AND due.organization_id = walked.organization_id
              AND due.host = walked.host AND queue_class(due.kind, due.tries) = walked.class
              AND due_at > now() AND due_at <= now() + make_interval(secs => %(lease)s)
            LIMIT %(most)s
        ) AS row
        LIMIT %(most)s
    ) AS claimed
) AS claimed
