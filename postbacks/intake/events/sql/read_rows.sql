-- Read reported events in their order; what an event does not say of itself is as usual.
SELECT nextval('event_key_id_seq') AS id, event_id, device, revenue, fields, params, digests,
       coalesce(own.request, usual.request) AS request,
       coalesce(own.app_id, usual.app_id) AS app_id,
       coalesce(own.source, usual.source) AS source,
       coalesce(own.event_name, usual.event_name) AS event_name,
       coalesce(own.event_time, usual.event_time) AS event_time,
       coalesce(own.bundle_id, usual.bundle_id) AS bundle_id,
       coalesce(own.platform, usual.platform) AS platform,
       coalesce(own.customer_user_id, usual.customer_user_id) AS customer_user_id,
       coalesce(own.currency, usual.currency) AS currency
FROM jsonb_to_recordset(%(events)s::jsonb) AS own (
    request bigint, app_id bigint, source text, event_id uuid, event_name text,
    event_time timestamptz, bundle_id text, platform text, device text, customer_user_id text,
    revenue numeric, currency text, fields jsonb, params jsonb, digests jsonb
)
CROSS JOIN jsonb_to_record(%(usual)s::jsonb) AS usual (
    request bigint, app_id bigint, source text, event_name text, event_time timestamptz,
    bundle_id text, platform text, customer_user_id text, currency text
)
