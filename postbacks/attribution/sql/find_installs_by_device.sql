-- Find the five newest installs of each device, in every spelling of its id.
SELECT searched.organization_id, searched.app_id, searched.device AS searched_device,
       i.id, i.device, i.number, i.kind, i.install_id, i.installed_at, i.last_open_at, i.event_ref,
       i.public_id, i.attribution_version AS version, i.campaign_id, i.link_id, i.touchpoint,
       a.facts::text AS facts
FROM jsonb_to_recordset(%(devices)s::jsonb)
    AS searched (organization_id bigint, app_id bigint, device text, spellings text[])
CROSS JOIN LATERAL (
    SELECT * FROM install
    WHERE organization_id = searched.organization_id AND app_id = searched.app_id
      AND device = ANY(searched.spellings)
    ORDER BY number DESC LIMIT 5
) AS i
LEFT JOIN attribution AS a ON a.organization_id = i.organization_id AND a.install_id = i.id
    AND a.version = i.attribution_version
    AND (i.attribution_type <> 'organic' OR i.kind <> :'InstallKind.INSTALL')
ORDER BY i.number DESC
