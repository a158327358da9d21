-- Store the new events of a request, each with its key and its place in the queue.
WITH input AS MATERIALIZED (
    -- Ids in the order of the request; keys below in the order of event ids, the same for all
    -- requests, so that two that retry the same events never wait for each other in a ring.
    SELECT nextval('event_key_id_seq') AS id, row.*
    FROM jsonb_to_recordset(%(events)s::jsonb) AS row (
        event_id uuid, event_name text, event_time timestamptz, bundle_id text,
        platform text, device text, customer_user_id text, revenue numeric, currency text,
        fields jsonb, params jsonb
    )
), fresh AS (
    INSERT INTO event_key (id, organization_id, app_id, event_id, received_at)
    SELECT id, %(organization)s, %(app)s, event_id, date_trunc('milliseconds', now())
    FROM input ORDER BY event_id
    ON CONFLICT DO NOTHING
    RETURNING id, event_id, received_at
), stored AS (
    INSERT INTO event (
        id, organization_id, app_id, event_id, event_name, event_time, received_at, source,
        platform, bundle_id, device, customer_user_id, revenue, currency, fields, params
    )
    SELECT fresh.id, %(organization)s, %(app)s, fresh.event_id, event_name, event_time,
           fresh.received_at, %(source)s, platform, bundle_id, device, customer_user_id, revenue,
           currency, fields, params
    FROM fresh JOIN input USING (id, event_id)
), queued AS (
    INSERT INTO undecided_event (id, organization_id, received_at)
    SELECT id, %(organization)s, received_at FROM fresh
)
SELECT (SELECT count(*) FROM fresh), pg_notify('postbacks_work', '')
