-- Give installs their new credit, as a further version.
WITH input AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
        install_id bigint, organization_id bigint, version integer, kind text, cause text,
        attribution_type text, method text, partner_id bigint, campaign_id bigint, link_id bigint,
        touchpoint uuid, touched_at timestamptz, window_seconds integer, facts jsonb,
        candidates jsonb, rejections jsonb, remarks jsonb
    )
), changed AS (
    UPDATE install SET
        kind = input.kind, attribution_type = input.attribution_type,
        attribution_version = input.version, method = input.method,
        partner_id = input.partner_id, campaign_id = input.campaign_id, link_id = input.link_id,
        touchpoint = input.touchpoint, touched_at = input.touched_at
    FROM input WHERE install.id = input.install_id
    RETURNING install.id
), counted AS (
    -- As it was before this statement, and as it is after it: nobody else changes a credit.
    INSERT INTO figure_change (
        organization_id, at, kind, app_ref, partner_ref, campaign_ref, state, code, count
    )
    SELECT organization_id, minute_of(event_received_at), :'FigureKind.INSTALL', app_id,
           coalesce(partner_id, 0), coalesce(campaign_id, 0), attribution_type, kind, sum(change)
    FROM (
        SELECT -1 AS change, organization_id, event_received_at, app_id, partner_id, campaign_id,
               attribution_type, kind
        FROM install WHERE id IN (SELECT id FROM changed)
        UNION ALL
        SELECT 1, before.organization_id, before.event_received_at, before.app_id,
               input.partner_id, input.campaign_id, input.attribution_type, input.kind
        FROM changed JOIN install AS before USING (id) JOIN input ON input.install_id = before.id
    ) AS credit
    GROUP BY 1, 2, 4, 5, 6, 7, 8 HAVING sum(change) <> 0
)
INSERT INTO attribution (
    organization_id, install_id, version, decided_at, cause, type, method, partner_id,
    campaign_id, link_id, touchpoint, touched_at, window_seconds, facts, candidates, rejections,
    remarks
)
SELECT organization_id, install_id, version, now(), cause, attribution_type, method, partner_id,
       campaign_id, link_id, touchpoint, touched_at, window_seconds, facts, candidates, rejections,
       remarks
FROM input
