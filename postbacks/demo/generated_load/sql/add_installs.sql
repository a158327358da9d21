-- Write the installs of devices with their credits, final by now; keep them for their postbacks.
CREATE TEMP TABLE load_install ON COMMIT DROP AS
WITH begun AS MATERIALIZED (
    SELECT load_event.*, load_click.link_id, load_click.campaign_id,
           load_click.partner_id, load_click.public_id AS touchpoint,
           load_click.received_at AS touched_at, load_click.click_id, load_link.facts,
           CASE WHEN load_click.id IS NULL THEN 'organic' ELSE 'click' END AS type,
           CASE WHEN load_click.id IS NULL THEN '' ELSE 'advertising_id' END AS method
    FROM (SELECT * FROM load_event WHERE step = 0) AS load_event
    LEFT JOIN (SELECT * FROM load_click WHERE is_own) AS load_click USING (device_number)
    LEFT JOIN load_link ON load_link.place = load_event.place
        AND load_link.number = load_click.link_number
), stored AS (
    INSERT INTO install (
        organization_id, app_id, device, kind, state, install_id, platform, installed_at,
        last_open_at, event_ref, event_received_at, attribution_type, attribution_version, method,
        partner_id, campaign_id, link_id, touchpoint, touched_at, consent
    )
    SELECT organization_id, app_id, 'advertising:' || advertising_id, :'InstallKind.INSTALL',
           :'InstallState.FINAL', install_id::text, platform, received_at, received_at, id,
           received_at, type, 1, method, partner_id, campaign_id, link_id, touchpoint, touched_at,
           '{}'
    FROM begun ORDER BY number
    RETURNING id, event_ref
), credited AS (
    INSERT INTO attribution (
        organization_id, install_id, version, decided_at, cause, type, method, partner_id,
        campaign_id, link_id, touchpoint, touched_at, window_seconds, facts
    )
    SELECT organization_id, stored.id, 1, received_at, 'install', type, method, partner_id,
           campaign_id, link_id, touchpoint, touched_at,
           CASE WHEN touchpoint IS NOT NULL THEN 604800 END,
           coalesce(facts || jsonb_build_object('click_id', click_id, 'touched_at', touched_at),
                    jsonb_build_object('type', type))
    FROM begun JOIN stored ON stored.event_ref = begun.id
)
SELECT stored.id AS install_id, device_number, begun.received_at AS installed_at, partner_id,
       campaign_id, begun.organization_id, begun.app_id,
       'advertising:' || advertising_id AS device
FROM begun JOIN stored ON stored.event_ref = begun.id;

ANALYZE load_install;
