-- The attribution settings of organizations, and whether they have test devices.
SELECT organization.id, coalesce(settings.rows, '[]'), EXISTS (
    SELECT 1 FROM test_device WHERE test_device.organization_id = organization.id
)
FROM unnest(%(organizations)s::bigint[]) AS organization (id)
LEFT JOIN (
    SELECT s.organization_id, jsonb_agg(
        to_jsonb(s) || jsonb_build_object('link_app_id', c.app_id, 'link_partner_id', c.partner_id)
        ORDER BY s.id
    )::text AS rows
    FROM attribution_settings AS s
    LEFT JOIN tracking_link AS l ON l.organization_id = s.organization_id AND l.id = s.link_id
    LEFT JOIN campaign AS c ON c.organization_id = s.organization_id AND c.id = l.campaign_id
    WHERE s.organization_id = ANY(%(organizations)s::bigint[])
    GROUP BY s.organization_id
) AS settings ON settings.organization_id = organization.id
