-- Write postbacks that are not there yet, queue those that are to be sent, and claim the marked ones
-- whose lane has nothing due and no circuit breaker.
WITH input AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
        public_id uuid, organization_id bigint, rule_id bigint, rule_version integer,
        app_id bigint, event_id bigint, sdk_event_id uuid, event_name text,
        event_received_at timestamptz, install_id bigint, attribution_version integer,
        campaign_ref bigint, installed_at timestamptz,
        delay_seconds integer, host text, reason text, paced boolean, claimed boolean
    )
), suspended AS MATERIALIZED (
    -- Locked: what is held here is committed before its rule can be switched on.
    SELECT id FROM callback_rule
    WHERE id = ANY(%(suspended)s::bigint[]) AND status = :'RuleStatus.SUSPENDED'
    ORDER BY id FOR SHARE
), added AS (
    INSERT INTO postback (
        public_id, organization_id, rule_id, rule_version, app_id, event_id, sdk_event_id,
        event_name, event_received_at, install_id, attribution_version, campaign_ref, installed_at,
        status, reason, created_at, next_attempt_at
    )
    SELECT public_id, organization_id, rule_id, rule_version, app_id, event_id, sdk_event_id,
           event_name, event_received_at, install_id, attribution_version, campaign_ref,
           installed_at,
           CASE reason WHEN '' THEN :'PostbackStatus.PENDING'
                       ELSE :'PostbackStatus.SKIPPED' END,
           CASE WHEN reason = '' AND suspended.id IS NOT NULL
                THEN :'HeldReason.RULE_SUSPENDED' ELSE reason END,
           now(),
           CASE WHEN reason = '' AND suspended.id IS NULL
                THEN now() + make_interval(secs => delay_seconds) END
    FROM input LEFT JOIN suspended ON suspended.id = input.rule_id
    ON CONFLICT ON CONSTRAINT one_postback_per_rule_event_and_attribution DO NOTHING
    RETURNING id, public_id, status, reason, created_at, installed_at
), free_lane AS MATERIALIZED (
    SELECT organization_id, host
    FROM (SELECT DISTINCT organization_id, host FROM input WHERE claimed) AS lane
    WHERE NOT EXISTS (
        SELECT FROM circuit_breaker AS breaker
        WHERE breaker.organization_id = lane.organization_id AND breaker.host = lane.host
    ) AND NOT EXISTS (
        SELECT FROM unnest(%(classes)s::integer[]) AS class (number) CROSS JOIN LATERAL (
            SELECT FROM due_postback AS due
            WHERE NOT paced AND due.organization_id = lane.organization_id
              AND due.host = lane.host AND queue_class(due.kind, due.tries) = class.number
              AND due_at <= now()
            LIMIT 1
        ) AS first
    )
), queued AS (
    INSERT INTO due_postback (
        postback_id, organization_id, event_received_at, rule_id, host, due_at, paced, claim_id
    )
    SELECT added.id, input.organization_id, event_received_at, rule_id, input.host,
           now() + make_interval(
               secs => CASE WHEN free_lane.host IS NULL THEN delay_seconds ELSE %(lease)s END
           ),
           paced, CASE WHEN free_lane.host IS NOT NULL THEN %(claim)s::uuid END
    FROM added JOIN input USING (public_id)
    LEFT JOIN free_lane ON claimed AND free_lane.organization_id = input.organization_id
        AND free_lane.host = input.host
    WHERE added.status = :'PostbackStatus.PENDING' AND added.reason = ''
    RETURNING postback_id, claim_id
), held AS (
    INSERT INTO held_postback (
        postback_id, organization_id, event_received_at, rule_id, kind, due_at, tries, reason,
        held_at
    )
    SELECT added.id, organization_id, event_received_at, rule_id, :'AttemptKind.AUTO',
           now() + make_interval(secs => delay_seconds), 0, added.reason, now()
    FROM added JOIN input USING (public_id)
    WHERE added.status = :'PostbackStatus.PENDING' AND added.reason <> ''
)
SELECT written.count, leased.*
FROM (SELECT count(*) FROM added) AS written LEFT JOIN (
    SELECT added.id, public_id, event_id, rule_id, added.created_at, added.installed_at
    FROM queued JOIN added ON added.id = queued.postback_id JOIN input USING (public_id)
    WHERE queued.claim_id IS NOT NULL
    ORDER BY added.id
) AS leased ON true
