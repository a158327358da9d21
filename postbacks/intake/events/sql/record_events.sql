-- Store the new events of some requests of one organization, each with its key and its place in
-- the queue. `stored` counts the new events of each request; a forgotten device's ids are told by
-- their digests.
WITH input AS MATERIALIZED (
    -- Ids in the order of the requests; keys below in the order of event ids, the same for all
    -- commits, so that two that retry the same events never wait for each other in a ring.
    SELECT * FROM (:read_reports) AS reported
), fresh AS (
    INSERT INTO event_key (id, organization_id, app_id, event_id, received_at)
    SELECT id, %(organization)s, app_id, event_id, date_trunc('milliseconds', now())
    FROM input WHERE forgotten IS NULL ORDER BY app_id, event_id, id
    ON CONFLICT DO NOTHING
    RETURNING id, received_at
), stored AS (
    INSERT INTO event (
        id, organization_id, app_id, event_id, event_name, event_time, received_at, source,
        platform, bundle_id, device, customer_user_id, revenue, currency, fields, params
    )
    SELECT id, %(organization)s, app_id, event_id, event_name, event_time, fresh.received_at,
           source, platform, bundle_id, device, customer_user_id, revenue, currency, fields, params
    FROM fresh JOIN input USING (id)
), queued AS (
    INSERT INTO undecided_event (id, organization_id, received_at)
    SELECT id, %(organization)s, received_at FROM fresh
)
SELECT
    jsonb_object_agg(request, events) AS stored,
    (SELECT jsonb_agg(jsonb_build_array(request, event_id, forgotten))
     FROM input WHERE forgotten IS NOT NULL) AS forgotten,
    -- Without a key the caller made no digests: if there is one by now, it has to make them.
    EXISTS (SELECT FROM tombstone_key WHERE organization_id = %(organization)s) AS has_key,
    -- A few events wake one pump of each host, which is enough for them.
    CASE WHEN count(*) > 0 THEN pg_notify(
        :'Channel.WORK', CASE WHEN sum(events) <= 100 THEN min(first)::text END
    ) END
FROM (
    SELECT request, count(*) AS events, min(id) AS first
    FROM fresh JOIN input USING (id) GROUP BY request
) AS counted
