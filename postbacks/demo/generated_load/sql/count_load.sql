-- Count the events and installs of this step, and its attempts and deliveries.
-- The states of postbacks are counted by the table's own triggers.
INSERT INTO figure_change (
    organization_id, at, kind, app_ref, rule_ref, partner_ref, campaign_ref, event_name, state,
    code, count, amount
)
SELECT load_event.organization_id, minute_of(received_at), :'FigureKind.EVENT', load_event.app_id,
       0, coalesce(partner_id, 0), coalesce(campaign_id, 0), event_name, '',
       CASE WHEN revenue IS NULL THEN '' ELSE 'USD' END, count(*), sum(revenue)
FROM load_event JOIN load_install USING (device_number)
GROUP BY 1, 2, 4, 6, 7, 8, 10
UNION ALL
SELECT organization_id, minute_of(installed_at), :'FigureKind.INSTALL', app_id, 0,
       coalesce(partner_id, 0), coalesce(campaign_id, 0), '',
       CASE WHEN partner_id IS NULL THEN 'organic' ELSE 'click' END, :'InstallKind.INSTALL',
       count(*), NULL
FROM load_install
GROUP BY 1, 2, 4, 6, 7, 9
UNION ALL
SELECT organization_id, minute_of(started_at), :'FigureKind.ATTEMPT', app_id, rule_id, 0,
       coalesce(campaign_ref, 0), event_name, outcome, status_code::text, count(*), NULL
FROM load_attempt
GROUP BY 1, 2, 4, 5, 7, 8, 9, 10
UNION ALL
SELECT organization_id, minute_of(delivered_at), :'FigureKind.DELIVERY', app_id, rule_id, 0,
       coalesce(campaign_ref, 0), '', '', time_step(delivered_at - event_received_at), count(*),
       NULL
FROM load_postback WHERE delivered_at IS NOT NULL
GROUP BY 1, 2, 4, 5, 7, 10
