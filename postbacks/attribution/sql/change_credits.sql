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
