-- Count a day's postbacks by hour and status, by rule and answer, and by delivery time
-- OFFSET 0 keeps the planner from looking inside: it would expect a group for each moment, and sort
-- the whole day for what is a few hundred groups.
SELECT grouping(hour, rule_id, time_step) AS part, hour, rule_id, status, answer, time_step,
       count(*)
FROM (
    SELECT rule_id, status, width_bucket(event_received_at, %(starts)s::timestamptz[]) AS hour,
           CASE WHEN status = :'PostbackStatus.FAILED' THEN reason
                WHEN status = :'PostbackStatus.PENDING' AND attempts_made > 0
                THEN coalesce('http_' || last_status_code, 'no_answer')
                ELSE '' END AS answer,
           -- greatest ignores NULL: an undelivered postback would have taken no time
           CASE WHEN delivered_at IS NOT NULL THEN
               floor(%(steps_per_e)s::float8 * ln(greatest(
                   %(shortest)s::float8, date_part('epoch', delivered_at - event_received_at)
               )))::integer END AS time_step
    FROM postback
    WHERE organization_id = %(organization)s
      AND event_received_at > %(since)s AND event_received_at <= %(until)s
      AND NOT test
    OFFSET 0
) AS postback
GROUP BY GROUPING SETS ((hour, status), (rule_id, status, answer), (time_step))
