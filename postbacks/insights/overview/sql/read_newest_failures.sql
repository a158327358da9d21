-- Read the newest postbacks whose last attempt failed, one for each group of like ones
-- outcome <> 'delivered' is written as in the partial index that serves it. The days are named for
-- each table again: a join's condition on them comes too late to leave partitions out of the plan.
-- LIMIT 1 keeps PostgreSQL from reading whole days at once for some hundred rows of them.
SELECT postback_id, rule_id, event_name, status, next_attempt_at, started_at AS tried_at, number,
       status_code, error, detail, left(response ->> 'body', %(body_length)s) AS body, count,
       since
FROM (
    SELECT newest.id, attempt.postback_id, postback.rule_id, postback.event_name, postback.status,
           postback.next_attempt_at, attempt.started_at, attempt.number, attempt.status_code,
           attempt.error, attempt.detail, attempt.response,
           count(*) OVER alike AS count, min(newest.event_received_at) OVER alike AS since,
           row_number() OVER (alike ORDER BY newest.id DESC) AS rank
    FROM (
        SELECT id, event_received_at FROM delivery_attempt
        WHERE organization_id = %(organization)s AND outcome <> :'Outcome.DELIVERED'
          AND event_received_at > %(since)s AND event_received_at <= %(until)s
        ORDER BY event_received_at DESC, id DESC LIMIT %(most_attempts)s
    ) AS newest
    CROSS JOIN LATERAL (
        SELECT postback_id, started_at, number, status_code, error, detail, response
        FROM delivery_attempt
        WHERE organization_id = %(organization)s AND id = newest.id
          AND event_received_at = newest.event_received_at
          AND event_received_at > %(since)s AND event_received_at <= %(until)s LIMIT 1
    ) AS attempt
    CROSS JOIN LATERAL (
        SELECT rule_id, app_id, campaign_ref, event_name, status, next_attempt_at, attempts_made,
               test
        FROM postback
        WHERE organization_id = %(organization)s AND id = attempt.postback_id
          AND event_received_at = newest.event_received_at
          AND event_received_at > %(since)s AND event_received_at <= %(until)s LIMIT 1
    ) AS postback
    WHERE postback.status IN (:'PostbackStatus.PENDING', :'PostbackStatus.FAILED')
      AND postback.attempts_made = attempt.number AND NOT postback.test
      AND (%(app)s::bigint IS NULL OR postback.app_id = %(app)s)
      AND (%(rule)s::bigint IS NULL OR postback.rule_id = %(rule)s)
      AND (%(campaign)s::bigint IS NULL OR postback.campaign_ref = %(campaign)s)
      AND (%(partner)s::bigint IS NULL OR postback.rule_id IN (
          SELECT id FROM callback_rule
          WHERE organization_id = %(organization)s AND partner_id = %(partner)s))
    WINDOW alike AS (
        PARTITION BY postback.rule_id, postback.status, attempt.status_code, attempt.error
    )
) AS last_attempt
WHERE rank = 1
ORDER BY id DESC LIMIT %(limit)s
