-- Store the new events of some requests of one organization, each with its key and its place in
-- the queue. `stored` counts the new events of each request; a forgotten device's ids are told by
-- their digests.
WITH organization AS MATERIALIZED (
    -- Without a key the caller made no digests: if there is one by now, it has to make them.
    SELECT NOT %(has_key)s AND EXISTS (
        SELECT FROM tombstone_key WHERE organization_id = %(organization)s
    ) AS lacks_digests
), input AS MATERIALIZED (
    -- Ids in the order of the requests; keys below in the order of event ids, the same for all
    -- commits, so that two that retry the same events never wait for each other in a ring.
    SELECT nextval('event_key_id_seq') AS id, row.*
    FROM jsonb_to_recordset(%(events)s::jsonb) AS row (
        request bigint, app_id bigint, source text,
        event_id uuid, event_name text, event_time timestamptz, bundle_id text,
        platform text, device text, customer_user_id text, revenue numeric, currency text,
        fields jsonb, params jsonb, digests jsonb
    )
), forgotten AS (
    SELECT request, event_id, array_agg(erasure_tombstone.digest) AS digests
    FROM input CROSS JOIN LATERAL jsonb_array_elements_text(digests) AS one (digest)
    JOIN erasure_tombstone ON erasure_tombstone.organization_id = %(organization)s
        AND erasure_tombstone.app_id = input.app_id
        AND erasure_tombstone.digest = one.digest::uuid
    GROUP BY request, event_id
), allowed AS (
    SELECT input.* FROM input
    WHERE NOT EXISTS (
        SELECT FROM forgotten
        WHERE forgotten.request = input.request AND forgotten.event_id = input.event_id
    ) AND NOT (SELECT lacks_digests FROM organization)
), fresh AS (
    INSERT INTO event_key (id, organization_id, app_id, event_id, received_at)
    SELECT DISTINCT ON (app_id, event_id)
        id, %(organization)s, app_id, event_id, date_trunc('milliseconds', now())
    FROM allowed ORDER BY app_id, event_id, id
    ON CONFLICT DO NOTHING
    RETURNING id, received_at
), stored AS (
    INSERT INTO event (
        id, organization_id, app_id, event_id, event_name, event_time, received_at, source,
        platform, bundle_id, device, customer_user_id, revenue, currency, fields, params
    )
    SELECT id, %(organization)s, app_id, event_id, event_name, event_time, fresh.received_at,
           source, platform, bundle_id, device, customer_user_id, revenue, currency, fields, params
    FROM fresh JOIN allowed USING (id)
    RETURNING id
), queued AS (
    INSERT INTO undecided_event (id, organization_id, received_at)
    SELECT id, %(organization)s, received_at FROM fresh
), notified AS (
    -- A few events wake one pump of each host, which is enough for them.
    SELECT pg_notify(:'Channel.WORK', CASE WHEN count(*) <= 100 THEN min(id)::text END)
    FROM fresh HAVING count(*) > 0
)
SELECT
    (SELECT jsonb_object_agg(request, count) FROM (
        SELECT request, count(*) FROM input JOIN stored USING (id) GROUP BY request
    ) AS counted) AS stored,
    (SELECT jsonb_agg(jsonb_build_array(request, event_id, digests)) FROM forgotten) AS forgotten,
    (SELECT lacks_digests FROM organization),
    (SELECT count(*) FROM notified)
