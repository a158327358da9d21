-- Read an organization's newest attempts that its ring lacks, and postbacks skipped or put off
-- The days are named for each table again: a join's condition on them comes too late to leave
-- partitions out of the plan. LIMIT 1 keeps the planner from reading days of postbacks at once for
-- the few that happened: it does not know how few.
SELECT happened.id, happened.at, postback.event_name, postback.app_id,
       coalesce(app.name, '') AS app, happened.postback_id, postback.test, postback.rule_id,
       rule.name AS rule, rule.partner_id, coalesce(partner.name, '') AS partner, happened.outcome,
       happened.status_code, happened.error, happened.number, happened.duration_ms,
       postback.reason, coalesce(event.device, '') AS device,
       (SELECT coalesce(jsonb_object_agg(key, value), '{}')::text FROM jsonb_each(event.fields)
        WHERE key = ANY(%(id_kinds)s::text[])) AS ids,
       coalesce(event.customer_user_id, '') AS customer_user_id
FROM (
    (SELECT id, event_received_at, postback_id, started_at AS at, outcome, status_code, error,
            number, duration_ms
     FROM delivery_attempt
     WHERE organization_id = %(organization)s AND event_received_at > %(since)s
       AND id > %(after)s AND NOT id = ANY(%(known)s::bigint[])
     ORDER BY id DESC LIMIT %(most)s)
    UNION ALL
    (SELECT -id, event_received_at, id, created_at, status, NULL, '', 0, 0
     FROM postback
     WHERE organization_id = %(organization)s AND event_received_at > %(decided_since)s
       AND (status = :'PostbackStatus.SKIPPED' OR status = :'PostbackStatus.PENDING'
            AND attempts_made = 0 AND coalesce(next_attempt_at, 'infinity') > created_at + interval '2 seconds')
       AND NOT -id = ANY(%(known)s::bigint[])
     ORDER BY event_received_at DESC, id DESC LIMIT %(most)s)
) AS happened
CROSS JOIN LATERAL (
    SELECT rule_id, app_id, event_id, event_received_at, event_name, test, reason FROM postback
    WHERE organization_id = %(organization)s AND event_received_at > %(since)s
      AND event_received_at = happened.event_received_at AND id = happened.postback_id
      AND (%(rules)s::bigint[] IS NULL OR rule_id = ANY(%(rules)s)) LIMIT 1
) AS postback
JOIN callback_rule AS rule
  ON rule.organization_id = %(organization)s AND rule.id = postback.rule_id
LEFT JOIN partner
  ON partner.organization_id = rule.organization_id AND partner.id = rule.partner_id
LEFT JOIN app ON app.organization_id = %(organization)s AND app.id = postback.app_id
LEFT JOIN LATERAL (
    SELECT device, fields, customer_user_id FROM event
    WHERE organization_id = %(organization)s AND received_at > %(since)s
      AND received_at = postback.event_received_at AND id = postback.event_id LIMIT 1
) AS event ON true
ORDER BY happened.at DESC, happened.id DESC LIMIT %(most_shown)s
