-- Store system events as intake stores an SDK's, and queue them.
WITH input AS MATERIALIZED (
    SELECT nextval('event_key_id_seq') AS id, row.*
    FROM jsonb_to_recordset(%(events)s::jsonb) AS row (
        organization_id bigint, app_id bigint, event_id uuid, event_name text,
        event_time timestamptz, platform text, bundle_id text, device text,
        customer_user_id text, revenue numeric, currency text, fields jsonb, params jsonb
    )
), fresh AS (
    INSERT INTO event_key (id, organization_id, app_id, event_id, received_at)
    SELECT id, organization_id, app_id, event_id, date_trunc('milliseconds', now())
    FROM input ORDER BY organization_id, app_id, event_id
    ON CONFLICT DO NOTHING
    RETURNING id, received_at
), stored AS (
    INSERT INTO event (
        id, organization_id, app_id, event_id, event_name, event_time, received_at, source,
        platform, bundle_id, device, customer_user_id, revenue, currency, fields, params
    )
    SELECT id, organization_id, app_id, event_id, event_name, event_time, received_at, :'EventSource.SYSTEM',
           platform, bundle_id, device, customer_user_id, revenue, currency, fields, params
    FROM fresh JOIN input USING (id)
), queued AS (
    INSERT INTO undecided_event (id, organization_id, received_at)
    SELECT id, organization_id, received_at FROM fresh JOIN input USING (id)
)
SELECT count(*), pg_notify(
    -- A few events wake one pump of each host, which is enough for them.
    :'Channel.WORK', CASE WHEN count(*) <= 100 THEN min(id)::text END
)
FROM fresh
