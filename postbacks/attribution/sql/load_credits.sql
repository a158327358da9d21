-- Load installs with their current credit and what lost against it.
SELECT i.id, i.device, i.number, i.kind, i.install_id, i.installed_at, i.last_open_at,
       i.event_ref, i.public_id, i.attribution_version AS version, i.campaign_id, i.link_id,
       i.touchpoint, a.facts::text AS facts, i.before_id, i.event_received_at, i.organization_id,
       i.app_id, coalesce(a.candidates, '[]')::text AS candidates_json,
       coalesce(a.rejections, '[]')::text AS rejections_json
FROM install AS i
LEFT JOIN attribution AS a ON a.organization_id = i.organization_id AND a.install_id = i.id
    AND a.version = i.attribution_version
WHERE i.id = ANY(%(ids)s::bigint[])
ORDER BY i.id
