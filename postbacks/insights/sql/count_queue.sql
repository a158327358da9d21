-- Count the due and the claimed postbacks, reading at most so many rows of each, lane by lane.
WITH walked AS MATERIALIZED (
    SELECT * FROM (:find_queues) AS queue LIMIT %(queues)s
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
