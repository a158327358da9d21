-- Write the clicks that came an hour before some devices' installs; keep them for credits and keys.
CREATE TEMP TABLE load_click ON COMMIT DROP AS
WITH numbered AS MATERIALIZED (
    SELECT number, number * %(devices)s / %(clicks)s AS device_number
    FROM generate_series(%(first_click)s::bigint, %(last_click)s::bigint) AS number
), placed AS MATERIALIZED (
    SELECT numbered.*, load_event.place, load_event.organization_id, app_id,
           advertising_id, load_link.number AS link_number, link_id, campaign_id, partner_id,
           received_at - interval '1 hour' AS received_at,
           'load-click-' || numbered.number AS click_id,
           md5('click ' || numbered.number) AS digits,
           -- The first click of every other device is the device's own, and earns its install.
           mod(device_number, 2) = 0
               AND (numbered.number = 0 OR (numbered.number - 1) * %(devices)s / %(clicks)s
                    < device_number) AS is_own
    FROM numbered JOIN load_event USING (device_number)
    JOIN load_link ON load_link.place = load_event.place
        AND load_link.number = mod(numbered.number, %(links)s)
    WHERE step = 0
), stored AS (
    INSERT INTO touchpoint (
        organization_id, public_id, app_id, partner_id, campaign_id, link_id, kind, source,
        occurred_at, received_at, click_id, site_id, user_agent, os_name, os_version,
        device_model, language, country, names, params
    )
    SELECT organization_id, made.public_id, app_id, partner_id, campaign_id, link_id,
           :'TouchpointKind.CLICK', :'TouchpointSource.LINK', received_at, received_at, click_id,
           'site-' || mod(number, 40), 'Mozilla/5.0 (Linux; Android 15; Pixel 8)', 'Android',
           '15', 'Pixel 8', 'en', (ARRAY['DE', 'US', 'UA', 'JP', 'BR'])[1 + mod(device_number, 5)],
           to_jsonb(array_remove(ARRAY[
               CASE WHEN is_own THEN 'advertising:' || advertising_id END,
               'click_id:' || click_id, 'touch:' || made.public_id
           ], NULL)),
           jsonb_build_object('sub1', 'spring', 'creative', 'video_15s')
    FROM placed CROSS JOIN LATERAL (
        SELECT (lpad(to_hex((extract(epoch FROM received_at) * 1000)::bigint), 12, '0') || '7'
                || substr(digits, 1, 3) || 'a' || substr(digits, 4, 15))::uuid
    ) AS made (public_id)
    ORDER BY number
    RETURNING id, public_id, click_id, names
)
SELECT stored.id, stored.public_id, names, placed.* FROM stored JOIN placed USING (click_id);

ANALYZE load_click;
