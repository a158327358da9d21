-- Give a circuit breaker to lanes that fail for the first time.
INSERT INTO circuit_breaker (
    organization_id, host, state, reason, failures, window_started_at, window_requests,
    window_failures, probe_wait_seconds
)
SELECT organization_id, host, :'BreakerState.CLOSED', '', 0, now(), 0, 0, 0
FROM unnest(%(organizations)s::bigint[], %(hosts)s::text[]) AS lane (organization_id, host)
ORDER BY organization_id, host
ON CONFLICT (organization_id, host) DO NOTHING
