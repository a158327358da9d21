-- Write the events of some devices, with their keys; keep them for what follows from them.
CREATE TEMP TABLE load_event ON COMMIT DROP AS
WITH numbered AS MATERIALIZED (
    SELECT number, number / %(per_device)s AS device_number,
           mod(number, %(per_device)s)::integer AS step,
           date_trunc('milliseconds', %(newest)s::timestamptz
               - (%(events)s - 1 - number) * %(pace)s::interval) AS received_at,
           md5('event ' || number)::uuid AS event_id
    FROM generate_series(%(first_event)s::bigint, %(last_event)s::bigint) AS number
), placed AS MATERIALIZED (
    SELECT numbered.*, load_app.*, md5('device ' || device_number)::uuid AS advertising_id,
           md5('install ' || device_number)::uuid AS install_id,
           'load-customer-' || device_number AS customer_user_id
    FROM numbered JOIN load_app ON load_app.place = CASE
        WHEN %(organizations)s = 1 OR mod(device_number, 5) < 4 THEN 0
        ELSE 1 + mod(device_number / 5, greatest(%(organizations)s - 1, 1)) END
), keyed AS (
    INSERT INTO event_key (organization_id, app_id, event_id, received_at)
    SELECT organization_id, app_id, event_id, received_at FROM placed ORDER BY number
    RETURNING id, event_id
)
SELECT keyed.id, placed.*,
       (ARRAY['install', 'open', 'tutorial_complete', 'level_up', 'purchase', 'session_end'])
           [1 + step] AS event_name,
       CASE step WHEN 4 THEN round((0.99 + mod(device_number, 50))::numeric, 2) END AS revenue
FROM keyed JOIN placed USING (event_id);

ANALYZE load_event;

INSERT INTO event (
    id, organization_id, app_id, event_id, event_name, event_time, received_at, source, platform,
    bundle_id, device, customer_user_id, revenue, currency, fields, params
)
SELECT id, organization_id, app_id, event_id, event_name, received_at - interval '2 seconds',
       received_at, 'sdk', platform, bundle_id, 'advertising:' || advertising_id,
       CASE WHEN step >= 2 THEN customer_user_id ELSE '' END, revenue,
       CASE WHEN revenue IS NULL THEN '' ELSE 'USD' END,
       jsonb_strip_nulls(jsonb_build_object(
           'gaid', advertising_id, 'install_id', install_id,
           'country', (ARRAY['DE', 'US', 'UA', 'JP', 'BR'])[1 + mod(device_number, 5)],
           'os_version', '15', 'app_version', '4.2', 'device_model', 'Pixel 8', 'language', 'en',
           'transaction_id', CASE step WHEN 4 THEN 'LOAD-' || number END
       )),
       jsonb_build_object('level', mod(number, 90), 'mode', 'story')
FROM load_event ORDER BY number;
