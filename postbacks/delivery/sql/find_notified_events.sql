-- Return the events that their partner was already notified of.
SELECT input.event_id
FROM unnest(
    %(events)s::bigint[], %(organizations)s::bigint[], %(uuids)s::uuid[],
    %(moments)s::timestamptz[], %(partners)s::bigint[]
) AS input (event_id, organization_id, uuid, received_at, partner_id)
WHERE EXISTS (
    SELECT FROM postback
    JOIN callback_rule AS rule ON rule.organization_id = postback.organization_id
        AND rule.id = postback.rule_id
    LEFT JOIN due_postback AS due ON due.postback_id = postback.id
    -- The versions of the rule that say which partner was notified, and of whose installs: those
    -- of delivered attempts, or the one by which a pending postback will be sent. An attempt that
    -- is under way may still go by the version before.
    CROSS JOIN LATERAL (
        SELECT coalesce(attempt.rule_version, postback.rule_version) AS number, true AS is_sent
        FROM delivery_attempt AS attempt
        WHERE attempt.organization_id = postback.organization_id
          AND attempt.postback_id = postback.id
          AND attempt.event_received_at = postback.event_received_at
          AND attempt.event_received_at BETWEEN %(first)s AND %(last)s
          AND attempt.outcome = :'Outcome.DELIVERED'
        UNION ALL
        SELECT coalesce(due.pinned_version, rule.version), false
        WHERE postback.status = :'PostbackStatus.PENDING'
        UNION ALL
        SELECT postback.rule_version, false
        WHERE postback.status = :'PostbackStatus.PENDING' AND due.claim_id IS NOT NULL
    ) AS sent_by
    JOIN callback_rule_version AS version ON version.organization_id = postback.organization_id
        AND version.rule_id = postback.rule_id AND version.number = sent_by.number
    JOIN callback_rule_version AS decided ON decided.organization_id = postback.organization_id
        AND decided.rule_id = postback.rule_id AND decided.number = postback.rule_version
    WHERE postback.organization_id = input.organization_id AND postback.sdk_event_id = input.uuid
      AND postback.event_id = input.event_id AND postback.event_received_at = input.received_at
      AND postback.event_received_at BETWEEN %(first)s AND %(last)s AND NOT postback.test
      AND postback.status IN (:'PostbackStatus.PENDING', :'PostbackStatus.DELIVERED')
      AND (version.definition ->> 'partner_id')::bigint = input.partner_id
      -- What was decided for another partner will be skipped.
      AND (is_sent OR version.definition -> 'partner_id' = decided.definition -> 'partner_id')
      AND version.definition ->> 'attribution_scope'
          IN (:'AttributionScope.PARTNER', :'AttributionScope.PARTNER_AND_ORGANIC')
)
