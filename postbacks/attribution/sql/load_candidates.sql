-- Load touchpoints by their days, with their partner's, campaign's and link's current names.
SELECT t.id AS row_id, t.public_id AS id, t.kind, t.occurred_at, t.received_at, t.partner_id,
       t.names::text AS identifiers_json, t.source, t.campaign_id, t.link_id, t.click_id, t.site_id,
       t.os_name, t.os_version, t.device_model, t.language, t.user_agent, t.country, t.signature,
       t.refused, t.sender, t.params::text AS params_json, p.public_id::text AS partner, p.name AS partner_name,
       coalesce(c.public_id::text, '') AS campaign, coalesce(c.name, '') AS campaign_name,
       coalesce(c.remote_campaign_id, '') AS remote_campaign_id,
       coalesce(l.public_id::text, '') AS link, coalesce(l.name, '') AS link_name
FROM jsonb_to_recordset(%(matches)s::jsonb) AS match (
    touchpoint_id bigint, received_at timestamptz, kind text, organization_id bigint
)
CROSS JOIN LATERAL (
    SELECT * FROM touchpoint
    WHERE organization_id = match.organization_id AND kind = match.kind AND id = match.touchpoint_id
      AND received_at = match.received_at AND received_at BETWEEN %(first)s AND %(last)s
    LIMIT 1
) AS t
JOIN partner AS p ON p.organization_id = t.organization_id AND p.id = t.partner_id
LEFT JOIN campaign AS c ON c.organization_id = t.organization_id AND c.id = t.campaign_id
LEFT JOIN tracking_link AS l ON l.organization_id = t.organization_id AND l.id = t.link_id
