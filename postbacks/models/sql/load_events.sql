-- Load events by id and arrival, with their apps.
SELECT e.organization_id, e.id, e.received_at, e.event_id, e.event_name, e.event_time, e.source,
       e.platform, e.bundle_id, e.device, e.revenue, e.currency, e.customer_user_id,
       e.fields::text AS fields_json, e.params::text AS params_json,
       a.id AS app_id, a.public_id AS app_public_id, a.name AS app_name,
       a.platform AS app_platform, a.store_id AS app_store_id, a.store_share AS app_store_share
FROM unnest(%(ids)s::bigint[], %(received)s::timestamptz[]) AS key (id, received_at)
CROSS JOIN LATERAL (  -- one by one by its key, whatever the statistics say
    SELECT * FROM event
    WHERE id = key.id AND received_at = key.received_at
      AND received_at BETWEEN %(first)s AND %(last)s
    LIMIT 1
) AS e
JOIN app AS a ON a.organization_id = e.organization_id AND a.id = e.app_id
