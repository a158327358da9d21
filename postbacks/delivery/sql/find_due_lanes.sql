-- Find the queues of lanes that hold something due, from a place in their order on, and what is next.
WITH RECURSIVE queue AS (
    -- One probe of the index for each queue, however many postbacks it holds.
    (SELECT organization_id, host, queue_class(kind, tries) AS class, due_at
     FROM due_postback
     WHERE NOT paced AND (organization_id, host, queue_class(kind, tries))
         > (%(after_organization)s::bigint, %(after_host)s::text, %(after_class)s::integer)
     ORDER BY organization_id, host, queue_class(kind, tries), due_at LIMIT 1)
    UNION ALL
    SELECT next.organization_id, next.host, next.class, next.due_at
    FROM queue CROSS JOIN LATERAL (
        SELECT organization_id, host, queue_class(kind, tries) AS class, due_at
        FROM due_postback
        WHERE NOT paced AND (organization_id, host, queue_class(kind, tries))
            > (queue.organization_id, queue.host, queue.class)
        ORDER BY organization_id, host, queue_class(kind, tries), due_at LIMIT 1
    ) AS next
), walked AS MATERIALIZED (
    SELECT row_number() OVER () AS position, * FROM (SELECT * FROM queue LIMIT %(most)s) AS queue
), waiting AS (
    SELECT walked.*, breaker.id IS NOT NULL AS is_failing,
           breaker.next_probe_at IS NOT NULL AS is_probe,
           greatest(due_at, breaker.next_probe_at) AS next_at
    FROM walked LEFT JOIN circuit_breaker AS breaker
      ON breaker.organization_id = walked.organization_id AND breaker.host = walked.host
), paced AS (
    SELECT min(greatest(pace.next_at, first.due_at, breaker.next_probe_at)) AS next_at
    FROM rule_pace AS pace CROSS JOIN LATERAL (
        SELECT organization_id, host, due_at FROM due_postback
        WHERE paced AND rule_id = pace.rule_id
        ORDER BY due_at LIMIT 1
    ) AS first
    LEFT JOIN circuit_breaker AS breaker
      ON breaker.organization_id = first.organization_id AND breaker.host = first.host
)
SELECT extract(epoch FROM paced.next_at - now())::float8 AS paced,
       walked.count AS walked, organization_id, host, class,
       extract(epoch FROM waiting.next_at - now())::float8 AS due_in, is_failing, is_probe
FROM paced CROSS JOIN (SELECT count(*) AS count FROM walked) AS walked
LEFT JOIN waiting
  ON waiting.next_at <= now() OR waiting.next_at = (SELECT min(next_at) FROM waiting)
  OR position = %(most)s
ORDER BY position
