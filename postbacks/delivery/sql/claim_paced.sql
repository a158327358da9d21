-- Claim due postbacks of rules with limits, as many as each may send now, and move its pace on.
WITH pace AS MATERIALIZED (
    SELECT rule_id, first.organization_id, first.host, breaker.id IS NOT NULL AS is_failing,
           breaker.next_probe_at IS NOT NULL AS is_probe,
           least(
               %(limit)s::bigint,
               floor(extract(epoch FROM least(now() - next_at, make_interval(secs => %(slack)s)))
                     * rate_limit_per_second)::bigint + 1,
               max_in_flight - (
                   SELECT count(*) FROM due_postback
                   WHERE paced AND claim_id IS NOT NULL AND due_at > now()
                     AND due_postback.rule_id = rule_pace.rule_id
               ),
               CASE WHEN breaker.next_probe_at IS NOT NULL THEN 1 END
           ) AS room
    FROM rule_pace CROSS JOIN LATERAL (
        SELECT organization_id, host FROM due_postback
        WHERE paced AND due_postback.rule_id = rule_pace.rule_id AND due_at <= now()
        ORDER BY due_at LIMIT 1
    ) AS first
    LEFT JOIN circuit_breaker AS breaker
      ON breaker.organization_id = first.organization_id AND breaker.host = first.host
    WHERE rule_id = ANY(%(rules)s::bigint[])
), probed AS MATERIALIZED (
    UPDATE circuit_breaker AS breaker
    SET state = :'BreakerState.HALF_OPEN',
        next_probe_at = now() + make_interval(secs => probe_wait_seconds)
    FROM (
        -- Skipped while another worker has it: two that wait for each other's would deadlock.
        SELECT breaker.id FROM pace JOIN circuit_breaker AS breaker
          ON breaker.organization_id = pace.organization_id AND breaker.host = pace.host
        WHERE pace.is_probe AND pace.room > 0 AND next_probe_at <= now()
        FOR UPDATE OF breaker SKIP LOCKED
    ) AS free
    WHERE breaker.id = free.id
    RETURNING breaker.organization_id, breaker.host
), found AS (
    SELECT due.*, pace.is_failing, pace.is_probe
    FROM pace CROSS JOIN LATERAL (
        SELECT postback_id, event_received_at, host, kind, tries, paced, pinned_version,
               organization_id, rule_id, claim_id AS lapsed_claim, due_at AS was_due_at
        FROM due_postback
        WHERE paced AND due_postback.rule_id = pace.rule_id AND due_at <= now()
          AND (organization_id, host) NOT IN (
              SELECT * FROM unnest(%(busy_organizations)s::bigint[], %(busy_hosts)s::text[])
          )
        ORDER BY due_at LIMIT greatest(0, pace.room) FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE NOT is_probe OR (pace.organization_id, pace.host) IN (SELECT * FROM probed)
), chosen AS MATERIALIZED (
    SELECT * FROM (
        -- Of several rules that send to an open lane one has its probe.
        SELECT *,
               row_number() OVER (PARTITION BY organization_id, host ORDER BY was_due_at) AS place
        FROM found
    ) AS found
    WHERE NOT is_probe OR place = 1
    LIMIT %(limit)s
), claimed AS (
    UPDATE due_postback
    SET due_at = now() + make_interval(secs => %(lease)s), claim_id = %(claim)s
    WHERE postback_id = ANY (ARRAY(SELECT postback_id FROM chosen))  -- as in claim_due
), moved AS (
    UPDATE rule_pace SET
        next_at = greatest(next_at, now() - make_interval(secs => %(slack)s))
                  + make_interval(secs => requests.count / rate_limit_per_second::float8)
    FROM (SELECT rule_id, count(*) FROM chosen GROUP BY rule_id) AS requests
    WHERE rule_pace.rule_id = requests.rule_id AND rate_limit_per_second IS NOT NULL
)
SELECT postback_id, event_received_at, host, kind, tries, paced, pinned_version, is_failing,
       is_probe, organization_id, rule_id, lapsed_claim, was_due_at
FROM chosen
