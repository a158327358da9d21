-- Claim notices that are due, a few of each organization, for as long as a lease
-- A worker that dies leaves them to the next one when the lease ends.
WITH chosen AS (
    SELECT notice.id FROM alert_turn AS turn CROSS JOIN LATERAL (
        SELECT id, due_at FROM alert_notice
        WHERE organization_id = turn.organization_id AND due_at <= %(now)s
          AND status IN (:'NoticeStatus.PENDING', :'NoticeStatus.HELD')
        ORDER BY due_at LIMIT %(of_each)s
    ) AS notice
    ORDER BY notice.due_at LIMIT %(limit)s
), locked AS (
    SELECT notice.id FROM alert_notice AS notice JOIN chosen ON chosen.id = notice.id
    WHERE notice.due_at <= %(now)s
      AND notice.status IN (:'NoticeStatus.PENDING', :'NoticeStatus.HELD')
    ORDER BY notice.id FOR UPDATE OF notice SKIP LOCKED
)
UPDATE alert_notice AS notice
SET due_at = %(now)s::timestamptz + make_interval(secs => %(lease)s), tries = notice.tries + 1,
    status = :'NoticeStatus.PENDING'
FROM locked JOIN alert_notice AS claimed ON claimed.id = locked.id
JOIN alert ON alert.organization_id = claimed.organization_id AND alert.id = claimed.alert_id
WHERE notice.id = locked.id
RETURNING notice.organization_id, notice.id, notice.public_id, notice.alert_id, notice.topic,
          notice.channel, notice.tries, notice.body, alert.emails, alert.webhook_url
