-- Claim the longest due postbacks of each named queue, of rules without limits.
WITH queue AS MATERIALIZED (
    SELECT * FROM unnest(
        %(organizations)s::bigint[], %(hosts)s::text[], %(classes)s::integer[],
        %(rooms)s::integer[], %(failing)s::boolean[], %(probes)s::boolean[]
    ) WITH ORDINALITY
        AS queue (organization_id, host, class, room, is_failing, is_probe, position)
), probed AS MATERIALIZED (
    -- Of all workers one gets the probe; if it is lost with its worker, the next one is due later.
    UPDATE circuit_breaker AS breaker
    SET state = :'BreakerState.HALF_OPEN',
        next_probe_at = now() + make_interval(secs => probe_wait_seconds)
    FROM (
        -- Skipped while another worker has it: two that wait for each other's would deadlock.
        SELECT breaker.id FROM queue JOIN circuit_breaker AS breaker
          ON breaker.organization_id = queue.organization_id AND breaker.host = queue.host
        WHERE queue.is_probe AND next_probe_at <= now() FOR UPDATE OF breaker SKIP LOCKED
    ) AS free
    WHERE breaker.id = free.id
    RETURNING breaker.organization_id, breaker.host
), chosen AS MATERIALIZED (
    SELECT due.*, queue.is_failing, queue.is_probe
    FROM (
        SELECT * FROM queue
        WHERE NOT is_probe OR (organization_id, host) IN (SELECT * FROM probed)
        ORDER BY position
    ) AS queue CROSS JOIN LATERAL (
        SELECT postback_id, event_received_at, host, kind, tries, paced, pinned_version,
               organization_id, rule_id, claim_id AS lapsed_claim, due_at AS was_due_at
        FROM due_postback
        WHERE NOT paced AND due_postback.organization_id = queue.organization_id
          AND due_postback.host = queue.host AND queue_class(kind, tries) = queue.class
          AND due_at <= now()
        ORDER BY due_at LIMIT queue.room FOR UPDATE SKIP LOCKED
    ) AS due
    LIMIT %(limit)s
), claimed AS (
    UPDATE due_postback
    SET due_at = now() + make_interval(secs => %(lease)s), claim_id = %(claim)s
    -- All at once by the index. Joined, with statistics of an empty queue the whole of it would be
    -- read for each chosen row, and with others its key would be looked up in a sorted array anew.
    WHERE postback_id = ANY (ARRAY(SELECT postback_id FROM chosen))
)
SELECT postback_id, event_received_at, host, kind, tries, paced, pinned_version, is_failing,
       is_probe, organization_id, rule_id, lapsed_claim, was_due_at
FROM chosen
