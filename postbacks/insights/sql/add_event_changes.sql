-- Append to the figures what a batch of decided events adds.
INSERT INTO figure_change (
    organization_id, at, kind, app_ref, partner_ref, campaign_ref, event_name, code, count, amount
)
SELECT organization_id, at, :'FigureKind.EVENT', app_ref, partner_ref, campaign_ref, event_name,
       currency, count, amount
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
    organization_id bigint, at timestamptz, app_ref bigint, partner_ref bigint,
    campaign_ref bigint, event_name text, currency text, count bigint, amount numeric
)
