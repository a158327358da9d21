-- Log attempts and finish or reschedule their postbacks, as far as the lease is still ours.
WITH input AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
        organization_id bigint, postback_id bigint, event_received_at timestamptz, rule_id bigint,
        claim_id uuid, number integer, rule_version integer, kind text, started_at timestamptz,
        duration_ms integer, timings bigint, outcome text, status text, status_code smallint,
        error text, detail text, request jsonb, response jsonb, fingerprint text, wait_seconds float8,
        suspend_rule boolean, uses_up_try boolean
    )
), finished AS (
    DELETE FROM due_postback
    -- All at once by the index, whatever the statistics of a queue that is mostly empty say.
    WHERE postback_id = ANY (ARRAY(SELECT postback_id FROM input WHERE wait_seconds IS NULL))
      -- IS TRUE keeps this and its likes from becoming joins, which would compare each row with
      -- each other one: PostgreSQL expects a few. By the claim too: a worker may hold a second one
      -- of a postback whose first has lapsed.
      AND ((postback_id, claim_id) IN (SELECT postback_id, claim_id FROM input)) IS TRUE
    RETURNING postback_id, claim_id
), rescheduled AS (
    UPDATE due_postback SET
        due_at = now() + make_interval(secs => input.wait_seconds),
        tries = tries + input.uses_up_try::integer, claim_id = NULL
    FROM (SELECT * FROM input WHERE wait_seconds IS NOT NULL) AS input
    WHERE due_postback.postback_id = ANY (ARRAY(
        SELECT postback_id FROM input WHERE wait_seconds IS NOT NULL))
      AND due_postback.postback_id + 0 = input.postback_id  -- not by the index once more for each
      AND due_postback.claim_id = input.claim_id
    RETURNING due_postback.postback_id, input.claim_id
), attempt AS MATERIALIZED (
    SELECT * FROM input
    WHERE ((postback_id, claim_id) IN (
        SELECT postback_id, claim_id FROM finished
        UNION ALL SELECT postback_id, claim_id FROM rescheduled
    )) IS TRUE
      -- True of each. PostgreSQL takes it to be rare, and finds the few postbacks that it expects by
      -- their keys; for more it would read a new day's whole partition, of which it knows nothing.
      AND mod(postback_id, 1) = 0
), logged AS (
    INSERT INTO delivery_attempt (
        organization_id, postback_id, event_received_at, number, rule_version, kind, started_at,
        duration_ms, timings, outcome, status_code, error, detail, request, response
    )
    SELECT organization_id, postback_id, event_received_at, number, rule_version, kind, started_at,
           duration_ms, timings, outcome, status_code, error, detail, request, response
    FROM attempt
), suspended AS (
    UPDATE callback_rule SET status = :'RuleStatus.SUSPENDED', suspension_told_at = NULL
    FROM attempt
    WHERE attempt.suspend_rule AND callback_rule.organization_id = attempt.organization_id
      AND callback_rule.id = attempt.rule_id AND callback_rule.status = :'RuleStatus.ACTIVE'
      -- A rule that was corrected or switched on meanwhile is not blamed for what was before.
      AND callback_rule.version = attempt.rule_version
      AND coalesce(callback_rule.judged_since <= attempt.started_at, true)
    RETURNING callback_rule.organization_id, callback_rule.id, callback_rule.public_id,
              callback_rule.name
), audited AS (
    INSERT INTO audit_entry (
        organization_id, public_id, at, actor_kind, actor_name, door, action, object_type,
        object_id, object_name, changes
    )
    SELECT organization_id, gen_random_uuid(), now(), :'ActorKind.SYSTEM', %(actor)s,
           :'Door.WORKER', :'Action.SUSPENDED', 'callback_rule', public_id::text, name,
           jsonb_build_object('status', jsonb_build_array(
               :'RuleStatus.ACTIVE', :'RuleStatus.SUSPENDED'))
    FROM suspended
), judged AS (
    -- Rules that failed in this batch, and failing ones that succeeded in it.
    SELECT attempt.organization_id, attempt.rule_id, attempt.rule_version,
           CASE WHEN bool_and(attempt.outcome <> :'Outcome.DELIVERED')
                THEN min(attempt.started_at) END AS failing_since,
           count(*) FILTER (WHERE attempt.status = :'PostbackStatus.FAILED') AS given_up
    FROM attempt
    JOIN callback_rule ON callback_rule.organization_id = attempt.organization_id
        AND callback_rule.id = attempt.rule_id
        AND callback_rule.version = attempt.rule_version
        AND coalesce(callback_rule.judged_since <= attempt.started_at, true)
    WHERE attempt.uses_up_try AND (
        attempt.outcome <> :'Outcome.DELIVERED' OR attempt.rule_id IN (
            SELECT rule_id FROM rule_failure WHERE rule_failure.failing_since IS NOT NULL
        )
    )
    GROUP BY attempt.organization_id, attempt.rule_id, attempt.rule_version
), counted AS (
    INSERT INTO rule_failure AS stored (
        rule_id, organization_id, version, failing_since, given_up, warned
    )
    SELECT rule_id, organization_id, rule_version, failing_since,
           CASE WHEN failing_since IS NULL THEN 0 ELSE given_up END, 0
    FROM judged
    ORDER BY rule_id  -- all workers lock rules in this order
    ON CONFLICT (rule_id) DO UPDATE SET
        version = excluded.version,
        failing_since = CASE
            WHEN excluded.failing_since IS NULL THEN NULL
            WHEN stored.version = excluded.version
            THEN coalesce(stored.failing_since, excluded.failing_since)
            ELSE excluded.failing_since END,
        given_up = excluded.given_up + CASE
            WHEN stored.version = excluded.version AND excluded.failing_since IS NOT NULL
            THEN stored.given_up ELSE 0 END,
        warned = CASE
            WHEN stored.version = excluded.version AND excluded.failing_since IS NOT NULL
            THEN stored.warned ELSE 0 END
    WHERE excluded.given_up > 0 OR excluded.failing_since IS NULL
       OR stored.failing_since IS NULL OR stored.version <> excluded.version
), updated AS (
    UPDATE postback SET
        -- A delivered postback stays delivered, even if a resend fails.
        status = CASE WHEN delivered_at IS NULL THEN attempt.status ELSE postback.status END,
        reason = CASE WHEN attempt.status = :'PostbackStatus.FAILED' AND delivered_at IS NULL
                      THEN attempt.error ELSE '' END,
        attempts_made = attempt.number,
        last_status_code = attempt.status_code,
        -- Of the first attempt by each version; without a request there is none.
        fingerprint = CASE WHEN attempt.rule_version = postback.rule_version
                           THEN attempt.fingerprint ELSE postback.fingerprint END,
        other_fingerprints = CASE
            WHEN attempt.rule_version = postback.rule_version OR attempt.fingerprint = ''
            THEN other_fingerprints
            ELSE coalesce(other_fingerprints, '{}')
                 || jsonb_build_object(attempt.rule_version::text, attempt.fingerprint)
        END,
        next_attempt_at = now() + make_interval(secs => attempt.wait_seconds),
        delivered_at = CASE WHEN attempt.status = :'PostbackStatus.DELIVERED'
                            THEN coalesce(delivered_at, now()) ELSE delivered_at END
    FROM attempt
    WHERE postback.organization_id = attempt.organization_id AND postback.id = attempt.postback_id
      AND postback.event_received_at = attempt.event_received_at
      -- `within_days` narrows these bounds.
      AND postback.event_received_at BETWEEN '-infinity' AND 'infinity'
    RETURNING postback.organization_id, attempt.started_at, postback.app_id, postback.rule_id,
              coalesce(postback.campaign_ref, 0) AS campaign_ref, postback.event_name,
              attempt.outcome, attempt.status_code, attempt.error, postback.test,
              CASE WHEN postback.delivered_at = now()::timestamptz(3)
                   THEN postback.delivered_at - postback.event_received_at END AS delivered_after
), tallied AS (
    -- The states of their postbacks are counted by the table's own triggers.
    INSERT INTO figure_change (
        organization_id, at, kind, app_ref, rule_ref, campaign_ref, event_name, state, code, count
    )
    SELECT organization_id, minute_of(started_at), :'FigureKind.ATTEMPT', app_id, rule_id,
           campaign_ref, event_name, outcome,
           coalesce(status_code::text, nullif(error, ''), outcome), count(*)
    FROM updated WHERE NOT test GROUP BY 1, 2, 4, 5, 6, 7, 8, 9
    UNION ALL
    SELECT organization_id, minute_of(now()), :'FigureKind.DELIVERY', app_id, rule_id,
           campaign_ref, '', '', time_step(delivered_after), count(*)
    FROM updated WHERE NOT test AND delivered_after IS NOT NULL GROUP BY 1, 4, 5, 6, 9
)
SELECT id AS suspended_rule_id, NULL::bigint AS postback_id, NULL::uuid AS claim_id FROM suspended
UNION ALL
-- And the attempts that were not logged, which are few.
SELECT NULL, postback_id, claim_id FROM input
WHERE ((postback_id, claim_id) IN (SELECT postback_id, claim_id FROM attempt)) IS NOT TRUE
