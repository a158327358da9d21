-- Count the rejected installs of a period by partner and reason, beside the partner's installs
WITH rejected AS (
    SELECT coalesce(fields -> 'attribution' ->> 'partner_name', '') AS partner,
           coalesce(fields ->> 'reject_reason', '') AS reason, count(*) AS count
    FROM event
    WHERE organization_id = %(organization)s AND event_name = 'rejected_install'
      AND source = :'EventSource.SYSTEM'
      AND received_at >= %(since)s AND received_at < %(until)s
    GROUP BY 1, 2
), earned AS (
    SELECT p.name AS partner, count(*) AS count
    FROM install AS i JOIN partner AS p
      ON p.organization_id = i.organization_id AND p.id = i.partner_id
    WHERE i.organization_id = %(organization)s AND i.kind = :'InstallKind.INSTALL'
      AND i.event_received_at >= %(since)s AND i.event_received_at < %(until)s
    GROUP BY 1
)
SELECT rejected.partner, reason, rejected.count, coalesce(earned.count, 0) AS earned
FROM rejected LEFT JOIN earned USING (partner)
ORDER BY rejected.count DESC, rejected.partner, reason LIMIT %(most)s
