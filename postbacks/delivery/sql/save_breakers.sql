-- Save circuit breakers that are locked; those of lanes that are well go.
WITH input AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
        organization_id bigint, host text, state text, reason text, failures integer,
        window_started_at timestamptz, window_requests integer, window_failures integer,
        opened_at timestamptz, next_probe_at timestamptz, probe_wait_seconds integer,
        is_well boolean
    )
), removed AS (
    DELETE FROM circuit_breaker AS breaker USING input
    WHERE input.is_well AND breaker.organization_id = input.organization_id
      AND breaker.host = input.host
)
UPDATE circuit_breaker AS breaker SET
    state = input.state, reason = input.reason, failures = input.failures,
    window_started_at = input.window_started_at, window_requests = input.window_requests,
    window_failures = input.window_failures, opened_at = input.opened_at,
    next_probe_at = input.next_probe_at, probe_wait_seconds = input.probe_wait_seconds
FROM input
WHERE NOT input.is_well AND breaker.organization_id = input.organization_id
  AND breaker.host = input.host
