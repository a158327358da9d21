-- Find the newest install that has each lasting identifier.
SELECT searched.organization_id, searched.app_id, searched.key, i.id, i.device, i.number, i.kind,
       i.install_id, i.installed_at, i.last_open_at, i.event_ref, i.public_id,
       i.attribution_version AS version, i.campaign_id, i.link_id, i.touchpoint,
       a.facts::text AS facts
FROM unnest(%(organizations)s::bigint[], %(apps)s::bigint[], %(keys)s::uuid[])
    AS searched (organization_id, app_id, key)
CROSS JOIN LATERAL (
    SELECT install_id FROM install_key
    WHERE organization_id = searched.organization_id AND app_id = searched.app_id
      AND key = searched.key AND lasting
    ORDER BY install_id DESC LIMIT 1
) AS identified
JOIN install AS i
    ON i.organization_id = searched.organization_id AND i.id = identified.install_id
LEFT JOIN attribution AS a ON a.organization_id = i.organization_id AND a.install_id = i.id
    AND a.version = i.attribution_version
    AND (i.attribution_type <> 'organic' OR i.kind <> :'InstallKind.INSTALL')
