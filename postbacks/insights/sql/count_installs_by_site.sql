-- Count the clicked installs of all organizations by site and by their time after the click
-- By organization, as the index of installs by time has it. A time on a bound is within it.
WITH timed AS (
    SELECT i.organization_id, i.app_id, i.partner_id,
           left(coalesce(a.facts ->> 'site_id', ''), 255) AS site_id,
           width_bucket(
               extract(epoch FROM i.installed_at - i.touched_at)::float8 - 0.0005,
               %(bounds)s::float8[]
           ) AS bar
    FROM organization AS o
    JOIN install AS i ON i.organization_id = o.id
        AND i.event_received_at >= %(since)s AND i.event_received_at < %(until)s
    JOIN attribution AS a ON a.organization_id = i.organization_id AND a.install_id = i.id
        AND a.version = i.attribution_version
    WHERE i.kind = :'InstallKind.INSTALL' AND i.attribution_type = :'TouchpointKind.CLICK'
      AND i.partner_id IS NOT NULL AND i.touched_at IS NOT NULL
)
SELECT organization_id, app_id, partner_id, site_id, ARRAY[
    count(*) FILTER (WHERE bar = 0), count(*) FILTER (WHERE bar = 1),
    count(*) FILTER (WHERE bar = 2), count(*) FILTER (WHERE bar = 3),
    count(*) FILTER (WHERE bar = 4), count(*) FILTER (WHERE bar = 5),
    count(*) FILTER (WHERE bar = 6), count(*) FILTER (WHERE bar = 7)
] AS times
FROM timed GROUP BY 1, 2, 3, 4 HAVING count(*) >= %(least)s
