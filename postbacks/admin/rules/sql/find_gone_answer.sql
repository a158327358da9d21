-- Find when a rule's partner last answered 410 Gone, among the organization's newest failures.
-- `outcome <> 'delivered'` stands as in the partial index that serves it.
SELECT max(attempt.started_at)
FROM (
    SELECT postback_id, event_received_at, started_at, status_code FROM delivery_attempt
    WHERE organization_id = %(organization)s AND outcome <> :'Outcome.DELIVERED'
      AND event_received_at > %(since)s AND event_received_at <= %(until)s
    ORDER BY event_received_at DESC, id DESC LIMIT 500
) AS attempt
JOIN postback
  ON postback.organization_id = %(organization)s
 AND postback.event_received_at = attempt.event_received_at
 AND postback.id = attempt.postback_id
 AND postback.event_received_at > %(since)s AND postback.event_received_at <= %(until)s
WHERE attempt.status_code = 410 AND postback.rule_id = %(rule)s AND NOT postback.test
