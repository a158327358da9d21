-- Log an attempt for each request that a dead pump may have sent; it uses up no try.
WITH interrupted AS (
    SELECT * FROM unnest(
        %(organizations)s::bigint[], %(postbacks)s::bigint[], %(moments)s::timestamptz[],
        %(rules)s::bigint[], %(kinds)s::text[], %(pins)s::integer[], %(claimed)s::timestamptz[]
    ) AS input (
        organization_id, postback_id, event_received_at, rule_id, kind, pinned_version, claimed_at
    )
), counted AS (
    UPDATE postback SET attempts_made = attempts_made + 1
    FROM interrupted
    WHERE postback.organization_id = interrupted.organization_id
      AND postback.id = interrupted.postback_id
      AND postback.event_received_at = interrupted.event_received_at
      -- `within_days` narrows these bounds.
      AND postback.event_received_at BETWEEN '-infinity' AND 'infinity'
    RETURNING interrupted.*, postback.attempts_made, postback.app_id, postback.campaign_ref,
              postback.event_name, postback.test
), tallied AS (
    INSERT INTO figure_change (
        organization_id, at, kind, app_ref, rule_ref, campaign_ref, event_name, state, code, count
    )
    SELECT organization_id, minute_of(claimed_at), :'FigureKind.ATTEMPT', app_id, rule_id,
           coalesce(campaign_ref, 0), event_name, :'Outcome.INTERRUPTED', :'Outcome.INTERRUPTED',
           count(*)
    FROM counted WHERE NOT test GROUP BY 1, 2, 4, 5, 6, 7
)
INSERT INTO delivery_attempt (
    organization_id, postback_id, event_received_at, number, rule_version, kind, started_at,
    duration_ms, outcome, error, detail, request, response
)
SELECT counted.organization_id, postback_id, event_received_at, attempts_made,
       coalesce(pinned_version, callback_rule.version), kind, claimed_at,
       0, :'Outcome.INTERRUPTED', '', %(detail)s, '{}', '{}'
FROM counted
JOIN callback_rule ON callback_rule.organization_id = counted.organization_id
    AND callback_rule.id = counted.rule_id
RETURNING postback_id, EXISTS (
    SELECT FROM delivery_attempt AS earlier
    WHERE earlier.postback_id = delivery_attempt.postback_id
      AND earlier.event_received_at = delivery_attempt.event_received_at
      AND earlier.outcome = :'Outcome.INTERRUPTED'
) AS was_interrupted_before
